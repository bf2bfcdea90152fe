"""The whole evaluation against a slow transcription of the definitions, number by number."""

import itertools
import json

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial.distance import cdist

from voxbench.challenges.lumir25.cases import read_config
from voxbench.challenges.lumir25.evaluation import Lumir25Evaluation, evaluate, line
from voxbench.errors import FileReadError, JobError
from voxbench.metrics.surface_elements import element_areas

SHAPE = (9, 10, 8)
LABELS = [0, 1, 2, 3, 5, 77]
SEGMENTATION = [
    {"name": "Non-diffeomorphic Volumes", "metric": "ndv"},
    {"name": "DSC", "metric": "dice", "labels": LABELS},
    {"name": "HD95", "metric": "hd95", "labels": LABELS},
]
LANDMARKS = [
    {"name": "Non-diffeomorphic Volumes", "metric": "ndv"},
    {"name": "TRE_lm", "metric": "tre", "dest": "landmarks"},
]
FIRST = (("3455",), ("3454",))
SECOND = (("3456",), ("3455",))
SHORT = (("4023", "0000"), ("3454", "0001"))
LONG = (("4023", "0000"), ("3454", "0002"))


def key(ids):
    return ids if len(ids) == 2 else (ids[0], "0000")


# ---- the definitions, slowly --------------------------------------------------------------------------------------


def slow_warp(labels, u):
    return map_coordinates(labels.astype(np.float64), np.indices(u.shape[1:]) + u.astype(np.float64), order=0)


def slow_dice(fixed, moving, warped):
    if not fixed.any() or not moving.any():
        return np.nan
    return 2 * (fixed & warped).sum() / (fixed.sum() + warped.sum())


def slow_elements(mask):
    codes = np.zeros([n + 1 for n in mask.shape], int)
    for cell in np.ndindex(codes.shape):
        for a, b, c in itertools.product((0, 1), repeat=3):
            voxel = (cell[0] - 1 + a, cell[1] - 1 + b, cell[2] - 1 + c)
            if all(0 <= v < n for v, n in zip(voxel, mask.shape, strict=True)) and mask[voxel]:
                codes[cell] |= 1 << (7 - (4 * a + 2 * b + c))
    where = np.argwhere((codes > 0) & (codes < 255))
    return where, element_areas((1.0, 1.0, 1.0))[codes[tuple(where.T)]]


def slow_hd95(fixed, moving, warped):
    if not fixed.any() or not moving.any():
        return np.nan
    if not warped.any():
        return np.inf
    sides = [slow_elements(fixed), slow_elements(warped)]
    worst = 0.0
    for (here, weights), (there, _) in (sides, sides[::-1]):
        nearest = cdist(here, there).min(axis=1)
        order = np.lexsort((weights, nearest))
        share = np.cumsum(weights[order]) / weights.sum()
        worst = max(worst, nearest[order][np.searchsorted(share, 0.95)])
    return worst


def slow_ndv(u, image):
    T = u.astype(np.float64) + np.indices(u.shape[1:])
    volume, voxels = 0.0, 0
    for p in itertools.product(*(range(1, n - 1) for n in u.shape[1:])):
        if image[p] <= 0:
            continue
        voxels += 1

        def at(i, j, k, p=p):
            return T[:, p[0] + i, p[1] + j, p[2] + k]

        here = at(0, 0, 0)
        matrices = [
            [x * (at(x, 0, 0) - here), y * (at(0, y, 0) - here), z * (at(0, 0, z) - here)]
            for x, y, z in itertools.product((1, -1), repeat=3)
        ]
        matrices.append([at(-1, -1, 0) - here, at(-1, 0, -1) - here, at(0, -1, -1) - here])
        matrices.append([at(1, 1, 0) - here, at(0, 1, 1) - here, at(1, 0, 1) - here])
        volume += sum(0.5 * max(-np.linalg.det(m), 0) / 6 for m in matrices)
    return volume / voxels * 100


def slow_tre(fixed, warped):
    errors = []
    for label in np.unique(fixed)[1:]:
        with np.errstate(invalid="ignore"):
            ends = [np.argwhere(m == label).sum(axis=0) / (m == label).sum() for m in (fixed, warped)]
        errors.append(np.sqrt(((ends[0] - ends[1]) ** 2).sum()))
    return np.mean(errors)


