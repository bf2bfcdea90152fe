"""voxbench submit: pack predictions as a challenge wants them, or check what was packed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from voxbench.cli.submit_lnq2023 import lnq2023
from voxbench.cli.submit_lumbarsr import lumbarsr
from voxbench.cli.submit_ssrkd import ssrkd

app = cyclopts.App(name="submit", help="Pack predictions as a challenge wants them, or check what was packed.")
app.command(lnq2023, name="lnq2023")
app.command(lumbarsr, name="lumbarsr")
app.command(ssrkd, name="ssrkd")


@app.command(name="lumir25")
def lumir25(
    *,
    predictions: Path | None = None,
    out: Path | None = None,
    config: Annotated[list[Path] | None, cyclopts.Parameter(negative="")] = None,
    dataset_json: Path | None = None,
    check: Path | None = None,
    fill_missing: Annotated[bool, cyclopts.Parameter(negative="")] = False,
    force: Annotated[bool, cyclopts.Parameter(negative="")] = False,
) -> None:
    """Pack LUMIR25 displacement fields into one zip; tasks that were not entered get zero fields.

    Args:
        predictions: Folder of disp_FIXED_MOVING.nii.gz.
        out: The zip.
        config: Evaluation configuration; once per task.
        dataset_json: LUMIR25_dataset.json, whose validation pairs are packed too.
        check: An existing zip to be checked instead.
        fill_missing: Zero fields also for what is missing of a task that was entered.
        force: Replace the zip.
    """
    from rich.console import Console

    from voxbench.challenges.lumir25 import submission
    from voxbench.challenges.lumir25.cases import read_config, read_dataset
    from voxbench.errors import UsageError

    packing = predictions is not None and out is not None
    if packing == (check is not None):
        raise UsageError("give --predictions DIR and --out FILE.zip to pack, or --check FILE.zip to check")
    dataset = read_dataset(dataset_json) if dataset_json else None
    tasks, shape = submission.tasks_of([read_config(path) for path in config or []], dataset)
    console = Console(stderr=True, highlight=False)
    if check is not None:
        found = submission.check(check, tasks, shape)
        console.print(f"{check}: {len(found.fields)} fields in {found.folder}/, all as they should be", markup=False)
        if found.others:
            console.print(f"  not asked for: {', '.join(found.others)}", markup=False)
        return
    assert predictions is not None
    assert out is not None
    packed = submission.pack(predictions, tasks, shape, out, fill_missing=fill_missing, force=force)
    console.print(f"{out}: {len(packed.fields)} fields, {len(packed.zeros)} filled with zeros", markup=False)


@app.command(name="spider")
def spider(
    *,
    predictions: Path,
    images: Path,
    out: Path,
    force: Annotated[bool, cyclopts.Parameter(negative="")] = False,
) -> None:
    """Check SPIDER label maps against their images and write them as the organisers take them: one .mha each.

    Args:
        predictions: Folder of label maps of the images' names (.mha, .nii.gz, .nrrd).
        images: Folder of the images, or the data set's folder.
        out: Folder for the label maps.
        force: Replace what is there.
    """
    from rich.console import Console

    from voxbench.challenges.spider.submission import image_files, require_predictions, submitted
    from voxbench.cli.output import require_free_folder, result_folder
    from voxbench.errors import InputError
    from voxbench.io import write_labels

    require_free_folder(out, force)
    files = image_files(images)
    found = require_predictions(files, predictions)
    problems = []
    with result_folder(out, [file.name for file in files], force) as folder:
        for file in files:
            try:
                write_labels(folder / file.name, submitted(file, found[file.name]))
            except InputError as error:
                problems.append(str(error))
        if problems:
            raise InputError("\n".join(problems))
    Console(stderr=True, highlight=False).print(f"{out}: {len(files)} label maps, all as they should be", markup=False)
