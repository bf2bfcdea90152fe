"""LUMIR25's submission: one zip, in it one folder, in it the fields of all pairs of all tasks."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import numpy as np

from voxbench.challenges.lumir25.cases import Dataset, EvaluationConfig, Pair, unique_pairs
from voxbench.challenges.lumir25.fields import Shape4, planar
from voxbench.challenges.lumir25.folders import refuse_existing
from voxbench.errors import FileReadError, InputError, UsageError, VoxbenchError
from voxbench.geometry import DisplacementField, Grid
from voxbench.io import atomic, write_displacement
from voxbench.io.displacements import read_displacement_file
from voxbench.io.failures import named_failures
from voxbench.io.limits import plain_members

_LONGEST_LIST = 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of every entry, so that the same fields give the same zip."""


@dataclass(frozen=True)
class Task:
    """Pairs that are entered together or not at all.

    Attributes:
        name: The configuration's part or file name.
        pairs: Its pairs.
    """

    name: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Submission:
    """What a zip holds.

    Attributes:
        path: The zip.
        folder: The one folder in it.
        fields: Names of the fields that were predicted (after a check: of all).
        zeros: Names of those filled with zeros.
        others: Files in the zip that are no field of any task.
    """

    path: Path
    folder: str
    fields: tuple[str, ...]
    zeros: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def tasks_of(configs: Sequence[EvaluationConfig], dataset: Dataset | None) -> tuple[tuple[Task, ...], Shape4]:
    """The tasks and the shape of their fields: one per configuration, and the data set's pairs that none of them names.

    Raises:
        UsageError: There is nothing to go by, or the shapes differ.
    """
    if not configs and dataset is None:
        raise UsageError(
            "which pairs? give --config CONFIG.json (once per task) or --dataset-json LUMIR25_dataset.json"
        )
    tasks = [Task(config.part or config.path.stem, config.pairs) for config in configs]
    shapes = {config.expected_shape: config.path for config in configs}
    if dataset is not None:
        known = {pair.field_name for task in tasks for pair in task.pairs}
        rest = tuple(pair for pair in dataset.validation if pair.field_name not in known)
        tasks += [Task("validation", rest)] if rest else []
        shapes.setdefault((*dataset.shape, 3), dataset.path)
    if len(shapes) > 1:
        found = "\n".join(f"  {shape}  {path}" for shape, path in shapes.items())
        raise UsageError(f"the files expect fields of different shapes\n{found}")
    return tuple(tasks), next(iter(shapes))


def pack(
    predictions: Path,
    tasks: tuple[Task, ...],
    shape: Shape4,
    out: Path,
    *,
    fill_missing: bool = False,
    force: bool = False,
) -> Submission:
    """Check every field and write the zip; a task of which there is no field at all is filled with zeros.

    Args:
        predictions: Folder of displacement files.
        tasks: What must be in it.
        shape: Shape of a field, (X, Y, Z, 3).
        out: The zip.
        fill_missing: Also fill with zeros what is missing of a task that was entered.
        force: Replace an existing zip.

    Raises:
        InputError: No field at all, some of a task missing, or fields that are damaged, of another shape or dtype, or
            not finite; all of them are named.
        FileWriteError: The zip is there, or cannot be written.
    """
    if out.suffix != ".zip":
        raise UsageError(f"{out}: a submission is a .zip")
    refuse_existing([out], force)
    names = [pair.field_name for pair in unique_pairs(pair for task in tasks for pair in task.pairs)]
    present = [name for name in names if (predictions / name).is_file()]
    if not present:
        raise FileReadError(f"{predictions}: none of the {len(names)} displacement fields is there, e.g. {names[0]}")
    if not fill_missing:
        _refuse_incomplete(predictions, tasks, set(present))
    _refuse_problems(str(predictions), [_problem(predictions / name, shape) for name in present])
    with atomic(out) as temporary, TemporaryDirectory() as scratch:
        zeros = Path(scratch) / "zeros.nii.gz"
        write_displacement(zeros, DisplacementField.zeros(Grid.from_parts(shape[:3])))
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for name in names:
                source = predictions / name if name in present else zeros
                archive.writestr(zipfile.ZipInfo(f"{out.stem}/{name}", _EPOCH), source.read_bytes())
    return Submission(out, out.stem, tuple(present), tuple(name for name in names if name not in present))


