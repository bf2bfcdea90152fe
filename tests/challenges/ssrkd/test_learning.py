"""SSR-KD's three stages learn, from the right pixels and voxels, and go on where they were interrupted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxbench.challenges.ssrkd.learning import Guides, lesson, load_stage  # noqa: E402
from voxbench.challenges.ssrkd.learning_data import read_knees  # noqa: E402
from voxbench.challenges.ssrkd.learning_points import Box, Look, within  # noqa: E402
from voxbench.challenges.ssrkd.learning_student import enter_radiographs, logits_on_radiographs  # noqa: E402
from voxbench.challenges.ssrkd.learning_teacher import enter_ct, labelled_points, logits_in_ct  # noqa: E402
from voxbench.challenges.ssrkd.stages import STAGES, learned  # noqa: E402
from voxbench.challenges.ssrkd.trained import trained_from_ct, trained_from_radiographs  # noqa: E402
from voxbench.errors import InputError  # noqa: E402
from voxbench.io import read_volume  # noqa: E402
from voxbench.models.ct_teacher import build_teacher_pair  # noqa: E402
from voxbench.models.xray_bones import build_segmenter_pair  # noqa: E402
from voxbench.training.config import TrainingConfig  # noqa: E402
from voxbench.training.loop import CHECKPOINT, train  # noqa: E402
from voxbench.training.weights import FILE  # noqa: E402


@pytest.fixture(scope="module")
def knees(knee_folder):
    """The same, to learn from."""
    cache = knee_folder.parent / "cache"
    cache.mkdir()
    return read_knees(knee_folder, STAGES, cache)


def settings(**changes):
    values = {"steps": 30, "batch": 1, "patch": 16, "warm_up": 2, "save_every": 10, "validate_every": 1000}
    return TrainingConfig(**values | {"learning_rate": 3e-3} | changes)


def guides():
    torch.manual_seed(0)
    return Guides(build_teacher_pair("laptop"), build_segmenter_pair("laptop"), {"segmenter": "s" * 64, "teacher": "t"})


def made(knees, stage, training):
    config = learned(stage, "laptop", 100).model_copy(update={"shortest": 0.7})
    cache = knees.train[0].cache
    return lesson(knees, config, training, guides() if stage == "student" else None, cache)


def test_knees_are_split_as_the_folder_says_and_paired_by_their_angles(knees):
    assert [len(group) for group in (knees.train, knees.validation, knees.unlabelled)] == [2, 1, 1]
    assert knees.pairs == ((0, 1), (0, 3), (2, 1), (2, 3))


@pytest.mark.parametrize("stage", STAGES)
def test_a_row_of_a_batch_depends_on_seed_step_and_row_alone(knees, stage):
    source = made(knees, stage, settings()).source
    together, alone = source.batch(7, [0, 1, 2]), source.batch(7, [2])
    for many, one in zip(together, alone, strict=True):
        np.testing.assert_array_equal(many[2:], one)
    assert any(not np.array_equal(a, b) for a, b in zip(alone, source.batch(8, [2]), strict=True))
    assert any(not np.array_equal(a[:1], a[1:2]) for a in together)


@pytest.mark.parametrize(("rows", "mirrored"), [((0, 32), False), ((5, 29), False), ((3, 32), True)])
@pytest.mark.parametrize("pair", [(0, 1), (2, 3)])
def test_points_of_bones_fall_on_the_shadows_however_one_looks(knees, rows, mirrored, pair):
    knee = knees.train[0]
    look = Look(pair, rows, mirrored)
    shadows = look.images(knee.shadows)
    pixels = look.pixels(knee.world_from_stored(np.asarray(knee.inside, np.float64)), knee.views)
    height, width = shadows.shape[1:]
    at = np.floor((pixels + 1) / 2 * [height, width]).astype(int)
    seen = ((at >= 0) & (at < [height, width])).all(axis=-1).all(axis=0)
    assert seen.mean() > 0.5
    for shadow, (row, col) in zip(shadows, np.moveaxis(at[:, seen], -1, 1), strict=True):
        assert shadow[row, col].mean() > 0.93  # the rest within a pixel of the outline
        outside = 1 - shadow[row, width - 1 - col].mean()
        assert outside > 0.07  # the other way round they do not


def test_points_lie_where_the_ct_is_bone_and_boxes_keep_them_there(knees):
    knee = knees.train[0]
    with np.load(knee.files.labels) as held:
        labels = held["arr_0"]
    whole = Box((0, 0, 0), 32, (32, 32, 32))
    at = np.floor((whole.local(knee.inside) + 1) / 2 * 32).astype(int)
    assert np.mean(labels[tuple(at.T)] == knee.bones) > 0.75
    box = Box((4, 8, 2), 16, (32, 32, 32))
    local = box.local(knee.inside)
    kept = (np.abs(local) < 1).all(axis=1)
    at = np.floor((local[kept] + 1) / 2 * 16).astype(int)
    assert np.mean(box.cut(labels)[tuple(at.T)] == knee.bones[kept]) > 0.75
    np.testing.assert_allclose(box.stored(local), knee.inside, atol=1e-6)


def test_mirrored_boxes_carry_their_points_along(knees):
    source = made(knees, "teacher", settings(patch=16)).source
    bright = []
    for step in range(6):
        volumes, places, labels, _, _ = source.batch(step, range(2))
        for volume, some, of_bone in zip(volumes[:, 0], places, labels, strict=True):
            at = np.clip(np.floor((some + 1) / 2 * 16).astype(int), 0, 15)
            values = volume[tuple(at.T)]
            bright.append(np.mean(values[of_bone > 0]) - np.mean(values[of_bone == 0]))
    assert min(bright) > 0


def test_what_lies_beside_the_shadows_is_dimmed_by_half(knees):
    knee = knees.train[0]
    look = Look((0, 1), (0, 32))
    dimmed, plain = np.moveaxis(enter_radiographs(look, knee.radiographs, knee.shadows), 1, 0)
    np.testing.assert_allclose(plain, 6 * knee.radiographs[:2], rtol=1e-6)
    np.testing.assert_allclose(dimmed, plain * np.where(knee.shadows[:2] > 0, 1, 0.5), rtol=1e-6)


def loss_of(task, model, step):
    batch = tuple(torch.from_numpy(array) for array in task.source.batch(step, range(2)))
    model.train()
    with torch.no_grad():
        return float(task.objective(model, batch, 0.0)["loss"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_learns(knees, stage, tmp_path):
    training = settings(validate_every=30)
    task = made(knees, stage, training)
    torch.manual_seed(0)
    before = loss_of(task, task.build(), 1000)
    done = train(task, training, tmp_path)
    assert loss_of(task, done.model, 1000) < 0.8 * before
    assert done.best is not None
    assert 0 <= done.best <= 1


class StoppedError(Exception):
    """Stands for whatever ends a run."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_was_interrupted_ends_with_the_same_bytes(knees, stage, tmp_path):
    training = settings(steps=8, save_every=3)
    train(made(knees, stage, training), training, tmp_path / "whole")
    task = made(knees, stage, training)

    class Stops:
        """Fails between two checkpoints."""

        def batch(self, step, rows):
            if step == 5:
                raise StoppedError
            return task.source.batch(step, rows)

    with pytest.raises(StoppedError):
        train(replace(task, source=Stops()), training, tmp_path / "parts")
    told = []
    train(made(knees, stage, training), training, tmp_path / "parts", told.append)
    assert told[0] == "going on after 3 of 8 updates"
    for name in (FILE, CHECKPOINT):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.fixture(scope="module")
