"""What a series tells of, by the structures its labels hold."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from voxbench.challenges.spider.learning import told_of
from voxbench.tasks.segmentation import Sample

BACKGROUND, VERTEBRA, DISC, CANAL = range(4)


def sample(name: str, *classes: int) -> Sample:
    labels = np.zeros((2, 2, 2), np.uint8)
    labels.ravel()[: len(classes)] = classes
    return Sample(name, labels)


def test_kinds_that_others_hold_are_unknown_and_kinds_that_nobody_holds_are_nowhere() -> None:
    bodies, discs = told_of((sample("bodies", VERTEBRA), sample("discs", DISC)))
    assert bodies.annotated == (True, True, False, True)
    assert discs.annotated == (True, False, True, True)


def test_series_with_all_structures_tell_of_all() -> None:
    whole = told_of((sample("a", VERTEBRA, DISC, CANAL), sample("b", CANAL, DISC, VERTEBRA)))
    assert [one.annotated for one in whole] == [(True,) * 4] * 2
