"""The report of evaluations as one HTML file: numbers, distributions, cases; pictures and a viewer where there are any."""

from __future__ import annotations

from pathlib import Path

from voxbench.report.evaluation import EvaluationPage
from voxbench.report.html import rendered, write_html

SHOWN_CASES = 40
"""The others are folded up."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_evaluation_report(path: Path, page: EvaluationPage) -> None:
    """Write the report of evaluations as one HTML file, whole or not at all.

    Args:
        path: The HTML file.
        page: What it says.

    Raises:
        FileWriteError: The file cannot be written.
    """
    anchors = {shown.case: number for number, shown in enumerate(page.pictures, 1)}
    text = rendered(
        "evaluation.html.jinja",
        page=page,
        policy=POLICY,
        anchors=anchors,
        scenes=(),
        notes=(),
        shown_cases=SHOWN_CASES,
    )
    write_html(path, text)
