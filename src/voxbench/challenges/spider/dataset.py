"""SPIDER's data set as it is handed out: images/, masks/, overview.csv, radiological_gradings.csv.

Files are stored in two ways: voxel axes pointing left, back and up (intensities from -1000), or back, down and right
(raw intensities). Names do not tell which; the grid of what is read does, and nothing here turns an image.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from voxbench.challenges.spider.cases import NAME, mask_file
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import LabelMap, Volume, require_same_grid
from voxbench.geometry.spine_labels import classes_of
from voxbench.io import read_labels, read_volume

IMAGES, MASKS, OVERVIEW, GRADINGS = "images", "masks", "overview.csv", "radiological_gradings.csv"
GRADING_COLUMNS = (
    *("Patient", "IVD label", "Modic", "UP endplate", "LOW endplate", "Spondylolisthesis"),
    *("Disc herniation", "Disc narrowing", "Disc bulging", "Pfirrman grade"),
)
"""Of radiological_gradings.csv, in the organisers' spelling."""


@dataclass(frozen=True)
class Series:
    """One MR series.

    Attributes:
        name: The files' stem, e.g. ``12_t2_SPACE``.
        image: Where the image is.
        mask: Where its label map is; None if there is none.
        overview: Its row of overview.csv, blanks at the ends of values taken away.
    """

    name: str
    image: Path
    mask: Path | None = None
    overview: Mapping[str, str] = field(default_factory=dict)

    @property
    def patient(self) -> int:
        """Series of one patient share it."""
        return int(self.name.split("_", 1)[0])

    @property
    def sequence(self) -> str:
        """``t1``, ``t2`` or ``t2_SPACE``."""
        return self.name.split("_", 1)[1]

    @property
    def subset(self) -> str:
        """``training`` or ``validation``, as the organisers drew it; empty where the table has no such row."""
        return self.overview.get("subset", "")

    def read_image(self) -> Volume:
        """The image, in the file's voxel order.

        Raises:
            InputError: It cannot be read.
        """
        return read_volume(self.image)

    def read_mask(self, image: Volume | None = None) -> LabelMap:
        """The label map, in the file's voxel order.

        Args:
            image: Refuse a label map that lies elsewhere than this.

        Raises:
            InputError: There is none, it cannot be read, or has labels that mean nothing.
            GridMismatchError: It lies on another grid than the image.
        """
        if self.mask is None:
            raise FileReadError(f"{self.name}: has no label map in {MASKS}/")
        labels = read_labels(self.mask)
        try:
            classes_of(labels.array)
            if image is not None:
                require_same_grid(image.grid, labels.grid, ("image", "mask"))
        except InputError as error:
            raise type(error)(f"{self.mask}: {error}") from error
        return labels


@dataclass(frozen=True)
class Dataset:
    """All series and what radiologists said.

    Attributes:
        root: The folder.
        series: By patient, then name.
        gradings: By patient and disc (1 is the lowest): the columns of radiological_gradings.csv.
    """

    root: Path
    series: tuple[Series, ...]
    gradings: Mapping[tuple[int, int], Mapping[str, int]] = field(default_factory=dict)

    def named(self, names: Sequence[str]) -> tuple[Series, ...]:
        """Some series, in the order given.

        Raises:
            InputError: There is none of a name.
        """
        there = {series.name: series for series in self.series}
        missing = [name for name in names if name not in there]
        if missing:
            raise InputError(f"{self.root}: no series {', '.join(missing)}")
        return tuple(there[name] for name in names)


def read_dataset(root: Path) -> Dataset:
    """Find the series of a data set; images are not read.

    Raises:
        FileReadError: There are no images, a file is named otherwise, or a table cannot be read.
    """
    folder = root / IMAGES
    stems = [path.name.removesuffix(".mha") for path in folder.glob("[!.]*.mha")]
    wrong = sorted(stem for stem in stems if not NAME.match(stem))
    if wrong or not stems:
        found = f"not a name of SPIDER's: {', '.join(f'{stem}.mha' for stem in wrong)}" if wrong else "no image here"
        raise FileReadError(f"{folder}: {found}\n  expected  <patient>_<t1, t2 or t2_SPACE>.mha, e.g. 1_t2.mha")
    overview = _overview(root / OVERVIEW)
    series = [
        Series(stem, folder / f"{stem}.mha", _there(mask_file(root / MASKS, stem)), overview.get(stem, {}))
        for stem in stems
    ]
    series.sort(key=lambda one: (one.patient, one.name))
    return Dataset(root, tuple(series), _gradings(root / GRADINGS))


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _overview(path: Path) -> dict[str, Mapping[str, str]]:
    """Rows by name of the series."""
    rows = _rows(path, ("new_file_name",))
    return {row["new_file_name"]: MappingProxyType(row) for _, row in rows}


def _gradings(path: Path) -> Mapping[tuple[int, int], Mapping[str, int]]:
    """Rows by patient and disc; rows of disc 0, of which the official table has two, mean no disc and are left out."""
    found = {}
    for number, row in _rows(path, GRADING_COLUMNS[:2]):
        try:
            values = {name: int(float(value)) for name, value in row.items() if value}
            key = values["Patient"], values["IVD label"]
        except (KeyError, ValueError) as error:
            raise FileReadError(f"{path}: line {number}: not a row of whole numbers: {row}") from error
        if key[1] > 0:
            found[key] = MappingProxyType(values)
    return MappingProxyType(found)


def _rows(path: Path, needed: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Lines of a table by column, with their numbers; none if the file is not there."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [
                (reader.line_num, {str(k).strip(): v.strip() for k, v in row.items() if isinstance(v, str)})
                for row in reader
            ]
            columns = [name.strip() for name in reader.fieldnames or ()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileReadError(f"{path}: cannot be read as a table: {error}") from error
    lacking = [name for name in needed if name not in columns]
    if lacking:
        raise FileReadError(f"{path}: no column {', '.join(lacking)}\n  here are {', '.join(columns)}")
    return rows
