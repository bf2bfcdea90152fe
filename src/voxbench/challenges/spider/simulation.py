"""A data set in SPIDER's layout whose truth is known: drawn spines, or the user's own label maps, seen in MRI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from voxbench.challenges.spider.dataset import GRADING_COLUMNS, GRADINGS, IMAGES, MASKS, OVERVIEW
from voxbench.config import Config
from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.geometry.orientation import Reordering
from voxbench.geometry.spine_labels import classes_of, structure_of
from voxbench.io import read_labels, write_json, write_labels, write_table, write_volume
from voxbench.io.folders import new_data_set, require_files
from voxbench.jobs import Job, Record, Runner, make_all, run
from voxbench.simulate.phantoms.spine import spine_phantom
from voxbench.simulate.phantoms.spine_shape import SpineAnatomy, SpineShape
from voxbench.simulate.spine_mri import Look, render_spine, thick_labels, tissues_of
from voxbench.simulate.spine_mri import Sequence as Kind

TRUTH = "truth.json"
MARKS = (TRUTH, MASKS)
"""What tells a simulated data set from any other folder."""
LAYERS = 3
PADDING, SCALE, TOP = -1000, 4096, 3096
"""Of files stored left, back, up: value outside the field of view, range of the middle 90 %, largest value."""


Thickness = Annotated[float, Field(gt=0.2, le=20)]


class SpiderSimulation(Config):
    """How many patients, how fine, with what noise."""

    cases: int = Field(default=3, ge=1, le=999, description="Patients; each has a T1 and a T2 series.")
    seed: int = Field(default=0, ge=0, description="Another seed is another data set.")
    inplane_mm: float = Field(default=0.8, ge=0.3, le=6, description="Spacing in the sagittal plane, mm.")
    slice_mm: tuple[Thickness, Thickness] = Field(
        default=(3.3, 5.0), description="Least and most thickness of T1 and T2 slices."
    )
    noise: float = Field(default=0.03, ge=0, le=0.5, description="Noise; the brightest tissue is about 1.")
    space_every: int = Field(
        default=4, ge=0, description="Every n-th patient, from the first, has a T2 SPACE; 0: none."
    )
    mark_partial: bool = Field(default=False, description="Vertebrae cut above or below get 101 to 125.")
    anatomy: SpineAnatomy = Field(default=SpineAnatomy(), description="How spines vary.")

    @field_validator("slice_mm")
    @classmethod
    def _least_first(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the least comes first")
        return value


@dataclass(frozen=True, eq=False)
class _Person:
    """What is imaged: labels and tissues in thin layers at a wanted spacing (mm; across, in plane)."""

    draw: Callable[[float, float], tuple[LabelMap, LabelMap]]
    truth: dict[str, Any]
    grades: Mapping[int, int]
    shape: SpineShape | None = None


def simulate(
    out: Path,
    settings: SpiderSimulation,
    labels: Sequence[Path] = (),
    *,
    force: bool = False,
    runner: Runner = run,
) -> tuple[str, ...]:
    """Write a data set in the official layout; the folder appears when it is complete, or not at all.

    images/, masks/, overview.csv, radiological_gradings.csv, and truth.json with what is known of every vertebra.
    Series are stored in both official ways: T2 SPACE and one other in ten back, down, right with raw intensities, the
    rest left, back, up with intensities from -1000.

    Args:
        out: The folder; refused if there is something in it.
        settings: How many, how fine, how noisy.
        labels: Label maps to be imaged instead of drawn spines, a patient each.
        force: Replace a simulated data set that is there (nothing else is ever replaced).
        runner: How the cases are done; one after another in this process if not given.

    Returns:
        Names of the series.

    Raises:
        FileReadError: A label map is not there.
        FileWriteError: ``out`` holds something, or cannot be written.
        JobError: A label map cannot be read or holds labels that mean nothing; a patient could not be made.
    """
    with new_data_set(out, MARKS, force) as folder:
        todo = jobs(folder, settings, labels)
        for sub in (IMAGES, MASKS):
            (folder / sub).mkdir()
        made = make_all(todo, folder, runner)
        overview = [row for record in made for row in record["overview"]]
        write_table(folder / OVERVIEW, overview)
        write_table(folder / GRADINGS, [row for record in made for row in record["gradings"]], GRADING_COLUMNS)
        about = {"simulated": "voxbench simulate spider", "settings": settings.model_dump(mode="json")}
        write_json(folder / TRUTH, {**about, "patients": {record["case"]: record["truth"] for record in made}})
    return tuple(str(row["new_file_name"]) for row in overview)


def jobs(folder: Path, settings: SpiderSimulation, labels: Sequence[Path] = ()) -> tuple[Job, ...]:
    """The patients of a data set, each made by itself.

    Args:
        folder: Where images/ and masks/ are.
        settings: How many, how fine, how noisy.
        labels: Label maps to be imaged instead of drawn spines.

    Raises:
        FileReadError: Label maps are not there; all of them are named.
    """
    require_files(labels, "label map")
    count = len(labels) or settings.cases
    sources = [(number, labels[number - 1] if labels else None) for number in range(1, count + 1)]
    return tuple(Job(str(one[0]), partial(make_patient, one, count, folder, settings)) for one in sources)


def make_patient(one: tuple[int, Path | None], count: int, folder: Path, settings: SpiderSimulation) -> Record:
    """Make one patient and write the files.

    Args:
        one: Number, from 1, and the label map, if there is one.
        count: Patients of the data set.
        folder: Where images/ and masks/ are.
        settings: How fine, how noisy.

    Returns:
        Rows of both tables, and what is known of the spine.
    """
    patient, source = one
    rng = np.random.default_rng([settings.seed, 0x5B1DE7, patient])
    person = _drawn(settings, rng) if source is None else _user_s(source, rng)
    rows = _write_patient(folder, patient, person, settings, rng)
    for row in rows:
        row["subset"] = "validation" if patient % 5 == 0 or (count < 5 and patient == count > 1) else "training"
    gradings = _gradings(patient, person, int(str(rows[0]["num_discs"])))
    return {"case": str(patient), "overview": rows, "gradings": gradings, "truth": person.truth}


def line(record: Record) -> str:
    """What to say of a patient: the series."""
    return f"{record['case']}  {', '.join(row['new_file_name'] for row in record['overview'])}"


def _drawn(settings: SpiderSimulation, rng: np.random.Generator) -> _Person:
    seed = int(rng.integers(2**31))
    size = np.array([rng.uniform(62, 80), rng.uniform(190, 230), rng.uniform(230, 310)])
    shift = rng.uniform((-4, -12, -15), (4, 8, 15))
    probe = spine_phantom(_box(size, shift, (8.0, 4.0, 4.0)), seed, settings.anatomy, middle=np.zeros(3))

    def draw(across: float, inplane: float) -> tuple[LabelMap, LabelMap]:
        grid = _box(size, shift, (across, inplane, inplane))
        drawn = spine_phantom(grid, seed, settings.anatomy, middle=np.zeros(3), mark_partial=settings.mark_partial)
        return drawn.labels, drawn.tissues

    truth = {"phantom_seed": seed, "levels": [asdict(level) for level in probe.truth]}
    grades = {level.number: level.disc_grade for level in probe.truth}
    return _Person(draw, truth, grades, probe.shape)


def _box(size: np.ndarray, shift: np.ndarray, spacing: tuple[float, float, float]) -> Grid:
    """A field of view along the world's axes about a place."""
    shape = np.maximum(1, np.floor(size / spacing)).astype(int)
    origin = shift - (shape - 1) / 2 * np.array(spacing)
    return Grid.from_parts((int(shape[0]), int(shape[1]), int(shape[2])), spacing, origin)


