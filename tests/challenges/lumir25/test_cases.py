import json

import pytest

from voxbench.challenges.catalogue import CHALLENGES
from voxbench.challenges.lumir25.cases import Pair, part_of, read_config, read_dataset, unique_pairs
from voxbench.errors import FileReadError, InputError


def pair(fixed, moving):
    return Pair(f"./imagesVal/LUMIRMRI_{fixed}.nii.gz", f"./imagesVal/LUMIRMRI_{moving}.nii.gz")


@pytest.mark.parametrize(
    ("fixed", "moving", "name"),
    [
        ("3455_0000", "3454_0000", "disp_3455_3454.nii.gz"),
        ("3455_0002", "3454_0002", "disp_3455_3454.nii.gz"),
        ("4024_0000", "4023_0001", "disp_4024_4023.nii.gz"),
        ("4024_0001", "4023_0000", "disp_4024_0001_4023_0000.nii.gz"),
        ("4024_0000", "4023_0002", "disp_4024_0000_4023_0002.nii.gz"),
    ],
)
def test_the_modalities_are_named_only_where_the_evaluation_asks_for_it(fixed, moving, name):
    assert pair(fixed, moving).field_name == name
    assert pair(fixed, moving).key == f"{fixed}<--{moving}"


def test_labels_and_landmarks_lie_beside_the_images(tmp_path):
    unlike = pair("4024_0000", "4023_0002")
    assert unlike.beside("fixed", tmp_path, "labels") == tmp_path / "labelsVal/LUMIRMRI_4024_0000.nii.gz"
    assert unlike.landmarks("moving", tmp_path, "landmarks") == tmp_path / "landmarksVal/LUMIRMRI_4023_0002.nii.gz"
    assert unlike.landmarks("moving", tmp_path, "keypoints") == tmp_path / "keypoints02Val/LUMIRMRI_4023_0002.nii.gz"
    like = pair("4024_0000", "4023_0001")
    assert like.landmarks("fixed", tmp_path, "keypoints") == tmp_path / "keypointsVal/LUMIRMRI_4024_0000.nii.gz"


def test_a_name_without_subject_and_modality_is_refused():
    with pytest.raises(InputError, match=r"brain\.nii\.gz"):
        Pair("brain.nii.gz", "./imagesVal/LUMIRMRI_3454_0000.nii.gz")


def test_the_part_is_read_from_the_official_file_names():
    names = {
        "LUMIR_VAL_Landmark_evaluation_config.json": "landmarks",
        "LUMIR25_VAL_LUMIR24_Segmentation_evaluation_config.json": "in-domain",
        "LUMIR25_VAL_HighField_Segmentation_evaluation_config.json": "out-of-domain",
        "LUMIR25_VAL_MultiModal_Segmentation_evaluation_config.json": "multimodal",
        "config.json": None,
    }
    assert {name: part_of(name) for name in names} == names


def test_a_data_set_names_its_pairs_and_its_shape(world):
    dataset = read_dataset(world.dataset([(("3455",), ("3454",)), (("4023", "0000"), ("3454", "0002"))]))
    assert dataset.shape == (9, 10, 8)
    assert dataset.training == ("./imagesTr/LUMIRMRI_0000_0000.nii.gz",)
    assert [p.field_name for p in dataset.validation] == ["disp_3455_3454.nii.gz", "disp_4023_0000_3454_0002.nii.gz"]


def test_pairs_are_taken_once_in_order():
    one, other = pair("3455_0000", "3454_0000"), pair("3456_0000", "3455_0000")
    assert unique_pairs([one, other, one]) == (one, other)


@pytest.mark.parametrize("key", ["name", "expected_shape", "evaluation_methods", "eval_pairs"])
def test_a_missing_key_is_named_with_the_file(world, key):
    path = world.config("c.json", [], [])
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(FileReadError, match=f"c.json.*'{key}' is missing"):
        read_config(path)


@pytest.mark.parametrize(
    ("methods", "complaint"),
    [
        ([{"name": "X", "metric": "nmi"}], "'nmi' is not known"),
        ([{"name": "DSC", "metric": "dice"}], "'labels' is missing"),
        ([{"name": "TRE", "metric": "tre"}], "'dest' is missing"),
        ([{"metric": "ndv"}], "'name' is missing"),
    ],
)
def test_an_unknown_or_incomplete_method_is_refused(world, methods, complaint):
    with pytest.raises(FileReadError, match=complaint):
        read_config(world.config("c.json", [], methods))


@pytest.mark.parametrize("shape", [[9, 10, 8], [9, 10, 8, "3"], 5])
def test_a_shape_of_the_wrong_kind_is_refused(world, shape):
    with pytest.raises(FileReadError, match="4 whole numbers"):
        read_config(world.config("c.json", [], [], expected_shape=shape))


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_what_is_not_a_configuration_is_refused(tmp_path, text):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(FileReadError, match=r"c\.json"):
        read_config(path)


def test_the_catalogue_lists_lumir25():
    assert "lumir25" in [challenge.name for challenge in CHALLENGES]
