"""The three verbs of LUMIR25 as a user types them."""

import json

import nibabel as nib
import numpy as np
import pytest

from voxbench.cli import evaluate, predict, submit
from voxbench.errors import FileWriteError, JobError, UsageError

SHAPE = (6, 7, 8)


@pytest.fixture
def data(tmp_path):
    """Two subjects, identical up to a shift, and the files that name the pair."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:4, 2:5, 2:6] = 3
    pair = {name: f"./imagesVal/LUMIRMRI_{s}_0000.nii.gz" for name, s in (("fixed", "3455"), ("moving", "3454"))}
    for subject, shift in (("3455", 0), ("3454", 1)):
        for folder in ("imagesVal", "labelsVal"):
            (tmp_path / folder).mkdir(exist_ok=True)
            path = tmp_path / folder / f"LUMIRMRI_{subject}_0000.nii.gz"
            nib.save(nib.Nifti1Image(np.roll(labels, shift, axis=0), np.eye(4)), path)
    dataset = {"name": "LUMIR", "tensorImageShape": {"0": SHAPE}, "validation": [pair]}
    (tmp_path / "LUMIR25_dataset.json").write_text(json.dumps(dataset))
    methods = [{"name": "DSC", "metric": "dice", "labels": [3]}, {"name": "NDV", "metric": "ndv"}]
    config = {"name": "LUMIR", "evaluation_methods": methods, "expected_shape": [*SHAPE, 3], "eval_pairs": [pair]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def run(verb, *words):
    return verb.app(["lumir25", *map(str, words)], result_action="return_value", exit_on_error=False)


def test_from_data_set_to_checked_submission(data, capsys):
    run(predict, "--data", data, "--out", data / "fields", "--method", "zero")
    assert "1 predicted, 0 there already, 0 failed" in capsys.readouterr().err
    run(predict, "--data", data, "--out", data / "fields", "--method", "zero", "--json")
    assert json.loads(capsys.readouterr().out)[0]["error"] == ""
    run(predict, "--data", data, "--out", data / "fields", "--method", "zero")
    assert "0 predicted, 1 there already, 0 failed" in capsys.readouterr().err

    words = ("--predictions", data / "fields", "--references", data, "--config", data / "config.json")
    run(evaluate, *words, "--out", data / "scores", "--json")
    printed = capsys.readouterr()
    # two of two planes, one of them shared: Dice 2 * 12 / (24 + 24)
    assert json.loads(printed.out)["aggregates"]["DSC"]["mean"] == 0.5
    assert json.loads((data / "scores/metrics.json").read_text()) == json.loads(printed.out)
    assert "DSC" in printed.err
    run(evaluate, *words, "--out", data / "scores")
    assert "(kept)" in capsys.readouterr().err
    with pytest.raises(FileWriteError, match="--force"):
        run(evaluate, *words, "--out", data / "fields")
    run(evaluate, *words, "--out", data / "scores", "--force")
    assert "(kept)" not in capsys.readouterr().err

    pairs = ("--dataset-json", data / "LUMIR25_dataset.json", "--config", data / "config.json")
    run(submit, "--predictions", data / "fields", *pairs, "--out", data / "entry.zip")
    assert "1 fields, 0 filled with zeros" in capsys.readouterr().err.replace("\n", "")
    run(submit, "--check", data / "entry.zip", *pairs)
    assert "all as they should be" in capsys.readouterr().err.replace("\n", " ")


def test_a_failed_pair_ends_in_a_job_error_that_names_it(data):
    (data / "imagesVal/LUMIRMRI_3454_0000.nii.gz").write_bytes(b"broken")
    with pytest.raises(JobError, match="3455_0000<--3454_0000"):
        run(predict, "--data", data, "--out", data / "fields", "--method", "zero")


def test_packing_and_checking_are_either_or(data):
    with pytest.raises(UsageError, match="--check"):
        run(submit, "--dataset-json", data / "LUMIR25_dataset.json")
    with pytest.raises(UsageError, match="--check"):
        run(submit, "--predictions", data, "--out", data / "x.zip", "--check", data / "x.zip")
