"""``voxbench demo``: a part of each challenge, from the data to one page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from voxbench.report.chapters import Chapter

app = cyclopts.App(name="demo", help="Try each challenge on real and made data, and write one report.")
Name = Literal["brain", "radiographs", "knee", "vertebra", "nodes", "spine"]
PAGE, MARK = "report.html", "demo.json"
TITLE = "voxbench: five challenges in small"
SUMMARY = (
    "Real images out of Python packages, and data made here whose truth is known. Everything was done by the commands "
    "shown; their files lie in the folders beside this page."
)


@dataclass(frozen=True)
class Part:
    """A part that was done.

    Attributes:
        name: Which.
        chapter: What the page says of it; None if it failed.
        seconds: Wall time.
        error: Why it failed, otherwise empty.
    """

    name: str
    chapter: Chapter | None
    seconds: float
    error: str = ""


@app.default
def run(
    *,
    out: Path = Path("demo"),
    parts: Annotated[list[Name] | None, Parameter(negative=())] = None,
    force: Annotated[bool, Parameter(negative=())] = False,
    dir_: Annotated[Path | None, Parameter(name="--dir")] = None,
) -> None:
    """Try each challenge on real and made data, and write one report.

    brain: one person's head onto the MNI152 brain. radiographs: a chest CT as two X-ray views. knee: four bones back
    from two radiographs. vertebra: thick slices of a real vertebra fused into thin ones. nodes: lymph nodes planted
    into a real chest CT, measured. spine: a made lumbar MR segmented by registration, and scored.

    Args:
        out: Folder for the results; report.html is the file to open.
        parts: Only these.
        force: Replace an earlier demo.
        dir_: Where the sample images are kept, instead of the user's cache folder.
    """
    from contextlib import suppress

    from rich.console import Console

    from voxbench.errors import JobError, VoxbenchError
    from voxbench.io.samples import fetch_sample

    screen = Console(stderr=True, highlight=False)

    def say(line: str) -> None:
        screen.print(line, markup=False, soft_wrap=True)

    _require_ours(out, force)
    out.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in get_args(Name) if not parts or name in parts]
    (out / MARK).write_text('{"written_by": "voxbench demo"}\n', encoding="utf-8")
    with suppress(VoxbenchError):  # without a network the page has its pictures, and says what is missing
        fetch_sample("niivue", dir_)
    done = [_one(name, out, say, dir_) for name in wanted]
    _write(out / PAGE, done, dir_)
    for part in done:
        say(f"{part.name:<12}{part.seconds:6.0f} s" + (f"  failed: {part.error}" if part.error else ""))
    say(f"report: {out / PAGE}")
    failed = [part.name for part in done if part.chapter is None]
    if failed:
        raise JobError(f"{len(failed)} of {len(done)} parts failed: {', '.join(failed)}; the page shows the others")


def _one(name: str, out: Path, say: Callable[[str], None], samples: Path | None) -> Part:
    """Do a part; what goes wrong in it does not stop the others."""
    from voxbench.errors import VoxbenchError

    say(f"\n== {name} ==")
    start = time.perf_counter()
    try:
        chapter = _doing(name)(out / name, say, samples)
    except VoxbenchError as error:
        return Part(name, None, time.perf_counter() - start, str(error))
    return Part(name, chapter, time.perf_counter() - start)


def _doing(name: str) -> Callable[[Path, Callable[[str], None], Path | None], Chapter]:
    """What does a part; each file is loaded when its turn comes."""
    from importlib import import_module

    return getattr(import_module(f"voxbench.cli.demo_{name}"), name)


def _write(path: Path, parts: Sequence[Part], samples: Path | None) -> None:
    from voxbench.report.chapters import write_chapters

    write_chapters(path, TITLE, SUMMARY, [part.chapter for part in parts if part.chapter is not None], samples)


def _require_ours(out: Path, force: bool) -> None:
    """Refuse a folder that no earlier demo made, and one that did unless it may be replaced."""
    from voxbench.errors import FileWriteError

    if out.is_file():
        raise FileWriteError(f"{out}: is a file; --out names a folder")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / MARK).is_file():
        raise FileWriteError(f"{out}: holds something that is not a demo; give another folder")
    if not force:
        raise FileWriteError(f"{out}: holds a demo already; --force replaces it")
