"""The 3-D part of a page: NiiVue and what it shows, inlined under a policy that allows no request."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from voxbench.io.samples import fetch_sample, is_cached, sample
from voxbench.report.scene import LARGEST_PAGE, Scene, fitting

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
ABSENT = (
    "There is no 3-D view: the viewer's script is not on the machine that wrote this page. voxbench samples niivue "
    "fetches it once; then write the report again."
)


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


def viewer_of(scenes: Sequence[Scene], folder: Path | None = None) -> Viewer:
    """The viewer with its script if `voxbench samples niivue` has fetched it; else a note that says so.

    Args:
        scenes: What it shows; without any there is no viewer.
        folder: Where samples are kept; the user's cache folder by default.
    """
    wanted = sample("niivue")
    if not scenes:
        return Viewer()
    if not is_cached(wanted, folder):
        return Viewer(note=ABSENT)
    script = fetch_sample(wanted, folder)["niivue.umd.js"].read_text(encoding="utf-8")
    return Viewer(script, tuple(scenes))


def viewer_values(viewer: Viewer, taken: int) -> dict[str, object]:
    """What the templates need.

    Args:
        viewer: The 3-D part.
        taken: Bytes of all else on the page; scenes that would make it larger than `LARGEST_PAGE` are left out.
    """
    from markupsafe import Markup

    library = None if viewer.library is None else as_script(viewer.library)
    scenes, left_out = fitting(list(viewer.scenes), LARGEST_PAGE - taken - len(library or ""))
    if library is None or not scenes:
        notes = [viewer.note] if viewer.note else []
        return {"policy": Markup(POLICY), "scenes": (), "notes": notes}
    program = as_script((files("voxbench.report") / "_assets" / "viewer.js").read_text(encoding="utf-8"))
    return {
        "policy": Markup(_policy([library, program])),
        "scenes": scenes,
        "scenes_json": Markup(as_json([scene.plain() for scene in scenes])),
        "library": Markup(library),
        "program": Markup(program),
        "viewer_note": f"Left out, for the page would be too large: {', '.join(left_out)}." if left_out else "",
        "notes": [],
    }


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
