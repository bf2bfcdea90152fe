"""Array types, named once.

Arrays are indexed ``[i, j, k]``; points and vectors are RAS+ millimetres unless the name says ``voxel``.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Float64, Integer, Real, Shaped

Image = Real[np.ndarray, "i j k"]
"""Intensities on a grid."""
FloatImage = Float32[np.ndarray, "i j k"]
"""Intensities on a grid, as the compiled core takes them."""
Labels = Integer[np.ndarray, "i j k"]
"""Label ids on a grid; 0 is background."""
Mask = Bool[np.ndarray, "i j k"]
"""True inside."""
Vectors = Float32[np.ndarray, "i j k 3"]
"""One RAS+ vector per voxel, mm."""
PlanarVoxelVectors = Float32[np.ndarray, "3 i j k"]
"""One vector per voxel, in voxels of its own grid, a component at a time: the layout of the compiled core."""
Points = Float64[np.ndarray, "*n 3"]
"""World points, mm; the last axis is x, y, z."""
Matrix4 = Float64[np.ndarray, "4 4"]
"""Homogeneous matrix."""
Vector3 = Float64[np.ndarray, "3"]
"""One point, spacing or direction."""
AnyArray = Shaped[np.ndarray, "..."]
"""Any array at all."""
Triple = tuple[float | int, float | int, float | int] | np.ndarray
"""Three numbers given by hand."""
