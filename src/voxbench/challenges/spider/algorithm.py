"""SPIDER's containers: one MR image in, one label map out; label maps scored by the official evaluation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from voxbench.challenges.spider.cases import find_cases, mask_file
from voxbench.challenges.spider.dataset import IMAGES, MASKS
from voxbench.deploy.exchange import by_case, name_in, require_cases
from voxbench.deploy.sockets import Algorithm, Case, Deployment, Item, Items, Rehearsal, Socket, Solve, Submitted
from voxbench.geometry.spine_labels import CANAL_CLASS

MRI = Socket("sagittal-spine-mri", "images/sagittal-spine-mri")
LABELS = Socket("sagittal-spine-mr-segmentation", "images/sagittal-spine-mr-segmentation")


def load(model: Path | None) -> Solve:
    """The network of ``voxbench train spider``."""
    assert model is not None
    from voxbench.challenges.spider.trained import (
        jobs,  # noqa: F401  (torch must be there before anything is asked)
        predict_case,
    )
    from voxbench.tasks.instances import CentresConfig
    from voxbench.tasks.segmentation.predict import load_segmenter

    load_segmenter([model])

    def solve(inputs: Items, scratch: Path) -> dict[str, Path]:
        image = inputs[MRI.slug].path
        predict_case(image, scratch, model, CentresConfig())
        return {LABELS.slug: scratch / image.name}

    return solve


def grade(jobs: tuple[Submitted, ...], truth: Path, scratch: Path) -> dict[str, Any]:
    """Content of the official metrics.json.

    Args:
        jobs: One per series.
        truth: Folder of the masks, PATIENT_SEQUENCE.mha.
        scratch: An empty folder.

    Raises:
        InputError: Jobs and masks do not go together, or a label map cannot be used.
    """
    from voxbench.challenges.spider.evaluation import evaluate

    found = by_case(jobs, [Path(name_in(job, MRI.slug)).stem for job in jobs])
    require_cases(found, find_cases(truth))
    for case, job in found.items():
        shutil.copyfile(job.outputs[LABELS.slug], mask_file(scratch, case))
    return evaluate(scratch, truth).metrics()


def rehearse(folder: Path) -> Rehearsal:
    """Two series of a drawn spine, and a network that has learned nothing."""
    from voxbench.challenges.spider.simulation import SpiderSimulation, simulate
    from voxbench.tasks.segmentation.untrained import write_untrained

    made = folder / "spines"
    names = simulate(made, SpiderSimulation(cases=1, space_every=0, inplane_mm=4.0))
    cases = [
        Case(
            name,
            {MRI.slug: Item(made / IMAGES / f"{name}.mha", f"{name}.mha")},
            {LABELS.slug: made / MASKS / f"{name}.mha"},
        )
        for name in names
    ]
    card = {"challenge": "spider", "offsets_unit_mm": 10.0}
    plan = {"spacing": (8.0, 8.0, 8.0), "patch": (4, 16, 32), "classes": 4, "maps": 3}
    write_untrained(folder / "model", card, plan, says=CANAL_CLASS)
    return Rehearsal(tuple(cases), made / MASKS, folder / "model")


DEPLOYMENT = Deployment(
    Algorithm("spider", (MRI,), (LABELS,), load, "needed", official=True, train="voxbench train spider"),
    grade,
    "the masks, PATIENT_SEQUENCE.mha, under the names of the images",
    rehearse,
)
