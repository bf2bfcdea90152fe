"""Learning against a discriminator: the losses, what is kept, and a run that goes on to the byte."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot

from voxbench.models.esrgan import Discriminator, Generator
from voxbench.training import checkpoint, weights
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import CHECKPOINT, Lesson, estimate, train
from voxbench.training.patches import Case, Patches
from voxbench.training.record import draw_curves
from voxbench.training.update import relativistic


def lesson(validate=None):
    rng = np.random.default_rng(5)
    inputs = rng.random((1, 24, 22, 20)).astype(np.float32)
    case = Case("toy", inputs, np.sqrt(inputs[0]), np.ones(inputs.shape[1:], bool))
    patches = Patches([case], 12, 2, 0.5, True, 0)
    make, critic = partial(Generator, 1, 8, 4, 1), partial(Discriminator, 8, 2)
    return Lesson(make, patches, validate, "score", {"method": "toy"}, "l1", critic)


def config(**changes):
    return TrainingConfig(
        **{"steps": 30, "batch": 4, "patch": 12, "warm_up": 5, "save_every": 10, "learning_rate": 1e-3} | changes
    )


def test_the_loss_is_that_of_the_paper():
    real, fake = torch.tensor([0.3, 1.2]), torch.tensor([-0.5, 0.1])

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    taken = [sigmoid(x - fake.mean().item()) for x in real.tolist()]
    not_taken = [1 - sigmoid(x - real.mean().item()) for x in fake.tolist()]
    expected = -np.log(taken).mean() - np.log(not_taken).mean()
    assert relativistic(real, fake).item() == pytest.approx(expected, rel=1e-5)
    assert relativistic(real, real).item() >= 2 * math.log(2)
    assert relativistic(real + 50, fake).item() == pytest.approx(0, abs=1e-6)


def test_the_discriminator_moves_only_after_the_pretraining(tmp_path):
    critics = []
    for steps in (15, 16):
        train(lesson(), config(steps=steps, gan={"pretrain": 15 / steps}), tmp_path / str(steps))
        tensors, _ = checkpoint.read(tmp_path / str(steps) / CHECKPOINT)
        critics.append({name: tensor for name, tensor in tensors.items() if name.startswith("critic.")})
    torch.manual_seed(0)
    made = lesson()
    made.build()
    start = made.critic().state_dict()
    assert all(torch.equal(critics[0][f"critic.{name}"], tensor) for name, tensor in start.items())
    # All but what it adds to every judgement, which judgements by comparison do not depend on.
    moved = {name for name in critics[0] if not torch.equal(critics[1][name], critics[0][name])}
    assert {name for name in critics[0] if name.endswith("weight")} <= moved


def test_the_network_s_update_leaves_the_discriminator_s_gradients_alone(tmp_path):
    """The discriminator after one update is that of an update by its own loss."""
    train(lesson(), config(steps=10, warm_up=0, gan={"pretrain": 0.9}), tmp_path)
    moved, _ = checkpoint.read(tmp_path / CHECKPOINT)
    train(lesson(), config(steps=10, warm_up=0, gan={"pretrain": 0.9, "weight": 100}), tmp_path / "heavy")
    heavy, _ = checkpoint.read(tmp_path / "heavy" / CHECKPOINT)
    assert all(torch.equal(moved[name], heavy[name]) for name in moved if name.startswith("critic"))
    assert any(not torch.equal(moved[name], heavy[name]) for name in moved if name.startswith("model."))


def test_the_last_weights_are_kept_since_the_score_prefers_blur(tmp_path):
    scores = iter([3.0, 2.0, 1.0])
    done = train(lesson(lambda model: {"score": next(scores)}), config(validate_every=10), tmp_path)
    assert (weights.read_card(tmp_path)["steps"], done.best) == (30, 1.0)
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-2])
    assert set(last) == {"step", "loss", "adversarial", "critic", "learning_rate"}
    draw_curves([], tmp_path / "nothing yet.png")
    sizes = [pyplot.imread(tmp_path / name).shape[:2] for name in ("nothing yet.png", "curves.png")]
    assert sizes == [(300, 400), (300, 1200)]  # loss; loss, adversaries, score


def test_parts_of_a_batch_give_much_the_same(tmp_path):
    """Not the same: the discriminator compares with the mean of a part."""
    for name, parts in (("one", 1), ("two", 2)):
        train(lesson(), config(steps=6, warm_up=2, accumulate=parts, gan={"pretrain": 0}), tmp_path / name)
    one, two = (weights.read(tmp_path / name / weights.FILE)[0] for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=2e-3) for name in one)


class StoppedError(Exception):
    """Stands for whatever ends a run."""


@pytest.mark.parametrize(("stop", "precision"), [(12, "fp32"), (25, "fp32"), (25, "bf16")])  # it comes in at 15
def test_a_run_that_was_interrupted_ends_with_the_same_bytes(tmp_path, stop, precision):
    settings = config(precision=precision, batch=2)
    train(lesson(), settings, tmp_path / "whole")
    whole = lesson()

    class Stops:
        def batch(self, step, rows):
            if step == stop:
                raise StoppedError
            return whole.source.batch(step, rows)

    stopped = Lesson(whole.build, Stops(), card=whole.card, loss="l1", critic=whole.critic)
    with pytest.raises(StoppedError):
        train(stopped, settings, tmp_path / "parts")
    told = []
    train(whole, settings, tmp_path / "parts", told.append)
    assert told[0] == f"going on after {stop // 10 * 10} of 30 updates"
    for name in (weights.FILE, CHECKPOINT, "metrics.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_adversarial import config, lesson
from voxbench.training.loop import train
train(lesson(), config(steps=80, gan={{"pretrain": 0.1}}), Path({folder!r}), print)
"""


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(tmp_path):
    def start(folder):
        code = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder))
        return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"})

    def reached(folder, step):
        try:
            return checkpoint.read(folder / CHECKPOINT)[1]["step"] >= step
        except Exception:  # not there yet
            return False

    assert start(tmp_path / "whole").wait() == 0
    killed = start(tmp_path / "killed")
    deadline = time.time() + 60
    while not reached(tmp_path / "killed", 30) and time.time() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / weights.FILE).exists()
    assert start(tmp_path / "killed").wait() == 0
    for name in (weights.FILE, CHECKPOINT, "metrics.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_estimate_names_the_discriminator_and_changes_nothing(tmp_path):
    told = estimate(lesson(), config(), trials=1)
    assert " of the discriminator, " in told
    assert "(from 15 on " in told
    train(lesson(), config(steps=10), tmp_path / "a")
    estimate(lesson(), config(steps=10), trials=1)
    train(lesson(), config(steps=10), tmp_path / "b")
    assert (tmp_path / "a" / weights.FILE).read_bytes() == (tmp_path / "b" / weights.FILE).read_bytes()
