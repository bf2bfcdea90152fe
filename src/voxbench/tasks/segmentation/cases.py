"""Cases as a network learns from them: on the working grid, normalised, made once and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxbench.errors import FileWriteError, GridMismatchError, InputError
from voxbench.geometry import LabelMap, Volume, require_same_grid
from voxbench.io import atomic
from voxbench.tasks.segmentation.fingerprint import IGNORED
from voxbench.tasks.segmentation.frame import Frame
from voxbench.tasks.segmentation.mapped import Mapped
from voxbench.tasks.segmentation.plan import Plan
from voxbench.types import AnyArray

_VERSION = 1
"""Of what is kept; a new one is made again."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What one case gives to learn from; arrays may lie on disk (`Mapped`).

    Attributes:
        name: Its name.
        labels: (i, j, k) uint8: classes, or `IGNORED`.
        image: (i, j, k), normalised; None where images are only ever made from labels.
        maps: (m, i, j, k), numbers to learn at every voxel, that do not change when the image is turned (distances do
            not, offsets do); None without.
        annotated: Which classes the case tells of, the background's place always true; None: all.
        ids: (i, j, k) uint8, label ids that images, and maps, are made from; None: ``labels``.
        points: Places that go with ids, in voxels, that maps are made from (centres).
        spacing: mm.
    """

    name: str
    labels: AnyArray | Mapped
    image: AnyArray | Mapped | None = None
    maps: AnyArray | Mapped | None = None
    annotated: tuple[bool, ...] | None = None
    ids: AnyArray | Mapped | None = None
    points: Mapping[int, AnyArray] = field(default_factory=dict)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse arrays that do not lie on one grid."""
        shapes = {"labels": self.labels.shape}
        shapes |= {n: a.shape[-3:] for n in ("image", "maps", "ids") if (a := getattr(self, n)) is not None}
        if len(set(shapes.values())) > 1:
            raise GridMismatchError(
                f"{self.name}: arrays differ in shape\n  " + "\n  ".join(f"{n}  {s}" for n, s in shapes.items())
            )


@dataclass(frozen=True)
class Reading:
    """How a label map is understood.

    Attributes:
        name: Of this way; another way must have another name, for files are kept under it.
        classes: Ids to classes, `IGNORED` where nothing is known; None: ids are classes.
        maps: Ids on the working grid and its spacing (mm) to numbers to learn, (m, i, j, k); None: no such maps.
        points: Likewise to the places that go with ids, in voxels, where maps are made of every patch from those
            (`Drawing`); the ids are kept then.
    """

    name: str = "classes"
    classes: Callable[[AnyArray], AnyArray] | None = None
    maps: Callable[[AnyArray, np.ndarray], AnyArray] | None = None
    points: Callable[[AnyArray, np.ndarray], Mapping[int, AnyArray]] | None = None


def prepare(
    name: str, volume: Volume, labels: LabelMap, plan: Plan, reading: Reading, annotated: tuple[bool, ...] | None = None
) -> Sample:
    """A case on the working grid, in memory.

    Raises:
        GridMismatchError: Image and labels lie on different grids.
        InputError: A class is not of the plan, or the maps are not as many as planned.
        NotFiniteError: The image holds NaN or infinity.
        EmptyShapeError: The image is constant.
    """
    require_same_grid(volume.grid, labels.grid, (f"{name}: image", "labels"))
    volume.require_usable(name)
    frame = Frame.of(volume.grid, plan.spacing)
    ids = frame.bring_labels(labels.array)
    classes = np.asarray(ids if reading.classes is None else reading.classes(ids))
    strangers = sorted(set(np.unique(classes).tolist()) - {*range(plan.classes), IGNORED})
    if strangers:
        raise InputError(
            f"{name}: labels that the plan does not have: {', '.join(map(str, strangers[:8]))}\n"
            f"  classes are 0 to {plan.classes - 1}, and {IGNORED} where nothing is known"
        )
    maps = None if reading.maps is None else np.asarray(reading.maps(ids, frame.spacing), np.float16)
    if reading.points is None and (0 if maps is None else len(maps)) != plan.maps:
        raise InputError(f"{name}: {0 if maps is None else len(maps)} maps; the plan has {plan.maps}")
    image = plan.normalisation(frame.bring(volume)).astype(np.float16)
    i, j, k = (float(s) for s in frame.spacing)
    points = {} if reading.points is None else dict(reading.points(ids, frame.spacing))
    kept = None if reading.points is None else ids.astype(np.uint8)
    return Sample(name, classes.astype(np.uint8), image, maps, annotated, kept, points, (i, j, k))


def prepared(
    name: str,
    load: Callable[[], tuple[Volume, LabelMap]],
    plan: Plan,
    cache: tuple[Path, str],
    reading: Reading,
    annotated: tuple[bool, ...] | None = None,
) -> Sample:
    """A case on the working grid, on disk; made when it is not there yet.

    Args:
        name: Of the case.
        load: Reads it; not called where it is there already.
        plan: Spacing, normalisation and classes.
        cache: Folder for the arrays, and what the case's content is known by (hashes of its files).
        reading: How the label map is understood.
        annotated: See `Sample`.

    Raises:
        FileWriteError: The cache cannot be written.
        InputError: See `prepare`.
    """
    folder, content = cache
    decides = f"{_VERSION} {content} {plan.spacing} {plan.normalisation} {plan.classes} {plan.maps} {reading.name}"
    stem = f"{name}_{hashlib.sha256(decides.encode()).hexdigest()[:16]}"
    files = {part: folder / f"{stem}.{part}.npy" for part in ("image", "maps", "ids", "points", "spacing", "labels")}
    if not files["labels"].is_file():  # written last
        volume, labels = load()
        made = prepare(name, volume, labels, plan, reading, annotated)
        _make(folder)
        for part, path in files.items():
            array = _rows(made.points) if part == "points" else getattr(made, part)
            if array is not None:
                with atomic(path) as temporary, temporary.open("wb") as file:
                    np.save(file, np.asarray(array))
    arrays = {part: Mapped(path) for part, path in files.items() if path.is_file()}
    i, j, k = (float(s) for s in np.asarray(arrays["spacing"]))
    points = {int(row[0]): row[1:] for row in np.asarray(arrays["points"])}
    return Sample(
        name, arrays["labels"], arrays["image"], arrays.get("maps"), annotated, arrays.get("ids"), points, (i, j, k)
    )


def _rows(points: Mapping[int, AnyArray]) -> AnyArray:
    """One point a row: its id and where it is."""
    return np.array([[label, *point] for label, point in points.items()], np.float64).reshape(-1, 4)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"{folder}: cannot be made: {error.strerror or error}") from error
