"""Cone-beam views to a JSON file and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxbench.errors import FileReadError, InputError
from voxbench.geometry.projection import View
from voxbench.io.atomic import AnyPath
from voxbench.io.tables import read_json, write_json

_KEYS = ("source", "centre", "right", "down", "pixel_mm", "shape")
NEARBY_MM = (50.0, 20000.0)
"""A source this far from its detector is plausible."""


def write_views(path: AnyPath, views: Sequence[View]) -> None:
    """Write views: per view source, centre, right, down (world RAS+, mm), pixel_mm and shape (rows, columns).

    Raises:
        FileWriteError: The file cannot be written.
    """
    write_json(path, {"world": "RAS+, mm", "views": [{key: getattr(view, key) for key in _KEYS} for view in views]})


def read_views(path: AnyPath) -> tuple[View, ...]:
    """Read what `write_views` wrote.

    Raises:
        FileReadError: It cannot be read, or holds no views.
        InputError: A view is impossible, or not in mm.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("views"), list) or not content["views"]:
        raise FileReadError(f"{path}: holds no views\n  expected  {{'views': [{{{', '.join(_KEYS)}}}, ...]}}")
    return tuple(_view(path, number, entry) for number, entry in enumerate(content["views"]))


def _view(path: AnyPath, number: int, entry: Any) -> View:
    """One of them."""
    name = f"{path}: view {number}"
    missing = [key for key in _KEYS if not isinstance(entry, dict) or key not in entry]
    if missing:
        raise FileReadError(f"{name}: {', '.join(missing)}: missing")
    try:
        source, centre, right, down = (np.array(entry[key], np.float64) for key in _KEYS[:4])
        pixel, shape = ((entry[key][0], entry[key][1]) for key in _KEYS[4:])
        view = View(source, centre, right, down, (float(pixel[0]), float(pixel[1])), (int(shape[0]), int(shape[1])))
    except (TypeError, ValueError, IndexError) as error:
        raise FileReadError(f"{name}: not numbers in the expected places: {error}") from error
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    low, high = NEARBY_MM
    distance = view.source_to_detector
    if not low <= distance <= high:
        guess = "metres" if distance < low else "micrometres"
        raise InputError(
            f"{name}: the source is {distance:g} mm from the detector; plausible are {low:g} to {high:g}\n"
            f"  is the file in {guess}? it must be in mm"
        )
    return view
