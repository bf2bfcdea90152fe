"""voxbench doctor: says what is there, and finds what is broken."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from voxbench import _core
from voxbench.cli import installation, main, selftest
from voxbench.io import read_volume
from voxbench.metrics import surface_distances


def test_a_sound_installation_passes_its_self_test(capsys):
    assert main(["doctor", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert [job["name"] for job in told["self_test"]] == list(selftest.JOBS)
    assert all(job["good"] for job in told["self_test"])
    found = {finding["name"]: finding for finding in told["findings"]}
    assert f"{_core.threads()} threads" in found["compiled core"]["told"]
    assert not any(finding["wrong"] for finding in told["findings"])
    assert "numpy" in found["packages"]["told"]
    assert "self-test: registration" in err


def test_a_wrong_answer_is_told_and_is_an_error(monkeypatch, capsys):
    def broken():
        raise ZeroDivisionError("no\nsecond line")

    monkeypatch.setattr(
        selftest, "JOBS", {"one": lambda: (True, "1 (1)"), "two": lambda: (False, "3 (2)"), "x": broken}
    )
    assert main(["doctor"]) == 1
    message = capsys.readouterr().err
    assert "2 things are wrong with this installation\n  two: 3 (2)\n  x: ZeroDivisionError: no\n" in message


def test_every_self_test_can_fail(monkeypatch):
    """Each job's answer comes from the code it tries: with that code spoilt, it says so."""
    project, thickness = _core.project_columns, _core.local_thickness
    monkeypatch.setattr(_core, "project_columns", lambda *a: project(*a) * np.float32(1.01))
    assert not selftest._tried("", selftest._projection).good

    def thicker(squared, *more):
        squared *= 2
        return thickness(squared, *more)

    monkeypatch.setattr(_core, "local_thickness", thicker)
    assert not selftest._tried("", selftest._thickness).good
    monkeypatch.setattr("voxbench.metrics.surface_distances", lambda *a: surface_distances(a[0], a[0]))
    assert not selftest._tried("", selftest._distances).good
    monkeypatch.setattr("voxbench.tasks.registration.register", lambda *a: pytest.fail("no longer there"))
    with pytest.raises(pytest.fail.Exception):
        selftest._registration()
    monkeypatch.setattr("voxbench.io.read_volume", lambda path: read_volume(path.with_name("a.nii.gz")))
    tried = selftest._tried("", selftest._files)
    assert not tried.good
    assert "half a file NOT refused" in tried.told


def test_a_missing_package_is_an_error_with_the_remedy(monkeypatch, capsys):
    real = installation.version

    def version(name):
        if name == "edt":
            raise PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(installation, "version", version)
    assert main(["doctor", "--quick"]) == 1
    message = capsys.readouterr().err
    assert "packages: missing: edt; " in message
    assert "-m pip install voxbench" in message


def test_quick_does_no_job(monkeypatch, capsys):
    monkeypatch.setattr(selftest, "JOBS", {"never": lambda: pytest.fail("done")})
    assert main(["doctor", "--quick", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["self_test"] == []
