"""The report of evaluations as one HTML file: numbers, distributions, cases, pictures, a viewer."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from voxbench.report.evaluation import EvaluationPage
from voxbench.report.html import rendered, write_html
from voxbench.report.scene import LARGEST_PAGE, Scene, fitting

SHOWN_CASES = 40
"""The others are folded up."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Viewer:
    """What the 3-D part of a page is made of.

    Attributes:
        library: The viewer's script; None where it is not at hand.
        scenes: What it shows, the most important first.
        note: Why there is no viewer.
    """

    library: str | None = None
    scenes: tuple[Scene, ...] = ()
    note: str = ""


def write_evaluation_report(path: Path, page: EvaluationPage, viewer: Viewer = Viewer()) -> None:
    """Write the report of evaluations as one HTML file, whole or not at all.

    Args:
        path: The HTML file.
        page: What it says.
        viewer: Its 3-D part.

    Raises:
        FileWriteError: The file cannot be written.
    """
    from markupsafe import Markup

    anchors: dict[str, int] = {}
    for number, picture in enumerate(page.pictures, 1):
        anchors.setdefault(picture.case, number)
    still = sum(len(picture.png) * 4 // 3 for shown in page.pictures for picture in shown.pictures)
    library = None if viewer.library is None else as_script(viewer.library)
    scenes, left_out = fitting(list(viewer.scenes), LARGEST_PAGE - still - len(library or "") - 2_000_000)
    program = (files("voxbench.report") / "_assets" / "viewer.js").read_text(encoding="utf-8")
    shown = scenes if library is not None else []
    note = f"Left out, for the page would be too large: {', '.join(left_out)}." if left_out else ""
    text = rendered(
        "evaluation.html.jinja",
        page=page,
        policy=Markup(_policy([library, program]) if library is not None and shown else POLICY),
        anchors=anchors,
        scenes=shown,
        scenes_json=Markup(as_json([scene.plain() for scene in shown])) if shown else "",
        library=Markup(library or ""),
        program=Markup(program),
        viewer_note=note,
        notes=[viewer.note] if viewer.note else [],
        shown_cases=SHOWN_CASES,
    )
    write_html(path, text)


def as_script(text: str) -> str:
    """A script that can stand in a page: nothing in it ends the element, and its lines end alike everywhere."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return plain.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def as_json(content: object) -> str:
    """JSON that can stand in a page: nothing in it is markup."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: Sequence[str]) -> str:
    """No request of any kind, and no script but these."""
    digests = (base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii") for script in scripts)
    return POLICY + "; script-src " + " ".join(f"'sha256-{digest}'" for digest in digests)
