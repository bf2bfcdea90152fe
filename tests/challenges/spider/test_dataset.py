"""SPIDER's folders are read in both storage conventions, and no patient is ever on both sides of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbench.challenges.spider.dataset import Series, read_dataset
from voxbench.challenges.spider.splits import Split, official_split, patient_folds, read_splits, write_splits
from voxbench.errors import FileReadError, GridMismatchError, InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import write_labels, write_volume

LPS = np.diag([-1.0, -1.0, 1.0])
PIR = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def grid_of(convention: np.ndarray, shape: tuple[int, int, int]) -> Grid:
    return Grid.from_parts(shape, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), convention)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Patient 2 with two series, one in each convention; patient 10 with one without a mask."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    labels = np.zeros((3, 4, 5), np.int16)
    labels[1, 1] = [1, 201, 100, 102, 202]
    for stem, convention in (("2_t1", LPS), ("2_t2_SPACE", PIR), ("10_t2", LPS)):
        grid = grid_of(convention, labels.shape)
        write_volume(tmp_path / "images" / f"{stem}.mha", Volume(labels.astype(np.float32), grid))
        if stem != "10_t2":
            write_labels(tmp_path / "masks" / f"{stem}.mha", LabelMap(labels, grid))
    overview = (
        "new_file_name,subset,num_vertebrae,sex\n2_t1,training,2,F \n2_t2_SPACE,training,2,F \n10_t2,validation,2,M\n"
    )
    (tmp_path / "overview.csv").write_text(overview)
    head = (
        "Patient,IVD label,Modic,UP endplate,LOW endplate,Spondylolisthesis,Disc herniation,Disc narrowing,Disc bulging"
    )
    gradings = f"{head},Pfirrman grade\n2,1,0,1,0,0,0,1,1,4\n2,2,0,0,0,0,0,0,0,2\n2,0,0,0,0,0,0,0,0,1\n"
    (tmp_path / "radiological_gradings.csv").write_text(gradings)
    return tmp_path


def test_series_come_by_patient_with_their_rows(root: Path):
    dataset = read_dataset(root)
    assert [series.name for series in dataset.series] == ["2_t1", "2_t2_SPACE", "10_t2"]
    assert [series.patient for series in dataset.series] == [2, 2, 10]
    assert [series.sequence for series in dataset.series] == ["t1", "t2_SPACE", "t2"]
    assert dataset.series[0].overview["sex"] == "F"
    assert set(dataset.gradings) == {(2, 1), (2, 2)}
    assert dataset.gradings[2, 1]["Pfirrman grade"] == 4


@pytest.mark.parametrize(("name", "orientation"), [("2_t1", "LPS+"), ("2_t2_SPACE", "PIR+")])
def test_both_conventions_keep_their_voxel_order_and_lie_where_they_say(root: Path, name: str, orientation: str):
    (series,) = read_dataset(root).named([name])
    image = series.read_image()
    labels = series.read_mask(image)
    assert image.grid.orientation == orientation
    assert labels.array[1, 1].tolist() == [1, 201, 100, 102, 202]
    assert image.grid.same_as(grid_of(LPS if name == "2_t1" else PIR, (3, 4, 5)))


def test_a_mask_that_is_missing_elsewhere_or_means_nothing_is_refused(root: Path):
    first, second, third = read_dataset(root).series
    with pytest.raises(FileReadError, match=r"10_t2: has no label map"):
        third.read_mask()
    with pytest.raises(GridMismatchError, match=r"2_t1\.mha: mask and image lie on different grids"):
        first.read_mask(second.read_image())
    write_labels(root / "masks" / "2_t1.mha", LabelMap(np.full((3, 4, 5), 255), grid_of(LPS, (3, 4, 5))))
    with pytest.raises(InputError, match=r"2_t1\.mha: label 255 means nothing"):
        first.read_mask()


def test_wrong_names_and_tables_are_named(root: Path, tmp_path: Path):
    (root / "overview.csv").write_text("name,subset\n")
    with pytest.raises(FileReadError, match=r"overview\.csv: no column new_file_name\n  here are name, subset"):
        read_dataset(root)
    (root / "overview.csv").unlink()
    (root / "radiological_gradings.csv").write_text("Patient,IVD label\n1,x\n")
    with pytest.raises(FileReadError, match=r"radiological_gradings\.csv: line 2"):
        read_dataset(root)
    (root / "images" / "mr3.mha").write_bytes(b"")
    with pytest.raises(FileReadError, match=r"not a name of SPIDER's: mr3\.mha"):
        read_dataset(root)
    with pytest.raises(FileReadError, match=r"no image here"):
        read_dataset(tmp_path / "nowhere")


def test_the_official_split_is_the_table_s(root: Path):
    split = official_split(read_dataset(root))
    assert split == Split(("2_t1", "2_t2_SPACE"), ("10_t2",))
    (root / "overview.csv").unlink()
    with pytest.raises(InputError, match=r"no subset .* for 2_t1, 2_t2_SPACE, 10_t2"):
        official_split(read_dataset(root))


@given(st.lists(st.integers(1, 3), min_size=5, max_size=20), st.integers(2, 5), st.integers(0, 9))
def test_folds_never_part_a_patient_and_validate_everyone_once(counts: list[int], k: int, seed: int):
    names = [f"{p}_{s}" for p, n in enumerate(counts, 1) for s in ("t1", "t2", "t2_SPACE")[:n]]
    series = [Series(name, Path("x")) for name in names]
    folds = patient_folds(series, k, seed)
    assert sorted(name for fold in folds for name in fold.validation) == sorted(names)
    for fold in folds:
        assert sorted(fold.train + fold.validation) == sorted(names)
        assert not {n.split("_")[0] for n in fold.train} & {n.split("_")[0] for n in fold.validation}
    sizes = [len(fold.validation) for fold in folds]
    assert max(sizes) - min(sizes) <= 3
    assert patient_folds(series[::-1], k, seed) == folds


def test_splits_are_written_and_read_back(tmp_path: Path):
    folds = patient_folds([Series(f"{n}_t2", Path("x")) for n in range(1, 8)], 3)
    write_splits(tmp_path / "folds.json", folds, {"seed": 0})
    assert read_splits(tmp_path / "folds.json") == folds
    (tmp_path / "folds.json").write_text('{"folds": [{"train": ["1_t1"], "validation": ["1_t2"]}]}')
    with pytest.raises(InputError, match="patient 1 has series on both sides"):
        read_splits(tmp_path / "folds.json")
    (tmp_path / "folds.json").write_text("[]")
    with pytest.raises(FileReadError, match="expected"):
        read_splits(tmp_path / "folds.json")
    with pytest.raises(InputError, match="8 folds of 7 patients"):
        patient_folds([Series(f"{n}_t2", Path("x")) for n in range(1, 8)], 8)
