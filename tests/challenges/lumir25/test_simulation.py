"""A simulated LUMIR25 data set has the official layout, and its truth is true."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from voxbench.challenges.lumir25.cases import read_config, read_dataset
from voxbench.challenges.lumir25.landmark_volumes import APART, choose_landmarks, landmark_volume
from voxbench.challenges.lumir25.simulation import LumirSimulation, simulate
from voxbench.errors import FileWriteError
from voxbench.geometry import Grid, LabelMap

SETTINGS = LumirSimulation(cases=1, size=(40, 56, 48), seed=4, landmarks=8)
CONFIGS = ("LUMIR24_Landmarks", "LUMIR24_Segmentation", "HighField_Segmentation", "MultiModal_Segmentation")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "data"
    simulate(out, SETTINGS)
    return out


def array(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def listing(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def mean_dice(a: np.ndarray, b: np.ndarray) -> float:
    ids = (set(np.unique(a)) & set(np.unique(b))) - {0}
    return float(np.mean([2 * ((a == i) & (b == i)).sum() / ((a == i).sum() + (b == i).sum()) for i in ids]))


def warped(moving: np.ndarray, field: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(moving, np.indices(moving.shape) + np.moveaxis(field, -1, 0), order=0)


def test_the_layout_is_exactly_the_official_one(folder: Path) -> None:
    people = {3454: "0", 3455: "0", 3456: "0", 3457: "0", 3458: "0", 3459: "0", 3460: "01", 3461: "01"}
    names = {f"LUMIRMRI_{person}_000{m}.nii.gz" for person, modalities in people.items() for m in modalities}
    expected = {"imagesTr/LUMIRMRI_0000_0000.nii.gz", "LUMIR25_dataset.json", "truth/simulation.json"}
    expected |= {f"{kind}Val/{name}" for kind in ("images", "labels") for name in names}
    expected |= {f"landmarksVal/LUMIRMRI_{person}_0000.nii.gz" for person in (3454, 3455)}
    expected |= {f"LUMIR25_VAL_{part}_evaluation_config.json" for part in CONFIGS}
    expected |= {f"truth/disp_{f}_{f - 1}.nii.gz" for f in (3455, 3457, 3459, 3461)}
    assert listing(folder) == expected


def test_images_are_float_in_0_255_and_zero_exactly_outside_the_labels(folder: Path) -> None:
    for path in sorted((folder / "imagesVal").iterdir()):
        image, labels = array(path), array(folder / "labelsVal" / path.name)
        assert image.dtype == np.float32
        assert image.shape == labels.shape == SETTINGS.size
        assert 0 <= image.min() < 50 < 150 < image.max() <= 255
        assert np.array_equal(image > 0, labels > 0)


def test_the_dataset_file_has_the_official_keys_and_its_files_exist(folder: Path) -> None:
    raw = json.loads((folder / "LUMIR25_dataset.json").read_text())
    keys = "name release description modality tensorImageShape numTraining numTest training validation"
    assert set(raw) == set(keys.split())
    dataset = read_dataset(folder / "LUMIR25_dataset.json")
    assert dataset.shape == SETTINGS.size
    assert (raw["numTraining"], raw["numTest"]) == (len(dataset.training), len(dataset.validation)) == (1, 4)
    assert all((folder / name).is_file() for name in dataset.training)
    for pair in dataset.validation:
        assert (folder / pair.fixed).is_file()
        assert (folder / pair.moving).is_file()
        assert (folder / "truth" / pair.field_name).is_file()


def test_the_four_configurations_are_read_back_with_their_parts(folder: Path) -> None:
    configs = [read_config(folder / f"LUMIR25_VAL_{name}_evaluation_config.json") for name in CONFIGS]
    assert [c.part for c in configs] == ["landmarks", "in-domain", "out-of-domain", "multimodal"]
    assert [[m.metric for m in c.methods] for c in configs] == [["ndv", "tre"]] + [["ndv", "dice", "hd95"]] * 3
    assert all(c.expected_shape == (*SETTINGS.size, 3) for c in configs)
    assert all(c.methods[1].labels[0] == 0 and len(c.methods[1].labels) > 20 for c in configs[1:])
    assert sorted(p.key for c in configs for p in c.pairs) == sorted(
        p.key for p in read_dataset(folder / "LUMIR25_dataset.json").validation
    )
    assert configs[3].pairs[0].key == "3461_0000<--3460_0001"


def test_the_true_fields_align_labels_and_landmarks(folder: Path) -> None:
    for fixed in (3455, 3457, 3459, 3461):
        field = array(folder / "truth" / f"disp_{fixed}_{fixed - 1}.nii.gz")
        a, b = (array(folder / "labelsVal" / f"LUMIRMRI_{n}_0000.nii.gz") for n in (fixed, fixed - 1))
        before, after = (mean_dice(a, moved) for moved in (b, warped(b, field)))
        assert after > 0.75  # not 1: the labels went through two nearest-voxel samplings, and sulci are a voxel wide
        assert after > before + 0.05
    a, b = (array(folder / "landmarksVal" / f"LUMIRMRI_{n}_0000.nii.gz") for n in (3455, 3454))
    ids = np.unique(a)[1:]
    assert ids.tolist() == np.unique(b)[1:].tolist() == list(range(1, 9))
    here, there = (np.array(ndimage.center_of_mass(np.ones_like(m), m, ids)) for m in (a, b))
    field = array(folder / "truth" / "disp_3455_3454.nii.gz")
    predicted = here + np.stack([ndimage.map_coordinates(field[..., c], here.T, order=1) for c in range(3)], axis=1)
    assert np.abs(predicted - there).max() < 1.2  # each centroid is rounded to a voxel


def test_nothing_is_overwritten_and_force_replaces_only_simulated_data_with_the_same_for_a_seed(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "data"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    for force in (False, True):
        with pytest.raises(FileWriteError, match="not a simulated data set"):
            simulate(out, SETTINGS, force=force)
    assert listing(tmp_path) == {"data/mine.txt"}
    (out / "truth").mkdir()
    (out / "truth" / "simulation.json").write_text("{}")
    with pytest.raises(FileWriteError, match="--force"):
        simulate(out, SETTINGS)
    simulate(out, SETTINGS, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
    assert listing(out) == listing(folder)
    for name in listing(folder):
        if name.endswith(".nii.gz"):
            assert np.array_equal(array(folder / name), array(out / name)), name


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(name: str) -> None:
        raise RuntimeError(name)

    with pytest.raises(RuntimeError, match="imagesTr"):
        simulate(tmp_path / "data", SETTINGS, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_landmarks_are_apart_and_their_centroids_near_the_points() -> None:
    rng = np.random.default_rng(0)
    labels = LabelMap(np.kron(rng.integers(0, 5, (8, 8, 8)), np.ones((5, 5, 5), int)), Grid.from_parts((40, 40, 40)))
    points = choose_landmarks(labels, 20, rng)
    apart = np.abs(points[:, None] - points[None]).max(axis=-1)[~np.eye(len(points), dtype=bool)]
    assert len(points) == 20
    assert apart.min() >= APART
    shifted = points + rng.uniform(-0.5, 0.5, points.shape)
    volume = landmark_volume(shifted, labels.grid).array
    centroids = ndimage.center_of_mass(np.ones_like(volume), volume, np.arange(1, 21))
    assert np.bincount(volume.ravel())[1:].tolist() == [27] * 20
    assert np.abs(np.array(centroids) - shifted).max() <= 0.5
