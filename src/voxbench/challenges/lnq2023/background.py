"""What is surely no lymph node in a chest CT, told without any network: what partial labels leave open gets smaller.

After J. Deissler et al. (three-way labels) and S. Fischer et al., MELBA 2024:008, who use a segmentation network for
what thresholds, components and the lungs tell here; their masks can be given too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.geometry import LabelMap, Volume, require_same_grid
from voxbench.geometry.grid import world_axis_of_voxel_axis
from voxbench.simulate.mediastinum import lungs_of
from voxbench.tasks.segmentation import IGNORED, Frame
from voxbench.types import AnyArray, Mask

Range = tuple[float, float]
Three = tuple[float, float, float]
Ends = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Box = tuple[slice, slice, slice]
SMOOTHING_MM = 1.0
AROUND_MM = 15.0
"""How far around the lungs and the nodes a case is looked at."""


class SureBackground(Config):
    """What is taken for no node in cases that are partly annotated."""

    low_hu: float = Field(
        default=-60.0,
        description="Below, smoothed: air, lungs, fat (0.5 % of the challenge's node voxels are below -36).",
    )
    high_hu: float = Field(
        default=160.0, description="Above, smoothed, in one piece: bone, vessels (0.5 % of node voxels are above 157)."
    )
    piece_ml: float = Field(default=0.5, ge=0, description="Least volume of such a piece; a calcified spot is smaller.")
    shell_mm: float = Field(default=3.0, ge=0, description="Around each labelled node.")
    hull_mm: float = Field(
        default=5.0, ge=0, description="Farther than this outside the lungs' convex hull, per slice."
    )
    beyond_mm: float = Field(default=10.0, ge=0, description="Slices so far beyond those that hold a node in any case.")


class Survey(Config):
    """What is to be known of a case before it is learned from."""

    box: Ends = Field(default=..., description="First and last voxel (excluded) along each axis of what is looked at.")
    heights: Range | None = Field(
        default=None, description="Of the lowest and highest node, 0 at the lungs' base, 1 at their top; None: unknown."
    )
    voxels: int = Field(default=0, ge=0, description="Labelled as node.")
    spacing: Three = Field(default=..., description="Along the world's axes, mm.")
    extent: Three = Field(default=..., description="Of the box along the world's axes, mm.")

    @property
    def slices(self) -> Box:
        """The box as slices."""
        (a, b), (c, d), (e, f) = self.box
        return slice(a, b), slice(c, d), slice(e, f)


def survey(ct: Volume, nodes: Mask | None = None) -> Survey:
    """Where the lungs and the nodes of a case lie.

    The box holds both and 15 mm around; the whole image where there are no lungs.

    Args:
        ct: HU.
        nodes: On its grid.
    """
    lungs = lungs_of(_smooth(ct), ct)
    drawn = nodes is not None and bool(nodes.any())
    there = lungs | nodes if nodes is not None else lungs
    i, j, k = _around(there, ct, AROUND_MM) if lungs.any() else tuple(slice(0, n) for n in ct.grid.shape)
    frame = Frame.of(ct.grid.cropped((i.start, j.start, k.start), (i.stop, j.stop, k.stop)))
    x, y, z = (float(s) for s in frame.spacing)
    edges = frame.ordered_shape
    return Survey(
        box=((i.start, i.stop), (j.start, j.stop), (k.start, k.stop)),
        heights=_node_heights(nodes, lungs, ct) if nodes is not None and drawn and lungs.any() else None,
        voxels=int(np.count_nonzero(nodes)) if nodes is not None else 0,
        spacing=(x, y, z),
        extent=(x * edges[0], y * edges[1], z * edges[2]),
    )


def annotated_range(surveys: Sequence[Survey]) -> Range | None:
    """The lowest and highest node of all cases."""
    there = [one.heights for one in surveys if one.heights is not None]
    return (min(low for low, _ in there), max(high for _, high in there)) if there else None


def three_way(
    ct: Volume,
    nodes: Mask,
    settings: SureBackground,
    heights: Range | None = None,
    structures: LabelMap | None = None,
) -> LabelMap:
    """Labels to learn from: 1 in nodes, 0 where there is surely none, `IGNORED` where nobody said.

    Args:
        ct: HU.
        nodes: Those that were drawn.
        settings: What is sure.
        heights: Of all cases' nodes (`annotated_range`); slices far beyond hold none.
        structures: Organs, on the CT's grid: no node where any is labelled.

    Raises:
        GridMismatchError: The structures lie on another grid.
    """
    smooth = _smooth(ct)
    sure = (smooth < settings.low_hu) | _pieces(smooth > settings.high_hu, settings.piece_ml * 1000, ct)
    lungs = lungs_of(smooth, ct)
    if lungs.any():
        sure |= _outside_hull(lungs, ct, settings.hull_mm)
        if heights is not None:
            sure |= _beyond(lungs, ct, heights, settings.beyond_mm)
    if structures is not None:
        require_same_grid(ct.grid, structures.grid, ("CT", "structures"))
        sure |= structures.array > 0
    sure |= _shell(nodes, ct, settings.shell_mm)
    return LabelMap(np.where(nodes, 1, np.where(sure, 0, IGNORED)).astype(np.uint8), ct.grid)


def _smooth(ct: Volume) -> AnyArray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(ct.array.astype(np.float32), SMOOTHING_MM / ct.grid.spacing, truncate=3)


def _up(ct: Volume) -> int:
    return world_axis_of_voxel_axis(ct.grid.direction).index(2)


def _others(ct: Volume) -> tuple[int, ...]:
    return tuple(axis for axis in range(3) if axis != _up(ct))


def _heights(lungs: Mask, ct: Volume) -> Range:
    """Slices of the lungs' base and of their top, along the voxel axis nearest to the body's."""
    there = np.flatnonzero(lungs.any(axis=_others(ct)))
    first, last = float(there[0]), float(there[-1]) + (there[0] == there[-1])
    return (first, last) if ct.grid.direction[2, _up(ct)] > 0 else (last, first)


def _node_heights(nodes: Mask, lungs: Mask, ct: Volume) -> Range:
    base, top = _heights(lungs, ct)
    along = np.flatnonzero(nodes.any(axis=_others(ct)))
    low, high = sorted((float(end) - base) / (top - base) for end in (along[0], along[-1]))
    return low, high


def _around(there: Mask, ct: Volume, more_mm: float) -> Box:
    """The box of a mask that is not empty and so much around it, within the image."""
    found = []
    for axis, (n, step) in enumerate(zip(ct.grid.shape, ct.grid.spacing, strict=True)):
        along = np.flatnonzero(there.any(axis=tuple(other for other in range(3) if other != axis)))
        more = int(np.ceil(more_mm / step))
        found.append(slice(max(0, int(along[0]) - more), min(n, int(along[-1]) + 1 + more)))
    return found[0], found[1], found[2]


def _pieces(there: Mask, least_mm3: float, ct: Volume) -> Mask:
    """Connected parts of at least a volume."""
    import cc3d

    numbered = np.asarray(cc3d.connected_components(np.ascontiguousarray(there), connectivity=6))
    large = np.bincount(numbered.ravel()) * ct.grid.voxel_volume >= least_mm3
    large[0] = False
    return large[numbered]


def _outside_hull(lungs: Mask, ct: Volume, far_mm: float) -> Mask:
    """In slices with lungs, what lies farther than that outside their convex hull."""
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import convex_hull_image

    up = _up(ct)
    spacing = [float(ct.grid.spacing[axis]) for axis in _others(ct)]
    out = np.zeros(lungs.shape, bool)
    for slice_, found in zip(np.moveaxis(lungs, up, 0), np.moveaxis(out, up, 0), strict=True):
        if np.count_nonzero(slice_) > 20:
            hull = convex_hull_image(slice_)
            found[:] = np.asarray(distance_transform_edt(~hull, sampling=spacing)) > far_mm
    return out


def _beyond(lungs: Mask, ct: Volume, heights: Range, far_mm: float) -> Mask:
    """Slices far below the lowest and far above the highest node of any case."""
    up = _up(ct)
    base, top = _heights(lungs, ct)
    ends = sorted(base + share * (top - base) for share in heights)
    far = far_mm / float(ct.grid.spacing[up])
    at = np.arange(ct.grid.shape[up])
    shape = [1, 1, 1]
    shape[up] = -1
    return np.broadcast_to(((at < ends[0] - far) | (at > ends[1] + far)).reshape(shape), lungs.shape)


def _shell(nodes: Mask, ct: Volume, thick_mm: float) -> Mask:
    """What lies within that distance of a node."""
    from scipy.ndimage import distance_transform_edt

    out = np.zeros(nodes.shape, bool)
    if not nodes.any() or thick_mm <= 0:
        return out
    box = _around(nodes, ct, thick_mm)
    inside = nodes[box]
    away = np.asarray(distance_transform_edt(~inside, sampling=ct.grid.spacing))
    out[box] = (away > 0) & (away <= thick_mm)
    return out
