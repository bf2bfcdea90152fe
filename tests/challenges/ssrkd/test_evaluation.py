"""SSR-KD's evaluation: the organisers' sampling, their table, and what happens to bad predictions."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.distance import cdist

from voxbench.challenges.ssrkd.cases import BONES, mesh_file
from voxbench.challenges.ssrkd.evaluation import Evaluation, SsrkdEvaluation, jobs, line, score_case
from voxbench.challenges.ssrkd.scoring import even_points, sampled_distances
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Mesh
from voxbench.io import write_mesh
from voxbench.jobs import Outcome

QUICK = SsrkdEvaluation(points=400, spacing=1.0, step=2.0)


def ball(radius: float, at: tuple[float, ...] = (0, 0, 0)) -> Mesh:
    sphere = trimesh.creation.icosphere(2, radius)
    return Mesh(np.asarray(sphere.vertices) + at, np.asarray(sphere.faces))


def put(root: Path, case: str, bone: str, mesh: Mesh) -> None:
    path = mesh_file(root, case, bone)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mesh(path, mesh)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and references: bone b of case c is a ball of radius 8 + b mm, predicted c + 1 mm larger."""
    predictions, references = tmp_path / "predictions", tmp_path / "references"
    for number, case in enumerate(("knee_a", "knee_b")):
        for b, bone in enumerate(BONES):
            put(references, case, bone, ball(8 + b))
            put(predictions, case, bone, ball(9 + b + number))
    return predictions, references


def evaluated(predictions: Path, references: Path, settings: SsrkdEvaluation = QUICK) -> Evaluation:
    return Evaluation(settings, tuple(Outcome(job.key, job.work()) for job in jobs(predictions, references, settings)))


def test_the_files_of_the_bones_are_numbered_patella_femur_fibula_tibia():
    names = [mesh_file(Path("root"), "knee", bone).as_posix() for bone in ("patella", "femur", "fibula", "tibia")]
    assert names == [f"root/knee/sub_{number}.obj" for number in range(4)]


@pytest.mark.parametrize("count", [50, 1000])
def test_the_sampling_is_trimeshs_to_the_last_bit(count):
    mesh = ball(20)
    theirs = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    expected, _ = trimesh.sample.sample_surface_even(theirs, count, seed=7)
    np.testing.assert_array_equal(even_points(mesh, count, np.random.default_rng(7)), expected)


def test_crowded_surfaces_give_fewer_points():
    needle = Mesh(np.array([[0, 0, 0], [100, 0, 0], [0, 1e-9, 0.0]]), np.array([[0, 1, 2]]))
    points = even_points(needle, 500, np.random.default_rng(0))
    assert 0 < len(points) <= 500


def test_sampled_distances_are_those_to_the_nearest_of_all_points():
    rng = np.random.default_rng(1)
    one, two = (rng.normal(0, 5, (n, 3)).astype(np.float32) for n in (60, 80))
    forward, backward = sampled_distances(one, two)
    every = cdist(one, two)
    np.testing.assert_allclose(forward, every.min(axis=1), rtol=1e-6)
    np.testing.assert_allclose(backward, every.min(axis=0), rtol=1e-6)
    assert forward.dtype == backward.dtype == np.float32


def test_balls_one_millimetre_larger_have_their_known_numbers(folders):
    record = score_case("knee_a", *folders, SsrkdEvaluation(points=3000, spacing=0.4, step=0.5))
    for b, bone in enumerate(BONES):
        numbers = record["bones"][bone]
        for name in ("assd_surface", "masd_surface", "hd_surface", "hd95_surface"):
            assert numbers[name] == pytest.approx(1, abs=0.03)
        ratio = ((8 + b) / (9 + b)) ** 3
        assert numbers["dsc"] == pytest.approx(2 * ratio / (1 + ratio), abs=2e-3)
        assert 1 < numbers["assd"] < 1.3  # points never meet their nearest place
        assert numbers["hd"] >= numbers["hd_surface"] - 0.05
        assert numbers["points"] == [3000, 3000]


