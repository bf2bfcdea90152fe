"""SSR-KD's geometry file and scaling."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.challenges.ssrkd.geometry import (
    CONSISTENT,
    RELEASED,
    read_config,
    scaled,
    seed_scale,
    seen,
    stack_views,
    warning_of,
)
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Grid, Volume, line_integrals

CONFIG = """
# system
DSD: 2000 # mm
DSO: 1000 # mm
nDetector: [512, 512]
dDetector: [0.575, 0.575]
nVoxel: [512, 512, 512]
dVoxel: [0.5, 0.5, 0.5]
offOrigin: [0, 0, 0]
offDetector: [0, 0]
accuracy: 0.5
mode: cone
filter: null
"""


def config(tmp_path, *changes):
    text = CONFIG
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "config.yaml").write_text(text)
    return tmp_path / "config.yaml"


def test_the_released_file_is_read_as_it_is_and_warned_of(tmp_path):
    found = read_config(config(tmp_path))
    assert found.device == RELEASED
    assert (found.voxels, found.voxel_mm) == ((512, 512, 512), (0.5, 0.5, 0.5))
    assert seen(found.device) == pytest.approx(0.588, abs=0.002)
    warning = warning_of(found.device)
    assert warning is not None
    assert "59 %" in warning
    assert "ssrkd-consistent" in warning


def test_the_consistent_geometry_sees_the_whole_volume():
    assert warning_of(CONSISTENT) is None
    assert CONSISTENT.field_of_view_mm == pytest.approx((256, 256))
    assert CONSISTENT.source_to_isocentre_mm == pytest.approx(1739.13, abs=0.01)


def test_offsets_of_the_detector_count_along_u_and_upwards(tmp_path):
    device = read_config(config(tmp_path, ("offDetector: [0, 0]", "offDetector: [4, 6]"))).device
    assert device.offset_mm == (-6, 4)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ([("DSD: 2000", "DSD: 2.0"), ("DSO: 1000", "DSO: 1.0")], InputError, "metres: give mm, 2000"),
        ([("DSD: 2000", "DSD: 2000000"), ("DSO: 1000", "DSO: 1000000")], InputError, "micrometres: give mm, 2000"),
        ([("0.575, 0.575", "575, 575")], InputError, "micrometres: give mm, 0.575"),
        ([("DSO: 1000", "DSO: 2500")], InputError, "isocentre must lie between"),
        ([("DSD: 2000", "")], FileReadError, "DSD: missing"),
        ([("mode: cone", "mode: parallel")], InputError, "parallel; only cone"),
        ([("[512, 512]\ndDet", "512\ndDet")], FileReadError, "nDetector: 2 numbers in brackets"),
        ([("DSD: 2000", "DSD: [2000")], FileReadError, "not YAML"),
    ],
)
def test_a_file_in_another_unit_or_without_a_geometry_is_refused(tmp_path, changes, error, said):
    with pytest.raises(error, match=said):
        read_config(config(tmp_path, *changes))


def test_no_file_and_no_mapping_are_refused(tmp_path):
    with pytest.raises(FileReadError, match="cannot be read"):
        read_config(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(FileReadError, match="no geometry"):
        read_config(tmp_path / "list.yaml")


def test_projections_are_scaled_as_the_organisers_are():
    # A cube of 500 HU and more, 0.1 m long, is 1 along 0.1 m.
    grid = Grid.from_parts((100, 100, 100), (1.0, 1.0, 1.0))
    ct = Volume(np.full(grid.shape, 700, np.int16), grid)
    (view,) = stack_views((0.0,), CONSISTENT, ct)
    image = seed_scale(line_integrals(scaled(ct), [view])[0])
    assert image.dtype == np.float32
    assert image.max() == pytest.approx(0.1, rel=2e-3)
    np.testing.assert_allclose(view.project(grid.centre), (255.5, 255.5), rtol=0, atol=1e-9)
    values = scaled(Volume(np.array([[[-500, -400, 50, 500, 900]]], np.int16), Grid.from_parts((1, 1, 5)))).array
    assert values.dtype == np.uint8
    assert values.ravel().tolist() == [0, 0, 128, 255, 255]
