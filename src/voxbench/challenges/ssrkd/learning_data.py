"""SSR-KD's folders as something to learn from: which knees there are, their arrays unpacked once and memory-mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.challenges.ssrkd.processed import Processed
from voxbench.challenges.ssrkd.stages import PAIRS, Stage
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Affine
from voxbench.geometry.projection import View
from voxbench.io import atomic, read_json, read_views, sha256
from voxbench.io.arrays import map_array, read_arrays

INFO, VIEWS = "info.json", "views.json"
MULTIPLE = 16
"""Sides of radiographs and volumes are multiples of this: the networks halve them four times."""
_INSIDE, _OUTSIDE = ("surface_inside", "random_inside"), ("surface_outside", "random_outside")


@dataclass(frozen=True, eq=False)
class Knee:
    """One case; arrays are memory-mapped.

    Attributes:
        case: Its name.
        files: Where they lie.
        cache: Folder for unpacked arrays.
        views: As many as there are radiographs.
    """

    case: str
    files: Processed
    cache: Path
    views: tuple[View, ...]

    @cached_property
    def radiographs(self) -> np.ndarray:
        """Line integrals as stored (0 to 1, over metres), float32 (views, rows, columns)."""
        return self._images(self.files.radiographs, np.float32)

    @cached_property
    def shadows(self) -> np.ndarray:
        """1 in the shadow of a bone, uint8 (views, rows, columns)."""
        return self._images(self.files.shadows, np.uint8)

    @cached_property
    def ct(self) -> np.ndarray:
        """The small CT, uint8 (z, y, x)."""
        array = self._unpacked(self.files.small_ct, "ct", lambda held: np.asarray(held["arr_0"], np.uint8))
        _require_sides(self.files.small_ct, array.shape, 3)
        return array

    @cached_property
    def inside(self) -> np.ndarray:
        """Points within bones, stored (z, y, x) in -1 to 1, float32 (n, 3)."""
        return self._points(_INSIDE, "inside")

    @cached_property
    def outside(self) -> np.ndarray:
        """Points outside, likewise."""
        return self._points(_OUTSIDE, "outside")

    @cached_property
    def bones(self) -> np.ndarray:
        """Which bone each point of `inside` lies in, 1 to 4, uint8 (n,)."""

        def read(held: Mapping[str, np.ndarray]) -> np.ndarray:
            return np.concatenate([held[f"{name}_labels"] for name in _INSIDE]).astype(np.uint8)

        return self._unpacked(self.files.samples, "bones", read)

    @cached_property
    def world_from_stored(self) -> Affine:
        """From (z, y, x) in -1 to 1 to mm."""
        with _opened(self.files.spacing) as held:
            return Affine(np.asarray(held["world_from_stored"], np.float64), "world", "stored")

    @property
    def field_mm(self) -> list[float]:
        """Extent of the volume along z, y, x."""
        with _opened(self.files.spacing) as held:
            return (2 * np.asarray(held["mesh"], np.float64)).tolist()

    def _images(self, path: Path, kind: type) -> np.ndarray:
        array = self._unpacked(path, path.stem, lambda held: np.asarray(held["projs"], kind))
        shape = (len(self.views), *self.views[0].shape)
        if array.shape != shape:
            raise InputError(f"{path}: not the views of {VIEWS}\n  there  {array.shape}\n  views  {shape}")
        _require_sides(path, array.shape[1:], 2)
        return array

    def _points(self, names: tuple[str, ...], kind: str) -> np.ndarray:
        array = self._unpacked(
            self.files.samples, kind, lambda held: np.concatenate([held[n] for n in names]).astype(np.float32)
        )
        if not len(array):
            raise InputError(f"{self.files.samples}: no points {kind} the bones")
        return array

    def _unpacked(self, path: Path, kind: str, read: Callable[[Mapping[str, np.ndarray]], np.ndarray]) -> np.ndarray:
        """An array of a file, unpacked once."""
        held_in = self.cache / f"{self.case}_{kind}_{_hash(path)[:16]}.npy"
        if not held_in.is_file():
            with _opened(path) as held:
                array = np.ascontiguousarray(read(held))
            with atomic(held_in) as temporary, temporary.open("wb") as file:
                np.save(file, array)
        return map_array(held_in)


@dataclass(frozen=True, eq=False)
class Knees:
    """What a stage learns from.

    Attributes:
        train: Labelled ones to learn from.
        validation: Labelled ones to validate on; there may be none.
        unlabelled: Those with radiographs and a CT only.
        angles: Whole degrees of the views, 0 to 359.
    """

    train: tuple[Knee, ...]
    validation: tuple[Knee, ...]
    unlabelled: tuple[Knee, ...]
    angles: tuple[int, ...]

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Numbers of views that make a frontal and a lateral one."""
        at = {angle: number for number, angle in reversed(list(enumerate(self.angles)))}
        return tuple((at[one], at[other]) for one, other in PAIRS if one in at and other in at)

    def card(self, stage: Stage) -> dict[str, Any]:
        """What was learned from: names, and one hash of all files."""
        whole = hashlib.sha256()
        for path in self._files(stage):
            whole.update(f"{path.parent.name}/{path.name} {_hash(path)}\n".encode())
        groups = {"train": self.train, "validation": self.validation, "unlabelled": self.unlabelled}
        return {name: [knee.case for knee in group] for name, group in groups.items()} | {"data": whole.hexdigest()}

    def _files(self, stage: Stage) -> list[Path]:
        labelled = [f for knee in (*self.train, *self.validation) for f in needed(knee.files, stage, labelled=True)]
        return labelled + [f for knee in self.unlabelled for f in needed(knee.files, stage, labelled=False)]


