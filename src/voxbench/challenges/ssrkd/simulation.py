"""A data set in SSR-KD's layout whose truth is known: knees of a shape model, painted as CT."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.challenges.ssrkd.geometry import scaled
from voxbench.challenges.ssrkd.processed import Frame, case_grid
from voxbench.challenges.ssrkd.radiographs import ANGLES, device_of, views_of
from voxbench.challenges.ssrkd.splits import split_patients
from voxbench.challenges.ssrkd.writing import INFO, PROCESSED, VIEWS, Recipe, Truth, sides_of, write_case
from voxbench.config import Config
from voxbench.errors import FileReadError
from voxbench.geometry import Volume
from voxbench.geometry.cut import cut_mesh
from voxbench.geometry.projection import View
from voxbench.geometry.shapes import ShapeModel, Side
from voxbench.io import write_json, write_views, write_volume
from voxbench.io.articulated_limbs import installed_folder, read_articulated_knee
from voxbench.io.folders import new_data_set, require_replaceable
from voxbench.io.lower_limbs import fetch_knee_shapes
from voxbench.jobs import Job, Record, Runner, make_all, run
from voxbench.simulate.knees import Knee, KneeVariation, random_knee
from voxbench.simulate.phantoms.knee import BoneTissue, knee_phantom
from voxbench.simulate.phantoms.knee_shapes import analytic_knee
from voxbench.simulate.phantoms.knee_tissue import SoftTissue
from voxbench.simulate.radiograph import RelativeNoise

TRUTH = "truth.json"
MARKS = (TRUTH, PROCESSED)
"""What tells a simulated data set from any other folder."""
SIGMA_OF_WIDTH = 1 / np.sqrt(8 * np.log(2))
ALIKE = 0.9
"""How much the shapes of a person's two knees have in common (correlation)."""


class SsrkdSimulation(Config):
    """How many knees, of which shapes, and how their CT looks."""

    cases: int = Field(default=3, ge=1, le=9999, description="Knees with meshes and masks.")
    unlabelled: int = Field(default=0, ge=0, le=9999, description="Knees with a CT only.")
    shapes: Literal["people", "articulated", "formulas"] = Field(
        default="people",
        description="Shape model: of 26 people (fetched), of 327 (if installed), or formulas (built in).",
    )
    size: int = Field(default=512, ge=32, le=1024, description="Voxels along each side of the large volume; even.")
    field_mm: float = Field(default=256.0, ge=100, le=320, description="Side of the volume, mm.")
    seed: int = Field(default=0, ge=0, description="Another seed is another data set.")
    both_knees: float = Field(default=0.25, ge=0, le=1, description="Share of the patients with both knees.")
    blur_mm: float = Field(default=0.8, ge=0, le=5, description="Width of the CT's blur at half maximum, mm.")
    noise_hu: float = Field(default=12.0, ge=0, le=200, description="Noise of the CT, HU.")
    points: int = Field(default=20000, ge=10, le=1000000, description="Labelled points near each bone.")
    jitter_mm: float = Field(default=4.0, ge=0, le=50, description="How far these lie from the surface, mm.")
    angles: tuple[float, ...] = Field(default=ANGLES, min_length=1, description="Views, degrees: 0 front, 90 left.")
    geometry: Literal["consistent", "released"] = Field(
        default="consistent", description="Distances: those that fit the data, or those of the released file."
    )
    radiograph_noise: RelativeNoise | None = Field(default=RelativeNoise(), description="Of the radiographs.")
    keep_hu: bool = Field(default=False, description="Also write the CT as NIfTI, in HU.")
    variation: KneeVariation = Field(default=KneeVariation(), description="What differs from knee to knee.")
    bone: BoneTissue = Field(default=BoneTissue(), description="What bones are made of.")
    tissue: SoftTissue = Field(default=SoftTissue(), description="What surrounds them.")

    @field_validator("size")
    @classmethod
    def _even(cls, size: int) -> int:
        if size % 2:
            raise ValueError("Input should be even, for the small volume has half as many")
        return size

    @property
    def views(self) -> tuple[View, ...]:
        """The views of every case: about the middle of the volume, as many pixels as the volume has voxels."""
        return views_of(self.angles, device_of(self.geometry, self.size), case_grid(self.size, self.field_mm).centre)

    @property
    def recipe(self) -> Recipe:
        """How radiographs and points are made."""
        return Recipe(self.angles, self.views, self.radiograph_noise, self.points, self.jitter_mm)


