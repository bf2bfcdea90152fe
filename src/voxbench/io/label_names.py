"""Names and colours of labels, from a small table."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxbench.errors import FileReadError
from voxbench.io.atomic import AnyPath, require_file
from voxbench.io.segments import Colour
from voxbench.io.tables import read_json

HEX = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class LabelNames:
    """What labels are called and shown in.

    Attributes:
        names: By label.
        colours: Of some or all of them.
    """

    names: Mapping[int, str]
    colours: Mapping[int, Colour] = field(default_factory=dict)


def read_label_names(path: AnyPath) -> LabelNames:
    """Names from a table with the columns ``index``, ``name`` and, if wished, ``color`` (``#rrggbb``), as BIDS has it.

    Args:
        path: A .tsv or .csv, or JSON of the form {"1": "L5"} or {"1": {"name": "L5", "color": "#ff53bb"}}.

    Raises:
        FileReadError: It cannot be read, or a line is of another form.
    """
    path = require_file(path)
    rows = _from_json(path) if path.suffix.lower() == ".json" else _from_table(path)
    names: dict[int, str] = {}
    colours: dict[int, Colour] = {}
    for where, row in rows:
        index, name, colour = (str(row.get(key) or "").strip() for key in ("index", "name", "color"))
        if not index.isdigit() or not name or (colour and not HEX.fullmatch(colour)):
            raise FileReadError(f"{path}: {where}: expected index, name and perhaps color as #rrggbb; got {dict(row)}")
        names[int(index)] = name
        if colour:
            red, green, blue = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
            colours[int(index)] = (red, green, blue)
    return LabelNames(names, colours)


def _from_json(path: Path) -> list[tuple[str, dict[str, Any]]]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise FileReadError(f'{path}: expected {{"1": "name", ...}}')
    rows = [(key, value if isinstance(value, dict) else {"name": value}) for key, value in content.items()]
    return [(f"label {key}", {**row, "index": key}) for key, row in rows]


def _from_table(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            return [(f"line {reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileReadError(f"{path}: cannot be read as a table: {error}") from error


def hex_colour(colour: Colour) -> str:
    """``#rrggbb``."""
    return "#" + "".join(f"{round(255 * share):02x}" for share in colour)
