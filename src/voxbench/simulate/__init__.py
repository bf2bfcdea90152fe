"""Data whose truth is known: phantoms, random maps with their inverse, images of any contrast."""

from voxbench.simulate.deformations import NEARBY, Diffeomorphism, Pose, random_affine, random_diffeomorphism
from voxbench.simulate.mri import ORDINARY, PERFECT, Contrast, ContrastName, Scanner, contrast, render
from voxbench.simulate.phantoms.brain import BRAIN_NAMES, brain_phantom
from voxbench.simulate.radiograph import PhotonNoise, RelativeNoise, attenuation, radiographs, shadows

__all__ = [
    "BRAIN_NAMES",
    "NEARBY",
    "ORDINARY",
    "PERFECT",
    "Contrast",
    "ContrastName",
    "Diffeomorphism",
    "PhotonNoise",
    "Pose",
    "RelativeNoise",
    "Scanner",
    "attenuation",
    "brain_phantom",
    "contrast",
    "radiographs",
    "random_affine",
    "random_diffeomorphism",
    "render",
    "shadows",
]