def test_the_organisers_estimate_does_not_vanish_for_the_same_surface(folders):
    _, references = folders
    numbers = score_case("knee_a", references, references, QUICK)["bones"]["femur"]
    assert numbers["dsc"] == 1
    assert numbers["hd_surface"] < 1e-12
    assert numbers["assd"] > 0.3


def test_scores_repeat_with_their_seed_and_do_not_depend_on_other_cases(folders):
    one = score_case("knee_b", *folders, QUICK)
    assert one == pickle.loads(pickle.dumps(jobs(*folders, QUICK)[1].work))()
    other = score_case("knee_b", *folders, QUICK.model_copy(update={"seed": 1}))
    assert one["bones"]["tibia"]["assd"] != other["bones"]["tibia"]["assd"]
    assert one["bones"]["tibia"]["assd_surface"] == other["bones"]["tibia"]["assd_surface"]


def test_the_official_table_has_the_organisers_columns_and_float32_means(folders, tmp_path):
    evaluation = evaluated(*folders)
    evaluation.write(tmp_path)
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["obj_id", "1", "2", "3", "4"]
    assert [row[0] for row in rows[1:]] == ["knee_a", "knee_b", "mean"]
    table = np.array([row[1:] for row in rows[1:]]).astype(np.float32)
    stored = [[o.record["bones"][bone]["assd"] for bone in BONES] for o in evaluation.outcomes]
    np.testing.assert_array_equal(table[:2], np.array(stored, np.float32))
    np.testing.assert_array_equal(table[2], table[:2].mean(axis=0))


def test_scores_json_holds_settings_means_and_every_number_under_its_own_name(folders, tmp_path):
    evaluation = evaluated(*folders)
    evaluation.write(tmp_path)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["challenge"] == "ssrkd"
    assert scores["settings"] == QUICK.model_dump()
    assert scores["scored"] == "2 of 2 scored"
    assert scores["undefined"] == {"dsc": 0}
    bones = scores["cases"]["knee_b"]["bones"]
    assert set(bones["femur"]) == {
        *("dsc", "hd", "assd", "assd_surface", "masd_surface", "hd_surface", "hd95_surface", "points")
    }
    means = scores["mean"]["hd_surface"]
    of_bones = [np.mean([scores["cases"][c]["bones"][b]["hd_surface"] for c in ("knee_a", "knee_b")]) for b in BONES]
    assert [means[bone] for bone in BONES] == pytest.approx(of_bones)
    assert means["average"] == pytest.approx(np.mean(of_bones))
    with (tmp_path / "bones.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["bone"]) for row in rows] == [(c, b) for c in ("knee_a", "knee_b") for b in BONES]


def test_missing_predictions_are_refused_and_all_named(folders):
    predictions, references = folders
    mesh_file(predictions, "knee_a", "tibia").unlink()
    mesh_file(predictions, "knee_b", "patella").unlink()
    with pytest.raises(FileReadError, match=r"(?s)2 of 8 predictions.*knee_a/sub_3.obj.*knee_b/sub_0.obj.*--allow"):
        jobs(predictions, references, QUICK)


def test_missing_references_are_refused_even_where_predictions_may_be_missing(folders):
    predictions, references = folders
    mesh_file(references, "knee_b", "fibula").unlink()
    with pytest.raises(FileReadError, match=r"(?s)1 of 8 references.*knee_b/sub_2.obj"):
        jobs(predictions, references, QUICK.model_copy(update={"allow_missing": True}))


def test_unusable_predictions_get_the_worst_values_if_allowed_and_are_counted(folders):
    predictions, references = folders
    mesh_file(predictions, "knee_a", "tibia").write_text("v 0 0 0\n")
    settings = QUICK.model_copy(update={"allow_missing": True})
    evaluation = evaluated(predictions, references, settings)
    bones = evaluation.outcomes[0].record["bones"]
    assert (bones["tibia"]["dsc"], bones["tibia"]["assd"], bones["tibia"]["hd_surface"]) == (0, np.inf, np.inf)
    assert "sub_3.obj" in bones["tibia"]["missing"]
    assert np.isfinite(bones["femur"]["assd"])
    assert evaluation.counted == "1 of 2 scored"
    assert line(evaluation.outcomes[0].record).startswith("knee_a  worst values: knee_a, tibia")
    assert evaluation.results()[-1]["4"] == "inf"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1 2 4 3\n", "triangles"),
        ("v 0 0 nan\nv 9 0 0\nv 0 9 0\nf 1 2 3\n", "NaN"),
        ("v 0 0 0\nv 0.9 0 0\nv 0 -1.01 0\nf 1 2 3\n", r"not in mm: no coordinate is larger than 1.01"),
        ("v 5 5 5\nv 5 5 5\nv 5 5 5\nf 1 2 3\n", "without area"),
        ("", "empty"),
        ("v 0 0 0\nv 1e9 0 0\nv 0 1e9 0\nf 1 2 3\n", "are its coordinates in mm"),
    ],
)
def test_an_unusable_prediction_is_an_error_that_names_case_bone_and_reason(content, says, folders):
    predictions, references = folders
    mesh_file(predictions, "knee_a", "fibula").write_text(content)
    with pytest.raises(InputError, match=f"(?s)knee_a, fibula.*{says}"):
        score_case("knee_a", predictions, references, QUICK)


