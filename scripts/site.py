"""Build the documentation as a site: python scripts/site.py [--out site]. Fails on the first warning.

The pages are the Markdown files of the repository, where they lie, so that links are the same there and here; pages of
reference come from the docstrings.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGED = ROOT / "build" / "site"
PAGES = (
    "*.md",
    "docs/*.md",
    "docs/*.png",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "benchmarks/results/*.png",
)
CHALLENGES = "src/voxbench/challenges"
REFERENCE = {
    "voxbench": "What a script needs most",
    "voxbench.geometry": "Grids, volumes, maps, displacement fields, meshes, views",
    "voxbench.io": "Files to values and back",
    "voxbench.metrics": "One definition of each quantity",
    "voxbench.simulate": "Data whose truth is known",
    "voxbench.tasks.registration": "Registration",
    "voxbench.tasks.superresolution": "Super-resolution",
    "voxbench.tasks.reconstruction": "Bones from radiographs and CT",
    "voxbench.tasks.segmentation": "Segmentation",
    "voxbench.tasks.instances": "Vertebrae and discs one by one",
    "voxbench.jobs": "Many cases",
    "voxbench.report": "Pictures and pages",
    "voxbench.errors": "What goes wrong",
}
WITH_PARTS = ("voxbench.metrics", "voxbench.errors")
"""Of these every module has a part of its own: their packages export nothing."""


def main() -> int:
    """Stage the pages and build the site; the exit code of mkdocs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "site")
    options = parser.parse_args()
    shutil.rmtree(STAGED, ignore_errors=True)
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            _copy(path, STAGED / path.relative_to(ROOT))
    for path in sorted((ROOT / CHALLENGES).glob("*/README.md")):
        _copy(path, STAGED / path.relative_to(ROOT))
    _copy(ROOT / "CITATION.cff", STAGED / "CITATION.cff")
    for module, title in REFERENCE.items():
        _write(STAGED / "reference" / f"{module}.md", _reference(module, title))
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--config-file",
        str(ROOT / "mkdocs.yml"),
    ]
    return subprocess.run([*command, "--site-dir", str(options.out.resolve())], check=False).returncode


def _reference(module: str, title: str) -> str:
    parts = [module]
    folder = ROOT / "src" / Path(*module.split("."))
    if module in WITH_PARTS and folder.is_dir():
        parts += [f"{module}.{path.stem}" for path in sorted(folder.glob("[!_]*.py"))]
    return f"# {title}\n\n" + "\n".join(f"::: {part}\n" for part in parts)


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
