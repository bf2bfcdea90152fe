"""Whole images: as if the network had seen all at once, at the image's own voxels, in bounded memory."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import torch

from voxbench.errors import EmptyShapeError, InputError, NotFiniteError
from voxbench.geometry import Grid, Volume
from voxbench.tasks.segmentation import Frame, predict
from voxbench.tasks.segmentation.frame import along, places
from voxbench.tasks.segmentation.predict import Segmenter, load_segmenter, memory_bound, network, write_classes
from voxbench.training.weights import save_weights


@pytest.fixture
def segmenter(small_plan):
    """Makes one with random weights, sharp enough that argmax has something to say."""

    def make(count=1, branches="one", mirror=False, overlap=0.5, **changes):
        plan = small_plan(**changes)
        models = []
        for seed in range(count):
            torch.manual_seed(seed)
            models.append(network(plan, branches).eval())
        return Segmenter(tuple(models), plan, mirror, overlap)

    return make


def volume(shape, seed=0, **parts):
    array = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return Volume(array, Grid.from_parts(shape, **parts))


class Everywhere(torch.nn.Module):
    """Logits that depend on the voxel alone, so that windows cannot matter."""

    def __init__(self, classes):
        super().__init__()
        self.slopes = torch.nn.Parameter(torch.linspace(-1, 1, classes).reshape(1, -1, 1, 1, 1))

    def forward(self, image):
        return ((self.slopes * image + self.slopes.square(),),)


def test_a_window_that_covers_the_image_gives_what_the_network_gives(segmenter):
    found = segmenter(count=2, branches="decoders", classes=3, maps=1, patch=(16, 16, 16))
    image = np.random.default_rng(0).standard_normal((16, 16, 16)).astype(np.float32)
    probabilities, maps = found.whole(image)
    with torch.inference_mode():
        heads = [branch[0] for model in found.models for branch in model(torch.from_numpy(image)[None, None])]
    wanted = torch.stack([head[0, :3].softmax(0) for head in heads]).mean(0).numpy()
    np.testing.assert_allclose(probabilities, wanted, atol=1e-6)
    np.testing.assert_allclose(maps, torch.stack([head[0, 3:] for head in heads]).mean(0).numpy(), atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 16, 16), (37, 21, 18), (7, 30, 5), (1, 1, 1)])
def test_windows_do_not_matter_where_the_network_looks_at_single_voxels(small_plan, shape):
    plan = small_plan(classes=4)
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    model = Everywhere(4)
    found, _ = Segmenter((model,), plan).whole(image)
    wanted = model(torch.from_numpy(image)[None, None])[0][0][0].softmax(0).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_mirroring_makes_the_answer_mirror_with_the_image(segmenter):
    found = segmenter(mirror=True)
    image = np.random.default_rng(0).standard_normal((16, 16, 16)).astype(np.float32)
    there, _ = found.whole(image)
    for axes in [(0,), (1, 2), (0, 1, 2)]:
        turned, _ = found.whole(np.flip(image, axes))
        np.testing.assert_allclose(np.flip(turned, [a + 1 for a in axes]), there, atol=1e-6)
    plain, _ = segmenter().whole(image)
    assert np.abs(plain - there).max() > 1e-3


@pytest.mark.parametrize("direction", [np.eye(3), np.eye(3)[[2, 0, 1]] * [-1, 1, -1], np.diag([-1.0, -1.0, 1.0])])
def test_classes_at_the_images_voxels_are_those_of_brute_force(segmenter, direction, monkeypatch):
    """All probabilities in memory, brought to the image's voxels, argmax; whatever the file's order of axes."""
    monkeypatch.setattr(predict, "CHUNK", 2000)  # many small chunks of rows
    found = segmenter(classes=3, spacing=(1.3, 0.8, 2.0), patch=(8, 16, 8))
    image = volume((21, 18, 25), spacing=(1.0, 1.0, 1.5), direction=direction)
    frame = Frame.of(image.grid, found.plan.spacing)
    probabilities, _ = found.whole(found.look(image, frame))
    at = [places(n, m) for n, m in zip(frame.shape, frame.ordered_shape, strict=True)]
    wanted = along(probabilities, at).argmax(axis=0)
    labels = found.segment(image)
    assert labels.grid.same_as(image.grid)
    assert labels.array.dtype == np.uint8
    assert set(labels.ids) == {1, 2}
    assert (frame.ordered(labels.array) == wanted).mean() > 0.999  # ties of float32 apart


def test_slabs_of_any_thickness_give_the_same_classes():
    rng = np.random.default_rng(0)
    probabilities = rng.random((3, 14, 6, 5)).astype(np.float32)
    for length, cuts in itertools.product((9, 14, 40), [(), (7,), (1, 2, 3, 13), tuple(range(1, 14))]):
        grid = Grid.from_parts((length, 6, 5), (14 / length, 1, 1))
        frame = Frame.of(grid, (1, 1, 1))
        out = np.full(grid.shape, 9, np.uint8)
        write_classes(iter(np.split(probabilities, cuts, axis=1)), frame, out)
        at = [places(14, length), np.arange(6.0), np.arange(5.0)]
        assert (out == along(probabilities, at).argmax(axis=0)).all()


def test_memory_stays_below_the_bound_and_does_not_grow_with_the_length(small_plan, monkeypatch):
    monkeypatch.setattr(predict, "CHUNK", 2**16)
    plan = small_plan(classes=8, patch=(8, 24, 24), spacing=(1, 1, 1))
    found = Segmenter((Everywhere(8),), plan)
    peaks = []
    for length in (40, 160):
        image = np.random.default_rng(0).standard_normal((length, 24, 24)).astype(np.float32)
        frame = Frame.of(Grid.from_parts((2 * length, 48, 48), (0.5, 0.5, 0.5)), plan.spacing)
        out = np.zeros((2 * length, 48, 48), np.uint8)
        tracemalloc.start()
        write_classes(found.working(image), frame, out)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        bound = memory_bound(plan, frame)
        assert peaks[-1] < bound
    assert bound < 4 * 8 * out.size / 5  # of all probabilities
    assert peaks[1] < 1.1 * peaks[0]


def test_a_run_is_read_back_and_others_are_refused(tmp_path, segmenter):
    found = segmenter(count=2, classes=3)
    for name, model, changes in [("a", 0, {}), ("b", 1, {}), ("c", 1, {"batch": 3}), ("d", 0, {})]:
        (tmp_path / name).mkdir()
        plan = found.plan.model_copy(update=changes)
        card = {"task": "segmentation", "plan": plan.model_dump(mode="json"), "branches": "one"}
        save_weights(tmp_path / name, found.models[model], card | ({"task": "other"} if name == "d" else {}))
    image = volume((16, 16, 16))
    read = load_segmenter([tmp_path / "a", tmp_path / "b"])
    assert (read.segment(image).array == found.segment(image).array).all()
    with pytest.raises(InputError, match="networks of different plans cannot be averaged"):
        load_segmenter([tmp_path / "a", tmp_path / "c"])
    with pytest.raises(InputError, match="not a segmentation network\n  its task  other"):
        load_segmenter([tmp_path / "d"])


def test_images_without_content_are_refused(segmenter):
    image = volume((8, 8, 8))
    holes = image.array.copy()
    holes[0] = np.inf
    with pytest.raises(NotFiniteError, match="the image: 64 of 512 voxels"):
        segmenter().segment(Volume(holes, image.grid))
    with pytest.raises(EmptyShapeError, match="the image: every voxel is 3"):
        segmenter().segment(Volume(np.full((8, 8, 8), 3.0), image.grid))


def test_one_slice_and_needles_get_labels(segmenter):
    found = segmenter()
    for shape, spacing in [((20, 18, 1), (1, 1, 5)), ((3, 3, 40), (5, 5, 1)), ((1, 1, 2), (1, 1, 1))]:
        image = volume(shape, spacing=spacing)
        assert found.segment(image).array.shape == shape
