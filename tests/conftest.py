"""What every test shares: the real-data option, and few threads so that runs repeat exactly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before the core is loaded

from voxbench import _core


def pytest_addoption(parser: pytest.Parser) -> None:
    """Real images are used where the caller has them."""
    parser.addoption("--real-data", type=Path, default=None, help="folder with real images; tests skip without it")


@pytest.fixture(scope="session")
def real_data(request: pytest.FixtureRequest) -> Path:
    """The folder of real images; the test is skipped without one."""
    folder = request.config.getoption("--real-data")
    if folder is None or not folder.is_dir():
        pytest.skip("needs --real-data DIR")
    return folder


@pytest.fixture(autouse=True, scope="session")
def two_threads() -> None:
    """Two threads everywhere, as in CI."""
    _core.threads(2)
