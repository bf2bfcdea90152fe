"""The report of evaluations as one HTML file: numbers, distributions, cases, pictures, a viewer."""

from __future__ import annotations

from pathlib import Path

from voxbench.report.evaluation import EvaluationPage
from voxbench.report.html import rendered, write_html
from voxbench.report.viewer import Viewer, viewer_values

SHOWN_CASES = 40
"""The others are folded up."""
WORDS_BYTES = 2_000_000
"""What a page may need beside pictures and scenes."""


def write_evaluation_report(path: Path, page: EvaluationPage, viewer: Viewer = Viewer()) -> None:
    """Write the report of evaluations as one HTML file, whole or not at all.

    Args:
        path: The HTML file.
        page: What it says.
        viewer: Its 3-D part.

    Raises:
        FileWriteError: The file cannot be written.
    """
    anchors: dict[str, int] = {}
    for number, picture in enumerate(page.pictures, 1):
        anchors.setdefault(picture.case, number)
    still = sum(len(picture.png) * 4 // 3 for shown in page.pictures for picture in shown.pictures)
    values = viewer_values(viewer, still + WORDS_BYTES)
    write_html(path, rendered("evaluation.html.jinja", page=page, anchors=anchors, shown_cases=SHOWN_CASES, **values))
