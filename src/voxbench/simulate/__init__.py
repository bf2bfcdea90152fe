"""Data whose truth is known: phantoms, random maps with their inverse, images of any contrast."""

from voxbench.simulate.deformations import NEARBY, Diffeomorphism, Pose, random_affine, random_diffeomorphism
from voxbench.simulate.mri import ORDINARY, PERFECT, Contrast, ContrastName, Scanner, contrast, render
from voxbench.simulate.phantoms.brain import BRAIN_NAMES, brain_phantom

__all__ = [
    "BRAIN_NAMES",
    "NEARBY",
    "ORDINARY",
    "PERFECT",
    "Contrast",
    "ContrastName",
    "Diffeomorphism",
    "Pose",
    "Scanner",
    "brain_phantom",
    "contrast",
    "random_affine",
    "random_diffeomorphism",
    "render",
]
