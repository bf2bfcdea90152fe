"""What is measured on a spine: heights of bodies and discs, wedges, slips, the canal; in any orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.errors import EmptyShapeError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.geometry.orientation import Reordering
from voxbench.geometry.spine_labels import CANAL, DISC, PARTIAL, structure_of
from voxbench.metrics.spine_planes import STEP_MM, BodyFrame, body_frame, cut, pixel_of, run, sagittal
from voxbench.types import Vector3

PLACES = (0.15, 0.5, 0.85)
"""Anterior, middle and posterior: shares of the body's depth from the front."""
NAN = float("nan")


@dataclass(frozen=True)
class Level:
    """A vertebra, the disc below it, and what lies behind the disc; mm, mm^2, mm^3, degrees.

    What is not there is NaN.

    Attributes:
        number: Of the vertebra, from below.
        name: If vertebra 1 is L5.
        complete: False if the field of view cuts it (heights are then those of what is seen).
        wedge: Angle between the endplates, positive if the front is higher.
        disc_from: ``label`` if the disc is labelled, ``gap`` for the distance of the bodies, empty if there is none.
        slip: How far the back of the body stands in front of that of the body below, along that one's upper endplate.
        canal_depth: From front to back in the middle, at the disc's level, across the canal.
        canal_area: At the same level.
    """

    number: int
    name: str
    complete: bool
    anterior_height: float
    middle_height: float
    posterior_height: float
    wedge: float
    depth: float
    width: float
    disc_from: str
    disc_anterior_height: float
    disc_middle_height: float
    disc_posterior_height: float
    slip: float
    canal_depth: float
    canal_area: float
    vertebra_volume: float
    disc_volume: float


@dataclass(frozen=True, eq=False)
class Outline:
    """A body in its middle plane.

    Attributes:
        frame: Its frame; y to the front and z up are in its axes, from its centre.
        front: Where the front is at mid-height, y.
        back: Where the back is.
        upper: Heights z of the upper endplate at `PLACES`.
        lower: Of the lower one.
        wedge: Degrees.
        width: Across at mid-height and mid-depth.
        corners: Where the line along the back meets the upper and the lower endplate, y.
    """

    frame: BodyFrame
    front: float
    back: float
    upper: tuple[float, float, float]
    lower: tuple[float, float, float]
    wedge: float
    width: float
    corners: tuple[float, float]

    @property
    def places(self) -> tuple[float, float, float]:
        """Y of `PLACES`."""
        first, second, third = (self.front - share * (self.front - self.back) for share in PLACES)
        return first, second, third

    @property
    def heights(self) -> tuple[float, float, float]:
        """Anterior, middle, posterior."""
        first, second, third = (a - b for a, b in zip(self.upper, self.lower, strict=True))
        return first, second, third

    def point(self, y: float, z: float) -> Vector3:
        """A place in its middle plane, world, mm."""
        return self.frame.centre + self.frame.axes[:, 1] * y + self.frame.axes[:, 2] * z


def measure_spine(labels: LabelMap) -> tuple[tuple[Level, ...], tuple[Outline, ...]]:
    """Measure every vertebra, from below, and where the lines of measurement lie.

    Each body is read in its own frame: up along the spine's curve, then turned until its endplates lie level on
    average; lengths are read on planes of 0.5 mm cut through the label by linear interpolation, so that they do not
    depend on the voxels' axes.

    Args:
        labels: Numbers as in ``geometry.spine_labels``; bodies alone, without arches, discs or canal, will do.

    Raises:
        InputError: Some label means nothing.
        EmptyShapeError: There is no vertebra.
    """
    there = {structure_of(label) for label in labels.ids}
    vertebrae = sorted((one for one in there if one.kind == "vertebra"), key=lambda one: one.number)
    if not vertebrae:
        raise EmptyShapeError("no vertebra in the label map (labels 1 to 25, or 101 to 125)")
    masks = {one.number: _mask(labels, one.number, PARTIAL + one.number) for one in vertebrae}
    centres = np.array([_thickest(masks[one.number]) for one in vertebrae])
    ups = _ups(centres, labels.grid)
    outlines = [
        _outline(masks[one.number], one.number, centre, up)
        for one, centre, up in zip(vertebrae, centres, ups, strict=True)
    ]
    canal = _mask(labels, CANAL) if CANAL in labels.ids else None
    ending = _cut_numbers(labels)
    levels = []
    for place, one in enumerate(vertebrae):
        below = next((o for o in outlines if o.frame.number == one.number - 1), None)
        disc = _mask(labels, DISC + one.number) if DISC + one.number in labels.ids else None
        found, outline = {}, outlines[place]
        found["disc_from"], heights = _disc_heights(outline, below, disc)
        names = ("disc_anterior_height", "disc_middle_height", "disc_posterior_height")
        found |= dict(zip(names, heights, strict=True))
        found["canal_depth"], found["canal_area"] = _canal(canal, outline, heights[1])
        whole = one.complete and one.number not in ending
        found["slip"] = _slip(outline, below) if whole else NAN
        names = ("anterior_height", "middle_height", "posterior_height")
        found |= dict(zip(names, outline.heights, strict=True))
        levels.append(
            Level(
                number=one.number,
                name=one.name,
                complete=whole,
                wedge=outline.wedge,
                depth=outline.front - outline.back,
                width=outline.width,
                vertebra_volume=_volume(masks[one.number]),
                disc_volume=NAN if disc is None else _volume(disc),
                **found,
            )
        )
    return tuple(levels), tuple(outlines)


