"""voxbench submit lumbarsr."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
Several = Annotated[list[str] | None, cyclopts.Parameter(negative="")]


def lumbarsr(
    *,
    predictions: Path,
    data: Path,
    method: str,
    out: Path,
    name: str | None = None,
    samples: Several = None,
    sequences: Several = None,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Write LumbarSR volumes in the organisers' tree, METHOD/Lumbar_XX/LumbarXX_SEQUENCE_METHOD.nii.gz: int16 HU.

    Args:
        predictions: Folder that holds the method's folder.
        data: Folder holding RegisteredData/; every volume must lie on the grid of its micro-CT, or of its registered
            sequences where that is hidden.
        method: Name of the method's folder.
        out: Folder for the tree.
        name: What the method is called in the submission, if otherwise.
        samples: Lumbar_26 and so on; the official test samples if not given.
        sequences: 195X_195Y_1000Z_S and so on; those that are scored officially if not given.
        force: Replace what is there.
        json: Print what was written on standard output.
    """
    from voxbench.challenges.lumbarsr.cases import OFFICIAL_SAMPLES, OFFICIAL_SEQUENCES, cases_of
    from voxbench.challenges.lumbarsr.submission import pack, require_predictions
    from voxbench.cli.output import require_free_folder, result_folder
    from voxbench.cli.progress import lines
    from voxbench.errors import UsageError
    from voxbench.io import to_json

    called = name or method
    for what, text in (("--method", method), ("--name", called)):
        if Path(text).name != text or text in ("", ".", ".."):
            raise UsageError(f"{what} {text!r}: the name of a folder")
    require_free_folder(out, force)
    cases = cases_of(tuple(samples or OFFICIAL_SAMPLES), tuple(sequences or OFFICIAL_SEQUENCES))
    require_predictions(predictions, data, method, cases)
    packed = []
    with lines("packing") as tell, result_folder(out, (), force) as folder:
        for case in cases:
            packed.append(pack(case, (predictions, data), folder, (method, called)))
            tell(f"{packed[-1].file}{f'  ({packed[-1].note})' if packed[-1].note else ''}")
    with lines("packing") as tell:
        tell(f"{out}: {len(packed)} volumes of {called}")
    if json:
        print(to_json(packed))