def _user_s(path: Path, rng: np.random.Generator) -> _Person:
    labels = read_labels(path)
    try:
        classes = classes_of(labels.array)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    if not classes.any():
        raise EmptyShapeError(f"{path}: the label map is empty; there is no spine to be imaged")
    order = Reordering.to(labels.grid)
    turned = LabelMap(np.ascontiguousarray(order(labels.array)).astype(np.uint8), order.grid(labels.grid))
    tissues = tissues_of(turned, rng)
    discs = [structure_of(label).number for label in turned.ids if structure_of(label).kind == "disc"]
    grades = {number: int(rng.integers(1, 6)) for number in discs}
    return _Person(lambda *_: (turned, tissues), {"source": path.name}, grades)


def _write_patient(
    folder: Path, patient: int, person: _Person, settings: SpiderSimulation, rng: np.random.Generator
) -> list[dict[str, object]]:
    """The files of one patient, and their rows of overview.csv."""
    slice_mm = float(rng.uniform(*settings.slice_mm))
    sex = str(rng.choice(["F", "M"]))
    space = settings.space_every and (patient - 1) % settings.space_every == 0
    rows = []
    thin = person.draw(slice_mm / LAYERS, settings.inplane_mm)
    kinds: list[Kind] = ["t1", "t2", *(["t2_SPACE"] if space else [])]
    for kind in kinds:
        across = 0.9 if kind == "t2_SPACE" else slice_mm / LAYERS
        labels, tissues = thin if kind != "t2_SPACE" else person.draw(across, max(0.47, settings.inplane_mm))
        step = float(labels.grid.spacing[0])
        layers = max(1, round(slice_mm / step)) if kind != "t2_SPACE" else 1
        look = Look(kind, step * layers, layers, settings.noise, float(rng.uniform(0.05, 0.25)), person.grades)
        image, mask = render_spine(labels, tissues, look, rng), thick_labels(labels, layers)
        raw = kind == "t2_SPACE" or rng.random() < 0.1
        stored, drawn = _stored(image, mask, "PIR" if raw else "LPS", rng)
        name = f"{patient}_{kind}"
        write_volume(folder / IMAGES / f"{name}.mha", stored)
        write_labels(folder / MASKS / f"{name}.mha", drawn)
        kept = [structure_of(label).kind for label in drawn.ids]
        rows.append(
            {"new_file_name": name, "subset": "", "num_vertebrae": kept.count("vertebra")}
            | {"num_discs": kept.count("disc"), "sex": sex, "birth_date": ""}
            | {"SliceThickness": round(look.slice_mm, 3), "SpacingBetweenSlices": round(look.slice_mm, 3)}
        )
    return rows


