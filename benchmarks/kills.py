"""`kill -9` at random moments of a prediction, an evaluation and a training; the next start must give the same bytes.

Each command works on a tiny spine data set in a process forked from one that has everything imported, so that the
moments fall into the work and not into the imports. Half of the moments are random times, half lie before a random
file operation (open for writing, rename, remove, mkdir). After the kill every file that is not hidden is read whole;
then the command is started again and its files are compared with those of a run that was left alone, byte for byte but
for times and memory measured (in JSON) and status.json. A third of the runs is killed a second time before it may end.

python benchmarks/kills.py --kills 105
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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from bench import kill_runs as k

HERE = Path(__file__).resolve().parent
LEGEND = """half files: kills after which a file that is not hidden could not be read whole.
runs resumed: starts after one or two kills that ran to their end.
same bytes: all files as those of the undisturbed run, measured times and memory and status.json apart. Hidden
temporary files (.xxxxxxxx.part.*) of a killed run may stay; readers pass them over.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=105)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--log", type=Path, default=HERE / "results" / "kills.jsonl", help="a second start goes on")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "kills")
    options = parser.parse_args()
    told = _told(options.log)
    _import_everything()
    with tempfile.TemporaryDirectory() as scratch, options.log.open("a", encoding="utf-8") as log:
        root = Path(scratch)
        k.make_data(root)
        _warm_up(root)
        for command in k.commands():
            alone = _undisturbed(command, root)
            own = [trial for trial in told if trial["command"] == command.name]
            while sum(len(trial["kills"]) for trial in own) < options.kills // len(k.commands()):
                rng = random.Random(f"{options.seed} {command.name} {len(own)}")
                trial = tried(command, root, alone, rng)
                log.write(json.dumps(trial) + "\n")
                log.flush()
                own.append(trial)
                told.append(trial)
            print(json.dumps(_row(command.name, own)), flush=True)
    write(options.out, told)


def _told(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []


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


@dataclass(frozen=True)
class Alone:
    """A run that nobody disturbed.

    Attributes:
        seconds: How long it took.
        wanted: What it left.
    """

    seconds: float
    wanted: Mapping[str, bytes]


def _undisturbed(command: k.Command, root: Path) -> Alone:
    out = root / "alone" / command.name / "out"
    out.parent.mkdir(parents=True)
    begun = time.monotonic()
    assert k.run_killed(command.words(root, out), out) == 0, command.name
    return Alone(time.monotonic() - begun, k.contents(out))


def tried(command: k.Command, root: Path, alone: Alone, rng: random.Random) -> dict[str, Any]:
    """One run killed once or twice, then left to end."""
    out = root / "killed" / "out"
    out.parent.mkdir()
    kills = []
    for _ in range(2 if rng.random() < 1 / 3 else 1):
        time_or_event: dict[str, Any] = {"after": rng.uniform(0, alone.seconds)}
        if rng.random() < 0.5:
            time_or_event = {"at_event": rng.randint(1, 4 * len(alone.wanted) + 10)}
        code = k.run_killed(command.words(root, out), out, **time_or_event)
        if code == -9:
            kills.append(time_or_event | {"half": k.half_files(out), "shown": len(k.contents(out))})
    code = k.run_killed(command.words(root, out), out)
    found = k.contents(out)
    differing = sorted(name for name in {*found, *alone.wanted} if found.get(name) != alone.wanted.get(name))
    left = [path.name for place in (out, out.parent) for path in place.rglob(".*")]
    shutil.rmtree(out.parent)
    about = {"command": command.name, "seconds": alone.seconds, "files": len(alone.wanted), "kills": kills}
    return about | {"exit": code, "differing": differing, "left over": len(left)}


def _row(name: str, trials: list[dict[str, Any]]) -> dict[str, Any]:
    kills = [one for trial in trials for one in trial["kills"]]
    killed = [trial for trial in trials if trial["kills"]]
    return {
        "command": name,
        "files": trials[0]["files"],
        "kills": len(kills),
        "before a file operation": sum("at_event" in one for one in kills),
        "half files": sum(bool(one["half"]) for one in kills),
        "runs resumed": len(killed),
        "same bytes": sum(trial["exit"] == 0 and not trial["differing"] for trial in killed),
        "hidden temporary files left": sum(bool(trial["left over"]) for trial in killed),
    }


def write(out: Path, told: list[dict[str, Any]]) -> None:
    """The table of what is told."""
    rows = [_row(c.name, [t for t in told if t["command"] == c.name]) for c in k.commands()]
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    kills, day = sum(row["kills"] for row in rows), time.strftime("%Y-%m-%d")
    about = f"{kills} times SIGKILL, {day}, Python {platform.python_version()}, one thread"
    text = f"# Killed at random moments\n\n{about}\n\n" + "\n".join(lines) + "\n\n" + LEGEND
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    out.with_suffix(".json").write_text(json.dumps({"rows": rows, "runs": told}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
