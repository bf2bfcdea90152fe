"""Statistics of a data set, as the tables that introduce one have them: spacing, size, labels, volumes, components."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.challenges.datasets.contents import MANY_IDS, label_counts
from voxbench.challenges.datasets.naming import Entry, entry_of, files_below, partners
from voxbench.errors import FileReadError, NotFiniteError
from voxbench.io import read_grid, read_labels, read_volume
from voxbench.jobs import Job, Manner, Record, Told, require_all, run
from voxbench.types import AnyArray

INTENSITIES = {"min": 0.0, "p0.5": 0.5, "median": 50.0, "p99.5": 99.5, "max": 100.0}
"""Percentiles of an image's voxels, by name."""
COLUMNS = ("split", "what", "label", "cases", "rate_percent", "min", "median", "max")


@dataclass(frozen=True)
class Spread:
    """Smallest, middle and largest of some values."""

    min: float
    median: float
    max: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return Spread(float(np.min(values)), float(np.median(values)), float(np.max(values)))


@dataclass(frozen=True)
class LabelStatistics:
    """One label over all cases of a split.

    Attributes:
        cases: In how many label maps it occurs.
        rate_percent: Detection rate: their share of all label maps.
        volume_ml: Over the cases in which it occurs.
        components: Pieces that touch by no face, edge or corner, over the cases in which it occurs.
    """

    cases: int
    rate_percent: float
    volume_ml: Spread
    components: Spread


@dataclass(frozen=True)
class SplitStatistics:
    """One split, or all of a data set.

    Attributes:
        images: Number of images.
        label_maps: Number of label maps.
        pairs: Number of label maps that have an image.
        slices: Slices along the third axis of the files, all together.
        spacing_mm: Along i, j, k of the files; of the label maps if there are no images.
        size: Voxels along i, j, k.
        labels: By id.
        intensities: By the names of `INTENSITIES`, over the images; empty if they were not asked for.
    """

    images: int
    label_maps: int
    pairs: int
    slices: int
    spacing_mm: tuple[Spread, Spread, Spread]
    size: tuple[Spread, Spread, Spread]
    labels: dict[int, LabelStatistics]
    intensities: dict[str, Spread] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """A data set.

    Attributes:
        folder: Where it is.
        splits: ``all``, and before it every split if there is more than one.
    """

    folder: Path
    splits: dict[str, SplitStatistics]

    def rows(self) -> Iterator[dict[str, Any]]:
        """As a table with the columns `COLUMNS`."""
        for split, found in self.splits.items():
            for what, spreads in (("spacing_mm", found.spacing_mm), ("size", found.size)):
                for axis, spread in zip("ijk", spreads, strict=True):
                    yield {"split": split, "what": f"{what}_{axis}", "cases": found.images or found.label_maps} | vars(
                        spread
                    )
            for name, spread in found.intensities.items():
                yield {"split": split, "what": f"intensity_{name}", "cases": found.images} | vars(spread)
            for label, of in found.labels.items():
                about = {"split": split, "label": label, "cases": of.cases, "rate_percent": of.rate_percent}
                yield about | {"what": "volume_ml"} | vars(of.volume_ml)
                yield about | {"what": "components"} | vars(of.components)


def summarize(
    folder: Path,
    labels: Path | None = None,
    manner: Manner = Manner(),
    told: Told | None = None,
    intensities: bool = False,
) -> Summary:
    """Read every image and label map below a folder.

    Args:
        folder: Images and label maps, told apart and paired by their names; only images if ``labels`` is given.
        labels: Label maps.
        manner: How many processes read.
        told: Told of each file as it was read.
        intensities: Whether to read the voxels of the images, too.

    Raises:
        FileReadError: There is no such folder, or neither image nor label map in it.
        JobError: Some files cannot be read; all of them are named.
    """
    entries = _entries(folder, labels)
    outcomes = run([Job(str(e.path), partial(measure, e.path, e.kind, intensities)) for e in entries], manner, told)
    require_all(outcomes, "; voxbench check tells more")
    found = [(e, outcome.record) for e, outcome in zip(entries, outcomes, strict=True) if outcome.record]
    names = {entry.split for entry in entries}
    groups = {name or "other": name for name in sorted(names)} if len(names) > 1 else {}
    splits = {shown: _statistics([f for f in found if f[0].split == name]) for shown, name in groups.items()}
    return Summary(folder, splits | {"all": _statistics(found)})


