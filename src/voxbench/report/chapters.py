"""One page over several results: a chapter each, with numbers and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxbench.report.html import Comparison, Picture, Quantity, rendered, write_html


@dataclass(frozen=True)
class Chapter:
    """What was done, what came of it.

    Attributes:
        title: Its heading.
        summary: One to three sentences.
        commands: What was typed, a line each.
        quantities: Numbers of the result.
        stages: What the columns of the comparisons are called.
        comparisons: Numbers at every stage.
        pictures: In the order shown.
    """

    title: str
    summary: str
    commands: Sequence[str] = ()
    quantities: Sequence[Quantity] = ()
    stages: Sequence[str] = ("before", "after")
    comparisons: Sequence[Comparison] = ()
    pictures: Sequence[Picture] = ()


def write_chapters(path: Path, title: str, summary: str, chapters: Sequence[Chapter]) -> None:
    """Write them as one HTML file that opens offline, whole or not at all.

    Args:
        path: The HTML file.
        title: The page's heading.
        summary: What the page is about.
        chapters: In the order shown; the page begins with a list of them.

    Raises:
        FileWriteError: The file cannot be written.
    """
    page = {"title": title, "summary": summary, "chapters": chapters}
    write_html(path, rendered("chapters.html.jinja", page=page))
