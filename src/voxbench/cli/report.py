"""``voxbench report``: evaluations as one HTML file that opens offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

app = cyclopts.App(name="report", help="Write evaluations as one HTML file that opens offline.")

Switch = Annotated[bool, cyclopts.Parameter(negative="")]


@app.default
def report(
    *runs: str,
    out: Path = Path("report.html"),
    bootstrap: int = 1000,
    seed: int = 0,
    force: Switch = False,
) -> None:
    """Write evaluations of one challenge as one HTML file: numbers, distributions, what went wrong, pictures.

    Args:
        runs: Folders that voxbench evaluate wrote (--out); several stand side by side. NAME=FOLDER shows one under
            another name.
        out: The HTML file.
        bootstrap: How often cases are drawn again for the intervals.
        seed: Of the draws.
        force: Replace the file if it is there.
    """
    from voxbench.cli.output import require_free_file
    from voxbench.cli.rank import named_run
    from voxbench.errors import UsageError
    from voxbench.report.evaluation import ReportSettings, evaluation_page
    from voxbench.report.evaluation_html import write_evaluation_report
    from voxbench.report.scored import read_scored

    if not runs:
        raise UsageError("report: no run named; give the --out folder of a voxbench evaluate")
    settings = ReportSettings(bootstrap=bootstrap, seed=seed)
    require_free_file(out, force)
    scored = [read_scored(*named_run(word)) for word in runs]
    write_evaluation_report(out, evaluation_page(scored, settings))
