"""``voxbench check``: what is wrong with a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

app = cyclopts.App(
    name="check", help="Find what is wrong with a data set: damage, geometry, labels, duplicates, names."
)

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


@app.default
def check(
    folder: Path,
    /,
    *,
    challenge: str | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    dry_run: Switch = False,
    json: Switch = False,
) -> int:
    """Find what is wrong with a data set: damage, geometry, labels, duplicates, patients in two splits, file names.

    Every file is read to its end. The exit code is 1 if there are errors, 0 if there are none or only warnings.

    Args:
        folder: The data set, or a folder of predictions.
        challenge: Whose file names and label values it must have: lumir25, lumbarsr, lnq2023, spider, ssrkd.
        jobs: Processes that read files at the same time.
        scheduler: Address of a Dask scheduler whose workers read them instead, e.g. tcp://host:8786.
        dry_run: Print the files, the memory and the time they may take; do nothing.
        json: Print the findings as JSON on standard output.
    """
    from voxbench.challenges.datasets import check as checked
    from voxbench.challenges.datasets.check import readings
    from voxbench.cli.cases import Counter
    from voxbench.cli.plans import need_of, show_plan
    from voxbench.cli.progress import lines
    from voxbench.io import to_json
    from voxbench.jobs import Manner

    manner = Manner(jobs, scheduler, need=need_of("check"))
    files = readings(folder, challenge)
    if dry_run:
        show_plan("check", files, manner, json)
        return 0
    with lines("reading") as tell:
        found = checked(folder, challenge, manner, Counter(tell, len(files)))
        for finding in found.findings:
            tell(finding)
        tell(found)
    if json:
        print(to_json(found.as_dict()))
    return 1 if found.errors else 0
