"""Patients stay together; parts stay by rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Grid, LabelMap
from voxbench.tasks.segmentation import Keep, keep_components, make_folds, read_folds, write_folds


@given(st.dictionaries(st.integers(0, 40).map(str), st.integers(0, 9).map(str), min_size=12), st.integers(0, 3))
def test_no_patient_is_on_both_sides_and_each_case_is_validated_on_once(patients, seed):
    if len(set(patients.values())) < 2:
        return
    folds = make_folds(patients, 2, seed)
    for fold in folds:
        assert not {patients[c] for c in fold.training} & {patients[c] for c in fold.validation}
        assert sorted((*fold.training, *fold.validation)) == sorted(patients)
    assert sorted(case for fold in folds for case in fold.validation) == sorted(patients)


def test_folds_are_of_about_equal_size_and_repeat():
    patients = {f"{p}_{s}": str(p) for p in range(20) for s in range(1 + p % 3)}
    folds = make_folds(patients, 5)
    sizes = [len(fold.validation) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert folds == make_folds(dict(reversed(patients.items())), 5)
    assert folds != make_folds(patients, 5, seed=1)


def test_folds_are_written_and_read(tmp_path):
    folds = make_folds({"a": "1", "b": "2", "c": "2"}, 2)
    write_folds(tmp_path / "folds.json", folds)
    assert read_folds(tmp_path / "folds.json") == folds


@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", '[{"training": ["a"]}]'])
def test_other_files_are_no_folds(tmp_path, content):
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(FileReadError, match=r"folds\.json: no folds; expected a list of"):
        read_folds(tmp_path / "folds.json")


def test_folds_by_hand_that_leak_are_refused(tmp_path):
    (tmp_path / "folds.json").write_text('[{"training": ["a", "b"], "validation": ["b"]}]')
    with pytest.raises(InputError, match="fold 0: to learn from and to validate on: b"):
        read_folds(tmp_path / "folds.json")


def test_more_folds_than_patients_are_refused():
    with pytest.raises(InputError, match="3 folds cannot be made of 2 patients"):
        make_folds({"a": "1", "b": "2", "c": "2"}, 3)


def parts():
    """Class 1: 8, 2 and 1 voxels of 2 mm^3; class 2: 3 voxels that touch by corners."""
    labels = np.zeros((12, 6, 6), np.int16)
    labels[0:2, 0:2, 0:2] = labels[5:7, 0, 0] = labels[11, 5, 5] = 1
    labels[4, 3, 3] = labels[5, 4, 4] = labels[6, 5, 5] = 2
    return LabelMap(labels, Grid.from_parts(labels.shape, (1.0, 1.0, 2.0)), {1: "node"})


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (Keep(), 11),
        (Keep(largest=True), 8),
        (Keep(minimum_mm3=4.0), 10),
        (Keep(minimum_mm3=4.1), 8),
        (Keep(largest=True, minimum_mm3=17.0), 0),
    ],
)
def test_parts_stay_by_rule_and_other_classes_are_not_touched(rule, left):
    found = keep_components(parts(), {1: rule, 3: Keep(largest=True)})
    assert (found.array == 1).sum() == left
    assert (found.array == 2).sum() == 3
    assert found.array.dtype == np.int16
    assert found.names == {1: "node"}


def test_corners_connect():
    assert (keep_components(parts(), {2: Keep(largest=True)}).array == 2).sum() == 3
