"""`kill -9` at random moments of a prediction, an evaluation and a training; the next start must give the same bytes.

Each command works on a tiny spine data set in a process forked from one that has everything imported, so that the
moments fall into the work and not into the imports. Half of the moments are random times, half lie before a random file
operation (open for writing, rename, remove, mkdir). After the kill every file that is not hidden is read whole; then the
command is started again and its files are compared, byte for byte but for timings in JSON, with those of a run that was
left alone. A third of the runs is killed a second time before it may end.

python benchmarks/kills.py --kills 102
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from bench import kill_runs as k

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=102)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "kills")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    _import_everything()
    rows, told = [], []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        k.make_data(root)
        _warm_up(root)
        for command in k.commands():
            row, found = measured(command, root, -(-options.kills // 3), rng)
            rows.append(row)
            told += found
            print(json.dumps(row), flush=True)
    _write(options.out, rows, told)


def _import_everything() -> None:
    import accelerate
    import matplotlib.pyplot
    import scipy.ndimage
    import SimpleITK
    import skimage.io
    import torch

    import voxbench.challenges.spider.learning
    import voxbench.challenges.spider.trained

    torch.set_num_threads(1)
    assert accelerate and matplotlib.pyplot and scipy.ndimage and SimpleITK and skimage.io and voxbench.challenges  # noqa: PT018


def _warm_up(root: Path) -> None:
    """Every command once in this process, so that the forked ones have everything imported; leaves the weights."""
    from voxbench.cli import main as voxbench

    assert voxbench(k.train_words(root, root / "run", "4")) == 0
    for command in k.commands()[:2]:
        assert voxbench(command.words(root, root / "warm" / command.name)) == 0


def measured(
    command: k.Command, root: Path, kills: int, rng: random.Random
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """So many kills of one command."""
    place = root / "results"
    place.mkdir(exist_ok=True)
    begun = time.monotonic()
    alone = place / "undisturbed" / "out"
    alone.parent.mkdir()
    assert k.run_killed(command.words(root, alone), alone) == 0, command.name
    seconds, wanted = time.monotonic() - begun, k.contents(alone)
    events = 4 * len(wanted) + 10
    found: list[dict[str, Any]] = []
    while len(found) < kills:
        out = place / "killed" / "out"
        out.parent.mkdir()
        for moment in k.moments(2 if rng.random() < 1 / 3 else 1, seconds, events, rng):
            if rng.random() < 0.5:
                moment = k.moments(2, seconds, events, rng)[1]
            code = k.run_killed(command.words(root, out), out, **moment)
            if code == -9:
                halves = k.half_files(out) if out.is_dir() else []
                found.append({"command": command.name, **moment, "half": halves, "shown": len(k.contents(out))})
            elif code != 0:
                found.append({"command": command.name, **moment, "exit": code, "half": [], "shown": 0})
        code = k.run_killed(command.words(root, out), out)
        same = code == 0 and k.contents(out) == wanted
        differing = [] if same else sorted(n for n, v in wanted.items() if k.contents(out).get(n) != v)
        if found:
            found[-1] |= {"resumed": code, "same": same, "differing": differing, "left over": _left_over(out)}
        shutil.rmtree(out.parent)
    shutil.rmtree(place)
    resumed = [one for one in found if "resumed" in one]
    row = {
        "command": command.name, "seconds": round(seconds, 2), "files": len(wanted), "kills": len(found),
        "before a file operation": sum("at_event" in one for one in found), "half files": sum(bool(one["half"]) for one in found),
        "resumed": len(resumed), "same bytes": sum(one["same"] for one in resumed),
        "hidden temporary files left": sum(bool(one["left over"]) for one in resumed),
    }  # fmt: skip
    return row, found


def _left_over(out: Path) -> list[str]:
    return [path.name for place in (out, out.parent) for path in place.rglob(".*")]


def _write(out: Path, rows: list[dict[str, Any]], told: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    about = f"{sum(row['kills'] for row in rows)} times SIGKILL, {time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, one thread"
    text = f"# Killed at random moments\n\n{about}\n\n" + "\n".join(lines) + "\n\n"
    text += "seconds: of the undisturbed run, imports apart. half files: kills after which a file that is not hidden could not be\n"
    text += "read whole. resumed: starts after one or two kills that ran to their end. same bytes: all files as the undisturbed\n"
    text += "run's, timings in JSON apart. Hidden temporary files (.xxxxxxxx.part.*) of a killed run stay; readers pass them over.\n"
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    out.with_suffix(".json").write_text(json.dumps({"rows": rows, "kills": told}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