def test_an_unusable_reference_is_an_error_whatever_is_allowed(folders):
    predictions, references = folders
    mesh_file(references, "knee_a", "femur").write_text("nothing")
    with pytest.raises(InputError, match=r"knee_a, femur.*references"):
        score_case("knee_a", predictions, references, QUICK.model_copy(update={"allow_missing": True}))


def test_dice_of_an_open_mesh_is_undefined_and_counted_the_distances_stay(folders):
    predictions, references = folders
    whole = ball(9)
    put(predictions, "knee_a", "patella", Mesh(whole.vertices, whole.faces[1:]))
    evaluation = evaluated(predictions, references)
    numbers = evaluation.outcomes[0].record["bones"]["patella"]
    assert np.isnan(numbers["dsc"])
    assert numbers["dsc_undefined"] == "the prediction is open at 3 edges"
    assert numbers["hd_surface"] == pytest.approx(1, abs=0.2)
    scores = evaluation.scores()
    assert scores["undefined"] == {"dsc": 1}
    assert scores["mean"]["dsc"]["patella"] == evaluation.outcomes[1].record["bones"]["patella"]["dsc"]


def test_a_folder_without_cases_is_refused(tmp_path):
    with pytest.raises(FileReadError, match=r"no case here\n  expected  <case>/sub_0.obj"):
        jobs(tmp_path, tmp_path, QUICK)


def test_real_bones_against_themselves_moved(real_data, tmp_path):
    from voxbench.io import read_mesh

    shift = np.array([1.0, 0, 0])
    sources = {"patella": "patella", "femur": "patella", "fibula": "fibula", "tibia": "patella"}
    for bone, name in sources.items():
        mesh = read_mesh(real_data / "knee" / f"vhf_right_{name}.stl")
        put(tmp_path / "references", "vhf", bone, mesh)
        put(tmp_path / "predictions", "vhf", bone, Mesh(mesh.vertices + shift, mesh.faces))
    record = score_case("vhf", tmp_path / "predictions", tmp_path / "references", SsrkdEvaluation(points=5000))
    for numbers in record["bones"].values():
        assert numbers["hd_surface"] == pytest.approx(1, abs=0.03)
        assert 0.3 < numbers["assd_surface"] < 0.7
        assert numbers["assd"] > numbers["assd_surface"]
        assert 0.85 < numbers["dsc"] < 0.98
