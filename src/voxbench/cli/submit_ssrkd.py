"""voxbench submit ssrkd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


def ssrkd(*, predictions: Path, out: Path, force: Switch = False, json: Switch = False) -> None:
    """Write SSR-KD meshes as the organisers name them: CASE/sub_0.obj to sub_3.obj (patella, femur, fibula, tibia), mm.

    Args:
        predictions: A folder per knee, as `voxbench reconstruct --out` leaves it under either naming; .obj, .stl or
            .ply.
        out: Folder for the meshes.
        force: Replace what is there.
        json: Print what was written on standard output.
    """
    from voxbench.challenges.ssrkd.submission import cases_in, pack
    from voxbench.cli.output import require_free_folder, result_folder
    from voxbench.cli.progress import lines
    from voxbench.io import to_json

    require_free_folder(out, force)
    cases = cases_in(predictions)
    packed = []
    with lines("packing") as tell, result_folder(out, (), force) as folder:
        for case in cases:
            packed.append(pack(case, predictions, folder))
            tell(f"{case}  4 meshes{''.join(f'  ({note})' for note in packed[-1].notes)}")
    with lines("packing") as tell:
        tell(f"{out}: {len(packed)} knees")
    if json:
        print(to_json(packed))
