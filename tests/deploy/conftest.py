"""A toy challenge: an image and a number go in, the image times the number comes out, and a text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxbench.deploy.sockets import Algorithm, Items, Socket
from voxbench.geometry import Grid, Volume
from voxbench.io import read_volume, write_volume

TURN = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
GRID = Grid.from_parts((5, 4, 3), (0.5, 0.7, 3.0), (-3.0, 12.345, 7.0), TURN)
IMAGE = Socket("an-image", "images/an-image")
FACTOR = Socket("a-factor", "a-factor.json", "value")
TIMES = Socket("the-product", "images/the-product")
NOTE = Socket("a-note", "notes/a-note.txt", "file")


def load(model: Path | None):
    """Multiplies; a factor of 0 loses the geometry, one below 0 fails unforeseen."""

    def solve(inputs: Items, scratch: Path) -> dict[str, Path]:
        factor = json.loads(inputs[FACTOR.slug].path.read_text())
        if factor < 0:
            raise ZeroDivisionError("unforeseen")
        volume = read_volume(inputs[IMAGE.slug].path)
        grid = volume.grid if factor else Grid.from_parts(volume.grid.shape)
        write_volume(scratch / "made.mha", Volume((volume.array * factor).astype(np.int16), grid))
        (scratch / "note.txt").write_text(inputs[IMAGE.slug].name)
        return {TIMES.slug: scratch / "made.mha", NOTE.slug: scratch / "note.txt"}

    return solve


@pytest.fixture
def toy() -> Algorithm:
    return Algorithm(
        "toy", (IMAGE, FACTOR), (TIMES, NOTE), load, "possible", official=False, train="voxbench train toy"
    )


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """/input of the toy, with an inputs.json of today."""
    folder = tmp_path / "input"
    (folder / IMAGE.relative_path).mkdir(parents=True)
    array = np.arange(60, dtype=np.int16).reshape(GRID.shape)
    write_volume(folder / IMAGE.relative_path / "0a1b.mha", Volume(array, GRID))
    (folder / FACTOR.relative_path).write_text("3")
    image = {"slug": IMAGE.slug, "relative_path": IMAGE.relative_path}
    factor = {"slug": FACTOR.slug, "relative_path": FACTOR.relative_path}
    entries = [
        {"socket": image, "image": {"pk": "0a1b", "name": "1_t1.mha"}, "value": None},
        {"socket": factor, "image": None, "value": 3},
    ]
    (folder / "inputs.json").write_text(json.dumps(entries))
    return folder
