"""The loop learns, repeats to the byte, and goes on where it was interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from voxbench.errors import FileReadError, MissingToolError, NotFiniteError, UsageError
from voxbench.models import superresolution, unet
from voxbench.training import weights
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import CHECKPOINT, Lesson, estimate, train
from voxbench.training.optimise import laid_out
from voxbench.training.patches import Case, Patches
from voxbench.training.update import shares


def lesson(validate=None, seed=0):
    """The target is the mean of the channels, doubled: within reach of a small network."""
    rng = np.random.default_rng(5)
    inputs = rng.random((2, 24, 22, 20)).astype(np.float32)
    case = Case("toy", inputs, inputs.mean(axis=0) * 2, np.ones(inputs.shape[1:], bool))
    patches = Patches([case], 12, 2, 0.5, True, seed)
    return Lesson(
        lambda: unet.Unet(2, unet.Layout(2, 4, 2, residual=True)), patches, validate, "score", {"method": "toy"}
    )


def config(**changes):
    return TrainingConfig(
        **{"steps": 40, "batch": 4, "patch": 12, "warm_up": 5, "save_every": 10, "learning_rate": 3e-3} | changes
    )


def test_the_loss_falls_and_the_run_folder_tells_all(tmp_path):
    told = []
    settings = config(steps=400, validate_every=200, learning_rate=1e-2)
    trained = train(lesson(lambda model: {"score": 1.5}), settings, tmp_path, told.append)
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [e["loss"] for e in events if "loss" in e]
    assert losses[-1] < 0.3 * losses[0]
    assert trained.steps == 400
    assert trained.best == 1.5
    assert [e["step"] for e in events if "validation" in e] == [200, 400]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    card = weights.read_card(tmp_path)
    assert card["method"] == "toy"
    assert card["config"]["seed"] == 0
    assert card["steps"] == 200  # the first of two equal validations
    assert json.loads((tmp_path / "weights.json").read_text()) == card
    assert any("400 updates: score 1.5" in line for line in told)


def test_one_seed_one_answer_and_another_seed_another(tmp_path):
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(lesson(seed=seed), config(steps=10, seed=seed), tmp_path / name)
        files.append((tmp_path / name / weights.FILE).read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


class StoppedError(Exception):
    """Stands for whatever ends a run."""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_that_was_interrupted_ends_with_the_same_bytes(tmp_path, precision):
    train(lesson(), config(precision=precision), tmp_path / "whole")

    class Stops:
        """Fails at a step that lies between two checkpoints."""

        def __init__(self, source):
            self.source = source

        def batch(self, step, rows):
            if step == 27:
                raise StoppedError
            return self.source.batch(step, rows)

    stopped = lesson()
    with pytest.raises(StoppedError):
        train(
            Lesson(stopped.build, Stops(stopped.source), card=stopped.card),
            config(precision=precision),
            tmp_path / "parts",
        )
    told = []
    train(lesson(), config(precision=precision), tmp_path / "parts", told.append)
    assert told[0] == "going on after 20 of 40 updates"
    for name in (weights.FILE, CHECKPOINT, "metrics.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_loop import config, lesson
from voxbench.training.loop import train
train(lesson(), config(steps=300, warm_up=5), Path({folder!r}), print)
"""


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(tmp_path):
    def start(folder):
        code = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder))
        return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"})

    assert start(tmp_path / "whole").wait() == 0
    killed = start(tmp_path / "killed")
    deadline = time.time() + 60
    while not (tmp_path / "killed" / CHECKPOINT).exists() and time.time() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / weights.FILE).exists()
    assert start(tmp_path / "killed").wait() == 0
    for name in (weights.FILE, CHECKPOINT):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    code = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "two"))
    (tmp_path / "run.py").write_text(code)
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517", str(tmp_path / "run.py")]
    subprocess.run([sys.executable, *words], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=120)
    train(lesson(), config(steps=300), tmp_path / "one")

    def last(name):
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return np.mean([e["loss"] for e in map(json.loads, lines) if "loss" in e][-5:])

    assert last("two") == pytest.approx(last("one"), rel=0.01)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(tmp_path):
    for name, parts in (("one", 1), ("two", 2)):
        train(lesson(), config(steps=8, accumulate=parts, warm_up=2), tmp_path / name)
    one, two = (weights.read(tmp_path / name / weights.FILE)[0] for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)


def test_other_settings_or_data_do_not_go_on_with_a_run(tmp_path):
    train(lesson(), config(steps=10), tmp_path)
    with pytest.raises(FileReadError, match=r"(?s)another training.*config there.*config here.*--force"):
        train(lesson(), config(steps=20), tmp_path)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    bad = lesson()

    class Holes:
        """Gives NaN."""

        def batch(self, step, rows):
            inputs, targets, weight = bad.source.batch(step, rows)
            return inputs, targets * np.nan, weight

    with pytest.raises(NotFiniteError, match="update 1"):
        train(Lesson(bad.build, Holes(), card=bad.card), config(), tmp_path)