@dataclass(frozen=True)
class Planned:
    """A knee to be made.

    Attributes:
        case: Its name.
        patient: Whose.
        person: Number of the patient, from which the shape is drawn.
        side: Which leg.
        second: Whether it is the second knee of the patient.
        labelled: Whether meshes and masks are written.
    """

    case: str
    patient: str
    person: int
    side: Side
    second: bool
    labelled: bool


def planned(settings: SsrkdSimulation) -> tuple[Planned, ...]:
    """Which knees a data set holds; no patient is both labelled and unlabelled."""
    rng = np.random.default_rng([settings.seed, 0x6E9])
    found: list[Planned] = []
    person = 0
    for labelled, count in ((True, settings.cases), (False, settings.unlabelled)):
        end = len(found) + count
        while len(found) < end:
            patient = f"P{person:04d}"
            wanted = settings.variation.side
            first: Side = wanted if wanted != "both" else ("left", "right")[int(rng.integers(2))]
            other: Side = "right" if first == "left" else "left"
            both = rng.random() < settings.both_knees and wanted == "both"
            sides: list[Side] = [first, other] if both else [first]
            for number, side in enumerate(sides[: end - len(found)]):
                case = f"{patient}{side[0].upper()}"
                found.append(Planned(case, patient, person, side, number == 1, labelled))
            person += 1
    return tuple(found)


def simulate(
    out: Path,
    settings: SsrkdSimulation,
    *,
    force: bool = False,
    runner: Runner = run,
) -> tuple[str, ...]:
    """Write knees; the folder appears when it is complete, or not at all.

    ``processed/<case>/`` holds the files that their code reads, ``meshes/<case>/sub_0.obj`` to ``sub_3.obj`` the bones
    in the world, mm (what ``evaluate ssrkd --references`` takes), ``views.json`` where source and detector stood,
    ``info.json`` the splits, ``truth.json`` how each knee was made.

    Args:
        out: The folder; refused if there is something in it.
        settings: How many, of which shapes, how large.
        force: Replace a simulated data set that is there (nothing else is ever replaced).
        runner: How the cases are done; one after another in this process if not given.

    Returns:
        The cases' names.

    Raises:
        FileReadError: The shape model could not be fetched.
        FileWriteError: ``out`` holds something, or cannot be written.
        JobError: A knee could not be made.
    """
    require_replaceable(out, MARKS, force)
    model = shape_model(settings)
    plan = planned(settings)
    with new_data_set(out, MARKS, force) as folder:
        made = make_all(jobs(folder, settings), folder, runner)
        patients = {one.case: one.patient for one in plan if one.labelled}
        splits = split_patients(patients, settings.seed)
        info = {**splits, "unlabelled": [one.case for one in plan if not one.labelled]}
        write_views(folder / VIEWS, settings.views)
        write_json(folder / INFO, {**info, "patients": {one.case: one.patient for one in plan}})
        about = {"simulated": "voxbench simulate ssrkd", "settings": settings.model_dump(mode="json")}
        about |= {"shapes": repr(model), "bones": list(BONES)}
        write_json(folder / TRUTH, {**about, "cases": {record["case"]: record["truth"] for record in made}})
    return tuple(one.case for one in plan)


def jobs(folder: Path, settings: SsrkdSimulation) -> tuple[Job, ...]:
    """The knees of a data set, each made by itself.

    Args:
        folder: Of the data set.
        settings: How many, of which shapes, how large.
    """
    return tuple(Job(one.case, partial(make_case, one, folder, settings)) for one in planned(settings))


