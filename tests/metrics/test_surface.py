import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from voxbench.errors import GridMismatchError
from voxbench.metrics import label_boxes, surface_distances
from voxbench.metrics.surface_elements import element_areas, neighbour_codes

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "surface_distances.json").read_text())["cases"]
CORNERS = list(itertools.product((0, 1), repeat=3))


def unpacked(case, which):
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(case[which]), np.uint8), count=int(np.prod(case["shape"])))
    return bits.reshape(case["shape"]).astype(bool)


def slow_codes(mask):
    """Cell by cell, voxel by voxel."""
    codes = {}
    for cell in itertools.product(*(range(n + 1) for n in mask.shape)):
        code = 0
        for a, b, c in CORNERS:
            voxel = (cell[0] - 1 + a, cell[1] - 1 + b, cell[2] - 1 + c)
            inside = all(0 <= v < n for v, n in zip(voxel, mask.shape, strict=True)) and mask[voxel]
            code |= int(inside) << (7 - (4 * a + 2 * b + c))
        codes[cell] = code
    return codes


def slow_hausdorff(first, second, spacing, percent):
    """Both lists of elements, all distances between them, and the weighted quantile counted out one by one."""
    areas = element_areas(spacing)
    sides = []
    for mask in (first, second):
        codes = {cell: code for cell, code in slow_codes(mask).items() if 0 < code < 255}
        sides.append((np.array(list(codes)).reshape(-1, 3) * spacing, areas[list(codes.values())]))
    if not len(sides[0][0]) or not len(sides[1][0]):
        return float("inf")
    worst = 0.0
    for (here, weights), (there, _) in (sides, sides[::-1]):
        nearest = sorted(zip(cdist(here, there).min(axis=1), weights, strict=True))
        total, seen = sum(w for _, w in nearest), 0.0
        for distance, weight in nearest:
            seen += weight
            if seen / total >= percent / 100 - 1e-12:
                worst = max(worst, distance)
                break
    return worst


def code_of(corners):
    return sum(1 << (7 - (4 * a + 2 * b + c)) for a, b, c in corners)


# ---- areas --------------------------------------------------------------------------------------------------------


def test_golden_masks_hold_all_256_neighbour_codes():
    found = {
        code for case in GOLDEN for m in ("first", "second") for code in np.unique(neighbour_codes(unpacked(case, m)))
    }
    assert found == set(range(256))


@pytest.mark.parametrize("case", GOLDEN, ids=range(len(GOLDEN)))
def test_golden_numbers_of_the_official_package_are_reproduced(case):
    spacing = tuple(case["spacing"])
    found = surface_distances(unpacked(case, "first"), unpacked(case, "second"), spacing)
    assert [w.sum() for _, w in (found.forward, found.backward)] == pytest.approx(case["areas"], rel=1e-12)
    assert found.directed_means == pytest.approx(case["means"], rel=1e-12)
    assert found.dice_at(1.0) == pytest.approx(case["dice_at_1mm"], rel=1e-12)
    for percent, value in case["hausdorff"].items():
        assert found.hausdorff(float(percent)) == pytest.approx(value, abs=1e-9)


def test_a_code_and_its_complement_have_one_area():
    areas = element_areas((1.0, 2.0, 3.0))
    np.testing.assert_array_equal(areas, areas[::-1])
    assert areas[0] == areas[255] == 0


@pytest.mark.parametrize("permutation", list(itertools.permutations(range(3))))
def test_turning_and_mirroring_the_cube_turns_the_spacing(permutation):
    spacing = (0.6, 1.0, 3.5)
    turned = element_areas(tuple(spacing[p] for p in permutation))
    for code in range(256):
        corners = [corner for corner in CORNERS if code >> (7 - (4 * corner[0] + 2 * corner[1] + corner[2])) & 1]
        image = code_of([tuple(1 - corner[p] for p in permutation) for corner in corners])
        if len(corners) in (1, 2, 6, 7) or permutation == (0, 1, 2):
            assert turned[image] == pytest.approx(element_areas(spacing)[code], rel=1e-12)


def test_areas_derived_by_hand():
    a, b, c = 1.0, 2.0, 3.0
    areas = element_areas((a, b, c))
    corner = np.sqrt((b * c) ** 2 + (a * c) ** 2 + (a * b) ** 2) / 8
    assert areas[code_of([(0, 0, 0)])] == pytest.approx(corner)
    assert areas[code_of([(0, 0, 0), (1, 1, 1)])] == pytest.approx(2 * corner)
    assert areas[code_of([(0, 0, 0), (0, 1, 1)])] == pytest.approx(2 * corner)  # kept apart
    assert areas[code_of([(0, 0, 0), (0, 0, 1)])] == pytest.approx(c * np.hypot(a, b) / 2)  # across an edge along k
    assert areas[code_of([(0, *bc) for bc in itertools.product((0, 1), repeat=2)])] == pytest.approx(b * c)
    # a corner with its three neighbours: a flat hexagon; three corners in an L: a rectangle and two small triangles
    assert element_areas((1.0, 1.0, 1.0))[code_of([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])] == pytest.approx(
        3 * np.sqrt(3) / 4
    )


