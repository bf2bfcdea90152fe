"""What goes into a network beside a sequence: its twin, a base to correct; and pairs made of micro-CT alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from voxbench.challenges.lumbarsr.bases import Base, base_array, base_for
from voxbench.challenges.lumbarsr.cases import Case, cases_of
from voxbench.challenges.lumbarsr.simulation import LumbarsrSimulation, simulate
from voxbench.geometry import Grid, Volume
from voxbench.io import read_volume, write_volume

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="needs torch: pip install '.[learn]'")
SEQUENCES = ("195X_195Y_500Z_S", "586X_586Y_1000Z_S")
STILL = ("--steps", "2", "--warm-up", "1", "--learning-rate", "1e-12")
"""A training that leaves the network as it was."""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("learning") / "data"
    simulate(out, LumbarsrSimulation(cases=3, size=(36, 32, 32), seed=2))
    return out


@pytest.fixture
def voxbench(capsys):
    def call(*words):
        from voxbench.cli import main

        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


CHECKED = ("--validation", "Lumbar_28")


def words(data, out, method, *more):
    some = ("--sample", "Lumbar_26", "--sample", "Lumbar_27")
    chosen = [w for s in SEQUENCES for w in ("--sequence", s)]
    small = ("--patch", "16", "--batch", "2", "--method", method)
    return ("train", "lumbarsr", "--data", data, "--out", out, *some, *chosen, *small, *more)


def array(path):
    return read_volume(path).array


def test_the_twin_is_the_other_kernel_of_the_same_slices():
    assert Case("Lumbar_01", "586X_586Y_1000Z_S").twin == Case("Lumbar_01", "586X_586Y_1000Z_B")
    assert Case("Lumbar_01", "586X_586Y_1000Z_S").twin.twin.sequence == "586X_586Y_1000Z_S"


@pytest.mark.parametrize("method", ["srcnn", "swinir"])
def test_a_slice_network_takes_the_twin_kernel_as_its_second_channel(simulated, tmp_path, voxbench, method):
    from voxbench.tasks.superresolution.learned import load_upscaler

    (tmp_path / "c.toml").write_text("twin = true\nsteps = 4\nwarm_up = 1\n")
    code, out, err = voxbench(*words(simulated, tmp_path / "run", method, "--config", tmp_path / "c.toml", "--json"))
    assert code == 0, err
    card = json.loads(out)
    assert (card["channels"], card["twin"], card["base"]) == (2, True, None)
    assert sum("_B_registered" in name for name in card["data"]) == 4
    case = Case("Lumbar_28", SEQUENCES[1])
    shown = ("--data", simulated, "--out", tmp_path / "p", "--weights", tmp_path / "run", "--sample", "Lumbar_28")
    code, _, err = voxbench("predict", "lumbarsr", *shown, "--sequence", case.sequence)
    assert code == 0, err
    pair = [array(one.registered(simulated)) for one in (case, case.twin)]
    expected, swapped = np.empty(pair[0].shape, np.int16), np.empty(pair[0].shape, np.int16)
    load_upscaler(tmp_path / "run").upscale(np.stack(pair), expected)
    load_upscaler(tmp_path / "run").upscale(np.stack(pair[::-1]), swapped)
    found = array(case.prediction(tmp_path / "p", method))
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(found, swapped)


def test_a_missing_twin_is_named_in_training_and_in_prediction(simulated, tmp_path, voxbench):
    data = tmp_path / "data"
    shutil.copytree(simulated, data)
    assert voxbench(*words(data, tmp_path / "run", "srcnn", "--twin", *STILL))[0] == 0
    gone = Case("Lumbar_27", SEQUENCES[0]).twin.registered(data)
    gone.unlink()
    code, _, err = voxbench(*words(data, tmp_path / "other", "srcnn", "--twin", *STILL))
    assert code == 1
    assert "1 volumes are missing" in err
    assert gone.name in err
    assert "without --twin the other kernel is not needed" in err
    shown = ("--data", data, "--out", tmp_path / "p", "--weights", tmp_path / "run", "--sample", "Lumbar_27")
    code, _, err = voxbench("predict", "lumbarsr", *shown, "--sequence", SEQUENCES[0])
    assert (code, gone.name in err) == (1, True)
    assert voxbench(*words(data, tmp_path / "other", "srcnn", *STILL))[0] == 0


@pytest.mark.parametrize(("method", "base"), [("unet3d", "lanczos"), ("unet3d", "fusion"), ("unet", "fusion")])
def test_a_base_is_made_once_corrected_and_made_alike_when_predicting(simulated, tmp_path, voxbench, method, base):
    data = tmp_path / "data"
    shutil.copytree(simulated, data)
    given = words(data, tmp_path / "run", method, "--base", base, "--cache", tmp_path / "cache", *CHECKED, *STILL)
    code, out, err = voxbench(*given, "--json")
    assert code == 0, err
    card = json.loads(out)
    scores, made = card["validation"], Base.model_validate(card["base"])
    assert scores["PSNR, bone window, bone mask"] == pytest.approx(scores["of the base"], abs=1e-3)
    assert (made.method, made.source, bool(made.models)) == (base, "native", base == "fusion")
    if base == "fusion":
        assert {s for model in made.models.values() for s in model.samples} == {"Lumbar_26", "Lumbar_27"}
    assert any("original_dicom" in name for name in card["data"])
    kept = sorted((tmp_path / "cache").glob(f"*_{base}_*.npy"))
    # Joined or of one sequence: one a sample; for slices a joined one too is one a sample.
    assert len(kept) == 3
    times = [path.stat().st_mtime_ns for path in kept]
    assert voxbench(*given, "--force")[0] == 0
    assert [path.stat().st_mtime_ns for path in kept] == times

    Case("Lumbar_28", SEQUENCES[0]).reference(data).unlink()  # hidden, as in the challenge
    shown = ("--data", data, "--out", tmp_path / "p", "--weights", tmp_path / "run", "--sample", "Lumbar_28")
    code, _, err = voxbench("predict", "lumbarsr", *shown, *(w for s in SEQUENCES for w in ("--sequence", s)))
    assert code == 0, err
    learned_from = np.load(next(path for path in kept if path.name.startswith("Lumbar_28")))
    for sequence in SEQUENCES:
        found = array(Case("Lumbar_28", sequence).prediction(tmp_path / "p", method))
        assert np.abs(found.astype(int) - learned_from).max() <= 1
    shutil.rmtree(data / "original_dicom" / "Lumbar_28")
    code, _, err = voxbench("predict", "lumbarsr", *shown, "--force")
    assert code == 1
    assert "original_dicom/Lumbar_28" in err
    assert voxbench("predict", "lumbarsr", *shown, "--source", "registered", "--force")[0] == 0


def test_of_slices_every_sequence_has_its_own_base_unless_it_is_joined(simulated):
    cases = cases_of(("Lumbar_26",), SEQUENCES)
    lanczos = base_for(simulated, "lanczos", cases, ("Lumbar_26",))
    assert lanczos.observed(cases[1]) == (cases[1],)
    assert base_for(simulated, "fusion", cases, ("Lumbar_26",)).observed(cases[1]) == cases
    one, other = (base_array(simulated, case, lanczos) for case in cases)
    assert one.shape == other.shape == (36, 32, 32)
    assert not np.array_equal(one, other)


def test_a_base_learns_to_be_better_than_the_base(simulated, tmp_path, voxbench):
    learned = ("--steps", "60", "--warm-up", "5", "--learning-rate", "0.004", "--outside", "0.2")
    code, out, err = voxbench(
        *words(simulated, tmp_path / "run", "unet3d", "--base", "lanczos", "--json", *CHECKED, *learned)
    )
    assert code == 0, err
    scores = json.loads(out)["validation"]
    assert scores["PSNR, bone window, bone mask"] > scores["of the base"] + 0.5


def test_micro_ct_alone_is_enough(simulated, tmp_path, voxbench):
    files = [Case(sample, SEQUENCES[0]).reference(simulated) for sample in ("Lumbar_26", "Lumbar_27")]
    given = ("train", "lumbarsr", "--microct", *files, "--out", tmp_path / "run", "--method", "srcnn", *STILL)
    more = ("--patch", "16", "--validation", "Lumbar_27", "--sequence", SEQUENCES[1], "--noise-hu", "5")
    code, out, err = voxbench(*given, *more, "--json")
    assert code == 0, err
    card = json.loads(out)
    assert (card["samples"], card["validation"].keys() > {"of the best observation"}) == (["Lumbar_26"], True)
    (folder,) = (tmp_path / "run" / "cache").glob("microct_*")
    truth = json.loads((folder / "truth.json").read_text())
    assert (truth["settings"]["noise_hu"], truth["samples"]["Lumbar_27"]["source"]) == (5, files[1].name)
    np.testing.assert_array_equal(array(Case("Lumbar_26", SEQUENCES[0]).reference(folder)), array(files[0]))
    before = (folder / "truth.json").stat().st_mtime_ns
    code, _, err = voxbench(*given, *more)
    assert (code, "going on after 2 of 2 updates" in err) == (0, True)
    assert (folder / "truth.json").stat().st_mtime_ns == before


def test_bad_requests_get_one_message(simulated, tmp_path, voxbench):
    micro = Case("Lumbar_26", SEQUENCES[0]).reference(simulated)
    train = ("train", "lumbarsr", "--out", tmp_path / "run", *STILL)
    asked = [
        (2, "one of the two", (*train,)),
        (2, "one of the two", (*train, "--data", simulated, "--microct", micro)),
        (2, "--noise-hu is for --microct", (*train, "--data", simulated, "--noise-hu", "3")),
        (2, "noise_hu", (*train, "--microct", micro, "--noise-hu", "-3")),
        (2, "leave some to learn from", (*train, "--microct", micro, "--validation", "Lumbar_26")),
        (
            2,
            "Lumbar_27: not there\n  --microct gives Lumbar_26",
            (*train, "--microct", micro, "--validation", "Lumbar_27"),
        ),
        (
            2,
            "--twin is for methods that look at slices",
            words(simulated, tmp_path / "run", "unet3d", "--twin", *STILL),
        ),
        (2, "--base magic: no such method", words(simulated, tmp_path / "run", "unet", "--base", "magic", *STILL)),
        (2, "--patience 3: esrgan", words(simulated, tmp_path / "run", "esrgan", "--patience", "3", *STILL)),
        (2, "not a sample's name", (*train, "--data", simulated, "--sample", "Knee_01")),
        (2, "not a sequence", (*train, "--data", simulated, "--sequence", "100X")),
        (2, "gan.pretrain", words(simulated, tmp_path / "run", "esrgan", "--gan.pretrain", "2", *STILL)),
        (2, "given twice, or a copy", (*train, "--microct", micro, micro)),
        (1, "no such micro-CT", (*train, "--microct", tmp_path / "none.nii.gz")),
    ]
    for expected, told, given in asked:
        code, _, err = voxbench(*given)
        assert (code, told in err, "Traceback" in err) == (expected, True, False), (given, err)
        assert expected == 1 or "given twice" in told or not (tmp_path / "run").exists()
    coarse = Grid.from_parts((9, 9, 9), (0.2, 0.2, 0.2))
    write_volume(tmp_path / "m.nii.gz", Volume(np.arange(729, dtype=np.int16).reshape(9, 9, 9), coarse))
    code, _, err = voxbench(*train, "--microct", tmp_path / "m.nii.gz")
    assert (code, "0.105 mm between voxels" in err) == (1, True)
    assert not list((tmp_path / "run" / "cache").glob("*microct*"))


def test_python_m_voxbench_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "voxbench", "train", "no"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "voxbench train --help" in done.stderr


@pytest.mark.slow
def test_torchrun_trains_what_one_process_does(simulated, tmp_path, voxbench):
    from voxbench.training.weights import read

    more = ("--base", "lanczos", "--steps", "12", "--warm-up", "3", "--gan.pretrain", "0.75")
    two = [str(word) for word in words(simulated, tmp_path / "two", "esrgan", *more)]
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29531"]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*run, "-m", "voxbench", *two], capture_output=True, text=True, env=one_thread, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("weights in") == 1  # the second process is silent
    assert voxbench(*words(simulated, tmp_path / "one", "esrgan", *more))[0] == 0
    one, other = (read(tmp_path / name / "weights.safetensors")[0] for name in ("one", "two"))
    assert all(np.allclose(one[name], other[name], atol=2e-4) for name in one)
    assert any(tensor.abs().max() > 1e-3 for name, tensor in one.items() if "last" in name)  # from 0