def needed(files: Processed, stage: Stage, labelled: bool) -> list[Path]:
    """Which files of a case a stage reads."""
    if stage == "segment":
        return [files.radiographs, files.shadows] if labelled else [files.radiographs]
    if stage == "teacher":
        return [files.small_ct, files.samples, files.spacing] if labelled else [files.small_ct]
    return [files.radiographs, files.spacing, files.samples if labelled else files.small_ct]


def read_knees(folder: Path, stages: tuple[Stage, ...], cache: Path) -> Knees:
    """The knees of a folder that ``voxbench simulate ssrkd`` or ``voxbench prepare ssrkd`` wrote.

    Args:
        folder: Holds info.json, views.json and processed/.
        stages: Whose files are looked for.
        cache: Folder for unpacked arrays.

    Raises:
        FileReadError: It has another layout, files are missing (all of them are named), or there is nothing to learn
            from.
        InputError: There is no pair of a frontal and a lateral view.
    """
    missing = [name for name in (INFO, VIEWS, "processed") if not (folder / name).exists()]
    if missing:
        raise FileReadError(
            f"{folder}: lacks {', '.join(missing)}\n  --data is a folder as voxbench simulate ssrkd writes it"
        )
    info, views = read_json(folder / INFO), read_views(folder / VIEWS)
    groups = _groups(folder / INFO, info)
    made = {
        name: tuple(Knee(case, Processed(folder / "processed" / case), cache, views) for case in cases)
        for name, cases in groups.items()
    }
    _require_files(folder, made, stages)
    angles = _angles(made["train"][0].files.radiographs) if "teacher" not in stages or len(stages) > 1 else ()
    knees = Knees(made["train"], made["val"], made["unlabelled"], angles)
    if "student" in stages and not knees.pairs:
        raise InputError(
            f"{folder}: no frontal and lateral view\n  there are  {', '.join(map(str, angles))} degrees\n"
            "  needed     0 or 180, and 90 or 270"
        )
    return knees


def _groups(path: Path, info: Any) -> dict[str, list[str]]:
    """Names of the cases to learn from, to validate on, and without labels."""
    keys = ("train", "val", "unlabelled")
    if (
        not isinstance(info, dict)
        or not all(isinstance(info.get(key, []), list) for key in keys)
        or "train" not in info
    ):
        raise FileReadError(f"{path}: no splits\n  expected  lists of cases: train, val, test, unlabelled")
    groups = {key: [str(case) for case in info.get(key, [])] for key in keys}
    if not groups["train"]:
        raise FileReadError(f"{path}: no labelled knee to learn from: train is empty")
    if not groups["unlabelled"]:
        raise FileReadError(
            f"{path}: no unlabelled knee; half of every update is learned from them\n"
            "  voxbench simulate ssrkd --unlabelled N makes some, or list labelled ones there: their labels go unread"
        )
    return groups


def _require_files(folder: Path, groups: Mapping[str, tuple[Knee, ...]], stages: tuple[Stage, ...]) -> None:
    """Refuse what is missing, all of it named."""
    wanted = [
        path
        for name, knees in groups.items()
        for knee in knees
        for stage in stages
        for path in needed(knee.files, stage, labelled=name != "unlabelled")
    ]
    missing = [path.relative_to(folder) for path in dict.fromkeys(wanted) if not path.is_file()]
    if missing:
        raise FileReadError(
            f"{folder}: {len(missing)} files are missing\n  " + "\n  ".join(str(path) for path in missing)
        )


def _angles(path: Path) -> tuple[int, ...]:
    """Whole degrees of a stack's views."""
    with _opened(path) as held:
        return tuple(int(angle) % 360 for angle in np.rint(np.degrees(np.asarray(held["angles"], np.float64))))


def _hash(path: Path) -> str:
    """SHA-256 of a file, read once as long as it stays as it is."""
    about = path.stat()
    return _hash_of(path, about.st_mtime_ns, about.st_size)


@cache
def _hash_of(path: Path, _modified: int, _size: int) -> str:
    return sha256(path)


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """An archive; nothing in it is unpickled.

    Raises:
        FileReadError: It is none, or damaged, or lacks what is asked for in the block.
    """
    held = read_arrays(path, pass_over=True)
    try:
        yield held
    except (KeyError, ValueError, TypeError) as error:
        raise FileReadError(f"{path}: not as voxbench writes it: {error}") from error


def _require_sides(path: Path, sides: tuple[int, ...], dimensions: int) -> None:
    if len(sides) != dimensions or any(side % MULTIPLE for side in sides):
        raise InputError(
            f"{path}: sides must be multiples of {MULTIPLE} to be halved four times\n  there  "
            + " x ".join(map(str, sides))
        )
