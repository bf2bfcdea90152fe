"""Affine maps of world points: our JSON, plain matrices, and ITK's transform files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Affine
from voxbench.io.atomic import AnyPath, require_file
from voxbench.io.raw import LPS_FROM_RAS
from voxbench.io.tables import read_json, write_json

SUFFIXES = (".json", ".txt", ".mat", ".tfm")
"""How files that hold affine maps end."""
KEY = "moving_from_fixed"
ITK_HEADER = b"#Insight Transform File"


def write_affine(path: AnyPath, moving_from_fixed: Affine) -> None:
    """Write an affine map of world points (RAS+, mm) as JSON.

    Raises:
        FileWriteError: The file cannot be written.
    """
    write_json(path, {KEY: moving_from_fixed.matrix, "unit": "mm", "world": "RAS+"})


def read_affine(path: AnyPath) -> Affine:
    """Read the map that takes a point of the fixed image's world to the moving image's, RAS+, mm.

    Args:
        path: ``.json`` as `write_affine` writes it; a plain 4 x 4 (or 3 x 4) matrix of numbers as text, which is taken
            to map RAS+ millimetres from fixed to moving (greedy's ``.mat`` does, FSL's FLIRT does not); or an ITK
            transform file (``.txt``, ``.tfm``, ``.mat``; ANTs' ``0GenericAffine.mat``) whose transform is affine,
            LPS+ mm.

    Raises:
        FileReadError: Missing, damaged, or nothing that holds an affine map.
        InputError: The matrix is not an invertible affine map.
    """
    path = require_file(path)
    matrix = _matrix(path)
    try:
        return Affine(matrix, "moving", "fixed")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _matrix(path: Path) -> np.ndarray:
    """By suffix and content."""
    if path.suffix.lower() == ".json":
        return _from_json(path)
    content = path.read_bytes()
    if content.startswith(ITK_HEADER):
        return _from_itk(path)
    try:
        rows = [[float(word) for word in line.replace(",", " ").split()] for line in content.decode().splitlines()]
    except ValueError:
        return _from_itk(path)
    return _square([row for row in rows if row], path)


def _from_json(path: Path) -> np.ndarray:
    """Our own file."""
    found = read_json(path)
    if not isinstance(found, dict) or KEY not in found:
        raise FileReadError(f"{path}: no affine map: the key '{KEY}' is missing")
    return _square(found[KEY], path)


def _square(rows: object, path: Path) -> np.ndarray:
    """A 4 x 4 matrix from four or three rows of four numbers."""
    try:
        matrix = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, (0, 0, 0, 1)])
    if matrix.shape != (4, 4):
        raise FileReadError(f"{path}: no affine map: expected 4 rows of 4 numbers")
    return matrix


def _from_itk(path: Path) -> np.ndarray:
    """Whatever linear transform ITK reads, told from where it takes four points; LPS+ to RAS+."""
    from SimpleITK import ReadTransform

    try:
        transform = ReadTransform(str(path))
    except (RuntimeError, UnicodeDecodeError) as error:
        raise FileReadError(f"{path}: neither a matrix of numbers nor a transform file that ITK can read") from error
    if transform.GetDimension() != 3 or not transform.IsLinear():
        raise FileReadError(f"{path}: not an affine map of three dimensions but {transform.GetName()}")
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([transform.TransformPoint(axis) - origin for axis in np.eye(3).tolist()], axis=1)
    matrix[:3, 3] = origin
    return LPS_FROM_RAS @ matrix @ LPS_FROM_RAS
