"""Plans follow the data, fit the memory, and survive TOML."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.tasks.segmentation import Fingerprint, Normalisation, Plan, fingerprint, make_plan, read_plan, to_toml

LUMBAR = Fingerprint(((4.4, 0.6, 0.6),) * 3, ((80.0, 280.0, 280.0),) * 3, Normalisation(), 4)


def data(spacing, extent, classes=2):
    return Fingerprint((tuple(map(float, spacing)),), (tuple(map(float, extent)),), Normalisation(), classes)


@settings(max_examples=6, deadline=None)
@given(
    st.tuples(*[st.floats(0.3, 6)] * 3),
    st.tuples(*[st.integers(1, 300)] * 3),
    st.sampled_from(["laptop", "standard"]),
)
def test_any_data_gets_a_plan_that_fits(spacing, shape, preset):
    extent = tuple(s * n for s, n in zip(spacing, shape, strict=True))
    plan = make_plan(data(spacing, extent), 1500, preset)
    assert plan.cost.memory_mb <= 1500
    assert all(n % s == 0 for n, s in zip(plan.patch, np.prod(plan.strides, axis=0), strict=True))
    bottom = np.asarray(plan.patch) / np.prod(plan.strides, axis=0)
    halved = np.prod(plan.strides, axis=0) > 1
    assert (bottom[halved] >= 3).all()
    if preset == "laptop":
        assert plan.cost.gflop <= 80


def test_thick_slices_are_not_halved_before_the_others_are_as_coarse():
    plan = make_plan(LUMBAR, preset="standard")
    assert plan.spacing == (4.4, 0.6, 0.6)
    assert plan.strides[1:3] == ((1, 2, 2), (1, 2, 2))
    assert plan.kernels[0] == (1, 3, 3)
    assert plan.kernels[2] == (3, 3, 3)


def test_a_laptop_gets_larger_voxels_and_less_work():
    laptop, standard = make_plan(LUMBAR), make_plan(LUMBAR, preset="standard")
    assert laptop.spacing[0] == 4.4
    assert laptop.spacing[1] == laptop.spacing[2] > 1
    assert laptop.cost.gflop < standard.cost.gflop / 20


def test_a_single_slice_gets_flat_kernels():
    plan = make_plan(data((1, 1, 5), (256, 256, 5)))
    assert plan.patch[2] == 1
    assert all(kernel[2] == 1 for kernel in plan.kernels)


def test_the_spacing_of_thick_slices_is_a_low_percentile():
    spacings = tuple((0.5, 0.5, float(z)) for z in range(2, 13))
    plan = make_plan(Fingerprint(spacings, ((100.0,) * 3,) * 11, Normalisation(), 2), preset="standard")
    assert plan.spacing == (0.5, 0.5, 3.0)


def test_too_little_memory_is_refused():
    with pytest.raises(InputError, match="no patch fits the memory\n  given   1 MB\n  needed"):
        make_plan(LUMBAR, 1, "standard")


def test_a_plan_is_shown_with_what_it_takes():
    told = str(make_plan(LUMBAR))
    assert "MR, 4 classes; voxels 4.4 x 1.11 x 1.11 mm, patch 16 x 112 x 112 (70 x 124 x 124 mm), 2 a batch" in told
    assert "an update takes about" in told
    assert make_plan(LUMBAR).cost.seconds(40.0) == pytest.approx(make_plan(LUMBAR).cost.gflop / 40)


def test_toml_and_back(tmp_path):
    plan = make_plan(LUMBAR)
    path = tmp_path / "plan.toml"
    path.write_text(to_toml(plan))
    assert read_plan(path) == plan
    assert "patch = [16, 112, 112]  # What the network sees at once, voxels.\n" in to_toml(plan)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("patch = [16, 112, 112]", "patch = [16, 112, 100]"), "patch must be a multiple of all strides together"),
        (("batch = 2", "batch = 0"), "batch: Input should be greater than or equal to 1"),
        (("batch = 2", "btach = 2"), "btach: Extra inputs are not permitted"),
        (("batch = 2", "batch 2"), "not TOML: Expected '='"),
    ],
)
def test_a_spoiled_plan_is_refused_by_name(tmp_path, change, told):
    path = tmp_path / "plan.toml"
    path.write_text(to_toml(make_plan(LUMBAR)).replace(*change))
    with pytest.raises(InputError, match=r"plan\.toml: not a plan") as error:
        read_plan(path)
    assert told in str(error.value)


def test_stages_of_different_length_are_refused():
    with pytest.raises(ValidationError, match=r"must be of one length; they are \[1, 2, 2, 2\]"):
        Plan(
            spacing=(1, 1, 1), patch=(4, 4, 4), features=(4,), kernels=((3, 3, 3),) * 2,
            strides=((1, 1, 1),) * 2, blocks=(1, 1),
        )  # fmt: skip


def images(count=3):
    rng = np.random.default_rng(0)
    for n in range(count):
        grid = Grid.from_parts((20, 16, 4), (1.0, 1.0, 2.0 + n), direction=np.diag([-1.0, 1.0, -1.0]))
        labels = np.zeros(grid.shape, np.uint8)
        labels[5:10, 5:10] = 1
        labels[15:] = 255
        yield (
            Volume((rng.standard_normal(grid.shape) * 10 + 50 * labels).astype(np.float32), grid),
            LabelMap(labels, grid),
        )


def test_a_fingerprint_looks_at_the_foreground_alone():
    found = fingerprint(images(), 2, "ct")
    assert found.spacings == ((1, 1, 2), (1, 1, 3), (1, 1, 4))
    assert found.extents == ((20, 16, 8), (20, 16, 12), (20, 16, 16))
    assert found.normalisation.mean == pytest.approx(50, abs=2)
    assert found.normalisation.deviation == pytest.approx(10, abs=1.5)
    assert 20 < found.normalisation.low < 30
    assert fingerprint(images(), 2, "mr").normalisation == Normalisation(modality="mr")


def test_nothing_to_plan_from_is_refused():
    with pytest.raises(EmptyShapeError, match="no case to plan from"):
        fingerprint([], 2, "mr")
    bare = [(volume, LabelMap(np.zeros_like(labels.array), labels.grid)) for volume, labels in images(1)]
    with pytest.raises(EmptyShapeError, match="no case has any foreground"):
        fingerprint(bare, 2, "ct")


def test_mr_looks_alike_whatever_its_scale_and_its_padding():
    rng = np.random.default_rng(0)
    image = np.zeros((16, 16, 16))
    image[4:12] = 100 + 20 * rng.random((8, 16, 16))
    normalise = Normalisation(modality="mr")
    once = normalise(image)
    np.testing.assert_allclose(normalise(3.7 * image - 1000), once, atol=1e-5)
    assert once[4:12].mean() == pytest.approx(0, abs=0.02)
    assert once[4:12].std() == pytest.approx(1, abs=0.02)
    assert np.isfinite(normalise(np.full((4, 4, 4), 7.0))).all()


def test_ct_is_clipped_shifted_and_scaled():
    found = Normalisation(modality="ct", low=-100, high=200, mean=50, deviation=30)(np.array([[[-500.0, 50, 80, 900]]]))
    np.testing.assert_allclose(found, [[[-5, 0, 1, 5]]])