def _stored(image: Volume, mask: LabelMap, letters: str, rng: np.random.Generator) -> tuple[Volume, LabelMap]:
    """In the file's voxel order and intensities; some rows cut off, corners of a tilted field of view empty."""
    array, labels = np.array(image.array), np.array(mask.array)
    if letters == "LPS":
        low, high = np.percentile(array, (5, 95))
        array = np.clip((array - low) / max(float(high - low), 1e-6) * SCALE + PADDING, PADDING, TOP)
        outside = _outside(image.grid, float(rng.normal(0, 4)))
        array[:, outside] = PADDING
        labels[:, outside] = 0
    else:
        array = array * float(rng.uniform(350, 1200))
    order = Reordering.to(image.grid, letters)
    grid = order.grid(image.grid)
    return (
        Volume(np.ascontiguousarray(order(np.rint(array).astype(np.int16))), grid),
        LabelMap(np.ascontiguousarray(order(labels)), grid),
    )


def _outside(grid: Grid, degrees: float) -> np.ndarray:
    """Where a field of view tilted in the sagittal plane leaves the box empty, (j, k)."""
    y, z = (np.arange(n) - (n - 1) / 2 for n in grid.shape[1:])
    y, z = y[:, None] * grid.spacing[1], z[None] * grid.spacing[2]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    half = np.array(grid.shape[1:]) * grid.spacing[1:] / 2
    return (np.abs(c * y + s * z) > half[0]) | (np.abs(c * z - s * y) > half[1])


def _gradings(patient: int, person: _Person, discs: int) -> list[dict[str, object]]:
    """Rows of radiological_gradings.csv; what is not drawn is 0."""
    rows = []
    for number, grade in sorted(person.grades.items())[:discs]:
        row: dict[str, object] = dict.fromkeys(GRADING_COLUMNS, 0)
        row |= {"Patient": patient, "IVD label": number, "Pfirrman grade": grade}
        if person.shape is not None:
            disc, slip = person.shape.discs[number - 1], person.shape.slips[number - 1]
            row["Disc bulging"], row["Disc herniation"] = int(disc.bulge > 0), int(disc.bulge > 3)
            row["Spondylolisthesis"] = int(slip > 0)
            row["Disc narrowing"] = int(grade >= 3 and disc.height < 6 * person.shape.size)
        rows.append(row)
    return rows
