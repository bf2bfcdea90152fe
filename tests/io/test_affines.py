"""Affine files of every kind give the same map of RAS+ points."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.io
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st

from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Affine
from voxbench.io.affines import read_affine, write_affine

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
MATRIX = np.array([[1.1, 0.1, -0.2, 5.0], [0.0, 0.9, 0.3, -7.0], [0.05, -0.1, 1.0, 2.5], [0, 0, 0, 1.0]])


@given(st.lists(st.floats(-50, 50), min_size=12, max_size=12))
def test_json_gives_every_bit_back(tmp_path_factory, numbers):
    matrix = np.vstack([np.array(numbers).reshape(3, 4) + 200 * np.eye(3, 4), (0, 0, 0, 1)])
    path = tmp_path_factory.mktemp("affine") / "a.json"
    write_affine(path, Affine(matrix))
    np.testing.assert_array_equal(read_affine(path).matrix, matrix)


def test_json_says_what_it_is(tmp_path):
    write_affine(tmp_path / "a.json", Affine(MATRIX))
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == {"moving_from_fixed": MATRIX.tolist(), "unit": "mm", "world": "RAS+"}


@pytest.mark.parametrize("rows", [3, 4])
@pytest.mark.parametrize("separator", [" ", ",", "\t", "  "])
def test_a_matrix_as_text_is_taken_as_it_stands(tmp_path, rows, separator):
    lines = [separator.join(repr(float(v)) for v in row) for row in MATRIX[:rows]]
    (tmp_path / "a.mat").write_text("\n".join(lines) + "\n\n")
    affine = read_affine(tmp_path / "a.mat")
    np.testing.assert_array_equal(affine.matrix, MATRIX)
    assert affine.name == "moving_from_fixed"


def itk_affine(matrix_ras, centre):
    """ITK's transform for a map of RAS+ points, turned about some centre."""
    lps = LPS @ matrix_ras @ LPS
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetCenter(centre)
    transform.SetTranslation((lps[:3, 3] - np.array(centre) + lps[:3, :3] @ np.array(centre)).tolist())
    return transform


@pytest.mark.parametrize("suffix", [".txt", ".tfm", ".mat"])
@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.0), (30.0, -20.0, 11.0)])
def test_itk_s_affine_is_turned_from_lps_to_ras(tmp_path, suffix, centre):
    path = tmp_path / f"a{suffix}"
    SimpleITK.WriteTransform(itk_affine(MATRIX, centre), str(path))
    np.testing.assert_allclose(read_affine(path).matrix, MATRIX, atol=1e-12)


def test_itk_s_rigid_and_chained_transforms_are_read(tmp_path):
    rigid = SimpleITK.Euler3DTransform((3.0, 4.0, 5.0), 0.1, -0.2, 0.3, (1.0, 2.0, 3.0))
    chain = SimpleITK.CompositeTransform([rigid, itk_affine(MATRIX, (0.0, 0.0, 0.0))])
    for transform in (rigid, chain):
        SimpleITK.WriteTransform(transform, str(tmp_path / "a.tfm"))
        point = np.array([12.0, -7.0, 30.0])
        expected = np.array(transform.TransformPoint((LPS[:3, :3] @ point).tolist()))
        np.testing.assert_allclose(read_affine(tmp_path / "a.tfm")(point), LPS[:3, :3] @ expected, atol=1e-10)


def test_ants_matlab_file_of_twelve_numbers_is_read(tmp_path):
    lps = LPS @ MATRIX @ LPS
    numbers = np.concatenate([lps[:3, :3].ravel(), lps[:3, 3]])[:, None]
    content = {"AffineTransform_double_3_3": numbers, "fixed": np.zeros((3, 1))}
    scipy.io.savemat(tmp_path / "0GenericAffine.mat", content, format="4")
    np.testing.assert_allclose(read_affine(tmp_path / "0GenericAffine.mat").matrix, MATRIX, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.txt", "1 0 0\n0 1 0\n0 0 1\n", FileReadError, "expected 4 rows of 4 numbers"),
        ("a.txt", "1 0 0 0\n0 1 0\n", FileReadError, "expected 4 rows of 4 numbers"),
        ("a.txt", "hello\n", FileReadError, "neither a matrix"),
        ("a.txt", "", FileReadError, "empty"),
        ("a.json", "[]", FileReadError, "'moving_from_fixed' is missing"),
        ("a.json", '{"moving_from_fixed": [["a"]]}', FileReadError, "expected 4 rows of 4 numbers"),
        ("a.txt", "1 0 0 0\n0 1 0 0\n0 0 0 0\n0 0 0 1\n", InputError, "not invertible"),
        ("a.txt", "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 1 1\n", InputError, "the last row must be 0 0 0 1"),
        ("a.txt", "1 0 0 nan\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", InputError, "not an affine map"),
    ],
)
def test_what_is_no_affine_map_is_refused_by_file(tmp_path, name, content, error, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message) as caught:
        read_affine(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path}/{name}: ")


def test_a_transform_that_bends_is_refused(tmp_path):
    SimpleITK.WriteTransform(SimpleITK.BSplineTransform(3), str(tmp_path / "a.tfm"))
    with pytest.raises(FileReadError, match="not an affine map of three dimensions but BSplineTransform"):
        read_affine(tmp_path / "a.tfm")
