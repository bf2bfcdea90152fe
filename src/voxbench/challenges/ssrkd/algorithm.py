"""SSR-KD's containers: two radiographs and their geometry in, four meshes out; meshes scored as the organisers do.

The organisers have no sockets on grand-challenge; these are ours.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.challenges.ssrkd.cases import BONES, find_cases, mesh_file
from voxbench.deploy.exchange import by_case, name_in, require_cases
from voxbench.deploy.sockets import Algorithm, Case, Deployment, Item, Items, Rehearsal, Socket, Solve, Submitted
from voxbench.errors import InputError
from voxbench.geometry import Grid, Mesh, Volume
from voxbench.io import read_radiograph, read_views, write_mesh, write_views, write_volume
from voxbench.io.samples import is_cached, sample
from voxbench.tasks.reconstruction import Radiograph, reconstruct, reconstruct_occupancy

FRONTAL = Socket("frontal-knee-radiograph", "images/frontal-knee-radiograph")
LATERAL = Socket("lateral-knee-radiograph", "images/lateral-knee-radiograph")
VIEWS = Socket("radiograph-views", "radiograph-views.json", "value")
MESHES = {bone: Socket(f"{bone}-surface", f"{bone}.obj", "file") for bone in BONES}
Bones = Callable[[Sequence[Radiograph]], Mapping[str, Mesh]]
ENDING = "-frontal"
"""What follows the case in the name of a frontal radiograph."""


def load(model: Path | None) -> Solve:
    """The shape model's fit; with weights the networks of ``voxbench train ssrkd``."""
    found = _fit() if model is None else _network(model)

    def solve(inputs: Items, scratch: Path) -> dict[str, Path]:
        bones = found(radiographs_of(inputs))
        return {MESHES[bone].slug: _written(bones.get(bone), bone, scratch) for bone in BONES}

    return solve


def _fit() -> Bones:
    """By the shapes of people where the image was built with them, else of formulas; nothing is fetched at run time."""
    from voxbench.challenges.ssrkd.simulation import SsrkdSimulation, shape_model

    shapes = shape_model(SsrkdSimulation(shapes="people" if is_cached(sample("lower-limbs")) else "formulas"))
    return lambda seen: reconstruct(seen, shapes).bones


def _network(model: Path) -> Bones:
    from voxbench.challenges.ssrkd.learning import load_stage
    from voxbench.challenges.ssrkd.trained import trained_from_radiographs

    for stage in ("segment", "student"):
        load_stage(model / stage, stage)

    def found(seen: Sequence[Radiograph]) -> Mapping[str, Mesh]:
        network = trained_from_radiographs(model, [r.image for r in seen], [r.view for r in seen])
        return reconstruct_occupancy(network).bones

    return found


def radiographs_of(inputs: Items) -> tuple[Radiograph, Radiograph]:
    """Frontal and lateral, each with its view.

    Raises:
        InputError: There are not two views, or pixels are not those of the view.
    """
    views = read_views(inputs[VIEWS.slug].path)
    if len(views) != 2:
        raise InputError(f"{VIEWS.slug}: holds {len(views)} views; two are expected, frontal then lateral")
    images = [read_radiograph(inputs[socket.slug].path).image for socket in (FRONTAL, LATERAL)]
    for socket, image, view in zip((FRONTAL, LATERAL), images, views, strict=True):
        if image.shape != view.shape:
            raise InputError(
                f"{socket.slug}: its pixels are not those of its view\n  radiograph  {image.shape}\n"
                f"  view        {view.shape}"
            )
    return Radiograph(images[0], views[0]), Radiograph(images[1], views[1])


def _written(mesh: Mesh | None, bone: str, scratch: Path) -> Path:
    if mesh is None:
        raise InputError(f"{bone}: not found in the radiographs")
    write_mesh(scratch / f"{bone}.obj", mesh)
    return scratch / f"{bone}.obj"


def grade(jobs: tuple[Submitted, ...], truth: Path, scratch: Path) -> dict[str, Any]:
    """Means per bone (``aggregates``), every case (``case``), and the rows of the official results.csv (``results``).

    Args:
        jobs: One per knee.
        truth: Folder of CASE/sub_0.obj to sub_3.obj, mm.
        scratch: An empty folder.

    Raises:
        InputError: Jobs and knees do not go together, or a mesh cannot be used.
    """
    from voxbench.challenges.ssrkd.evaluation import evaluate

    found = by_case(jobs, [Path(name_in(job, FRONTAL.slug)).stem.removesuffix(ENDING) for job in jobs])
    require_cases(found, find_cases(truth))
    for case, job in found.items():
        (scratch / case).mkdir()
        for bone in BONES:
            shutil.copyfile(job.outputs[MESHES[bone].slug], mesh_file(scratch, case, bone))
    done = evaluate(scratch, truth)
    cases = {outcome.key: outcome.record["bones"] for outcome in done.outcomes if outcome.record is not None}
    return {"results": done.results(), "case": cases, "aggregates": done.summary()}


def rehearse(folder: Path) -> Rehearsal:
    """Two knees drawn from formulas."""
    from voxbench.challenges.ssrkd.simulation import SsrkdSimulation, simulate
    from voxbench.challenges.ssrkd.writing import MESHES as MESH_FOLDER
    from voxbench.challenges.ssrkd.writing import PROCESSED

    made = folder / "knees"
    settings = SsrkdSimulation(
        cases=2,
        shapes="formulas",
        size=128,
        angles=(0.0, 90.0),
        points=100,
        seed=1,
        noise_hu=0,
        radiograph_noise=None,
    )
    simulate(made, settings)
    write_views(folder / "views.json", settings.views)
    cases = []
    for case in find_cases(made / MESH_FOLDER):
        inputs = {VIEWS.slug: Item(folder / "views.json", "views.json")}
        for index, (socket, title) in enumerate(((FRONTAL, "frontal"), (LATERAL, "lateral"))):
            path = folder / f"{case}-{title}.mha"
            held = read_radiograph(made / PROCESSED / case / "projs.npz", index)
            down, across = settings.views[index].pixel_mm
            grid = Grid.from_parts((*held.image.shape[::-1], 1), (across, down, 1.0))
            write_volume(path, Volume(np.ascontiguousarray(held.image.T[..., None]), grid))
            inputs[socket.slug] = Item(path, path.name)
        right = {MESHES[bone].slug: mesh_file(made / MESH_FOLDER, case, bone) for bone in BONES}
        cases.append(Case(case, inputs, right))
    return Rehearsal(tuple(cases), made / MESH_FOLDER)


DEPLOYMENT = Deployment(
    Algorithm(
        "ssrkd",
        (FRONTAL, LATERAL, VIEWS),
        tuple(MESHES.values()),
        load,
        "possible",
        official=False,
        train="voxbench train ssrkd",
    ),
    grade,
    "a folder per knee, CASE/sub_0.obj to sub_3.obj, mm",
    rehearse,
)
