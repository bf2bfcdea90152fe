"""Descriptors of local structure that look alike whatever the contrast (MIND-SSC).

Around every voxel the six neighbours at distance ``dilation`` form twelve pairs along two different axes (the
self-similarity context). Each pair's patch distance D, the mean squared difference over a cube of half width
``radius``, becomes ``exp(-(D - min D) / V)`` with V the mean of ``D - min D`` over the twelve: adding a constant to an
image, scaling or inverting it changes nothing.

Channels 0-3 pair the neighbours along i and j, 4-7 along i and k, 8-11 along j and k; within each group the signs are
(-, -), (-, +), (+, -), (+, +). Beyond its border an image goes on with its outermost value.

References:
    M. P. Heinrich et al., Towards realtime multimodal fusion for image-guided interventions using self-similarities,
    MICCAI 2013, doi:10.1007/978-3-642-40811-3_24.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from voxbench import _core
from voxbench.types import FloatImage, PlanarVoxelVectors

CHANNELS = 12
"""Pairs of neighbours along two different axes."""


def mind_ssc(image: FloatImage, radius: int = 1, dilation: int = 2, pool: int = 1) -> Float32[np.ndarray, "12 a b c"]:
    """Twelve descriptors per voxel, or their means over blocks.

    Args:
        image: Intensities, C-contiguous.
        radius: Half width of the compared patches, voxels.
        dilation: Distance of the six neighbours, voxels.
        pool: Descriptors are averaged over blocks of this many voxels along each axis; the last block may be cut.

    Returns:
        Values in 0 to 1, one plane per channel; block b covers voxels ``pool b`` to ``pool b + pool - 1``.
    """
    return _core.mind_ssc(image, radius, dilation, pool)


def mind_ssc_packed(
    image: FloatImage, radius: int = 1, dilation: int = 2, pool: int = 1
) -> UInt8[np.ndarray, "a b c 12"]:
    """As ``mind_ssc`` in a quarter of the memory: multiples of 1/255, channels last, ready for ``feature_force``."""
    return _core.mind_ssc_packed(image, radius, dilation, pool)


def feature_force(
    fixed: Shaped[np.ndarray, "i j k c"],
    moving: Shaped[np.ndarray, "a b d c"],
    displacement: PlanarVoxelVectors,
    out: PlanarVoxelVectors,
) -> float:
    """Dissimilarity of two feature images under a displacement, and its gradient, in one pass.

    The dissimilarity at x is the mean over channels of ``(moving(x + u(x)) - fixed(x))^2``, moving sampled linearly and
    going on with its outermost value; the gradient is that of the linear interpolation itself (zero along an axis on
    which x + u leaves the image). Moving along ``-out`` makes the images more alike.

    Args:
        fixed: Features, channels last: float32, or uint8 in units of 1/255.
        moving: Features of the same dtype and number of channels; its grid may have another shape.
        displacement: u, voxels.
        out: Receives the derivative of the dissimilarity at x with respect to u(x).

    Returns:
        The mean dissimilarity over all voxels of fixed.
    """
    return _core.feature_force(fixed, moving, displacement, out)
