"""Parts of the demo, done in earnest on small data: every command they type is there and leaves what they read."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxbench.cli import demo_nodes, demo_spine, main
from voxbench.io import read_volume, write_labels, write_volume
from voxbench.report.chapters import write_chapters


def told(line: str) -> None:
    """Nobody listens."""


def test_nodes_are_planted_into_the_sample_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["simulate", "lnq2023", "--out", tmp_path / "chest", "--cases", 1, "--pixels", 160, "--spacing", 2.2, 5]
    assert main([str(word) for word in words]) == 0
    ct = read_volume(next((tmp_path / "chest" / "train").glob("*-ct.nrrd")))
    sample = {name: tmp_path / name for name in ("ct.nii.gz", "labels.nii.gz")}
    write_volume(sample["ct.nii.gz"], ct)
    write_labels(sample["labels.nii.gz"], demo_organs(ct))
    monkeypatch.setattr("voxbench.io.samples.fetch_sample", lambda name, folder: sample)
    chapter = demo_nodes.nodes(tmp_path / "demo" / "nodes", told)
    count = next(quantity.value for quantity in chapter.quantities if quantity.name == "nodes")
    assert isinstance(count, int)
    assert count >= 1
    assert 1 <= len(chapter.pictures) <= demo_nodes.PICTURES
    assert [line.split()[1] for line in chapter.commands] == ["simulate", "nodes"]
    assert str(tmp_path) not in "".join(chapter.commands)


def demo_organs(ct):
    """No organ anywhere."""
    import numpy as np

    from voxbench.geometry import LabelMap

    return LabelMap(np.zeros(ct.grid.shape, np.uint8), ct.grid)


def test_a_spine_is_segmented_by_registration_scored_and_shown(tmp_path: Path) -> None:
    chapter = demo_spine.spine(tmp_path / "demo" / "spine", told)
    dice = {quantity.name: quantity.value for quantity in chapter.quantities}["Dice, vertebrae"]
    assert isinstance(dice, float)
    assert dice > 0.6
    write_chapters(tmp_path / "page.html", "demo", "one part", [chapter])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "voxbench evaluate spider" in page
    assert str(tmp_path) not in page
