"""An objective of its own: any batch, several networks, named losses, ramps; resumed to the byte like any other."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from voxbench.errors import UsageError
from voxbench.training import weights
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson, estimate, train


class Points:
    """Integers to classify and a flag per sample: two arrays, neither an image."""

    def batch(self, step, rows):
        rngs = [np.random.default_rng((1, step, row)) for row in rows]
        points = np.stack([rng.normal(size=(8, 2)) for rng in rngs]).astype(np.float32)
        return points, (points.sum(axis=-1) > 0).astype(np.int64)


class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)

    def forward(self, points):
        return self.a(points), self.b(points)


class Objective:
    def __init__(self):
        self.seen = []

    def __call__(self, model, batch, done):
        points, labels = batch
        self.seen.append(done)
        entropy = torch.nn.functional.cross_entropy
        a, b = model(points)
        supervised = entropy(a.flatten(0, 1), labels.flatten())
        agreement = entropy(b.flatten(0, 1), a.argmax(-1).flatten())
        return {"loss": supervised + done * agreement, "supervised": supervised, "agreement": agreement}


def settings(**changes):
    return TrainingConfig(**{"steps": 40, "batch": 4, "warm_up": 0, "save_every": 10, "learning_rate": 3e-2} | changes)


def test_losses_are_named_and_the_share_done_rises_from_nothing(tmp_path):
    objective = Objective()
    train(Lesson(Two, Points(), objective=objective), settings(steps=80), tmp_path)
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    first, last = [e for e in events if "loss" in e][:: len([e for e in events if "loss" in e]) - 1]
    assert set(first) == {"step", "loss", "supervised", "agreement", "learning_rate"}
    assert last["supervised"] < 0.6 * first["supervised"]
    assert objective.seen == [step / 80 for step in range(80)]
    assert "parameters" in estimate(Lesson(Two, Points(), objective=objective), settings())


def test_a_run_cut_short_ends_with_the_same_bytes(tmp_path):
    class StoppedError(Exception):
        pass

    class Cut(Points):
        def batch(self, step, rows):
            if step == 25:
                raise StoppedError
            return super().batch(step, rows)

    train(Lesson(Two, Points(), objective=Objective()), settings(), tmp_path / "whole")
    with pytest.raises(StoppedError):
        train(Lesson(Two, Cut(), objective=Objective()), settings(), tmp_path / "cut")
    train(Lesson(Two, Points(), objective=Objective()), settings(), tmp_path / "cut")
    whole, cut = (tmp_path / name / weights.FILE for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()


def test_parts_of_a_batch_give_the_named_losses_of_the_whole(tmp_path):
    def losses(name, **more):
        train(Lesson(Two, Points(), objective=Objective()), settings(steps=20, **more), tmp_path / name)
        return json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[0])

    whole, parts = losses("whole"), losses("parts", accumulate=2)
    assert parts == pytest.approx(whole, rel=1e-5)


def test_a_loss_beside_an_objective_and_a_critic_beside_it_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--loss l1: this method makes a loss of its own small; leave --loss out"):
        train(Lesson(Two, Points(), objective=Objective()), settings(loss="l1"), tmp_path)
    with pytest.raises(UsageError, match="an objective of its own or a critic"):
        Lesson(Two, Points(), objective=Objective(), critic=Two)
