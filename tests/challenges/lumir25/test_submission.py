import zipfile

import nibabel as nib
import numpy as np
import pytest

from voxbench.challenges.lumir25.cases import read_config, read_dataset
from voxbench.challenges.lumir25.submission import check, pack, tasks_of
from voxbench.errors import FileReadError, FileWriteError, InputError, UsageError

FIRST = (("3455",), ("3454",))
SECOND = (("3456",), ("3455",))
LONG = (("4023", "0000"), ("3454", "0002"))
SHAPE = (9, 10, 8, 3)


@pytest.fixture
def tasks(world):
    configs = [
        read_config(world.config("LUMIR24_Segmentation.json", [FIRST, SECOND], [])),
        read_config(world.config("MultiModal.json", [LONG], [])),
    ]
    return tasks_of(configs, None)[0]


def test_the_zip_holds_one_folder_with_all_fields_as_they_were(world, tasks):
    out = world.root / "entry.zip"
    packed = pack(world.predictions, tasks, SHAPE, out)
    assert packed.zeros == ()
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == [
            "entry/disp_3455_3454.nii.gz",
            "entry/disp_3456_3455.nii.gz",
            "entry/disp_4023_0000_3454_0002.nii.gz",
        ]
        for name in archive.namelist():
            assert archive.read(name) == (world.predictions / name.removeprefix("entry/")).read_bytes()
    assert check(out, tasks, SHAPE).fields == packed.fields


def test_a_task_that_was_not_entered_gets_zero_fields(world, tasks):
    (world.predictions / "disp_4023_0000_3454_0002.nii.gz").unlink()
    out = world.root / "entry.zip"
    packed = pack(world.predictions, tasks, SHAPE, out)
    assert packed.zeros == ("disp_4023_0000_3454_0002.nii.gz",)
    with zipfile.ZipFile(out) as archive:
        archive.extractall(world.root / "unpacked")
    image = nib.load(world.root / "unpacked/entry/disp_4023_0000_3454_0002.nii.gz")
    assert image.shape == SHAPE
    assert image.get_data_dtype() == np.float32
    assert not np.asanyarray(image.dataobj).any()
    assert len(check(out, tasks, SHAPE).fields) == 3


def test_a_field_missing_from_an_entered_task_is_named_unless_zeros_are_asked_for(world, tasks):
    (world.predictions / "disp_3456_3455.nii.gz").unlink()
    out = world.root / "entry.zip"
    with pytest.raises(FileReadError, match=r"disp_3456_3455\.nii\.gz  \(in-domain\)"):
        pack(world.predictions, tasks, SHAPE, out)
    assert not out.exists()
    assert pack(world.predictions, tasks, SHAPE, out, fill_missing=True).zeros == ("disp_3456_3455.nii.gz",)


def test_the_same_fields_give_the_same_zip(world, tasks):
    first, second = world.root / "a" / "entry.zip", world.root / "b" / "entry.zip"
    for out in (first, second):
        out.parent.mkdir()
        pack(world.predictions, tasks, SHAPE, out)
    assert first.read_bytes() == second.read_bytes()


def test_pairs_of_the_data_set_that_no_configuration_names_are_a_task_too(world):
    dataset = read_dataset(world.dataset([FIRST, SECOND, LONG]))
    configs = [read_config(world.config("LUMIR24_Segmentation.json", [FIRST], []))]
    tasks, shape = tasks_of(configs, dataset)
    assert [len(task.pairs) for task in tasks] == [1, 2]
    assert shape == SHAPE
    assert tasks_of([], dataset)[1] == SHAPE
    with pytest.raises(UsageError, match="which pairs"):
        tasks_of([], None)
    other = read_config(world.config("other.json", [FIRST], [], expected_shape=[1, 2, 3, 3]))
    with pytest.raises(UsageError, match="different shapes"):
        tasks_of([other], dataset)


def test_an_existing_zip_stays_without_force_and_when_packing_fails(world, tasks):
    out = world.root / "entry.zip"
    out.write_bytes(b"precious")
    with pytest.raises(FileWriteError, match="--force"):
        pack(world.predictions, tasks, SHAPE, out)
    with pytest.raises(InputError):
        pack(world.predictions, tasks, (9, 10, 7, 3), out, force=True)
    assert out.read_bytes() == b"precious"
    pack(world.predictions, tasks, SHAPE, out, force=True)
    assert zipfile.is_zipfile(out)
    assert [p.name for p in world.root.iterdir() if ".part." in p.name] == []


def test_all_bad_fields_are_named_with_what_is_wrong(world, tasks):
    save = lambda array, name: nib.save(nib.Nifti1Image(array, np.eye(4)), world.predictions / name)  # noqa: E731
    save(np.zeros((10, 9, 8, 3), np.float32), "disp_3455_3454.nii.gz")
    save(np.zeros(SHAPE, np.float64), "disp_3456_3455.nii.gz")
    save(np.full(SHAPE, np.nan, np.float32), "disp_4023_0000_3454_0002.nii.gz")
    with pytest.raises(InputError, match="3 fields cannot be submitted") as refused:
        pack(world.predictions, tasks, SHAPE, world.root / "entry.zip")
    lines = str(refused.value).splitlines()
    assert "expected 9 x 10 x 8 x 3" in lines[1]
    assert "float64" in lines[2]
    assert "NaN" in lines[3]


def test_a_damaged_field_is_named(world, tasks):
    path = world.predictions / "disp_3455_3454.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"disp_3455_3454\.nii\.gz: "):
        pack(world.predictions, tasks, SHAPE, world.root / "entry.zip")


def test_an_empty_folder_and_another_suffix_are_refused(world, tasks):
    with pytest.raises(FileReadError, match="none of the 3"):
        pack(world.root, tasks, SHAPE, world.root / "entry.zip")
    with pytest.raises(UsageError, match=r"\.zip"):
        pack(world.predictions, tasks, SHAPE, world.root / "entry.tar")


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([], "found nothing"),
        (["disp_3455_3454.nii.gz"], "one folder"),
        (["a/disp_3455_3454.nii.gz", "b/disp_3456_3455.nii.gz"], "one folder at the top; found a, b"),
        (["a/b/disp_3455_3454.nii.gz"], "found a/b"),
        (["a/disp_3455_3454.nii.gz"], "disp_3456_3455.nii.gz: missing"),
    ],
)
def test_a_zip_of_another_layout_is_refused(world, tasks, entries, complaint):
    path = world.root / "entry.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for entry in entries:
            archive.writestr(entry, (world.predictions / entry.split("/")[-1]).read_bytes())
    with pytest.raises(InputError, match=complaint):
        check(path, tasks, SHAPE)


def test_what_nobody_asked_for_is_told_and_what_is_no_zip_refused(world, tasks):
    path = world.root / "entry.zip"
    pack(world.predictions, tasks, SHAPE, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("entry/notes.txt", "hello")
    assert check(path, tasks, SHAPE).others == ("notes.txt",)
    path.write_bytes(b"not a zip")
    with pytest.raises(FileReadError, match="zip"):
        check(path, tasks, SHAPE)
    with pytest.raises(FileReadError, match="zip"):
        check(world.root / "absent.zip", tasks, SHAPE)
