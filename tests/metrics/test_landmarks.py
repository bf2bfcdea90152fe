import numpy as np
import pytest

from voxbench.errors import GridMismatchError
from voxbench.metrics import label_centroids, landmark_errors, point_errors


def test_centroids_are_mean_indices_and_nan_where_a_label_is_absent():
    labels = np.random.default_rng(0).integers(0, 5, (4, 5, 6))
    found = label_centroids(labels, [3, 0, 9, 1, 3])
    for row, label in zip(found, (3, 0, 9, 1, 3), strict=True):
        expected = np.argwhere(labels == label).mean(axis=0) if label != 9 else np.full(3, np.nan)
        np.testing.assert_allclose(row, expected, rtol=1e-14)
    assert label_centroids(labels, []).shape == (0, 3)


def test_errors_are_distances_of_centroids_in_mm():
    fixed, warped = np.zeros((2, 8, 8, 8), np.int16)
    fixed[1, 1, 1] = 1
    warped[1, 4, 5] = 1
    fixed[6, 6, 6] = fixed[6, 6, 7] = 2
    warped[6, 6, 6] = 2
    fixed[0, 0, 3] = 4
    found = landmark_errors(fixed, warped, spacing=(1.0, 1.0, 2.0))
    assert found.ids == (1, 2, 4)
    assert found.errors[:2].tolist() == [pytest.approx(np.sqrt(9 + 64)), pytest.approx(1.0)]
    assert found.lost == (4,)
    assert found.mean == pytest.approx((np.sqrt(73) + 1) / 2)
    assert landmark_errors(fixed, fixed).mean == 0


def test_no_landmarks_have_no_mean():
    empty = np.zeros((3, 3, 3), int)
    assert np.isnan(landmark_errors(empty, empty).mean)


def test_points_are_compared_in_order():
    found = point_errors(np.zeros((2, 3)), np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]]))
    assert found.errors.tolist() == [5.0, 2.0]
    with pytest.raises(GridMismatchError):
        point_errors(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(GridMismatchError):
        landmark_errors(np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int))
