"""A data set in LNQ 2023's names whose truth is known: nodes in phantom chests, or planted into a CT of the user's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from voxbench.challenges.lnq2023.preparation import whole_hu
from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_labels, read_volume, write_json, write_labels, write_volume
from voxbench.io.folders import new_data_set, require_replaceable
from voxbench.jobs import Job, Record, Runner, make_all, run
from voxbench.metrics.nodes import SHORT_AXIS_MM, Node, measured
from voxbench.simulate.annotations import HASTE, ONE_IN_FIVE, index_nodes
from voxbench.simulate.ct import KERNELS, pixel_noise
from voxbench.simulate.mediastinum import mediastinal_fat
from voxbench.simulate.nodes import NodeVariation, Planted, plant
from voxbench.simulate.phantoms.thorax import FAT, ThoraxAnatomy, thorax_phantom
from voxbench.types import Mask

TRUTH = "truth.json"
MARKS = (TRUTH, "truth")
"""What tells a simulated data set from any other folder."""
THICKNESSES = {2.0: 50, 2.5: 88, 2.8: 1, 3.0: 154, 3.27: 1, 3.75: 93, 5.0: 5, 1.0: 1}
"""Slice spacing of the challenge's training cases, mm, and how many have it."""
PIXEL = (0.826, 0.13, 0.598, 1.523)
"""Their pixel spacing: median, spread of the logarithm, smallest, largest, mm."""
BLUR_MM = 0.47
"""Standard deviation of a soft kernel's point spread in plane."""
Spacing = Annotated[float, Field(gt=0.2, le=20)]