def slow_case(world, stem, fixed, moving):
    u, fixed, moving = world.fields[stem], key(fixed), key(moving)
    labels = [world.labels[fixed], world.labels[moving], slow_warp(world.labels[moving], u)]
    masks = [[m == label for m in labels] for label in LABELS]
    return {
        "DSC": [slow_dice(*m) for m in masks],
        "HD95": [slow_hd95(*m) for m in masks],
        "TRE_lm": slow_tre(world.landmarks[fixed], slow_warp(world.landmarks[moving], u)),
        "Non-diffeomorphic Volumes": slow_ndv(u, world.images[fixed]),
    }


def four_configs(world):
    paths = [
        world.config("LUMIR25_VAL_LUMIR24_Landmark_evaluation_config.json", [SECOND], LANDMARKS),
        world.config("LUMIR25_VAL_LUMIR24_Segmentation_evaluation_config.json", [FIRST], SEGMENTATION),
        world.config("LUMIR25_VAL_HighField_Segmentation_evaluation_config.json", [SECOND], SEGMENTATION),
        world.config("LUMIR25_VAL_MultiModal_Segmentation_evaluation_config.json", [SHORT, LONG], SEGMENTATION),
    ]
    return [read_config(path) for path in paths]


# ---- the numbers --------------------------------------------------------------------------------------------------


def test_every_number_of_metrics_json_is_that_of_the_definitions(world):
    found = evaluate((world.predictions, world.root), four_configs(world)).metrics()
    cases = {
        "3455_0000<--3454_0000": slow_case(world, "disp_3455_3454", *FIRST),
        "3456_0000<--3455_0000": slow_case(world, "disp_3456_3455", *SECOND),
        "4023_0000<--3454_0001": slow_case(world, "disp_4023_3454", *SHORT),
        "4023_0000<--3454_0002": slow_case(world, "disp_4023_0000_3454_0002", *LONG),
    }
    assert list(found) == ["name", "aggregates", "cases", "eval_version"]
    assert (found["name"], found["eval_version"]) == ("LUMIR", "3.0")
    # The landmark part's case comes first, and the out-of-domain part's result has replaced it whole.
    assert list(found["cases"]) == [list(cases)[n] for n in (1, 0, 2, 3)]
    for name, case in found["cases"].items():
        assert list(case) == ["Non-diffeomorphic Volumes", "DSC", "HD95"]
        slow = cases[name]
        for metric in ("DSC", "HD95"):
            np.testing.assert_allclose(case[metric]["detailed"], slow[metric], rtol=0, atol=1e-12)
            assert case[metric]["mean"] == pytest.approx(np.nanmean(slow[metric]), abs=1e-12)
        assert case["DSC"]["detailed"][:5] == slow["DSC"][:5]  # bit for bit
        ndv = case["Non-diffeomorphic Volumes"]
        assert ndv["mean"] == ndv["detailed"] == pytest.approx(slow["Non-diffeomorphic Volumes"], rel=1e-12)
        assert ndv["mean"] > 0
    dice = [np.nanmean(cases[name]["DSC"]) for name in found["cases"]]
    assert found["aggregates"]["DSC"] == pytest.approx(
        {"mean": np.mean(dice), "std": np.std(dice), "30": np.quantile(dice, 0.3)}, abs=1e-12
    )
    assert list(found["aggregates"]) == ["DSC", "HD95", "Non-diffeomorphic Volumes", "ID_dice", "OOD_dice", "MM_dice"]
    assert found["aggregates"]["ID_dice"]["mean"] == pytest.approx(dice[1], abs=1e-12)
    assert found["aggregates"]["OOD_dice"]["mean"] == pytest.approx(dice[0], abs=1e-12)
    assert found["aggregates"]["MM_dice"]["std"] == pytest.approx(np.std(dice[2:]), abs=1e-12)


def test_tre_is_in_voxels_and_its_30_is_the_70_percent_quantile(world):
    found = evaluate((world.predictions, world.root), [read_config(world.config("c.json", [FIRST, SECOND], LANDMARKS))])
    slow = [slow_case(world, *args)["TRE_lm"] for args in (("disp_3455_3454", *FIRST), ("disp_3456_3455", *SECOND))]
    means = [case["TRE_lm"]["mean"] for case in found.metrics()["cases"].values()]
    assert means == pytest.approx(slow, rel=1e-14)
    assert found.metrics()["aggregates"]["TRE_lm"]["30"] == pytest.approx(np.quantile(slow, 0.7))
    assert "ID_dice" not in found.metrics()["aggregates"]
    honest = found.scores()["cases"]["3455_0000<--3454_0000"]
    assert honest["spacing_mm"] == [1.0, 1.0, 2.0]
    assert honest["tre_mm"] > means[0]


