"""A segmented case: three planes with the contours of reference and prediction, what is wrong, and both in 3-D."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxbench.geometry import LabelMap, Volume
from voxbench.metrics.instances import match_instances
from voxbench.report.figures import (
    CONFUSED,
    PREDICTION,
    REFERENCE,
    box_of,
    fullest_cut,
    grey_planes,
    label_plane,
    legend,
    plane_panels,
    png_of,
)
from voxbench.report.html import Picture
from voxbench.report.planes import PLANES, Box
from voxbench.report.scene import Scene, scene_of_volumes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN_MM = 18.0
MISSED, EXTRA, OTHER = 1, 2, 3


@dataclass(frozen=True, eq=False)
class Compared:
    """Two label maps on one grid.

    Attributes:
        case: Whose.
        reference: By its own ids.
        prediction: With the ids of what it was matched with; what matches nothing has ids of its own.
        image: What they lie on, if it is there.
        names: What ids are called.
        words: What the two are called on the page.
    """

    case: str
    reference: LabelMap
    prediction: LabelMap
    image: Volume | None
    names: dict[int, str]
    words: tuple[str, str] = ("reference", "prediction")

    @property
    def errors(self) -> np.ndarray:
        """`MISSED`, `EXTRA` or `OTHER` where they differ, else 0; uint8."""
        one, other = self.reference.array, self.prediction.array
        wrong = np.where(one == other, 0, np.where(other == 0, MISSED, np.where(one == 0, EXTRA, OTHER)))
        return wrong.astype(np.uint8)


def matched(reference: LabelMap, prediction: LabelMap) -> LabelMap:
    """The prediction on the reference's grid, its objects numbered by those of the reference that they match best."""
    found = match_instances(reference.array.astype(np.int64), prediction.array.astype(np.int64), "one-to-one")
    most = int(prediction.array.max(initial=0))
    table = np.zeros(most + 1, np.int32)
    for match in found.matches:
        if match.prediction is not None and match.shared:
            table[match.prediction] = match.reference
    fresh = int(reference.array.max(initial=0)) + 1
    for label in np.unique(prediction.array):
        if label and not table[label]:
            table[label], fresh = fresh, fresh + 1
    return LabelMap(table[prediction.array], reference.grid)


def label_case(compared: Compared) -> tuple[tuple[Picture, ...], Scene]:
    """The picture of a case and its scene."""
    errors = compared.errors
    both = (compared.reference.array != 0) | (compared.prediction.array != 0)
    grid = compared.reference.grid
    box = box_of(both, grid, MARGIN_MM, fullest_cut(errors != 0, grid))
    picture = Picture(_drawn(compared, errors, box), _alt(compared, errors), _caption(compared, errors))
    return (picture,), _scene(compared, errors, box)


def _drawn(compared: Compared, errors: np.ndarray, box: Box) -> bytes:
    figure, panels = plane_panels(box, 2, compared.case)
    greys = grey_planes(compared.image, box)
    wrong = LabelMap(errors, compared.reference.grid)
    for column, plane in enumerate(PLANES):
        above, below = panels[0][column], panels[1][column]
        above.imshow(greys[column], cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
        below.imshow(0.6 * greys[column], cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
        for labels, colour, line in (
            (compared.reference, REFERENCE, "solid"),
            (compared.prediction, PREDICTION, "dashed"),
        ):
            _contours(above, label_plane(labels, box, plane), (colour, line))
        below.imshow(_coloured(label_plane(wrong, box, plane)), interpolation="nearest")
    one, other = compared.words
    legend(
        figure,
        {
            f"{one} (solid; below: only there)": REFERENCE,
            f"{other} (dashed; below: only there)": PREDICTION,
            "below: another structure": CONFUSED,
        },
    )
    return png_of(figure, compared.case)


def _contours(axes: Axes, plane: np.ndarray, style: tuple[str, str]) -> None:
    """Of every structure in a plane."""
    if min(plane.shape) < 2:
        return
    for label in np.unique(plane[plane != 0]):
        mask = plane == label
        if not mask.all():
            axes.contour(mask.astype(np.float32), [0.5], colors=style[0], linewidths=1.0, linestyles=style[1])


def _coloured(plane: np.ndarray) -> np.ndarray:
    from matplotlib.colors import to_rgba

    table = np.array([(0, 0, 0, 0), to_rgba(REFERENCE), to_rgba(PREDICTION), to_rgba(CONFUSED)])
    return table[plane]


def _volumes(compared: Compared, errors: np.ndarray) -> tuple[float, float, float]:
    """Millilitres missed, extra, of another structure."""
    counts = np.bincount(errors.ravel(), minlength=4)[1:] * compared.reference.grid.voxel_volume / 1000
    return float(counts[0]), float(counts[1]), float(counts[2])


def _caption(compared: Compared, errors: np.ndarray) -> str:
    missed, extra, other = _volumes(compared, errors)
    one, two = compared.words
    swapped = f", {other:.3g} ml in another structure" if other else ""
    return (
        f"Contours of {one} and {two}; below, where they differ: {missed:.3g} ml only in {one}, "
        f"{extra:.3g} ml only in {two}{swapped}. Each plane is cut where most voxels are wrong. "
        "Patient's right on the left."
    )


def _alt(compared: Compared, errors: np.ndarray) -> str:
    missed, extra, _ = _volumes(compared, errors)
    return (
        f"Three planes of {compared.case} with outlines of {compared.words[0]} and {compared.words[1]}, and a map of "
        f"their differences: {missed:.3g} ml missed, {extra:.3g} ml too much"
    )


def _scene(compared: Compared, errors: np.ndarray, box: Box) -> Scene:
    grid = compared.reference.grid
    maps = dict(zip(compared.words, (compared.reference, compared.prediction), strict=True))
    named = {word: replace(labels, names=labels.names or compared.names) for word, labels in maps.items()}
    images = {} if compared.image is None else {"image": compared.image}
    marks = LabelMap(errors, grid, {MISSED: "missed", EXTRA: "too much", OTHER: "another structure"})
    return scene_of_volumes(compared.case, (box.low, box.high), images, named, marks)
