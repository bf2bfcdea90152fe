"""Disks that fill up and folders that are read-only, for real: small tmpfs mounts (needs root), five commands.

Each command must end with exit code 1 and one message, without a traceback, and leave no file that a reader would take
for whole and is wrong about. The sizes are chosen so that the disk is full at the first file, or later.

python benchmarks/full_disk.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench import kill_runs as k

HERE = Path(__file__).resolve().parent
SIZES = (4, 16, 64, 128)
"""Of the disk, KiB."""


def commands(root: Path) -> dict[str, Any]:
    """Words by name, given the folder of the results."""
    image = root / "data/images/1_t1.mha"
    register = ["register", str(image), str(root / "data/images/2_t2.mha"), "--preset", "fast", "--out"]
    found = {command.name: (lambda out, c=command: c.words(root, out)) for command in k.commands()}
    found["simulate spider"] = lambda out: ["simulate", "spider", "--cases", "1", "--out", str(out)]
    found["register"] = lambda out: [*register, str(out)]
    return found


@contextmanager
def disk(place: Path, options: str) -> Iterator[Path]:
    """A tmpfs."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def tried(words: Any, place: Path, options: str) -> dict[str, Any]:
    """One command on one disk."""
    with disk(place, options):
        out = place / "out"
        told = place.parent / "told.txt"
        code = k.run_killed(words(out), out, told=told)
        said = told.read_text(errors="replace")
        halves = k.half_files(out)
        left = [path.name for path in place.rglob(".*")]
    messages = [line for line in said.splitlines() if line.startswith("voxbench: ")]
    good = code == 1 and len(messages) == 1 and "Traceback" not in said and not halves
    return {
        "exit": code,
        "message": messages[-1][:200] if messages else "" if code == 0 else said[-300:],
        "half": halves,
        "left": left,
        "good": good or code == 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "full_disk")
    parser.add_argument("--commands", nargs="*", default=None, help="only these")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        k.make_data(root)
        assert k.run_killed(k.train_words(root, root / "run", "4"), root / "run") == 0
        for name, words in commands(root).items():
            if options.commands is not None and name not in options.commands:
                continue
            for kind in ("ro,size=64k", *(f"size={size}k" for size in SIZES)):
                place = Path(str(root / "disk").replace(" ", ""))
                row = {"command": name, "disk": "read-only" if kind.startswith("ro") else kind[5:-1] + " KiB"} | tried(
                    words, place, kind
                )
                rows.append(row)
                print(json.dumps(row), flush=True)
    lines = ["| command | disk | exit | one message, nothing half | message |", "|---|---|---|---|---|"]
    lines += [
        f"| {r['command']} | {r['disk']} | {r['exit']} | {'yes' if r['good'] else 'NO'} | {_short(r['message'])} |"
        for r in rows
    ]
    text = (
        f"# Full disks and read-only folders\n\n{time.strftime('%Y-%m-%d')}, tmpfs. Exit 0: it fitted.\n\n"
        + "\n".join(lines)
        + "\n"
    )
    options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    options.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _short(message: str) -> str:
    import re

    return re.sub(r"/\S*/disk", "DISK", message).removeprefix("voxbench: ").replace("|", "/") if message else "(none)"


if __name__ == "__main__":
    main()
