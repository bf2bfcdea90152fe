"""LNQ 2023's containers: one chest CT in, one mask out; masks scored by the official evaluation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from voxbench.challenges.lnq2023.cases import REFERENCE, find_cases
from voxbench.challenges.lnq2023.submission import WRITTEN
from voxbench.deploy.exchange import by_case, name_in, require_cases
from voxbench.deploy.sockets import Algorithm, Case, Deployment, Item, Items, Rehearsal, Socket, Solve, Submitted
from voxbench.io import read_labels, read_volume, write_labels, write_volume

CT = Socket("mediastinal-ct", "images/mediastinal-ct")
MASK = Socket("mediastinal-lymph-node", "images/mediastinal-lymph-node-segmentation")
IMAGE = "-ct"


def load(model: Path | None) -> Solve:
    """The network of ``voxbench train lnq2023``."""
    assert model is not None
    from voxbench.challenges.lnq2023.trained import NodeRules, predict_case
    from voxbench.tasks.segmentation.predict import load_segmenter

    load_segmenter([model])

    def solve(inputs: Items, scratch: Path) -> dict[str, Path]:
        made = predict_case(("case", inputs[CT.slug].path), scratch, (model,), NodeRules())
        return {MASK.slug: scratch / made["file"]}

    return solve


def grade(jobs: tuple[Submitted, ...], truth: Path, scratch: Path) -> dict[str, Any]:
    """Content of the official metrics.json.

    Args:
        jobs: One per CT.
        truth: Folder of the masks, CASE-seg.nrrd.
        scratch: An empty folder.

    Raises:
        InputError: Jobs and masks do not go together, or a mask cannot be used.
    """
    from voxbench.challenges.lnq2023.evaluation import evaluate

    found = by_case(jobs, [case_of(name_in(job, CT.slug)) for job in jobs])
    require_cases(found, find_cases(truth))
    for case, job in found.items():
        shutil.copyfile(job.outputs[MASK.slug], scratch / f"{case}{WRITTEN}")
    return evaluate(scratch, truth).metrics()


def case_of(name: str) -> str:
    """The case of a CT's file name, e.g. ``lnq2023-test-0002`` of ``lnq2023-test-0002-ct.nrrd``."""
    return name.split(".")[0].removesuffix(IMAGE)


def rehearse(folder: Path) -> Rehearsal:
    """Two phantom chests with nodes, and a network that has learned nothing."""
    from voxbench.challenges.lnq2023.simulation import Lnq2023Simulation, simulate
    from voxbench.tasks.segmentation.untrained import write_untrained

    made = folder / "chests"
    simulate(made, Lnq2023Simulation(cases=1, test=2, pixels=96, height_mm=80, spacing=(2.2, 5.0)))
    cases = []
    for case in find_cases(made / "test"):
        image, mask = folder / f"{case}{IMAGE}.mha", folder / f"{case}{WRITTEN}"
        write_volume(image, read_volume(made / "test" / f"{case}{IMAGE}.nrrd"))
        write_labels(mask, read_labels(made / "test" / f"{case}{REFERENCE}"))
        cases.append(Case(case, {CT.slug: Item(image, f"{case}{IMAGE}.nrrd")}, {MASK.slug: mask}))
    plan = {"spacing": (2.2, 2.2, 5.0), "patch": (32, 32, 8), "classes": 2}
    write_untrained(folder / "model", {"challenge": "lnq2023"}, plan)
    return Rehearsal(tuple(cases), made / "test", folder / "model")


DEPLOYMENT = Deployment(
    Algorithm("lnq2023", (CT,), (MASK,), load, "needed", official=True, train="voxbench train lnq2023"),
    grade,
    "the masks, CASE-seg.nrrd",
    rehearse,
)