class Lnq2023Simulation(Config):
    """How many cases, how large, labelled how."""

    cases: int = Field(default=4, ge=1, le=999, description="Training cases, partly labelled.")
    test: int = Field(default=0, ge=0, le=999, description="Test cases besides, fully labelled.")
    annotated: float = Field(default=ONE_IN_FIVE, ge=0, le=1, description="Share of the nodes that readers drew.")
    haste: float = Field(default=HASTE, ge=0, description="How far readers stray from the order of size.")
    pixels: Annotated[int, Field(ge=32, le=1024)] = Field(
        default=256, description="Voxels across, in a window on the mediastinum; 512 is the whole chest."
    )
    height_mm: float = Field(default=210.0, ge=20, le=400, description="Of the phantoms, mm.")
    spacing: tuple[Spacing, Spacing] | None = Field(
        default=None, description="Pixel and slice spacing, mm; drawn as in the challenge's data if not given."
    )
    noise_hu: float = Field(default=14.0, ge=0, le=200, description="Noise of a 3 mm slice, HU (phantoms only).")
    seed: int = Field(default=0, ge=0, description="Another seed is another data set.")
    nodes: NodeVariation = Field(default=NodeVariation(), description="How many nodes, how large, how bright.")
    anatomy: ThoraxAnatomy = Field(default=ThoraxAnatomy(), description="CT numbers of the phantoms.")

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Split and name of every case."""
        splits = ["train"] * self.cases + ["test"] * self.test
        return tuple((split, f"lnq2023-{split}-{number:04d}") for number, split in enumerate(splits, start=1))


@dataclass(frozen=True)
class Background:
    """What nodes are planted into instead of phantoms.

    Attributes:
        ct: A chest CT, HU.
        structures: Labelled organs; nodes lie in none of them.
    """

    ct: Path
    structures: Path | None = None


def simulate(
    out: Path,
    settings: Lnq2023Simulation,
    background: Background | None = None,
    *,
    force: bool = False,
    runner: Runner = run,
) -> dict[str, Any]:
    """Write the data set; the folder appears when it is complete, or not at all.

    ``train/`` holds CT and partial labels, ``test/`` CT and full labels, ``truth/`` for every case all nodes by number
    and ``truth.json`` what is known of each.

    Args:
        out: The folder; refused if there is something in it.
        settings: How many, how large, labelled how.
        background: A CT to plant into, instead of phantoms.
        force: Replace a simulated data set that is there (nothing else is ever replaced).
        runner: How the cases are done; one after another in this process if not given.

    Returns:
        The content of truth.json.

    Raises:
        FileWriteError: ``out`` holds something, or cannot be written.
        InputError: The CT cannot be used.
        JobError: A case could not be made.
    """
    require_replaceable(out, MARKS, force)
    truth: dict[str, Any] = {"simulated": "voxbench simulate lnq2023", "settings": settings.model_dump(mode="json")}
    truth["background"] = "phantom" if background is None else background.ct.name
    try:
        if background is not None:
            _real(background)  # before anything is made
        with new_data_set(out, MARKS, force) as folder:
            made = make_all(jobs(folder, settings, background), folder, runner)
            truth["cases"] = {record["case"]: record["truth"] for record in made}
            write_json(folder / TRUTH, truth)
    finally:
        _real.cache_clear()
    return truth


def jobs(folder: Path, settings: Lnq2023Simulation, background: Background | None = None) -> tuple[Job, ...]:
    """The cases of a data set, each made by itself.

    Args:
        folder: Of the data set.
        settings: How many, how large, labelled how.
        background: A CT to plant into, instead of phantoms.
    """
    make = partial(make_case, folder=folder, settings=settings, background=background)
    return tuple(Job(name[1], partial(make, number)) for number, name in enumerate(settings.names))


def make_case(number: int, folder: Path, settings: Lnq2023Simulation, background: Background | None) -> Record:
    """Make one case and write its files.

    Args:
        number: Which, from 0.
        folder: Of the data set.
        settings: How large, labelled how.
        background: The CT, if there is one; a process reads it once.

    Returns:
        What is known of it.
    """
    rng = np.random.default_rng([settings.seed, 0x17A2, number])
    made = _phantom(settings, rng) if background is None else _planted(_real(background), settings, rng)
    name = settings.names[number]
    return {"case": name[1], "truth": _write(folder, name, made, settings, rng)}


def line(record: Record) -> str:
    """What to say of a case: how many nodes."""
    nodes = record["truth"]["nodes"]
    due, drawn = sum(node["over_1_cm"] for node in nodes), sum(node["labelled"] for node in nodes)
    return f"{record['case']}  {len(nodes)} nodes, {due} over 1 cm, {drawn} labelled"


def _phantom(settings: Lnq2023Simulation, rng: np.random.Generator) -> Planted:
    """A phantom with nodes, as a scanner shows it."""
    from scipy.ndimage import gaussian_filter1d

    grid = _grid(settings, rng)
    person = thorax_phantom(grid, int(rng.integers(2**31)), settings.anatomy)
    made = plant(person.ct, person.tissues.array == FAT, rng, settings.nodes)
    values = made.ct.array
    for axis in (0, 1):
        values = gaussian_filter1d(values, BLUR_MM / grid.spacing[axis], axis=axis, mode="nearest")
    if settings.noise_hu > 0:
        level = settings.noise_hu * (3.0 / float(grid.spacing[2])) ** 0.5
        values = values + level * pixel_noise(grid, KERNELS["S"], rng)
    return Planted(_rounded(values, grid), made.labels, made.nodes)


def _planted(real: tuple[Volume, Mask], settings: Lnq2023Simulation, rng: np.random.Generator) -> Planted:
    ct, fat = real
    made = plant(ct, fat, rng, settings.nodes, keep_noise=True)
    return Planted(_rounded(made.ct.array, ct.grid), made.labels, made.nodes)


@lru_cache(maxsize=1)
def _real(background: Background) -> tuple[Volume, Mask]:
    """The CT, and where nodes may lie in it."""
    ct = whole_hu(read_volume(background.ct))
    ct.require_usable(str(background.ct))
    structures = None if background.structures is None else read_labels(background.structures)
    try:
        return ct, mediastinal_fat(ct, structures)
    except InputError as error:
        raise type(error)(f"{background.ct}: {error}") from error


def _grid(settings: Lnq2023Simulation, rng: np.random.Generator) -> Grid:
    """A scanner's grid: i to the patient's left, j to the back, k up, around the carina."""
    median, spread, least, most = PIXEL
    pixel = float(np.clip(median * np.exp(spread * rng.standard_normal()), least, most))
    shares = np.array(list(THICKNESSES.values()), float)
    thickness = float(rng.choice(list(THICKNESSES), p=shares / shares.sum()))
    pixel, thickness = settings.spacing or (round(pixel, 6), thickness)
    shape = (settings.pixels, settings.pixels, max(1, round(settings.height_mm / thickness)))
    axes = np.diag([-1.0, -1.0, 1.0])
    centred = Grid.from_parts(shape, (pixel, pixel, thickness), (0.0, 0.0, 0.0), axes)
    middle = np.array([0.0, -8.0, -18.0]) + rng.uniform(-4, 4, 3)
    return Grid.from_parts(shape, (pixel, pixel, thickness), middle - centred.centre, axes)


def _rounded(values: np.ndarray, grid: Grid) -> Volume:
    return Volume(np.clip(np.rint(values), -1024, 3071).astype(np.int16), grid)


def _write(
    folder: Path, name: tuple[str, str], made: Planted, settings: Lnq2023Simulation, rng: np.random.Generator
) -> dict[str, Any]:
    """The files of a case; what is known of it.

    What there is to be labelled are nodes longer than 1 cm, as the challenge asks, or the largest if there is none.
    """
    split, case = name
    sizes = {node.id: node for node in measured(made.labels.array, made.labels.grid)}
    due = [number for number, node in sizes.items() if node.long_axis_mm >= SHORT_AXIS_MM]
    due = due or sorted(sizes, key=lambda number: -sizes[number].long_axis_mm)[:1]
    chosen = index_nodes([sizes[n].short_axis_mm for n in due], rng, settings.annotated, settings.haste)
    drawn = due if split == "test" else [due[place] for place in chosen]
    for place in (folder / split, folder / "truth"):
        place.mkdir(exist_ok=True)
    labels = np.isin(made.labels.array, drawn).astype(np.uint8)
    write_volume(folder / split / f"{case}-ct.nrrd", made.ct)
    write_labels(folder / split / f"{case}-seg.nrrd", LabelMap(labels, made.labels.grid))
    write_labels(folder / "truth" / f"{case}-nodes.nrrd", made.labels)
    nodes = [_known(asdict(node), sizes.get(node.id), node.id in due, node.id in drawn) for node in made.nodes]
    grid = made.ct.grid
    about = {"split": split, "completeness": "full" if split == "test" else "partial"}
    return about | {"spacing_mm": grid.spacing, "size": grid.shape, "nodes": nodes}


def _known(node: dict[str, Any], size: Node | None, due: bool, drawn: bool) -> dict[str, Any]:
    axes = {} if size is None else {"long_axis_mm": size.long_axis_mm, "short_axis_mm": size.short_axis_mm}
    return node | axes | {"over_1_cm": due, "labelled": drawn}