def test_a_single_voxel_is_an_octahedron():
    one = np.ones((1, 1, 1), bool)
    found = surface_distances(one, one)
    assert found.forward[1].sum() == pytest.approx(np.sqrt(3))
    assert found.hausdorff() == 0
    assert found.dice_at(0) == 1


# ---- distances ----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 6)),
    st.sampled_from([(1.0, 1.0, 1.0), (0.7, 0.7, 0.7), (0.5, 1.25, 3.3)]),
    st.sampled_from([50.0, 95.0, 100.0]),
)
def test_hausdorff_distance_is_that_of_all_elements_compared_with_all(seed, shape, spacing, percent):
    rng = np.random.default_rng(seed)
    first, second = (rng.random(shape) < rng.choice([0.05, 0.4, 0.9]) for _ in range(2))
    found = surface_distances(first, second, spacing).hausdorff(percent)
    if not first.any() and not second.any():
        assert np.isnan(found)
    else:
        # Where the share is met exactly, rounding decides between two neighbours in the list: both are right.
        low, high = (slow_hausdorff(first, second, spacing, p) for p in (percent - 1e-7, min(100.0, percent + 1e-7)))
        assert low - 1e-9 <= found <= high + 1e-9


def test_codes_are_counted_from_the_corner_and_reach_one_beyond_the_mask():
    mask = np.random.default_rng(0).random((3, 4, 2)) < 0.5
    codes = neighbour_codes(mask)
    assert codes.shape == (4, 5, 3)
    assert {cell: int(codes[cell]) for cell in np.ndindex(codes.shape)} == slow_codes(mask)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_distances_are_symmetric_scale_with_the_spacing_and_ignore_where_the_masks_lie(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.random((2, 5, 4, 6)) < 0.3
    first[2, 2, 2] = second[1, 1, 1] = True
    plain = surface_distances(first, second, (1.0, 2.0, 1.5))
    back = surface_distances(second, first, (1.0, 2.0, 1.5))
    doubled = surface_distances(first, second, (2.0, 4.0, 3.0))
    moved = surface_distances(
        np.pad(first, ((3, 1), (0, 2), (1, 1))), np.pad(second, ((3, 1), (0, 2), (1, 1))), (1.0, 2.0, 1.5)
    )
    for percent in (50.0, 95.0, 100.0):
        assert plain.hausdorff(percent) == back.hausdorff(percent) == moved.hausdorff(percent)
        assert doubled.hausdorff(percent) == pytest.approx(2 * plain.hausdorff(percent))
    assert plain.assd == pytest.approx(back.assd)
    assert doubled.masd == pytest.approx(2 * plain.masd)


def test_two_parallel_planes_lie_their_distance_apart():
    first, second = np.zeros((2, 4, 40, 40), bool)
    first[:2], second[:3] = True, True
    found = surface_distances(first, second, (1.5, 1.0, 1.0))
    assert found.hausdorff(100) == 1.5
    assert found.hausdorff(40) == 0.0  # bottom and sides are shared


def test_assd_pools_what_masd_averages_apart():
    first, second = np.zeros((2, 12, 5, 5), bool)
    first[0, 0, 0] = True
    second[[0, 8], 0, 0] = True
    found = surface_distances(first, second)
    assert found.directed_means[0] == 0
    assert found.directed_means[1] == pytest.approx(
        (0 + 0 + 7 + 8) / 4
    )  # element layers 0, 1 on layers 0, 1; 8 and 9 far
    assert found.masd == pytest.approx(found.directed_means[1] / 2)
    assert found.assd == pytest.approx(found.directed_means[1] * 2 / 3)


def test_an_empty_mask_is_infinitely_far_and_two_are_undefined():
    some, none = np.ones((2, 2, 2), bool), np.zeros((2, 2, 2), bool)
    assert surface_distances(some, none).hausdorff(95) == float("inf")
    assert surface_distances(none, some).hausdorff(95) == float("inf")
    assert np.isnan(surface_distances(none, none).hausdorff(95))
    assert np.isnan(surface_distances(none, none).dice_at(1))
    assert surface_distances(some, none).dice_at(1) == 0


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(GridMismatchError, match="differ in shape"):
        surface_distances(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool))


def test_boxes_hold_every_label_tightly_background_included():
    labels = np.random.default_rng(0).integers(0, 6, (5, 6, 7)) * np.array([1, 0, 1, 1, 1])[:, None, None]
    boxes = label_boxes(labels)
    assert set(boxes) == set(np.unique(labels))
    for label, box in boxes.items():
        where = np.argwhere(labels == label)
        assert [(s.start, s.stop) for s in box] == list(zip(where.min(0), where.max(0) + 1, strict=True))