def test_patience_ends_a_run_that_no_longer_gets_better(tmp_path):
    scores = iter([1.0, 0.5, 0.4, 0.3, 0.2])
    done = train(lesson(lambda model: {"score": next(scores)}), config(validate_every=5, patience=2), tmp_path)
    assert (done.steps, done.best) == (15, 1.0)
    assert weights.read_card(tmp_path)["steps"] == 5


def test_damaged_and_foreign_weights_are_named(tmp_path):
    train(lesson(), config(steps=6), tmp_path)
    with pytest.raises(FileReadError, match="another network"):
        weights.load_weights(tmp_path, superresolution.Srcnn(1))
    (tmp_path / weights.FILE).write_bytes(b"x" * 50)
    with pytest.raises(FileReadError, match="damaged"):
        weights.read_card(tmp_path)
    with pytest.raises(FileReadError, match="no such file"):
        weights.read_card(tmp_path / "nowhere")


def test_the_estimate_names_time_memory_and_parameters():
    assert "about 0 min on this CPU" in estimate(lesson(), config(), trials=1)


def test_bf16_learns_too_and_keeps_fp32_weights_of_other_values(tmp_path):
    train(lesson(), config(steps=300, learning_rate=1e-2, precision="bf16"), tmp_path / "bf16")
    lines = (tmp_path / "bf16" / "metrics.jsonl").read_text().splitlines()
    losses = [e["loss"] for e in map(json.loads, lines) if "loss" in e]
    assert losses[-1] < 0.5 * losses[0]
    for precision in ("fp32", "bf16"):
        train(lesson(), config(steps=6, precision=precision), tmp_path / f"short {precision}")
    one, other = (weights.read(tmp_path / f"short {name}" / weights.FILE)[0] for name in ("fp32", "bf16"))
    assert all(tensor.dtype == torch.float32 for tensor in other.values())
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_method_s_loss_is_taken_where_the_settings_name_none(tmp_path):
    def trained(folder, method, **more):
        made = lesson()
        train(Lesson(made.build, made.source, card=made.card, loss=method), config(steps=6, **more), tmp_path / folder)
        return weights.read(tmp_path / folder / weights.FILE)[0]

    by_method, by_settings = trained("a", "l1"), trained("b", "charbonnier", loss="l1")
    other = trained("c", "charbonnier")
    assert all(torch.equal(by_method[name], tensor) for name, tensor in by_settings.items())
    assert any(not torch.equal(other[name], tensor) for name, tensor in by_settings.items())


@pytest.mark.parametrize(("batch", "accumulate", "processes"), [(3, 1, 2), (4, 4, 2), (2, 1, 4)])
def test_a_batch_that_cannot_be_shared_out_evenly_is_refused(batch, accumulate, processes):
    class Several:
        num_processes, process_index = processes, 0

    with pytest.raises(UsageError, match=rf"--batch {batch}: .* {accumulate} x {processes}"):
        shares(Several(), config(batch=batch, accumulate=accumulate))


def test_every_patch_of_a_batch_is_done_once():
    class Process:
        num_processes = 3

        def __init__(self, index):
            self.process_index = index

    rows = [
        row for index in range(3) for part, _ in shares(Process(index), config(batch=12, accumulate=2)) for row in part
    ]
    assert sorted(rows) == list(range(12))


def test_tensorboard_gets_what_the_lines_say_and_a_resumed_run_hides_what_was_undone(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = config(tensorboard=True, validate_every=20)
    train(lesson(lambda model: {"score": 1.5}), settings, tmp_path)
    events = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"loss", "learning_rate", "validation/score"} == set(board.Tags()["scalars"])
    found = [(e.step, e.value) for e in board.Scalars("loss")]
    assert found == [(e["step"], pytest.approx(e["loss"], rel=1e-6)) for e in events if "loss" in e]
    # It decides nothing: the run is complete without it too.
    assert train(lesson(), config(validate_every=20), tmp_path).steps == 40


def test_tensorboard_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with pytest.raises(MissingToolError, match=r"pip install 'voxbench\[tensorboard\]'"):
        train(lesson(), config(tensorboard=True), tmp_path)


@pytest.mark.parametrize(("precision", "last"), [("fp32", False), ("bf16", True)])
def test_channels_lie_last_where_3d_convolutions_learn_in_bf16(precision, last):
    model = torch.nn.Sequential(torch.nn.Conv3d(4, 6, 3), torch.nn.Conv2d(3, 3, 3))
    before = [parameter.clone() for parameter in model.parameters()]
    laid_out(model, config(precision=precision))
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last_3d) is last
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
