"""Single cases of every challenge are found by its own names and drawn; what cannot be used is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxbench.challenges.lumbarsr.cases import Case
from voxbench.challenges.ssrkd.radiographs import device_of, views_of
from voxbench.errors import InputError
from voxbench.geometry import DisplacementField, Grid, LabelMap, Mesh, Volume
from voxbench.io import write_displacement, write_labels, write_mesh, write_views, write_volume
from voxbench.report.case_views import Folders, case_view
from voxbench.report.measures import Measure, _spider_structures

GRID = Grid.from_parts((14, 12, 10), (1.0, 1.2, 2.0), (3.0, 4.0, 5.0))
FACES = np.array([(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)])


def folders(tmp_path: Path, **settings: object) -> Folders:
    return Folders(tmp_path / "predictions", tmp_path / "references", tmp_path / "images", settings)


def noise(seed: int = 0) -> Volume:
    return Volume(np.random.default_rng(seed).normal(300, 200, GRID.shape).astype(np.float32), GRID)


def placed(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def boxes(*labels: int) -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    for n, label in enumerate(labels):
        array[2:10, 2:10, 1 + 3 * n : 3 + 3 * n] = label
    return LabelMap(array, GRID)


@pytest.mark.parametrize("image", [True, False])
def test_spider(tmp_path, image):
    write_labels(placed(tmp_path / "references" / "1_t2.mha"), boxes(1, 201, 100))
    write_labels(placed(tmp_path / "predictions" / "1_t2.mha"), boxes(4, 0, 7))
    if image:
        write_volume(placed(tmp_path / "images" / "1_t2.mha"), noise())
    shown, scene = case_view("spider", "1_t2", folders(tmp_path), "missed: L5/S1")
    assert (len(shown.pictures), shown.wrong, shown.note) == (1, "missed: L5/S1", "")
    assert scene is not None
    assert [layer.name for layer in scene.layers][-3:] == ["reference", "prediction", "differences"]
    assert scene.layers[-3].names == ("", "L5", "canal", "L5/S1")


def test_lumir25(tmp_path):
    root = tmp_path / "references"
    for number, person in enumerate(("3455", "3454")):
        write_volume(placed(root / "imagesVal" / f"LUMIRMRI_{person}_0000.nii.gz"), noise(number))
        write_labels(placed(root / "labelsVal" / f"LUMIRMRI_{person}_0000.nii.gz"), boxes(1, 2))
    path = placed(tmp_path / "predictions" / "disp_3455_3454.nii.gz")
    write_displacement(path, DisplacementField.zeros(GRID))
    shown, scene = case_view("lumir25", "3455_0000<--3454_0000", folders(tmp_path))
    assert shown.note == ""
    assert len(shown.pictures) == 2
    assert "0 ml only in labels of the fixed image" in shown.pictures[1].caption
    assert scene is not None
    assert [layer.shown for layer in scene.layers] == [True, False, False, False, False]


def test_lumbarsr(tmp_path):
    case = Case("Lumbar_26", "195X_195Y_1000Z_S")
    given = folders(tmp_path, method="fusion")
    write_volume(placed(case.reference(given.references)), noise())
    write_volume(placed(case.registered(given.references)), noise(1))
    write_volume(placed(case.prediction(given.predictions, "fusion")), noise(2))
    shown, scene = case_view("lumbarsr", case.key, given)
    assert shown.note == ""
    assert len(shown.pictures) == 2
    assert scene is not None
    assert [layer.name for layer in scene.layers] == ["micro-CT", "prediction (fusion)", "clinical CT"]


def test_ssrkd_with_radiographs(tmp_path):
    for name, radius in (("references", 9.0), ("predictions", 10.0)):
        for number in range(4):
            vertices = radius * np.vstack([np.eye(3), -np.eye(3)]) + np.array([0, 0, 30.0 * number])
            write_mesh(placed(tmp_path / name / "knee" / f"sub_{number}.obj"), Mesh(vertices, FACES))
    views = views_of((0.0, 90.0), device_of("consistent", 32), np.zeros(3))
    write_views(placed(tmp_path / "images" / "views.json"), views)
    images = np.random.default_rng(0).random((2, *views[0].shape)).astype(np.float32)
    np.savez(placed(tmp_path / "images" / "processed" / "knee" / "projs.npz"), projs=images, angles=np.zeros(2))
    shown, scene = case_view("ssrkd", "knee", folders(tmp_path))
    assert shown.note == ""
    assert len(shown.pictures) == 2
    assert "patella 1.00 mm" in shown.pictures[0].caption  # from corner to corner
    assert scene is not None
    assert [layer.kind for layer in scene.layers] == ["mesh"] * 8


@pytest.mark.parametrize("challenge", ["spider", "lnq2023", "lumir25", "lumbarsr", "ssrkd"])
def test_what_is_not_there_is_said_without_the_folder(tmp_path, challenge):
    case = {"lumir25": "3455_0000<--3454_0000", "lumbarsr": "Lumbar_26 195X_195Y_1000Z_S"}.get(challenge, "1_t2")
    shown, scene = case_view(challenge, case, folders(tmp_path, method="fusion"))
    assert scene is None
    assert shown.note.startswith("No picture: ")
    assert str(tmp_path) not in shown.note


def test_another_challenge_has_no_pictures(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        case_view("other", "c", folders(tmp_path))


def test_structures_of_the_spine_come_from_above_to_below():
    rows = [{"label": label, "dice": 0.5, "asd": None} for label in (1, 100, 201, 2, 202, 3)]
    found: list[Measure] = list(_spider_structures({"1_t2": {"structures": rows}}))
    assert [one.structure for one in found[:6]] == ["L3", "L4", "L4/L5", "L5", "L5/S1", "canal"]
    assert np.isnan(found[-1].values["1_t2"])
