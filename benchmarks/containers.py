"""The self-tests of all five challenges' containers, as a table.

    python benchmarks/containers.py --out benchmarks/results/containers.md [--found DIR]

Runs ``voxbench container CHALLENGE --selftest --json`` for each, or reads what it printed from DIR/CHALLENGE.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

CHALLENGES = ("lnq2023", "lumbarsr", "lumir25", "spider", "ssrkd")
PACKAGES = ("voxbench", "numpy", "SimpleITK", "torch")
PARTS = ("exec", "invoke", "evaluation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--found", type=Path)
    given = parser.parse_args()
    found = {name: _found(name, given.found) for name in CHALLENGES}
    given.out.write_text("\n".join(_page(found)) + "\n", encoding="utf-8")


def _found(name: str, folder: Path | None) -> dict:
    if folder is not None:
        return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    words = [sys.executable, "-m", "voxbench", "container", name, "--selftest", "--json"]
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False).stdout)


def _page(found: dict[str, dict]) -> list[str]:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    walls = {made["namespaces"] for made in found.values()}
    lines = [
        "# Containers, tried without Docker",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {versions}. `voxbench container CHALLENGE "
        "--selftest`, one thread of a shared 2-core machine; made by `benchmarks/containers.py`.",
        "",
        f"Walls: {'namespaces of the system and ' if walls == {True} else ''}an audit hook. **No image was built**: "
        "the entry points ran as processes over the platform's folders. Networks of spider and lnq2023 have "
        "learned nothing; cases are tiny and simulated.",
        "",
        "Time is of the processor, the start of Python and all imports included; memory is the most that was resident.",
        "",
        "| challenge | checks that hold | exec | invoke, two cases | evaluation |",
        "|---|---|---|---|---|",
    ]
    for name, made in found.items():
        held = sum(one["holds"] for one in made["findings"])
        cells = " | ".join(_cost(made["findings"], part) for part in PARTS)
        lines.append(f"| {name} | {held} of {len(made['findings'])} | {cells} |")
    for name, made in found.items():
        lines += ["", f"## {name}", "", "| part | must hold | found | |", "|---|---|---|---|"]
        for one in made["findings"]:
            told = one["found"].replace("|", "\\|")
            told = " ".join(Path(word).name if word.startswith("/tmp/") else word for word in told.split())
            lines.append(f"| {one['part']} | {one['what']} | {told} | {'ok' if one['holds'] else '**no**'} |")
    return lines


def _cost(findings: list[dict], part: str) -> str:
    own = {one["what"].split()[0] + one["what"].split()[-1]: one["found"] for one in findings if one["part"] == part}
    return f"{own['withinprocessor'].split(',')[0].removesuffix(' of processor')}, {own['withinGB']}"


if __name__ == "__main__":
    main()
