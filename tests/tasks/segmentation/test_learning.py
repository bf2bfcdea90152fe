"""It learns, repeats to the byte, and leaves alone what nobody told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from voxbench.errors import EmptyShapeError, UsageError
from voxbench.geometry import Grid, Volume
from voxbench.models.partial import IGNORED
from voxbench.tasks.segmentation import Drawing, Sample
from voxbench.tasks.segmentation.learning import Course, Learning, Objective, case_dice, segmentation_lesson, validated
from voxbench.tasks.segmentation.predict import load_segmenter, network
from voxbench.training.config import TrainingConfig
from voxbench.training.loop import train

STRATEGIES = ["ignore", "background", "foreground", "positive-unlabelled", "cross", "decoders"]


def config(**changes):
    return TrainingConfig(
        **{"steps": 30, "batch": 1, "warm_up": 5, "validate_every": 30, "learning_rate": 3e-2, "average": 0.8} | changes
    )


def test_balls_are_learned_and_found_in_whole_images(tmp_path, samples, small_plan):
    plan = small_plan(patch=(24, 24, 24))
    course = Course(samples(range(3)), samples([10]), plan, drawing=Drawing(foreground=0.5), about={"licence": "none"})
    lesson = segmentation_lesson(course)
    torch.manual_seed(0)
    before = lesson.validate(lesson.build())["Dice"]
    trained = train(lesson, config(), tmp_path)
    assert trained.best > 0.75 > 0.4 > before
    card = json.loads((tmp_path / "weights.json").read_text())
    assert card["plan"] == plan.model_dump(mode="json")
    assert card["cases"] == ["ball 0", "ball 1", "ball 2"]
    assert card["licence"] == "none"
    assert card["made_images"] == 0
    (held,) = course.held_out
    image = Volume(np.asarray(held.image), Grid.from_parts(held.image.shape))
    found = load_segmenter([tmp_path]).segment(image).array
    assert case_dice(held.labels, found)[1] > 0.7


def unknown(sample, share=0.7):
    """The same case with most voxels unknown."""
    labels = sample.labels.copy()
    labels[np.random.default_rng(0).random(labels.shape) < share] = IGNORED
    return replace(sample, labels=labels)


@pytest.mark.parametrize("strategy", ["decoders"])
def test_a_run_goes_on_to_the_same_bytes(tmp_path, samples, small_plan, strategy):
    plan = small_plan(patch=(8, 8, 8), maps=1)
    cases = tuple(replace(unknown(s), maps=np.asarray(s.image)[None]) for s in samples(range(2)))
    lesson = segmentation_lesson(Course(cases, (), plan, Learning(strategy=strategy)))
    settings = config(steps=8, warm_up=2, save_every=3)
    train(lesson, settings, tmp_path / "whole")

    class Stops:
        def batch(self, step, rows):
            if step == 5:
                raise KeyboardInterrupt
            return lesson.source.batch(step, rows)

    with pytest.raises(KeyboardInterrupt):
        train(replace(lesson, source=Stops()), settings, tmp_path / "parts")
    train(lesson, settings, tmp_path / "parts")
    for name in ("weights.safetensors", "checkpoint.safetensors"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_gives_finite_losses_and_gradients(samples, small_plan, strategy):
    plan = small_plan(patch=(8, 8, 8), classes=3)
    cases = tuple(unknown(s) for s in samples(range(2), classes=3))
    learning = Learning(strategy=strategy)
    lesson = segmentation_lesson(Course(cases, (), plan, learning))
    model = lesson.build().train()
    batch = tuple(torch.from_numpy(array) for array in lesson.source.batch(0, range(2)))
    losses = lesson.objective(model, batch, 0.5)
    own = {strategy} - {"ignore", "background"}
    assert set(losses) == {"loss", "supervised", *own}
    expected = losses["supervised"] + sum(0.5 * losses[name] for name in own)
    assert float(losses["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    losses["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


class Given(torch.nn.Module):
    """Logits that are weights, so that their gradients can be seen."""

    def __init__(self, shape, branches):
        super().__init__()
        self.logits = torch.nn.ParameterList([torch.randn(shape) for _ in range(branches)])

    def forward(self, image):
        return tuple((logits, logits[:, :, ::2, ::2, ::2]) for logits in self.logits)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_only_strategies_that_say_so_learn_from_unknown_voxels(strategy):
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 8, 8))
    labels[:, 4:] = IGNORED
    model = Given((2, 3, 8, 8, 8), 2)
    batch = (
        torch.zeros(2, 1, 8, 8, 8),
        labels.to(torch.uint8),
        torch.ones(2, 3, dtype=torch.bool),
        torch.tensor([0.3, 0.6]),
        torch.zeros(2, 0, 8, 8, 8),
    )
    Objective(Learning(strategy=strategy), 3)(model, batch, 1.0)["loss"].backward()
    there = model.logits[0].grad[:, :, 4:]
    assert bool(there.any()) == (strategy != "ignore")
    assert model.logits[0].grad[:, :, :4].any()


def test_maps_are_learned_where_something_is_known():
    torch.manual_seed(0)
    labels = torch.zeros((1, 8, 8, 8), dtype=torch.uint8)
    labels[:, :, 4:] = IGNORED
    model = Given((1, 3, 8, 8, 8), 1)
    maps = torch.randn(1, 1, 8, 8, 8)
    batch = (torch.zeros(1, 1, 8, 8, 8), labels, torch.ones(1, 2, dtype=torch.bool), torch.zeros(1), maps)
    losses = Objective(Learning(maps=2.0), 2)(model, batch, 0.0)
    difference = (model.logits[0][:, 2:] - maps)[:, :, :, :4].detach().abs()
    smooth = torch.where(difference < 1, difference**2 / 2, difference - 0.5)
    assert float(losses["maps"].detach()) == pytest.approx(float(smooth.mean()), rel=1e-5)
    losses["loss"].backward()
    assert not model.logits[0].grad[:, :, :, 4:].any()
    assert model.logits[0].grad[:, 2, :, :4].all()


def test_cases_that_draw_different_classes_teach_both(small_plan, samples):
    """The case that draws only class 1 says nothing against class 2, in training and in validation."""
    full, half = samples([1], classes=3)[0], samples([2], classes=3)[0]
    half = replace(half, labels=np.where(half.labels == 2, 0, half.labels), annotated=(True, True, False))
    lesson = segmentation_lesson(Course((full, half), (), small_plan(classes=3)))
    assert lesson.objective.some
    told = lesson.source.batch(0, range(8))[2]
    assert set(map(tuple, told.tolist())) == {(True, True, True), (True, True, False)}

    class Sees(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(20.0))

        def forward(self, image):
            return ((self.weight * torch.cat([torch.ones_like(image), image, -image], dim=1),),)

    found = validated([full, half], small_plan(classes=3), Sees())
    assert found["Dice of 1"] > 0.6
    assert found["Dice of 2"] > 0.6  # of the full case alone


def test_dice_counts_known_voxels_and_drawn_classes():
    labels = np.array([[[0, 1, 1, 2, IGNORED]]], np.uint8)
    given = np.array([[[0, 1, 3, 2, 1]]], np.uint8)
    assert case_dice(labels, given) == {1: pytest.approx(2 / 3), 2: 1, 3: 0}
    assert case_dice(labels, given, (True, True, False, True)) == {1: pytest.approx(2 / 3), 3: 0}


def test_lessons_that_make_no_sense_are_refused(samples, small_plan):
    cases = samples([1])
    with pytest.raises(UsageError, match="ball 1: to learn from and to validate on"):
        segmentation_lesson(Course(cases, cases, small_plan()))
    with pytest.raises(EmptyShapeError, match="bare: no image to validate on"):
        segmentation_lesson(Course(cases, (Sample("bare", cases[0].labels),), small_plan()))


def test_unknown_is_one_label_everywhere():
    from voxbench.tasks import segmentation

    assert segmentation.IGNORED == IGNORED


def test_the_network_of_a_plan_is_that_of_its_cost(small_plan):
    plan = small_plan(classes=5, maps=2)
    assert sum(p.numel() for p in network(plan).parameters()) == plan.cost.parameters