def measure(path: Path, kind: str, intensities: bool = False) -> Record:
    """Spacing and shape; of a label map also voxels, ml and components by id, of an image intensities if asked for.

    Raises:
        NotFiniteError: Intensities are asked for, and every voxel is NaN or infinite.
        FileReadError: The file cannot be read.
    """
    if kind != "labels" and intensities:
        image = read_volume(path)
        return {"shape": image.grid.shape, "spacing": image.grid.spacing} | _intensities(image.array, path)
    if kind != "labels":
        grid = read_grid(path)
        return {"shape": grid.shape, "spacing": grid.spacing}
    labels = read_labels(path)
    counts = label_counts(labels.array)
    pieces = _components(labels.array, tuple(counts))
    ml = labels.grid.voxel_volume / 1000
    volumes = {i: {"ml": n * ml, "components": pieces[i]} for i, n in counts.items()}
    return {"shape": labels.grid.shape, "spacing": labels.grid.spacing, "labels": volumes}


def _intensities(array: AnyArray, path: Path) -> Record:
    """The percentiles of what is finite."""
    values = array[np.isfinite(array)] if array.dtype.kind == "f" else array.ravel()
    if not values.size:
        raise NotFiniteError(f"{path}: every voxel is NaN or infinite: there are no intensities")
    found = np.percentile(values, list(INTENSITIES.values()))
    return {"intensities": {name: float(value) for name, value in zip(INTENSITIES, found, strict=True)}}


def _components(array: AnyArray, ids: Sequence[int]) -> dict[int, int]:
    """Pieces of every label that hang together by faces, edges or corners."""
    from scipy import ndimage

    if not ids:
        return {}
    if min(ids) > 0 and max(ids) < MANY_IDS:
        boxes = ndimage.find_objects(array)
        places = [boxes[i - 1] for i in ids]
    else:  # a list as long as the largest id would be too long
        places = [(slice(None),) * 3 for _ in ids]
    whole = np.ones((3, 3, 3))
    found = {}
    for i, place in zip(ids, places, strict=True):
        _, found[i] = ndimage.label(array[place] == i, whole)  # pyright: ignore[reportGeneralTypeIssues]
    return found


def _entries(folder: Path, labels: Path | None) -> list[Entry]:
    """Images and label maps; of the channels of one image only the first; label maps with the split of their image."""
    entries = [entry_of(folder, path) for path in files_below(folder)]
    if labels is not None:
        images = [replace(entry, kind="image") for entry in entries if entry.kind == "image"]
        drawn = [replace(entry_of(labels, path), kind="labels") for path in files_below(labels)]
        entries = images + drawn
    names = {entry.pair for entry in entries if entry.kind == "image"}
    entries = [
        entry
        for entry in entries
        if entry.kind == "labels" or (entry.kind == "image" and not _later_channel(entry.pair, names))
    ]
    if not entries:
        raise FileReadError(f"{folder}: no image and no label map here\n  expected  .nii, .nii.gz, .mha, .nrrd, .mgz")
    known = {entry.split for entry in entries if entry.kind == "image"}
    if len(known) == 1:  # label maps in a folder of their own, whose name tells nothing
        entries = [replace(entry, split=entry.split or next(iter(known))) for entry in entries]
    return entries


def _later_channel(stem: str, names: set[str]) -> bool:
    """Whether it is nnU-Net's second or a later channel of an image that is there."""
    return stem[-5:-4] == "_" and stem[-4:].isdigit() and stem[-4:] != "0000" and stem[:-4] + "0000" in names


def _statistics(found: Sequence[tuple[Entry, Record]]) -> SplitStatistics:
    entries = [entry for entry, _ in found]
    images = [record for entry, record in found if entry.kind == "image"]
    maps = [record for entry, record in found if entry.kind == "labels"]
    grids = images or maps
    by_label: dict[int, list[dict[str, float]]] = defaultdict(list)
    for record in maps:
        for i, about in record["labels"].items():
            by_label[int(i)].append(about)
    return SplitStatistics(
        images=len(images),
        label_maps=len(maps),
        pairs=len(partners(entries)),
        slices=sum(record["shape"][2] for record in grids),
        spacing_mm=_along(grids, "spacing"),
        size=_along(grids, "shape"),
        labels={i: _label(by_label[i], len(maps)) for i in sorted(by_label)},
        intensities={
            name: Spread.of([record["intensities"][name] for record in images])
            for name in INTENSITIES
            if images and "intensities" in images[0]
        },
    )


def _label(cases: Sequence[dict[str, float]], maps: int) -> LabelStatistics:
    volumes, pieces = ([float(case[name]) for case in cases] for name in ("ml", "components"))
    return LabelStatistics(len(cases), 100 * len(cases) / maps, Spread.of(volumes), Spread.of(pieces))


def _along(records: Sequence[Record], key: str) -> tuple[Spread, Spread, Spread]:
    i, j, k = (Spread.of([float(record[key][axis]) for record in records]) for axis in range(3))
    return i, j, k
