"""What a network is sure of becomes a label; it goes on from its weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from voxbench.errors import UsageError
from voxbench.tasks.segmentation import IGNORED
from voxbench.tasks.segmentation.learning import Course, segmentation_lesson
from voxbench.tasks.segmentation.rounds import Confidence, confident, next_round, parts
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import train
from voxbench.training.weights import load_weights


def test_only_what_nobody_told_of_changes_and_only_where_the_network_is_sure():
    labels = np.full((4, 4, 4), IGNORED, np.uint8)
    labels[0] = [[0, 1, 0, 1]] * 4
    node = np.full(labels.shape, 0.5)
    node[1], node[2], node[3, 0, 0] = 0.95, 0.02, 0.99
    node[0] = 0.99
    found = confident(labels, np.stack([1 - node, node]).astype(np.float32), Confidence(minimum_mm3=0), 1.0)
    assert np.array_equal(found[0], labels[0])
    assert (found[1] == 1).all()
    assert (found[2] == 0).all()
    assert found[3, 0, 0] == 1
    assert (found[3].ravel()[1:] == IGNORED).all()
    large = confident(labels, np.stack([1 - node, node]).astype(np.float32), Confidence(minimum_mm3=32), 2.0)
    assert (large[1] == 1).all()  # 16 voxels of 2 mm^3
    assert large[3, 0, 0] == IGNORED


def test_updates_are_shared_out():
    training = TrainingConfig(steps=100, warm_up=30)
    assert [part.steps for part in parts(training, 2)] == [33, 33, 34]
    assert [part.warm_up for part in parts(training, 2)] == [6, 6, 6]
    assert parts(training.model_copy(update={"warm_up": 3}), 0)[0].model_dump()["warm_up"] == 3
    with pytest.raises(UsageError, match="2 updates for each; there are 100"):
        parts(training, 50)


def test_a_round_begins_with_the_weights_and_ends_the_same_when_begun_again(samples, small_plan, tmp_path):
    unknown = np.random.default_rng(0).random((32, 32, 32)) < 0.7
    partly = tuple(
        replace(sample, labels=np.where(unknown, IGNORED, sample.labels).astype(np.uint8)) for sample in samples((0, 1))
    )
    course = Course(partly, (), small_plan())
    training = TrainingConfig(steps=6, warm_up=1, batch=2, learning_rate=3e-3)
    train(segmentation_lesson(course), training, tmp_path / "a")
    told = []
    sure = Confidence(foreground=0.51, background=0.45, minimum_mm3=0)
    lesson = next_round(course, tmp_path / "a", sure, told.append)
    first = lesson.build()
    load_weights(tmp_path / "a", again := segmentation_lesson(course).build())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    _, labels, *_ = lesson.source.batch(0, range(4))
    _, before, *_ = segmentation_lesson(course).source.batch(0, range(4))
    assert (labels == IGNORED).sum() < (before == IGNORED).sum()
    assert "voxels that nobody told of" in told[0]
    train(lesson, training, tmp_path / "b")
    train(next_round(course, tmp_path / "a", sure), training, tmp_path / "c")
    files = [(tmp_path / run / "weights.safetensors").read_bytes() for run in "bc"]
    assert files[0] == files[1]
