"""Anatomies drawn from formulas: label maps whose truth is known."""

from voxbench.simulate.phantoms.brain import BRAIN_NAMES, brain_phantom
from voxbench.simulate.phantoms.vertebra import VERTEBRA_NAMES, BoneTruth, Vertebra, VertebraAnatomy, vertebra_phantom

__all__ = [
    "BRAIN_NAMES",
    "VERTEBRA_NAMES",
    "BoneTruth",
    "Vertebra",
    "VertebraAnatomy",
    "brain_phantom",
    "vertebra_phantom",
]
