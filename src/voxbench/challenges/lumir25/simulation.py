"""A small data set in LUMIR25's layout whose truth is known, for anyone without the 51 GB.

Everybody in it has the one brain phantom, warped by a random diffeomorphism of their own: so the true displacement
between two people is known at every voxel, and labels and landmarks correspond exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from voxbench.challenges.lumir25.landmark_volumes import choose_landmarks, landmark_volume, moved
from voxbench.challenges.lumir25.layout import (
    FIRST_VALIDATION,
    FOLDERS,
    MARKS,
    PartFiles,
    part_config,
    parts_of,
)
from voxbench.config import Config
from voxbench.geometry import Grid, LabelMap, compose, resample
from voxbench.io import write_displacement, write_json, write_labels, write_volume
from voxbench.io.folders import new_data_set, require_replaceable
from voxbench.simulate import (
    ORDINARY,
    ContrastName,
    Diffeomorphism,
    Scanner,
    brain_phantom,
    contrast,
    random_diffeomorphism,
)
from voxbench.simulate import render as render_image

Axis = Annotated[int, Field(ge=32, le=640)]
"""Voxels along an axis: fewer leave no brain to see."""
BOX_MM = (160.0, 224.0, 192.0)
"""LUMIR's field of view; a smaller data set has larger voxels, not less brain."""


class LumirSimulation(Config):
    """A simulated LUMIR25 data set."""

    cases: int = Field(default=3, ge=1, le=500, description="Pairs in each of the four parts, and training images.")
    size: tuple[Axis, Axis, Axis] = Field(
        default=(160, 224, 192), description="Voxels along each axis; the official size."
    )
    seed: int = Field(default=0, ge=0, description="Another seed is another data set.")
    amplitude_mm: float = Field(
        default=7.0, ge=0, le=12, description="No point of a person lies further from the phantom's."
    )
    smoothness_mm: float = Field(default=16.0, ge=8, le=60, description="Smoothness of the deformations.")
    landmarks: int = Field(default=30, ge=1, le=200, description="Landmarks a person, as far as the voxels leave room.")


SMALL = LumirSimulation()
"""Three pairs a part at the official size."""


@dataclass(frozen=True)
class SimulatedDataset:
    """What was written.

    Attributes:
        folder: The data set.
        training, people, pairs: How many training images, validation people and validation pairs it holds.
        labels, landmarks: How many labels and landmarks there are.
    """

    folder: Path
    training: int
    people: int
    pairs: int
    labels: int
    landmarks: int


@dataclass(frozen=True, eq=False)
class _Anatomy:
    """The phantom everybody shares, with its landmarks (world points, mm)."""

    labels: LabelMap
    landmarks: np.ndarray


def simulate(
    out: Path,
    settings: LumirSimulation = SMALL,
    *,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
) -> SimulatedDataset:
    """Write a data set; it appears when it is complete, or not at all.

    ``imagesTr/``, ``imagesVal/``, ``labelsVal/``, ``landmarksVal/``, ``LUMIR25_dataset.json`` and four evaluation
    configurations are what the challenge has. ``truth/`` is apart: the true displacement of every validation pair under
    its official file name, and the settings.

    Args:
        out: The folder; refused if there is something in it.
        settings: How many, how large, how different.
        force: Replace a simulated data set that is there (nothing else is ever replaced).
        progress: Called with each file written.

    Raises:
        FileWriteError: ``out`` exists, or cannot be written.
    """
    require_replaceable(out, MARKS, force)
    grid = _grid(settings.size)
    labels = brain_phantom(grid, settings.seed)
    rng = np.random.default_rng([settings.seed, 0x10AD])
    anatomy = _Anatomy(labels, choose_landmarks(labels, settings.landmarks, rng))
    parts = parts_of(settings.cases)
    with new_data_set(out, MARKS, force) as folder:
        for name in FOLDERS:
            (folder / name).mkdir()
        for name in _training(folder, anatomy, settings):
            _tell(progress, name)
        for part in parts:
            for name in _validation(folder, part, anatomy, settings):
                _tell(progress, name)
            write_json(folder / part.config_name, part_config(part, (0, *labels.ids), settings.size))
        write_json(folder / "LUMIR25_dataset.json", _dataset(settings, parts))
        write_json(folder / "truth" / "simulation.json", settings.model_dump(mode="json"))
    people = sum(len(part.people) for part in parts)
    pairs = sum(len(part.pairs) for part in parts)
    return SimulatedDataset(out, settings.cases, people, pairs, len(labels.ids), len(anatomy.landmarks))


