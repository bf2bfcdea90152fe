"""Every network, trained on one patch by the loop, brings the patch's error down to a stated one."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from scipy import ndimage

from voxbench.models.superresolution import build, build_critic, dimensions_of
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import Lesson, train
from voxbench.training.patches import Case, Patches
from voxbench.training.weights import FILE


def one_patch(name):
    """Bone or none, and what a blur leaves of it."""
    shape = (16, 16, 1) if dimensions_of(name) == 2 else (12, 12, 12)
    texture = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(shape), 1)
    target = (texture > 0).astype(np.float32)
    case = Case("one", ndimage.gaussian_filter(target, 1.0)[None], target, np.ones(shape, bool))
    return Patches([case], 16, dimensions_of(name), 0.0, False, 0)


def lesson(name):
    critic = partial(build_critic, name) if build_critic(name) is not None else None
    return Lesson(partial(build, name, 1), one_patch(name), critic=critic)


def settings(steps, rate, **more):
    often = {"warm_up": min(10, steps - 1), "validate_every": 10_000, "save_every": 10_000}
    return TrainingConfig(
        **{"steps": steps, "batch": 1, "learning_rate": rate, "loss": "l1", "average": 0.9} | often | more
    )


@pytest.mark.parametrize(
    ("name", "steps", "rate", "reaches"),
    [
        ("srcnn", 400, 5e-3, 0.08),
        ("unet", 150, 3e-3, 0.02),
        ("esrgan", 120, 6e-3, 0.03),  # the last fifth against the discriminator
        ("swinir", 80, 5e-3, 0.02),
        ("unet3d", 200, 3e-3, 0.03),
    ],
)
def test_one_patch_is_learned_by_heart(tmp_path, name, steps, rate, reaches):
    source = one_patch(name)
    inputs, targets, _ = source.batch(0, [0])
    assert np.abs(inputs - targets).mean() > 0.19
    trained = train(lesson(name), settings(steps, rate, gan={"pretrain": 0.8}), tmp_path)
    with torch.inference_mode():
        found = trained.model(torch.from_numpy(inputs)).numpy()
    assert np.abs(found - targets).mean() < reaches
    if name == "esrgan":
        last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-2])
        assert {"loss", "adversarial", "critic"} < set(last)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("srcnn", "fp32"),
        ("unet", "fp32"),
        ("esrgan", "bf16"),
        ("swinir", "fp32"),
        ("swinir", "bf16"),
        ("unet3d", "fp32"),
    ],
)
def test_one_seed_gives_one_network(tmp_path, name, precision):
    files = []
    for run in ("a", "b"):
        train(lesson(name), settings(4, 1e-3, precision=precision, gan={"pretrain": 0.5}), tmp_path / run)
        files.append((tmp_path / run / FILE).read_bytes())
    assert files[0] == files[1]
