"""`voxbench evaluate CHALLENGE --config FILE`: the same options as on the command line, which comes first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxbench.cli import application
from voxbench.geometry import Grid, LabelMap
from voxbench.io import write_labels

COMMON = {
    "predictions": Path("p"),
    "references": Path("r"),
    "out": Path("o"),
    "allow_missing": True,
    "jobs": 3,
    "scheduler": "tcp://here:1",
    "force": True,
    "json": True,
}
OWN = {
    "lnq2023": {},
    "spider": {},
    "ssrkd": {"points": 60, "seed": 4, "spacing": 0.25, "step": 2.0},
    "lumbarsr": {
        "method": "unet",
        "sample": ["Lumbar_26", "Lumbar_27"],
        "sequence": ["195X_195Y_500Z_B"],
        "fast_ssim": True,
        "morphometry": True,
        "threshold": -12.5,
    },
    "lumir25": {"config": [Path("a.json"), Path("b.json")]},
}


def toml(values: dict) -> str:
    """Strings, numbers, truth values and lists are the same in JSON."""
    return "".join(f"{key} = {json.dumps(value, default=str)}\n" for key, value in values.items())


def parsed(*words: object) -> dict:
    """What the command would be called with."""
    _, bound, _ = application().parse_args(["evaluate", *map(str, words)])
    return dict(bound.arguments)


@pytest.mark.parametrize("dash", ["_", "-"])
@pytest.mark.parametrize("challenge", OWN)
def test_a_file_gives_every_option(challenge, dash, tmp_path):
    values = COMMON | OWN[challenge]
    file = tmp_path / "evaluation.toml"
    file.write_text(toml({key.replace("_", dash): value for key, value in values.items()}))
    assert parsed(challenge, "--config", file) == {"config": file} | values


@pytest.mark.parametrize("challenge", OWN)
def test_the_line_comes_before_the_file(challenge, tmp_path):
    file = tmp_path / "evaluation.toml"
    file.write_text(toml(COMMON | OWN[challenge]))
    found = parsed(challenge, "--jobs", "1", "--config", file, "--predictions", "mine")
    assert (found["jobs"], found["predictions"], found["references"]) == (1, Path("mine"), Path("r"))


def test_the_organisers_configurations_of_lumir25_stand_beside_the_file(tmp_path):
    file = tmp_path / "evaluation.toml"
    file.write_text(toml(COMMON))
    found = parsed("lumir25", "--config", "c.json", "--config", file, "--config", "d.json")
    assert found == COMMON | {"config": [Path("c.json"), Path("d.json")]}
    file.write_text(toml(COMMON | OWN["lumir25"]))
    assert parsed("lumir25", "--config", "c.json", file)["config"] == [Path("c.json")]


def test_a_run_from_a_file_is_the_run_of_its_options(voxbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[1:4, 2:5, 3:6], labels[4, 2, 2:5], labels[1:4, 5, 3:6] = 1, 100, 201
    for case in ("1_t1", "2_t2"):
        Path("masks").mkdir(exist_ok=True)
        write_labels(f"masks/{case}.mha", LabelMap(labels, Grid.from_parts(labels.shape)))
    Path("ours").mkdir()
    Path("ours/1_t1.mha").write_bytes(Path("masks/1_t1.mha").read_bytes())
    Path("spider.toml").write_text('predictions = "ours"\nreferences = "masks"\nallow_missing = true\n')
    done = voxbench("evaluate", "spider", "--config", "spider.toml", "--out", "out", "--json")
    assert done.code == 0, done.err
    assert "SPIDER: 1 of 2 scored" in done.err
    assert json.loads(done.out)["settings"] == {"allow_missing": True}