def _mask(labels: LabelMap, *numbers: int) -> Volume:
    """A structure as a float image in its own box, a margin of one voxel around it."""
    mask = labels.mask(*numbers)
    ends = [np.flatnonzero(mask.any(axis=axes))[[0, -1]] for axes in ((1, 2), (0, 2), (0, 1))]
    box = tuple(slice(int(a), int(b) + 1) for a, b in ends)
    grid = labels.grid.cropped(
        (box[0].start - 1, box[1].start - 1, box[2].start - 1), (box[0].stop + 1, box[1].stop + 1, box[2].stop + 1)
    )
    return Volume(np.pad(mask[box], 1).astype(np.float32), grid)


def _volume(mask: Volume) -> float:
    return float(mask.array.sum(dtype=np.float64)) * mask.grid.voxel_volume


def _cut_numbers(labels: LabelMap) -> set[int]:
    """Numbers of the vertebrae that reach the first or last layer across the spine."""
    axis = Reordering.to(labels.grid).axes[2]
    ends = np.unique([np.take(labels.array, end, axis=axis) for end in (0, -1)])
    found = [structure_of(int(label)) for label in ends if label != 0]
    return {one.number for one in found if one.kind == "vertebra"}


def _thickest(mask: Volume) -> Vector3:
    """The middle of the thickest part, world: in a vertebra with its arch, of the body."""
    import edt

    spacing = tuple(float(s) for s in mask.grid.spacing)
    depth = edt.edt(mask.array > 0, anisotropy=spacing)
    deep = np.argwhere(depth >= 0.6 * depth.max())
    return mask.grid.world_from_voxel(np.average(deep, axis=0, weights=depth[tuple(deep.T)].astype(np.float64)))


def _ups(centres: np.ndarray, grid: Grid) -> np.ndarray:
    """Of every centre the direction of the spine, upwards."""
    if len(centres) < 2:
        k = int(np.abs(grid.direction[2]).argmax())
        return (grid.direction[:, k] * np.sign(grid.direction[2, k]))[None]
    ways = np.gradient(centres, axis=0)
    return ways / np.linalg.norm(ways, axis=1, keepdims=True)


