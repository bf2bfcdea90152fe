"""A small network learns to follow one spine, and a training that is cut short ends with the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxbench.errors import InputError
from voxbench.models.iis import IisNetwork
from voxbench.tasks.instances import IisConfig
from voxbench.tasks.instances.iterative import OUTSIDE, cut, grey
from voxbench.tasks.instances.iterative_learning import IisCourse, IisObjective, iis_lesson, load_iis
from voxbench.tasks.instances.iterative_patches import IterativePatches, Spine, kinds_of
from voxbench.training import weights
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import train
from voxbench.training.weights import save_weights

SETTINGS = IisConfig(
    spacing=(4.0, 4.0, 4.0), patch=(16, 16, 16), width=8, least_seen_mm3=2000.0, beyond=4, border_voxels=1.0,
    voxel_weight=1e-2, l1_weight=0.1, square_weight=0.01, elastic=0.0, noise=0.0, blur=0.0, crop=0.0, nothing=0.2,
    search_mm3=8000.0, new_mm3=8000.0, fragment_mm3=4000.0,
)  # fmt: skip


def spine(told=(True, True, True)) -> Spine:
    """Three vertebrae with discs below them and a canal behind, all of other grey values."""
    ids = np.zeros((12, 16, 36), np.uint8)
    for number in range(1, 4):
        ids[2:10, 6:14, 12 * number - 10 : 12 * number - 1] = number
        ids[2:10, 6:14, 12 * number - 13 : 12 * number - 10] = 200 + number
    ids[4:8, 1:4, 1:35] = 100
    image = np.select([ids > 200, ids == 100, ids > 0], [0.35, 1.0, 0.7], 0)
    image = image + np.random.default_rng(0).normal(0, 0.02, ids.shape)
    return Spine("a", ids, image.astype(np.float16), (4.0, 4.0, 4.0), told)


def settings(**changes) -> TrainingConfig:
    return TrainingConfig(**{"steps": 240, "batch": 2, "warm_up": 10, "learning_rate": 1e-2} | changes)


def looked_for(look, one, number, middle):
    """Dice of what a look around a place finds with every vertebra: the true ones before ``number`` are remembered."""
    size = np.asarray(SETTINGS.patch)
    low = np.asarray(middle) - size // 2
    image = cut(grey(one.image), low, size, np.nan)
    vertebrae, discs, canal = kinds_of(cut(one.ids, low, size))
    before = [(kind > 0) & (kind < number) for kind in (vertebrae, discs)]
    patch = np.stack([np.where(np.isnan(image), OUTSIDE, image), *before]).astype(np.float32)
    masks = look(patch).masks > 0.5
    return [_dice(masks[0], vertebrae == n) for n in range(4)], _dice(masks[2], canal)


def _dice(one, other):
    return 2 * np.count_nonzero(one & other) / max(1, np.count_nonzero(one) + np.count_nonzero(other))


def test_a_small_network_learns_one_spine(tmp_path):
    one = spine()
    quick = SETTINGS.model_copy(update={"voxel_weight": 1e-3})
    train(iis_lesson(IisCourse((one,), (), quick)), settings(steps=120, learning_rate=2e-2, average=0.9), tmp_path)
    look = load_iis(tmp_path).look
    for number in (1, 2, 3):
        vertebrae, canal = looked_for(look, one, number, (6, 9, 12 * number - 6))
        assert vertebrae[number] > 0.8
        assert canal > 0.5
    first, second = (looked_for(look, one, number, (6, 9, 13))[0] for number in (1, 2))
    assert first[1] > first[2]
    assert second[2] > second[1]


def test_a_run_cut_short_ends_with_the_same_bytes(tmp_path):
    class StoppedError(Exception):
        pass

    class Cut(IterativePatches):
        def batch(self, step, rows):
            if step == 5:
                raise StoppedError
            return super().batch(step, rows)

    varied = SETTINGS.model_copy(update=dict.fromkeys(("elastic", "noise", "blur", "crop", "mirror"), 0.5))
    lesson = iis_lesson(IisCourse((spine(),), (), varied))
    short = settings(steps=8, warm_up=2, save_every=2)
    train(lesson, short, tmp_path / "whole")
    cut = IisCourse((spine(),), (), varied)
    broken = iis_lesson(cut)
    object.__setattr__(broken, "source", Cut(cut.spines, varied))
    with pytest.raises(StoppedError):
        train(broken, short, tmp_path / "cut")
    train(lesson, short, tmp_path / "cut")
    whole, again = (tmp_path / name / weights.FILE for name in ("whole", "cut"))
    assert whole.read_bytes() == again.read_bytes()


def test_what_is_not_told_of_has_no_part_in_the_loss():
    torch.manual_seed(0)
    network = IisNetwork(2)
    patches = IterativePatches([spine((True, False, True))], SETTINGS).batch(0, [0, 1])
    inputs, masks, counted, words = (torch.from_numpy(array) for array in patches)
    losses = [
        IisObjective(SETTINGS)(network, (inputs, some, counted, words), 0.5)["loss"]
        for some in (masks, torch.cat([masks[:, :1], 1 - masks[:, 1:2], masks[:, 2:]], dim=1))
    ]
    assert losses[0].item() == losses[1].item()


def test_false_finds_count_little_at_first():
    network = IisNetwork(2)
    batch = tuple(torch.from_numpy(a) for a in IterativePatches([spine()], SETTINGS).batch(0, [0]))
    empty = (batch[0], torch.zeros_like(batch[1]), *batch[2:])
    early, middle, late = (IisObjective(SETTINGS)(network, empty, done)["voxels"].item() for done in (0.0, 0.5, 1.0))
    assert early / late == pytest.approx((0.1 + 0.9 / (1 + np.exp(5))) / (0.1 + 0.9 / (1 + np.exp(-5))), rel=1e-4)
    assert middle / late == pytest.approx(0.55 / (0.1 + 0.9 / (1 + np.exp(-5))), rel=1e-4)


def test_weights_of_another_method_are_refused(tmp_path):
    save_weights(tmp_path, IisNetwork(2), {"task": "segmentation"})
    with pytest.raises(InputError, match="not a network that finds instances one by one\n  its task  segmentation"):
        load_iis(tmp_path)
