"""voxbench submit lnq2023."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def lnq2023(
    *,
    predictions: Path,
    images: Path,
    out: Path,
    fill_missing: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Write LNQ 2023 predictions as the organisers take them: one .mha a case, bytes of 0 and 1, on the CT's grid.

    Args:
        predictions: Folder of label maps, CASE-seg or CASE in any format; above 0 is node.
        images: Folder of the CTs, CASE-ct.nrrd, at any depth; the cases are theirs.
        out: Folder for CASE-seg.mha.
        fill_missing: Empty masks for cases without a prediction.
        force: Replace files that are there.
        json: Print what was written on standard output.
    """
    from voxbench.challenges.lnq2023.submission import WRITTEN, images_in, pack, predictions_for
    from voxbench.cli.output import require_free_folder, result_folder
    from voxbench.cli.progress import lines
    from voxbench.errors import FileReadError
    from voxbench.io import to_json

    require_free_folder(out, force)
    for folder in (predictions, images):
        if not folder.is_dir():
            raise FileReadError(f"{folder}: no such folder")
    cases = images_in(images)
    found = predictions_for(predictions, cases, fill_missing)
    packed = []
    with lines("packing") as tell, result_folder(out, {f"{case}{WRITTEN}" for case in cases}, force) as folder:
        for case, image in cases.items():
            packed.append(pack(case, image, found[case], folder))
            tell(f"{case}  {packed[-1].voxels} voxels{f'  ({packed[-1].note})' if packed[-1].note else ''}")
    with lines("packing") as tell:
        tell(f"{out}: {len(packed)} masks, {sum(not one.voxels for one in packed)} of them empty")
    if json:
        print(to_json(packed))