def test_a_label_lost_only_by_the_warp_scores_0_and_infinity(world):
    far = np.zeros((3, *SHAPE), np.float32)
    far[0] = 100
    world.predict("disp_3455_3454", far)
    config = read_config(world.config("c.json", [FIRST, SECOND], [*SEGMENTATION, LANDMARKS[1]]))
    evaluation = evaluate((world.predictions, world.root), [config])
    case = evaluation.metrics()["cases"]["3455_0000<--3454_0000"]
    assert case["DSC"]["detailed"][1:5] == [0.0] * 4
    assert case["HD95"]["detailed"][1:5] == [float("inf")] * 4
    assert np.isnan(case["DSC"]["detailed"][5])
    assert np.isnan(case["HD95"]["detailed"][5])
    # Label 0 fills the warped map: its Dice and distance are still defined.
    assert case["DSC"]["detailed"][0] > 0
    assert np.isfinite(case["HD95"]["detailed"][0])
    assert case["HD95"]["mean"] == float("inf")
    assert np.isnan(case["TRE_lm"]["mean"])
    assert np.isnan(evaluation.metrics()["aggregates"]["TRE_lm"]["mean"])
    honest = evaluation.scores()["cases"]["3455_0000<--3454_0000"]
    assert honest["lost_labels"] == [1, 2, 3, 5]
    assert honest["lost_landmarks"] == [1, 2, 3]
    (world.root / "out").mkdir()
    evaluation.write(world.root / "out")
    text = (world.root / "out" / "metrics.json").read_text()
    assert "Infinity" in text
    assert json.loads(text)["cases"]["3455_0000<--3454_0000"]["HD95"]["mean"] == float("inf")


def test_no_displacement_between_an_image_and_itself_is_perfect(world):
    world.predict("disp_3454_3454", np.zeros((3, *SHAPE), np.float32))
    config = read_config(world.config("c.json", [(("3454",), ("3454",))], [*SEGMENTATION, LANDMARKS[1]]))
    case = evaluate((world.predictions, world.root), [config]).metrics()["cases"]["3454_0000<--3454_0000"]
    assert {name: result["mean"] for name, result in case.items()} == {
        "Non-diffeomorphic Volumes": 0.0,
        "DSC": 1.0,
        "HD95": 0.0,
        "TRE_lm": 0.0,
    }


def test_the_lowest_landmark_is_dropped_whatever_it_is(world):
    from voxbench.challenges.lumir25.scoring import WarpedLabels, official_tre

    full = world.landmarks["3454", "0000"] + 1  # nothing is 0 now: 1 counts as the background
    shift = np.zeros((3, *SHAPE))
    shift[1] = 1.0
    labels = WarpedLabels(full, full, shift)
    assert official_tre(labels)["mean"] == 1.0
    assert official_tre(labels, drop_lowest=False)["mean"] != 1.0


def test_sdlogj_shifts_crops_and_never_counts_a_folding(world):
    config = world.config("c.json", [FIRST], [{"name": "SDlogJ", "metric": "sdlogj"}], masked_evaluation=True)
    u = world.fields["disp_3455_3454"].astype(np.float64)
    gradient = np.stack([np.stack(np.gradient(u[a])) for a in range(3)])
    determinant = np.linalg.det(np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3))[2:-2, 2:-2, 2:-2]
    logs = np.log(np.clip(determinant + 3, 1e-9, 1e9))
    plain = evaluate((world.predictions, world.root), [read_config(config)]).metrics()["cases"]["3455_0000<--3454_0000"]
    assert plain["SDlogJ"]["mean"] == pytest.approx(logs.std(), rel=1e-12)
    assert plain["num_foldings"] == {"mean": 0.0, "detailed": 0.0}
    mask = (np.random.default_rng(5).random(SHAPE) < 0.5).astype(np.uint8)
    (world.root / "masksVal").mkdir()
    nib.save(nib.Nifti1Image(mask, np.diag([1.0, 1.0, 2.0, 1.0])), world.root / "masksVal/LUMIRMRI_3455_0000.nii.gz")
    masked = evaluate((world.predictions, world.root), [read_config(config)]).metrics()["cases"][
        "3455_0000<--3454_0000"
    ]
    assert masked["SDlogJ"]["mean"] == pytest.approx(logs[mask[2:-2, 2:-2, 2:-2] > 0].std(), rel=1e-12)


def test_four_configurations_without_telling_names_are_taken_in_the_official_order(world):
    configs = [read_config(world.config(f"c{n}.json", [FIRST], SEGMENTATION)) for n in range(4)]
    assert {"ID_dice", "OOD_dice", "MM_dice"} <= set(
        evaluate((world.predictions, world.root), configs).metrics()["aggregates"]
    )


