"""JSON and CSV, written whole; NumPy values, paths, dataclasses and configurations are taken as they are."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from voxbench.config import Config
from voxbench.errors import FileReadError, InputError
from voxbench.io.atomic import AnyPath, atomic, require_file

Kind = TypeVar("Kind", bound=Config)


def write_json(path: AnyPath, obj: object) -> None:
    """Write an object as indented JSON; NaN and infinities are written as ``NaN``, ``Infinity``, ``-Infinity``.

    Args:
        path: Where the file will be; replaced if there.
        obj: Mappings, sequences, sets, numbers, strings, NumPy scalars and arrays, paths, dataclasses, configurations.

    Raises:
        TypeError: Something in it is none of these.
        FileWriteError: The file cannot be written.
    """
    text = to_json(obj)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def to_json(obj: object) -> str:
    """The text that `write_json` writes.

    Raises:
        TypeError: Something in it has no form in JSON.
    """
    return json.dumps(plain(obj), indent=2, allow_nan=True, ensure_ascii=False)


def read_json(path: AnyPath) -> Any:
    """The content of a JSON file; ``NaN`` and ``Infinity`` are understood.

    Raises:
        FileReadError: The file cannot be read, or is not JSON (the line and column are named).
    """
    path = require_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise FileReadError(f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise FileReadError(f"{path}: {_unreadable(error, 'JSON')}") from error


def read_toml(path: AnyPath) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        FileReadError: The file cannot be read, or is not TOML (the line and column are named).
    """
    import tomllib

    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise FileReadError(f"{path}: not TOML: {error}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise FileReadError(f"{path}: {_unreadable(error, 'TOML')}") from error


def read_settings(path: Path, kind: type[Kind], what: str) -> Kind:
    """Settings from a TOML file.

    Args:
        path: The file.
        kind: Which settings.
        what: What they are called in messages, e.g. ``a plan``.

    Raises:
        InputError: It cannot be read, is not TOML, or holds what makes no such settings (named).
    """
    try:
        return kind.model_validate(read_toml(path))
    except FileReadError as error:
        raise InputError(f"{path}: not {what}: {str(error).removeprefix(f'{path}: ')}") from error
    except ValidationError as error:
        told = "\n".join(f"  {'.'.join(map(str, e['loc'])) or what}: {e['msg']}" for e in error.errors())
        raise InputError(f"{path}: not {what}\n{told}") from error


def _unreadable(error: Exception, what: str) -> str:
    """Why text could not be taken in, other than by its grammar."""
    if isinstance(error, OSError):
        return f"cannot be read: {(error.strerror or str(error)).lower()}"
    if isinstance(error, UnicodeDecodeError):
        return f"not {what}: not text in UTF-8"
    return f"not {what} that is read: {'nested too deeply' if isinstance(error, RecursionError) else error}"


def write_table(path: AnyPath, rows: Iterable[Any], columns: Sequence[str] | None = None) -> None:
    """Write rows as comma-separated values (tabs for ``.tsv``) with one line of names.

    Args:
        path: Where the file will be; replaced if there.
        rows: Mappings or dataclasses; a value that is missing or None becomes an empty cell.
        columns: Names and order of the columns; by default those of the rows, as they turn up.

    Raises:
        FileWriteError: The file cannot be written.
    """
    path = Path(path)
    records = [plain(row) for row in rows]
    names = list(columns) if columns is not None else list(dict.fromkeys(name for row in records for name in row))
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        writer = csv.DictWriter(file, names, delimiter=delimiter, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(records)


def plain(obj: Any) -> Any:
    """The same content in dicts, lists, strings, numbers, booleans and None.

    Raises:
        TypeError: There is no such form.
    """
    if isinstance(obj, np.generic | np.ndarray):
        return plain(obj.tolist())
    if obj is None or isinstance(obj, str | bool | int | float):
        return obj
    if isinstance(obj, Path):
        return str(obj)
    if isinstance(obj, Mapping):
        return {str(plain(key)): plain(value) for key, value in obj.items()}
    return _plain_collection(obj)


def _plain_collection(obj: Any) -> Any:
    """Collections and records."""
    if isinstance(obj, list | tuple):
        return [plain(value) for value in obj]
    if isinstance(obj, Set):
        return [plain(value) for value in sorted(obj)]
    if isinstance(obj, BaseModel):
        return obj.model_dump(mode="json")
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {field.name: plain(getattr(obj, field.name)) for field in dataclasses.fields(obj)}
    raise TypeError(f"cannot be written as JSON: {type(obj).__name__}")
