"""voxbench spine: a table, JSON and a picture; misuse is one message."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from voxbench.geometry import Grid, LabelMap
from voxbench.io import write_labels
from voxbench.simulate.phantoms.spine import spine_phantom
from voxbench.simulate.phantoms.spine_shape import PLAIN


def test_a_spine_is_measured_and_drawn(tmp_path: Path, voxbench: Callable):
    drawn = spine_phantom(Grid.from_parts((18, 70, 90), (4.0, 2.0, 2.0)), 0, PLAIN)
    write_labels(tmp_path / "labels.mha", drawn.labels)
    done = voxbench("spine", tmp_path / "labels.mha", "--out", tmp_path / "out", "--json")
    assert done.code == 0
    rows = list(csv.DictReader((tmp_path / "out" / "spine.csv").read_text().splitlines()))
    levels = json.loads((tmp_path / "out" / "spine.json").read_text())["levels"]
    assert json.loads(done.out)["levels"] == levels or "NaN" in done.out
    assert [row["number"] for row in rows] == [str(level["number"]) for level in levels]
    truth = {level.number: level for level in drawn.truth}
    for level in levels:
        if level["complete"]:
            assert abs(level["middle_height"] - truth[level["number"]].middle_height) < 1.2
    assert not all(level["complete"] for level in levels)
    assert (tmp_path / "out" / "spine.png").read_bytes().startswith(b"\x89PNG")
    again = voxbench("spine", tmp_path / "labels.mha", "--out", tmp_path / "out")
    assert (again.code, "--force" in again.err) == (1, True)


def test_bad_label_maps_are_named_and_leave_nothing(tmp_path: Path, voxbench: Callable):
    grid = Grid.from_parts((4, 4, 4))
    for name, value, message in (("a", 255, "label 255 means nothing"), ("b", 0, "no vertebra in the label map")):
        write_labels(tmp_path / f"{name}.nii.gz", LabelMap(np.full((4, 4, 4), value, np.uint8), grid))
        bad = voxbench("spine", tmp_path / f"{name}.nii.gz", "--out", tmp_path / "out")
        assert (bad.code, f"{name}.nii.gz: {message}" in bad.err) == (1, True)
    assert voxbench("spine", tmp_path / "a.nii.gz").code == 2
    assert not (tmp_path / "out").exists()
