"""One page over several results: a chapter each, with numbers and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxbench.report.html import Comparison, Picture, Quantity, rendered, write_html
from voxbench.report.scene import Scene
from voxbench.report.viewer import viewer_of, viewer_values


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
        scene: What the page's 3-D part shows of it, if anything.
    """

    title: str
    summary: str
    commands: Sequence[str] = ()
    quantities: Sequence[Quantity] = ()
    stages: Sequence[str] = ("before", "after")
    comparisons: Sequence[Comparison] = ()
    pictures: Sequence[Picture] = ()
    scene: Scene | None = None


def write_chapters(
    path: Path, title: str, summary: str, chapters: Sequence[Chapter], samples: Path | None = None
) -> None:
    """Write them as one HTML file that opens offline, whole or not at all.

    Args:
        path: The HTML file.
        title: The page's heading.
        summary: What the page is about.
        chapters: In the order shown; the page begins with a list of them, and ends with what there is in 3-D.
        samples: Where the viewer's script is kept; the user's cache folder by default. Without it a note says so.

    Raises:
        FileWriteError: The file cannot be written.
    """
    page = {"title": title, "summary": summary, "chapters": chapters}
    scenes = [chapter.scene for chapter in chapters if chapter.scene is not None]
    taken = sum(len(picture.source) for chapter in chapters for picture in chapter.pictures)
    write_html(path, rendered("chapters.html.jinja", page=page, **viewer_values(viewer_of(scenes, samples), taken)))
