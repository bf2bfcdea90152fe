"""The two splits: who is in which, and what a command line may ask for."""

from __future__ import annotations

import pytest

from voxbench.challenges.lumbarsr.cases import SEED_SEQUENCES, SEQUENCES
from voxbench.challenges.lumbarsr.splits import SPLITS, samples_of, split_named
from voxbench.cli import main
from voxbench.errors import UsageError


def test_the_seed_has_30_5_and_5_samples_with_four_soft_sequences():
    parts = [SPLITS[f"seed-{name}"] for name in ("train", "phase-1", "phase-2")]
    assert [len(part.samples) for part in parts] == [30, 5, 5]
    assert len({sample for part in parts for sample in part.samples}) == 40
    assert all(part.sequences == SEED_SEQUENCES for part in parts)
    assert SEED_SEQUENCES == ("195X_195Y_500Z_S", "195X_195Y_1000Z_S", "586X_586Y_500Z_S", "586X_586Y_1000Z_S")
    assert [part.hidden for part in parts] == [False, False, True]


def test_the_released_data_are_25_and_5_with_eight_sequences():
    train, test = SPLITS["released-train"], SPLITS["released-test"]
    assert (train.samples[0], train.samples[-1], len(train.samples)) == ("Lumbar_01", "Lumbar_25", 25)
    assert test.samples == tuple(f"Lumbar_{n}" for n in range(26, 31))
    assert train.sequences == test.sequences == SEQUENCES


def test_samples_come_from_the_line_from_a_split_or_by_default():
    assert samples_of(None, None, ("Lumbar_07",)) == ("Lumbar_07",)
    assert samples_of(["Lumbar_01"], None, ("Lumbar_07",)) == ("Lumbar_01",)
    assert samples_of(None, "seed-phase-1", ()) == tuple(f"Lumbar_{n}" for n in range(31, 36))
    assert samples_of(None, "seed-phase-2", (), needs_target=False)[0] == "Lumbar_36"
    with pytest.raises(UsageError, match="give --validation or the split seed-train, not both"):
        samples_of(["Lumbar_01"], "seed-train", (), option="validation")
    with pytest.raises(UsageError, match="hidden"):
        split_named("seed-phase-2")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("predict lumbarsr --data d --out o --split released", 2, "there are seed-train, seed-phase-1"),
        ("predict lumbarsr --data d --out o --split seed-phase-2", 1, "Lumbar_40"),
        ("predict lumbarsr --data d --out o --split seed-train --sample Lumbar_01", 2, "not both"),
        ("evaluate lumbarsr --predictions . --references . --method m --out o --split seed-phase-2", 2, "hidden"),
        (
            "evaluate lumbarsr --predictions . --references . --method m --out o --split seed-phase-1",
            1,
            "5 of 5 references",
        ),
    ],
)
def test_the_verbs_take_a_split(words, code, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == code
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