def _grid(size: tuple[int, int, int]) -> Grid:
    """Voxels of LUMIR's box; at the official size 1 mm with the origin at voxel 0, as in the real files."""
    spacing = np.array(BOX_MM) / size
    return Grid.from_parts(size, spacing=spacing, origin=(spacing - 1) / 2)


def _training(folder: Path, anatomy: _Anatomy, settings: LumirSimulation) -> Iterator[str]:
    for number in range(settings.cases):
        rng = np.random.default_rng([settings.seed, 1, number])
        person = resample(
            anatomy.labels, onto=anatomy.labels.grid, through=_deformation(anatomy, settings, rng).forward
        )
        yield _image(folder / "imagesTr", f"LUMIRMRI_{number:04d}_0000.nii.gz", person, "t1", rng)


def _validation(folder: Path, part: PartFiles, anatomy: _Anatomy, settings: LumirSimulation) -> Iterator[str]:
    """The people of one part, and the truth between each and the one before."""
    grid, before = anatomy.labels.grid, None
    for person in part.people:
        rng = np.random.default_rng([settings.seed, 2, person - FIRST_VALIDATION])
        map_ = _deformation(anatomy, settings, rng)
        labels = resample(anatomy.labels, onto=grid, through=map_.forward)
        for modality in part.modalities:
            name = f"LUMIRMRI_{person:04d}_{modality}.nii.gz"
            look = "t1" if modality == "0000" else _other_contrast(rng)
            yield _image(folder / "imagesVal", name, labels, look, rng, part.scanner)
            write_labels(folder / "labelsVal" / name, labels)
            if part.landmarks:
                marks = landmark_volume(moved(anatomy.landmarks, map_.inverse), grid)
                write_labels(folder / "landmarksVal" / name, marks)
        if before is not None:
            truth = compose([map_.forward, before.inverse], onto=grid)
            write_displacement(folder / "truth" / part.field_name(person), truth, convention="voxel")
        before = map_


def _deformation(anatomy: _Anatomy, settings: LumirSimulation, rng: np.random.Generator) -> Diffeomorphism:
    return random_diffeomorphism(anatomy.labels.grid, rng, settings.amplitude_mm, settings.smoothness_mm)


def _other_contrast(rng: np.random.Generator) -> ContrastName:
    """Not T1."""
    choices: tuple[ContrastName, ...] = ("t2", "inverted", "random")
    return choices[int(rng.integers(len(choices)))]


def _image(
    folder: Path,
    name: str,
    labels: LabelMap,
    look: ContrastName,
    rng: np.random.Generator,
    scanner: Scanner = ORDINARY,
) -> str:
    image = render_image(labels, contrast(look, labels.ids, rng), rng, scanner)
    write_volume(folder / name, image)
    return f"{folder.name}/{name}"


def _dataset(settings: LumirSimulation, parts: tuple[PartFiles, ...]) -> dict[str, object]:
    """LUMIR25_dataset.json."""
    training = [{"image": f"./imagesTr/LUMIRMRI_{n:04d}_0000.nii.gz"} for n in range(settings.cases)]
    validation = [pair for part in parts for pair in part.pairs]
    return {
        "name": "LUMIR25 (simulated by voxbench)",
        "release": "1.0",
        "description": "Phantom brains in the layout of LUMIR25; every true displacement is known",
        "modality": {"0": "MR"},
        "tensorImageShape": {"0": list(settings.size)},
        "numTraining": len(training),
        "numTest": len(validation),
        "training": training,
        "validation": validation,
    }


def _tell(progress: Callable[[str], None] | None, what: str) -> None:
    if progress is not None:
        progress(what)