def test_progress_names_every_case(world):
    told = []
    evaluate((world.predictions, world.root), four_configs(world), told=told.append)
    assert len(told) == 5
    assert line(told[0].record).startswith("3456_0000<--3455_0000  Non-diffeomorphic Volumes ")
    # The pair that two configurations name is two jobs.
    assert told[0].key == "3456_0000<--3455_0000 (1: LUMIR25_VAL_LUMIR24_Landmark_evaluation_config)"
    assert told[1].key == "3455_0000<--3454_0000"


# ---- refusals -----------------------------------------------------------------------------------------------------


def test_missing_fields_are_all_named_and_nothing_is_evaluated(world):
    for name in ("disp_4023_0000_3454_0002", "disp_3455_3454"):
        (world.predictions / f"{name}.nii.gz").unlink()
    with pytest.raises(FileReadError, match="2 of 4") as refused:
        evaluate((world.predictions, world.root), four_configs(world))
    assert "disp_4023_0000_3454_0002.nii.gz" in str(refused.value)
    assert "disp_3455_3454.nii.gz" in str(refused.value)


@pytest.mark.parametrize("shape", [(9, 10, 7, 3), (10, 9, 8, 3), (9, 10, 8), (9, 10, 8, 1, 3), (9, 10, 8, 2)])
def test_a_field_of_another_shape_is_refused_by_pair(world, shape):
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), world.predictions / "disp_3455_3454.nii.gz")
    with pytest.raises(JobError, match=r"(?s)3455_0000<--3454_0000.*wrong shape") as refused:
        evaluate((world.predictions, world.root), four_configs(world)[1:2])
    assert "9 x 10 x 8 x 3" in str(refused.value)


def test_a_field_with_nan_is_refused_by_pair(world):
    world.fields["disp_3455_3454"][0, 0, 0, 0] = np.nan
    world.predict("disp_3455_3454", world.fields["disp_3455_3454"])
    with pytest.raises(JobError, match="3455_0000<--3454_0000"):
        evaluate((world.predictions, world.root), four_configs(world)[1:2])


def test_a_reference_of_another_shape_or_a_missing_one_is_refused(world):
    path = world.root / "labelsVal/LUMIRMRI_3455_0000.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((9, 10, 9), np.uint8), np.eye(4)), path)
    with pytest.raises(JobError, match="labels"):
        evaluate((world.predictions, world.root), four_configs(world)[1:2])
    path.unlink()
    with pytest.raises(JobError, match="LUMIRMRI_3455_0000"):
        evaluate((world.predictions, world.root), four_configs(world)[1:2])


def test_a_missing_field_can_be_given_the_worst_values_and_is_counted(world):
    (world.predictions / "disp_3455_3454.nii.gz").unlink()
    config = read_config(world.config("c.json", [FIRST, SECOND], [*SEGMENTATION, LANDMARKS[1]]))
    found = evaluate((world.predictions, world.root), [config], Lumir25Evaluation(allow_missing=True))
    assert found.counted == "1 of 2 scored"
    case = found.metrics()["cases"]["3455_0000<--3454_0000"]
    means = {name: result["mean"] for name, result in case.items()}
    assert means == {"Non-diffeomorphic Volumes": 100.0, "DSC": 0.0, "HD95": np.inf, "TRE_lm": np.inf}
    assert case["DSC"]["detailed"] == [0.0] * len(LABELS)
    assert "disp_3455_3454" in found.scores()["cases"]["3455_0000<--3454_0000"]["worst_values_because"]


def test_scores_json_names_parts_hashes_and_the_values_to_rank_by(world):
    found = evaluate((world.predictions, world.root), four_configs(world))
    scores = found.scores()
    assert [config["part"] for config in scores["configs"]] == ["landmarks", "in-domain", "out-of-domain", "multimodal"]
    assert all(len(case["inputs"]["prediction"]) == 64 for case in scores["cases"].values())
    assert set(scores["cases"]["3456_0000<--3455_0000"]["inputs"]) == {
        "prediction", "fixed image", "fixed landmarks", "moving landmarks", "fixed labels", "moving labels"
    }  # fmt: skip
    table = scores["table"]
    assert (table["DSC"]["better"], table["HD95"]["better"], table["HD95"]["unit"]) == ("higher", "lower", "voxels")
    assert table["DSC"]["values"] == {key: case["DSC"]["mean"] for key, case in found.metrics()["cases"].items()}
