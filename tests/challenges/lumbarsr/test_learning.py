"""A network learns on a toy data set in LumbarSR's layout, and is applied again from its folder."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from scipy import ndimage

from voxbench.challenges.lumbarsr.cases import Case
from voxbench.geometry import Grid, Volume
from voxbench.io import write_volume

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="needs torch: pip install '.[learn]'")
SEQUENCES = ("195X_195Y_500Z_S", "586X_586Y_1000Z_S")


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(array, Grid.from_parts(array.shape, (0.105,) * 3)))


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for sample in ("Lumbar_01", "Lumbar_02"):
        texture = ndimage.gaussian_filter(rng.standard_normal((26, 24, 20)), 1.2)
        target = np.where(texture > 0.05, 900, -50).astype(np.int16)
        save(Case(sample, SEQUENCES[0]).reference(tmp_path), target)
        for sequence, sigma in zip(SEQUENCES, (1.0, 1.6), strict=True):
            save(Case(sample, sequence).registered(tmp_path), ndimage.gaussian_filter(target, sigma))
    return tmp_path


@pytest.fixture
def voxbench(capsys):
    def call(*words):
        from voxbench.cli import main

        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def words(data, method, *more):
    chosen = [w for s in SEQUENCES for w in ("--sequence", s)]
    some = ("--sample", "Lumbar_01", "--validation", "Lumbar_02", "--warm-up", "5", "--patch", "16", "--batch", "2")
    return ("train", "lumbarsr", "--data", data, "--out", data / method, "--method", method, *some, *chosen, *more)


def test_a_network_learns_to_beat_its_best_input_and_works_from_its_folder(data, voxbench):
    import json

    from voxbench.challenges.lumbarsr.scoring import official_scores
    from voxbench.errors import InputError
    from voxbench.io import read_volume
    from voxbench.tasks.superresolution.learned import load_upscaler

    code, out, err = voxbench(
        *words(data, "unet3d", "--steps", "300", "--learning-rate", "0.002", "--validate-every", "150", "--json")
    )
    assert code == 0, err
    assert "parameters" in err
    card = json.loads(out)
    scores = card["validation"]
    assert scores["PSNR, bone window, bone mask"] > scores["of the best observation"] + 1
    assert (card["channels"], card["spacing_mm"], len(card["data"])) == (2, 0.105, 6)

    upscaler = load_upscaler(data / "unet3d")
    images = [read_volume(Case("Lumbar_02", s).registered(data)).array for s in SEQUENCES]
    target = read_volume(Case("Lumbar_02", SEQUENCES[0]).reference(data)).array
    result = np.empty(target.shape, np.int16)
    upscaler.upscale(np.stack(images), result)
    found = official_scores(target, result, target > -1000)[0]["bone"]["psnr"]
    assert found == pytest.approx(scores["PSNR, bone window, bone mask"], abs=1e-3)
    predicted = ("predict", "lumbarsr", "--data", data, "--out", data / "p", "--weights", data / "unet3d")
    chosen = ("--sample", "Lumbar_02", "--sequence", SEQUENCES[1])
    code, _, err = voxbench(*predicted, *chosen)
    assert code == 0, err
    written = read_volume(Case("Lumbar_02", SEQUENCES[1]).prediction(data / "p", "unet3d")).array
    np.testing.assert_array_equal(written, result)
    assert "(kept)" in voxbench(*predicted, *chosen)[2]
    code, _, err = voxbench(*predicted, "--sample", "Lumbar_07")
    assert code == 1
    assert "2 volumes are missing" in err
    with pytest.raises(InputError, match=r"(?s)network  2.*given    1"):
        upscaler.upscale(np.stack(images[:1]), result)


@pytest.mark.parametrize("method", ["srcnn", "unet"])
def test_slice_networks_take_one_sequence_at_a_time(data, voxbench, method):
    from voxbench.tasks.superresolution.learned import load_upscaler

    code, _, err = voxbench(*words(data, method, "--steps", "6", "--validate-every", "6"))
    assert code == 0, err
    assert load_upscaler(data / method).channels == 1


def test_bad_requests_get_one_message(data, voxbench):
    code, _, err = voxbench(*words(data, "srcnn", "--steps", "6", "--sample", "Lumbar_02"))
    assert (code, "in --sample and in --validation" in err) == (2, True)
    code, _, err = voxbench(*words(data, "srcnn", "--steps", "6", "--sample", "Lumbar_09"))
    assert code == 1
    assert "3 volumes are missing" in err
    code, _, err = voxbench(*words(data, "srcnn", "--steps", "3"))
    assert code == 2
    assert "--warm-up must be below --steps" in err
    code, _, err = voxbench(*words(data, "srcnn", "--steps", "6", "--accumulate", "3"))
    assert (code, "--batch must be a multiple of --accumulate; got 2 and 3" in err) == (2, True)