def check(path: Path, tasks: tuple[Task, ...], shape: Shape4) -> Submission:
    """Check an existing zip: one folder, every field there, readable, of the right shape and dtype, finite.

    Raises:
        InputError: It is not so; everything wrong is named.
    """
    with (
        named_failures(path, "cannot be read as a zip"),
        zipfile.ZipFile(path) as archive,
        TemporaryDirectory() as scratch,
    ):
        return _checked(path, archive, tasks, shape, Path(scratch))


def _checked(path: Path, archive: zipfile.ZipFile, tasks: tuple[Task, ...], shape: Shape4, scratch: Path) -> Submission:
    files = [PurePosixPath(info.filename) for info in plain_members(path, archive)]
    folders = sorted({str(file.parent) for file in files})
    if len(folders) != 1 or folders[0] == "." or "/" in folders[0]:
        raise InputError(
            f"{path}: all fields must lie in one folder at the top; found {', '.join(folders) or 'nothing'}"
        )
    there = {file.name: str(file) for file in files}
    if len(there) < len(files):
        raise InputError(f"{path}: two files of one name")
    names = [pair.field_name for pair in unique_pairs(pair for task in tasks for pair in task.pairs)]
    problems = [f"{name}: missing" for name in names if name not in there]
    for name in (name for name in names if name in there):
        (scratch / name).write_bytes(archive.read(there[name]))
        problems.append(_problem(scratch / name, shape))
        (scratch / name).unlink()
    _refuse_problems(str(path), problems)
    return Submission(path, folders[0], tuple(names), (), tuple(sorted(set(there) - set(names))))


def _problem(path: Path, shape: Shape4) -> str:
    """What is wrong with a field, in one line; empty if nothing is."""
    try:
        array = read_displacement_file(path).array
        vectors = planar(array, shape, "field")
    except VoxbenchError as error:
        lines = str(error).replace(f"{path}: ", "").replace("field: ", "").splitlines()
        return f"{path.name}: " + "; ".join(" ".join(line.split()) for line in lines)
    if array.dtype != np.float32:
        return f"{path.name}: stored as {array.dtype}; full-precision float32 is asked for"
    if not np.isfinite(vectors).all():
        return f"{path.name}: some vectors are NaN or infinite"
    return ""


def _refuse_problems(where: str, problems: Sequence[str]) -> None:
    found = [problem for problem in problems if problem]
    if found:
        raise InputError(f"{where}: {len(found)} fields cannot be submitted\n  " + "\n  ".join(_shortened(found)))


def _refuse_incomplete(predictions: Path, tasks: tuple[Task, ...], present: set[str]) -> None:
    """A task with some fields but not all was entered, and something went wrong in it."""
    lines = []
    for task in tasks:
        missing = [pair.field_name for pair in task.pairs if pair.field_name not in present]
        if 0 < len(missing) < len(task.pairs):
            lines += [f"{name}  ({task.name})" for name in missing]
    if lines:
        raise FileReadError(
            f"{predictions}: {len(lines)} fields are missing from tasks that were entered\n  "
            + "\n  ".join(_shortened(lines))
            + "\n  predict them, or fill them with zeros: --fill-missing"
        )


def _shortened(lines: Sequence[str]) -> list[str]:
    rest = len(lines) - _LONGEST_LIST
    return [*lines[:_LONGEST_LIST], f"... and {rest} more"] if rest > 0 else list(lines)
