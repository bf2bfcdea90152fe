"""A small data set that tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def knee_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four labelled knees and one without labels, 32 pixels wide, seen from four sides without noise."""
    from voxbench.challenges.ssrkd.simulation import SsrkdSimulation, simulate

    settings = SsrkdSimulation(
        cases=4,
        unlabelled=1,
        shapes="formulas",
        size=32,
        points=400,
        both_knees=0.0,
        angles=(0.0, 90.0, 180.0, 270.0),
        keep_hu=True,
        radiograph_noise=None,
    )
    folder = tmp_path_factory.mktemp("ssrkd") / "knees"
    simulate(folder, settings)
    return folder
