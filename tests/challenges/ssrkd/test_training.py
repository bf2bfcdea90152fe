"""`voxbench train ssrkd`: all stages by one command, resumed, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch")

from voxbench.cli import main

QUICK = ("--patch", 16, "--points", 50, "--batch", 1)
STEPS = ("--segment-steps", 3, "--teacher-steps", 2, "--student-steps", 2)


@pytest.fixture
def train(capsys):
    """Calls the command; exit code, standard output, standard error."""

    def call(*words):
        code = main(["train", "ssrkd", *map(str, words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, " ".join(err.split())

    return call


def test_one_command_trains_all_stages_and_goes_on_where_it_was(train, knee_folder, tmp_path):
    words = ("--data", knee_folder, "--out", tmp_path / "run", *QUICK, *STEPS)
    code, out, err = train(*words, "--json")
    assert code == 0, err
    cards = json.loads(out)
    assert list(cards) == ["segment", "teacher", "student"]
    assert [cards[stage]["config"]["steps"] for stage in cards] == [3, 2, 2]
    assert {card["stage"] for card in cards.values()} == set(cards)
    assert "Dice of shadows" in cards["segment"]["validation"]
    assert "Dice at points" in cards["student"]["validation"]
    assert set(cards["student"]["guides"]) == {"segmenter", "teacher"}
    for stage in cards:
        files = {path.name for path in (tmp_path / "run" / stage).iterdir()}
        assert files >= {"weights.safetensors", "weights.json", "curves.png", "metrics.jsonl", "checkpoint.safetensors"}
        assert f"{stage}: {cards[stage]['config']['steps']} updates in" in err
    before = err.index("segment: 3 updates")
    assert all(f"{stage}: " in err[:before] for stage in cards)  # what all take is told first
    weights = {stage: (tmp_path / "run" / stage / "weights.safetensors").read_bytes() for stage in cards}
    code, _, err = train(*words)
    assert code == 0, err
    assert "student: going on after 2 of 2 updates" in err
    assert "parameters" not in err  # nothing left to estimate
    for stage, old in weights.items():
        assert (tmp_path / "run" / stage / "weights.safetensors").read_bytes() == old
    code, _, err = train(*words[:-1], 3)
    assert code == 1
    assert "another training" in err
    assert "--force" in err
    code, _, err = train("--stage", "segment", *words[:4], *QUICK, "--steps", 2, "--force")
    assert code == 0, err
    code, _, err = train(*words[:4], "--stage", "student", *QUICK, "--steps", 2)
    assert code == 1
    assert "guides there" in err  # the student learned beside another segmenter


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--steps", 5), 2, "--steps is for one stage; with --stage all: --segment-steps, --teacher-steps"),
        (("--stage", "teacher", "--student-steps", 5), 2, "--student-steps: for --stage all; with --stage teacher: "),
        (("--stage", "everything"), 2, "everything"),
        (("--batch", 3, "--accumulate", 2), 2, "--batch must be a multiple of --accumulate; got 3 and 2"),
        (("--points", 3), 2, "--points"),
        (
            ("--stage", "student"),
            1,
            "the student needs segment and teacher, trained before missing segment/weights.safetensors missing "
            "teacher/weights.safetensors run --stage segment, then --stage teacher with the same --out, or --stage all",
        ),
    ],
)
def test_misuse_is_told_and_nothing_is_made(train, knee_folder, tmp_path, words, code, says):
    found, _, err = train("--data", knee_folder, "--out", tmp_path / "run", *words)
    assert (found, says in err) == (code, True), err
    assert not (tmp_path / "run").exists()


def changed(knee_folder, tmp_path):
    folder = tmp_path / "knees"
    shutil.copytree(knee_folder, folder)
    return folder, json.loads((folder / "info.json").read_text())


def no_unlabelled(folder, info):
    (folder / "info.json").write_text(json.dumps(info | {"unlabelled": []}))
    return "info.json: no unlabelled knee; half of every update is learned from them"


def no_labelled(folder, info):
    (folder / "info.json").write_text(json.dumps(info | {"train": []}))
    return "no labelled knee to learn from"


def another_layout(folder, info):
    for path in list(folder.iterdir()):
        path.rename(folder / f"x_{path.name}")
    return "lacks info.json, views.json, processed --data is a folder as voxbench simulate ssrkd writes it"


def no_splits(folder, info):
    (folder / "info.json").write_text("[1, 2]")
    return "info.json: no splits"


def files_missing(folder, info):
    for name in ("bone_mask", "sampling"):
        (folder / "processed" / info["train"][0] / f"{name}.npz").unlink()
    case = info["train"][0]
    return f"2 files are missing processed/{case}/bone_mask.npz processed/{case}/sampling.npz"


def damaged(folder, info):
    path = folder / "processed" / info["unlabelled"][0] / "ct_256x.npz"
    path.write_bytes(path.read_bytes()[:100])
    return f"{path}: damaged, or no archive of arrays"


def other_views(folder, info):
    views = json.loads((folder / "views.json").read_text())
    (folder / "views.json").write_text(json.dumps(views | {"views": views["views"][:3]}))
    return "not the views of views.json there (4, 32, 32) views (3, 32, 32)"


def pickled_points(folder, info):
    path = folder / "processed" / info["train"][0] / "sampling.npz"
    np.savez(path, np.array({"surface_inside": 1}, dtype=object))
    return f"{path}: not as voxbench writes it"


def sides_that_cannot_be_halved(folder, info):
    path = folder / "processed" / info["unlabelled"][0] / "ct_256x.npz"
    np.savez(path, np.zeros((15, 16, 16), np.uint8))
    return "sides must be multiples of 16 to be halved four times there 15 x 16 x 16"


@pytest.mark.parametrize(
    "spoil",
    [
        no_unlabelled,
        no_labelled,
        another_layout,
        no_splits,
        files_missing,
        damaged,
        other_views,
        pickled_points,
        sides_that_cannot_be_halved,
    ],
)
def test_data_that_cannot_be_learned_from_are_named_in_one_message(train, knee_folder, tmp_path, spoil):
    folder, info = changed(knee_folder, tmp_path)
    says = spoil(folder, info)
    code, _, err = train("--data", folder, "--out", tmp_path / "run", *QUICK, *STEPS)
    assert (code, says in err) == (1, True), err
    assert not list((tmp_path / "run").rglob("*.safetensors"))
