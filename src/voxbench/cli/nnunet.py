"""voxbench nnunet: nnU-Net in its own environment, from an exported data set to predictions in the data's own form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voxbench.geometry import LabelMap
    from voxbench.tasks.segmentation.nnunet_dataset import RawDataset

app = cyclopts.App(name="nnunet", help="Run nnU-Net v2 in its own environment and bring its predictions back.")

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
PREDICTIONS = "predictions"


@app.default
def nnunet(
    dataset: Path,
    *,
    out: Path,
    env: Path | None = None,
    configuration: str = "3d_fullres",
    fold: str = "0",
    trainer: str = "nnUNetTrainer",
    planner: str | None = None,
    plans: str = "nnUNetPlans",
    device: Literal["cuda", "cpu", "mps"] = "cuda",
    processes: int | None = None,
    data: Path | None = None,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Plan, train and predict with nnU-Net v2; begun again, it goes on where it stopped.

    The programs are the user's own. Predictions of imagesTs (where it is empty: of the fold's validation cases) come
    back on the grids and under the names of the data, in OUT/predictions: LNQ 2023 as masks, SPIDER as numbered
    vertebrae and discs (pieces that hang together, counted from below), other data with the labels they had.

    Args:
        dataset: DatasetXXX_NAME of a voxbench export nnunet.
        out: Folder of the run.
        env: nnU-Net's virtual environment, the folder of its programs, or its Python; by default the PATH.
        configuration: 2d, 3d_fullres or 3d_lowres.
        fold: A fold of splits_final.json from 0, or all.
        trainer: nnU-Net's class that trains.
        planner: nnU-Net's class that plans, e.g. nnUNetPlannerResEncM.
        plans: What the planner calls its plans, e.g. nnUNetResEncUNetMPlans.
        device: cuda, cpu or mps.
        processes: Processes that nnU-Net uses at a time, each with its own memory; by default its own numbers.
        data: Where the data are now, if they were moved since the export.
        force: Begin anew; what an earlier start left in OUT is removed.
        json: Print the predictions on standard output.
    """
    from voxbench.cli.progress import lines
    from voxbench.io import to_json
    from voxbench.tasks.segmentation.nnunet import NnunetConfig, NnunetRun, find_programs
    from voxbench.tasks.segmentation.nnunet_dataset import read_exported

    asked = {"configuration": configuration, "fold": fold, "trainer": trainer, "planner": planner, "plans": plans}
    config = NnunetConfig.model_validate({**asked, "device": device, "processes": processes})
    exported = read_exported(dataset.absolute(), data)
    run = NnunetRun(exported, out, config, find_programs(env))
    with lines("nnU-Net") as tell:
        run.run(force, tell)
        rows = _brought_back(exported, run.predicted, out / PREDICTIONS, tell)
        tell(f"{out / PREDICTIONS}: {len(rows)} label maps")
    if json:
        print(to_json(rows))


def _brought_back(
    exported: RawDataset, predicted: Mapping[str, Path], place: Path, tell: Callable[[str], None]
) -> list[dict[str, object]]:
    """Write every prediction in the data's own form; what was written.

    Raises:
        JobError: Some cannot be; each is named. The others are there.
    """
    from voxbench.errors import InputError, JobError
    from voxbench.io import write_labels

    convert = _conversion(exported)
    place.mkdir(exist_ok=True)
    rows: list[dict[str, object]] = []
    failed = []
    for case, path in predicted.items():
        try:
            found = convert(_on_grid(path, exported.images[case]))
        except InputError as error:
            failed.append(f"{case}: {error}")
            continue
        write_labels(place / f"{case}{exported.ending}", found)
        rows.append({"case": case, "file": f"{case}{exported.ending}", "labels": found.ids})
        tell(f"{case}  {len(found.ids)} labels")
    if failed:
        raise JobError(f"{len(failed)} of {len(predicted)} predictions could not be brought back\n" + "\n".join(failed))
    return rows


def _conversion(exported: RawDataset) -> Callable[[LabelMap], LabelMap]:
    """From nnU-Net's classes to the data's labels."""
    if exported.layout == "spider":
        from voxbench.challenges.spider.nnunet import numbered_prediction

        return numbered_prediction
    if exported.layout == "lnq2023":
        from voxbench.challenges.lnq2023.nnunet import mask_prediction

        return mask_prediction
    from functools import partial

    from voxbench.tasks.segmentation.nnunet_folder import original_ids

    return partial(original_ids, ids=dict(exported.ids))


def _on_grid(path: Path, image: Path) -> LabelMap:
    """A prediction on the very grid of the image it was made of, which NIfTI holds in single precision only."""
    from voxbench.errors import InputError
    from voxbench.geometry import LabelMap, require_same_grid
    from voxbench.io import read_grid, read_labels

    labels, grid = read_labels(path), read_grid(image)
    try:
        require_same_grid(grid, labels.grid, ("image", "prediction"))
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error
    return LabelMap(labels.array, grid)
