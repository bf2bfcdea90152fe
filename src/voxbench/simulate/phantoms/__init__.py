"""Anatomies drawn from formulas: label maps whose truth is known."""

from voxbench.simulate.phantoms.brain import BRAIN_NAMES, brain_phantom

__all__ = ["BRAIN_NAMES", "brain_phantom"]
