"""`import voxbench` offers exactly what it says, and loads it when it is used."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.metadata import version

import pytest

import voxbench

PUBLIC = {
    *("Affine", "DisplacementField", "Grid", "LabelMap", "Volume"),
    *("RegistrationConfig", "register"),
    *("compose", "invert", "resample"),
    *("read_displacement", "read_labels", "read_volume"),
    *("write_displacement", "write_labels", "write_volume"),
    "__version__",
}


def test_the_public_names_are_these_and_no_others():
    assert set(voxbench.__all__) == PUBLIC
    assert list(voxbench.__all__) == sorted(voxbench.__all__)
    assert set(dir(voxbench)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_every_public_name_is_there_and_documented(name):
    thing = getattr(voxbench, name)
    assert inspect.getdoc(thing)
    assert thing.__module__.startswith("voxbench.")
    assert getattr(voxbench, name) is thing


def test_the_version_is_that_of_the_package():
    assert voxbench.__version__ == version("voxbench")


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'voxbench' has no attribute 'regsiter'"):
        _ = voxbench.regsiter


@pytest.mark.parametrize("package", ["geometry", "io", "metrics", "report", "tasks.registration"])
def test_the_names_of_every_package_are_there(package):
    module = import_module(f"voxbench.{package}")
    assert len(set(module.__all__)) == len(module.__all__)  # their order is ruff's to keep
    for name in module.__all__:
        assert hasattr(module, name), name
