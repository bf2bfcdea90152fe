"""LUMIR25's containers: a fixed and a moving brain in, a displacement field out; fields scored as officially.

The organisers have no sockets on grand-challenge: they take a container that reads their data set's JSON, which is
``voxbench predict lumir25`` in the same image. The sockets are ours: the field is a four-dimensional image on the fixed
grid, components slowest, in the official convention (voxels, pull-back).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxbench.challenges.lumir25.cases import EvaluationConfig, Pair, read_config
from voxbench.deploy.exchange import by_case, name_in, require_cases
from voxbench.deploy.sockets import Algorithm, Case, Deployment, Item, Items, Rehearsal, Socket, Solve, Submitted
from voxbench.errors import FileReadError
from voxbench.geometry import DisplacementField, Grid
from voxbench.io import read_displacement, read_grid, read_volume, write_displacement, write_volume
from voxbench.io.displacements import read_displacement_file
from voxbench.io.metaimage import write_components
from voxbench.io.nifti import write_nifti

FIXED = Socket("fixed-brain-mri", "images/fixed-brain-mri")
MOVING = Socket("moving-brain-mri", "images/moving-brain-mri")
FIELD = Socket("displacement-field", "images/displacement-field")


def load(model: Path | None) -> Solve:
    """The deformable registration at its most accurate; it has no weights."""
    del model
    from voxbench.tasks.registration import register

    def solve(inputs: Items, scratch: Path) -> dict[str, Path]:
        fixed, moving = (read_volume(inputs[socket.slug].path) for socket in (FIXED, MOVING))
        found = register(fixed, moving).displacement
        return {FIELD.slug: _as_image(found, moving.grid, scratch / "field.mha")}

    return solve


def _as_image(field: DisplacementField, moving: Grid, path: Path) -> Path:
    """The field as the platform takes one, in voxels."""
    official = path.with_name("official.nii")
    write_displacement(official, field, convention="voxel", moving=moving)
    write_components(path, read_displacement_file(official).array, field.grid)
    return path


def grade(jobs: tuple[Submitted, ...], truth: Path, scratch: Path) -> dict[str, Any]:
    """Content of the official metrics.json.

    Args:
        jobs: One per pair.
        truth: The data set's folder, with the evaluation configurations (``*config*.json``) at its top.
        scratch: An empty folder.

    Raises:
        InputError: Jobs and pairs do not go together, or a field cannot be used.
    """
    from voxbench.challenges.lumir25.evaluation import evaluate

    configs = configs_in(truth)
    found = by_case(jobs, [field_of(job) for job in jobs])
    require_cases(found, list(dict.fromkeys(pair.field_name for config in configs for pair in config.pairs)))
    for name, job in found.items():
        raw = read_displacement_file(job.outputs[FIELD.slug])
        write_nifti(scratch / name, raw.array, raw.grid())
    return evaluate((scratch, truth), configs).metrics()


def configs_in(folder: Path) -> tuple[EvaluationConfig, ...]:
    """The evaluation configurations of a folder, by name.

    Raises:
        FileReadError: There are none.
    """
    found = sorted(folder.glob("*config*.json"))
    if not found:
        raise FileReadError(f"{folder}: no evaluation configuration here\n  expected  *config*.json")
    return tuple(read_config(path) for path in found)


def field_of(job: Submitted) -> str:
    """The official name of a job's field."""
    return Pair(*(f"{name_in(job, socket.slug).split('.')[0]}.nii.gz" for socket in (FIXED, MOVING))).field_name


def rehearse(folder: Path) -> Rehearsal:
    """Four pairs of small phantom brains."""
    from voxbench.challenges.lumir25.simulation import LumirSimulation, simulate

    made = folder / "brains"
    simulate(made, LumirSimulation(cases=1, size=(40, 56, 48)))
    cases = []
    for pair in (pair for config in configs_in(made) for pair in config.pairs):
        inputs = {}
        for socket, name in ((FIXED, pair.fixed), (MOVING, pair.moving)):
            path = folder / f"{Path(name).name.split('.')[0]}.mha"
            write_volume(path, read_volume(made / name))
            inputs[socket.slug] = Item(path, path.name)
        grid = read_grid(made / pair.fixed)
        true = read_displacement(made / "truth" / _truth_name(pair), fixed=grid)
        (folder / pair.field_name).mkdir()
        cases.append(
            Case(pair.key, inputs, {FIELD.slug: _as_image(true, grid, folder / pair.field_name / "field.mha")})
        )
    return Rehearsal(tuple(cases), made)


def _truth_name(pair: Pair) -> str:
    return "disp_{}_{}.nii.gz".format(*pair.subjects)


DEPLOYMENT = Deployment(
    Algorithm("lumir25", (FIXED, MOVING), (FIELD,), load, "none", official=False),
    grade,
    "imagesVal/, labelsVal/, landmarksVal/ and the evaluation configurations (*config*.json)",
    rehearse,
)