def shape_model(settings: SsrkdSimulation) -> ShapeModel:
    """The shape model that the settings name.

    Raises:
        FileReadError: It could not be fetched.
    """
    return _model(settings.shapes)


@cache
def _model(shapes: str) -> ShapeModel:
    """Made once in a process."""
    if shapes == "formulas":
        return analytic_knee()
    folder = installed_folder() if shapes == "articulated" else None
    try:
        people = fetch_knee_shapes()
        return people if folder is None else read_articulated_knee(folder, people)
    except FileReadError as error:
        raise FileReadError(f"{error}\n  or do without it: --shapes formulas draws knees from formulas") from error


def make_case(one: Planned, folder: Path, settings: SsrkdSimulation) -> Record:
    """Make one knee and write its files.

    Returns:
        What is known of it.

    Raises:
        InputError: Its bones cannot be kept apart.
        FileWriteError: A file cannot be written.
    """
    knee = draw_knee(shape_model(settings), one, settings)
    grid = case_grid(settings.size, settings.field_mm)
    frame = Frame.of(grid)
    rng = np.random.default_rng([settings.seed, 0xC7, one.person, one.second])
    phantom = knee_phantom(knee.bones, grid, rng, (settings.bone, settings.tissue))
    ct = seen(phantom.ct, settings, rng)
    if settings.keep_hu:
        (folder / "hu").mkdir(exist_ok=True)
        write_volume(folder / "hu" / f"{one.case}.nii.gz", ct)
    bones = {bone: cut_mesh(mesh, *sides_of(grid)) for bone, mesh in knee.bones.items()}
    truth = Truth(bones, phantom.labels) if one.labelled else None
    write_case(folder, one.case, (scaled(ct), truth), settings.recipe, rng)
    known = {
        "patient": one.patient,
        "labelled": one.labelled,
        "side": knee.side,
        "coefficients": knee.coefficients.tolist(),
        "pose": asdict(knee.pose),
        "gaps_mm": asdict(knee.gaps),
        "volumes_ml": {bone: mesh.volume / 1000 for bone, mesh in bones.items()},
        "world_from_stored": frame.world_from_stored.matrix.tolist(),
        "world_from_voxel": grid.world_from_voxel.matrix.tolist(),
    }
    return {"case": one.case, "truth": known}


def draw_knee(model: ShapeModel, one: Planned, settings: SsrkdSimulation) -> Knee:
    """The knee of a plan: a person's second knee resembles the first in shape, and is held otherwise."""
    variation = settings.variation.model_copy(update={"side": one.side})
    first = random_knee(model, np.random.default_rng([settings.seed, 0x5A9E, one.person]), variation)
    if not one.second:
        return first
    rng = np.random.default_rng([settings.seed, 0x5A9E, one.person, 1])
    return random_knee(model, rng, variation, (first.coefficients, ALIKE))


def seen(ct: Volume, settings: SsrkdSimulation, rng: np.random.Generator) -> Volume:
    """The CT as a scanner gives it: blurred, noisy (as sharp as the blur), int16 HU."""
    from scipy.ndimage import gaussian_filter

    widths = settings.blur_mm * SIGMA_OF_WIDTH / ct.grid.spacing
    image = gaussian_filter(ct.array, widths, mode="nearest", truncate=4)
    if settings.noise_hu > 0:
        noise = gaussian_filter(rng.standard_normal(image.shape, dtype=np.float32), widths, mode="wrap", truncate=4)
        image += noise * (settings.noise_hu / float(noise.std()))
    return Volume(np.clip(np.rint(image), -1024, 3071).astype(np.int16), ct.grid)


def line(record: Record) -> str:
    """What to say of a knee."""
    known = record["truth"]
    kind = "" if known["labelled"] else ", unlabelled"
    return f"{record['case']}: {known['side']}, {known['pose']['flexion']:.0f} degrees bent{kind}"
