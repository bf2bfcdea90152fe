"""voxbench export bids."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def bids(
    results: Path,
    *,
    out: Path,
    name: str = "voxbench results",
    names: str | None = None,
    segmentation: str = "voxbench",
    suffix: str = "T1w",
    subject: str | None = None,
    source: str | None = None,
    moving: Path | None = None,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Write results under the names of BIDS derivatives, with dataset_description.json.

    Args:
        results: Folder of a voxbench register, of label maps, or of disp_FIXED_MOVING.nii.gz.
        out: Folder for the data set.
        name: Of the data set.
        names: What labels are called: spine (SPIDER's numbers), or a .tsv, .csv or .json with index, name and color;
            by default the names the files have.
        segmentation: seg- of label maps.
        suffix: Of warped images: T1w, T2w, ...
        subject: sub- of a registration; by default the folder's name.
        source: URL of the data set that the results were made from.
        moving: Moving image, for displacements in voxels of another grid.
        force: Replace such a data set that is there.
        json: Print which file became which on standard output.
    """
    from voxbench.cli.label_names import label_names
    from voxbench.cli.progress import lines
    from voxbench.io import read_grid, to_json
    from voxbench.io.bids import MARKS, WHAT, BidsExport, Meaning, results_in, write_bids
    from voxbench.io.folders import require_replaceable

    said = {"name": name, "segmentation": segmentation, "suffix": suffix, "subject": subject, "source": source}
    settings = BidsExport.model_validate(said)
    require_replaceable(out, MARKS, force, WHAT)
    found = results_in(results, settings)
    meaning = Meaning(label_names(names), None if moving is None else read_grid(moving))
    with lines("exporting") as tell:
        write_bids(out, found, settings, meaning, force=force, tell=tell)
        tell(f"{out}: {len(found)} files")
    if json:
        print(to_json({one.target(settings): one.path for one in found}))
