"""Landmarks: points of the world, a line each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxbench.errors import FileReadError
from voxbench.io.atomic import AnyPath, require_file
from voxbench.types import Points


def read_points(path: AnyPath) -> Points:
    """Read points, RAS+ mm, shape (n, 3).

    Args:
        path: Text with three numbers a line (x, y, z in mm, RAS+), separated by commas, semicolons or blanks; a first
            line of names and lines that begin with ``#`` are passed over. Or 3D Slicer's ``.fcsv``, whose own header
            says whether it counts in LPS+ or RAS+.

    Raises:
        FileReadError: Missing, empty, or not of this kind; the line is named.
    """
    path = require_file(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise FileReadError(f"{path}: not text in UTF-8; landmarks are three numbers a line") from error
    fcsv = path.suffix.lower() == ".fcsv"
    points = np.array([_point(words, number, path) for number, words in _rows(lines, fcsv)], dtype=np.float64)
    if not points.size:
        raise FileReadError(f"{path}: no landmarks in it")
    if not np.isfinite(points).all():
        raise FileReadError(f"{path}: some coordinates are NaN or infinite")
    return points * (-1.0, -1.0, 1.0) if fcsv and _in_lps(lines) else points


def _rows(lines: list[str], fcsv: bool) -> list[tuple[int, list[str]]]:
    """Line numbers and the words that should be coordinates; a line of names at the top is left out."""
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split(",")[1:4] if fcsv else line.replace(";", " ").replace(",", " ").split()
        if rows or (words and _is_number(words[0])):
            rows.append((number, words))
    return rows


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _point(words: list[str], number: int, path: Path) -> list[float]:
    """The three coordinates of one line."""
    if len(words) != 3 or not all(_is_number(word) for word in words):
        raise FileReadError(f"{path}: line {number}: expected three numbers (x, y, z in mm), got '{' '.join(words)}'")
    return [float(word) for word in words]


def _in_lps(lines: list[str]) -> bool:
    """Slicer's header; 0 and RAS are RAS+, and files without the line are of the versions that wrote RAS+."""
    header = next((line for line in lines if "CoordinateSystem" in line), "RAS")
    return header.split("=")[-1].strip() in {"1", "LPS"}