def run(knees, tmp_path_factory):
    """All stages, trained for two updates."""
    out = tmp_path_factory.mktemp("run")
    for stage in STAGES:
        training = settings(steps=2, warm_up=1)
        train(made(knees, stage, training), training, out / stage)
    return out


def test_points_of_the_world_are_answered_as_those_of_the_training(knees, run):
    knee = knees.train[0]
    stored, _ = labelled_points(knee, 200)
    world = knee.world_from_stored(stored.astype(np.float64))
    found = trained_from_radiographs(run, knee.radiographs[:2], knee.views[:2])
    student, _ = load_stage(run / "student", "student")
    look = Look((0, 1), (0, 32))
    assert found.shadows is not None
    images = enter_radiographs(look, np.asarray(knee.radiographs[:2]), found.shadows)
    with torch.no_grad():
        maps = student.encode(torch.from_numpy(images)[None])
    pixels = look.pixels(world, knee.views)
    seen = within(pixels)
    assert 0.9 < seen.mean() < 1  # a corner of the cube falls beside a detector
    answers = found.margins(world)
    np.testing.assert_allclose(answers[seen], logits_on_radiographs(student, maps, pixels)[seen], atol=1e-5)
    assert (answers[~seen].argmax(axis=1) == 0).all()
    assert found.margins(np.array([[0.0, 5000, 0], [9000, 0, 0]])).argmax(axis=1).tolist() == [0, 0]
    assert (found.low < -100).all()
    assert (found.high > 100).all()


def test_a_ct_in_hu_is_answered_as_that_of_the_training(knees, run, knee_folder):
    knee = knees.train[0]
    stored, _ = labelled_points(knee, 200)
    world = knee.world_from_stored(stored.astype(np.float64))
    teacher = load_stage(run / "teacher", "teacher")[0].a
    with torch.no_grad():
        maps = teacher.encode(torch.from_numpy(enter_ct(knee.ct)[None]))
    wanted = logits_in_ct(teacher, maps, stored)
    found = trained_from_ct(run, read_volume(knee_folder / "hu" / f"{knee.case}.nii.gz"))
    np.testing.assert_allclose(found.margins(world), wanted, atol=1e-3)
    np.testing.assert_allclose(found.low, -128)
    np.testing.assert_allclose(found.high, 128)
    assert found.margins(np.array([[0.0, 0, 129]])).argmax() == 0


def test_weights_of_another_stage_and_pixels_of_another_size_are_refused(knees, run):
    knee = knees.train[0]
    with pytest.raises(InputError, match=r"not the weights of SSR-KD's teacher\n  its task  .*student"):
        load_stage(run / "student", "teacher")
    wide = replace(knee.views[0], pixel_mm=(20.0, 20.0))
    with pytest.raises(InputError, match=r"(?s)pixels of another size.*learned  9.2.*given    20"):
        trained_from_radiographs(run, knee.radiographs[:2], (wide, wide))
    with pytest.raises(InputError, match="two radiographs"):
        trained_from_radiographs(run, knee.radiographs[:1], knee.views[:1])