def _outline(mask: Volume, number: int, centre: Vector3, up: Vector3) -> Outline:
    """A body's measures, its frame turned twice until the endplates lie level on average."""
    frame = body_frame(number, centre, up)
    outline = None
    for _ in range(3):
        plane = sagittal(mask, frame)
        front, back = run(plane[:, plane.shape[1] // 2])
        shares = front - np.linspace(0.15, 0.85, 15) * (front - back)
        ends = np.array([(NAN, NAN) if np.isnan(y) else run(plane[pixel_of(y)]) for y in shares])
        if np.isnan(ends).any():
            count = np.count_nonzero(mask.array)
            raise EmptyShapeError(f"vertebra {number} is too small or too thin to be measured: {count} voxels")
        slopes = [float(np.polyfit(shares, ends[:, side], 1)[0]) for side in (0, 1)]
        across = cut(mask, frame, (0, 2))
        wide = run(across[:, across.shape[1] // 2])
        wedge = float(np.degrees(np.arctan(slopes[0]) - np.arctan(slopes[1])))
        corners = _corners(plane, ends)
        found = (_three(ends[:, 0]), _three(ends[:, 1]), wedge, wide[0] - wide[1], corners)
        outline = Outline(frame, front, back, *found)
        tilt = (np.arctan(slopes[0]) + np.arctan(slopes[1])) / 2
        middle = outline.point((front + back) / 2, float(ends[7].mean()))
        middle = middle + frame.axes[:, 0] * (wide[0] + wide[1]) / 2
        up = frame.axes[:, 2] * np.cos(tilt) - frame.axes[:, 1] * np.sin(tilt)
        frame = body_frame(number, middle, up)
    assert outline is not None
    return outline


def _corners(plane: np.ndarray, ends: np.ndarray) -> tuple[float, float]:
    """Where the line along the back meets the upper and the lower endplate, y; corners drawn raggedly do not count."""
    from scipy.stats import theilslopes

    high, low = (float(end) for end in ends[len(ends) // 2])
    heights = low + np.linspace(0.2, 0.8, 13) * (high - low)
    backs = [run(plane[:, pixel_of(z)])[1] for z in heights]
    slope, start = theilslopes(backs, heights)[:2]
    upper, lower = (float(start + slope * end) for end in ends[-1])
    return upper, lower


def _three(values: np.ndarray) -> tuple[float, float, float]:
    """First, middle, last."""
    return float(values[0]), float(values[len(values) // 2]), float(values[-1])


def _disc_heights(above: Outline, below: Outline | None, disc: Volume | None) -> tuple[str, tuple[float, float, float]]:
    """Where the heights of the disc below a body come from, and they."""
    if disc is not None:
        up = above.frame.axes[:, 2]
        if below is not None:
            up = up + below.frame.axes[:, 2]
        frame = body_frame(0, _thickest(disc), up)
        plane = sagittal(disc, frame)
        front, back = run(plane[:, plane.shape[1] // 2])
        first, second, third = (run(plane[pixel_of(front - s * (front - back))]) for s in PLACES)
        return "label", (first[0] - first[1], second[0] - second[1], third[0] - third[1])
    if below is None:
        return "", (NAN, NAN, NAN)
    up = body_frame(0, above.frame.centre, above.frame.axes[:, 2] + below.frame.axes[:, 2]).axes[:, 2]
    gaps = [
        float((above.point(ya, za) - below.point(yb, zb)) @ up)
        for ya, za, yb, zb in zip(above.places, above.lower, below.places, below.upper, strict=True)
    ]
    return "gap", (gaps[0], gaps[1], gaps[2])


def _slip(above: Outline, below: Outline | None) -> float:
    """From the back of the body below to that of the body above, along the upper endplate of the lower, mm."""
    if below is None:
        return NAN
    endplate = below.point(below.places[0], below.upper[0]) - below.point(below.places[2], below.upper[2])
    endplate /= np.linalg.norm(endplate)
    upper, lower = above.point(above.corners[1], above.lower[2]), below.point(below.corners[0], below.upper[2])
    return float((upper - lower) @ endplate)


def _canal(canal: Volume | None, above: Outline, disc_height: float) -> tuple[float, float]:
    """Depth and area of the canal behind the disc below a body, across the canal's own course."""
    if canal is None:
        return NAN, NAN
    height = 0.0 if np.isnan(disc_height) else disc_height / 2
    place = above.point(above.back, above.lower[2] - height)
    index = np.argwhere(canal.array >= 0.5)
    points = canal.grid.world_from_voxel(index.astype(np.float64))
    along = (points - place) @ above.frame.axes[:, 2]
    near = points[np.abs(along) < 8]
    if len(near) < 20:
        return NAN, NAN
    low, high = (points[(along > a) & (along < a + 12)] for a in (-14, 2))
    way = high.mean(axis=0) - low.mean(axis=0) if len(low) and len(high) else above.frame.axes[:, 2]
    frame = body_frame(0, near.mean(axis=0), way)
    plane = cut(canal, frame, (0, 1))
    front, back = run(plane[plane.shape[0] // 2])
    return front - back, float(np.clip((plane - 0.5) * 4 + 0.5, 0, 1).sum()) * STEP_MM**2
