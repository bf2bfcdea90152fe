"""Many cases on local workers, one of them killed twice by kill -9, one corrupt: what is lost, and what a resume does.

Synthetic spines are scored by ``voxbench evaluate spider``. While the first start runs, this script reads its
status.json, and sends SIGKILL to the process that has the victim case, whenever one has it. The second start goes on
undisturbed. Before the third the corrupt file is mended. Its result is compared with that of a run in one process
that nothing ever happened to.

python benchmarks/many_cases.py --cases 200 --workers 2
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

SMALL, LARGE = (6, 40, 60), (24, 320, 480)
"""Voxels of a case; the victim is large, so that there is time to kill it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--resume-workers", type=int, help="of the starts after the first; as many if not given")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="many-cases-") as scratch:
        result = benchmark(Path(scratch), options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "many_cases.json").write_text(json.dumps(result, indent=2) + "\n")
    table = markdown(result)
    (options.out / "many_cases.md").write_text(table)
    print(table)


def benchmark(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All starts, and what they left."""
    names = [f"{n}_t2" for n in range(1, options.cases + 1)]
    victim, corrupt = names[len(names) // 3], names[2 * len(names) // 3]
    synthesise(root, names, victim)
    bad = root / "predictions" / f"{corrupt}.mha"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) - 20])
    later = options.resume_workers or options.workers
    rows = [start(root, "killed twice, one file truncated", options.workers, victim)]
    rows.append(start(root, "resumed", later))
    bad.write_bytes(whole)
    rows.append(start(root, "resumed, the file mended", later))
    rows.append(start(root, "one process, undisturbed", 1, out="undisturbed"))
    same = (root / "out/scores.json").read_bytes() == (root / "undisturbed/scores.json").read_bytes()
    about = {"date": datetime.now(UTC).date().isoformat(), "voxbench": version("voxbench")}
    about |= {"processor": platform.machine(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    about |= {"cases": options.cases, "victim": victim, "corrupt": corrupt, "workers": options.workers}
    return about | {"starts": rows, "scores_as_undisturbed": same}


def synthesise(root: Path, names: list[str], victim: str) -> None:
    """References, and predictions without a vertebra."""
    from voxbench.geometry import Grid, LabelMap
    from voxbench.io import write_labels

    for folder in ("references", "predictions"):
        (root / folder).mkdir()
    for n, name in enumerate(names):
        shape = LARGE if name == victim else SMALL
        grid = Grid.from_parts(shape, (4.0, 0.6, 0.6))
        reference = spine(shape, n)
        predicted = np.where(reference == 3, 0, reference).astype(np.uint8)
        write_labels(root / "references" / f"{name}.mha", LabelMap(reference, grid))
        write_labels(root / "predictions" / f"{name}.mha", LabelMap(predicted, grid))


def spine(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Four vertebrae, three discs and a canal, as boxes; each case a little different."""
    _, j, k = shape
    labels = np.zeros(shape, np.uint8)
    step, shift = k // 5, seed % 3
    for n in range(4):
        labels[1:-1, j // 3 : 2 * j // 3, shift + n * step : shift + n * step + 2 * step // 3] = n + 1
        if n:
            labels[1:-1, j // 3 : 2 * j // 3, shift + n * step - step // 4 : shift + n * step] = 200 + n
    labels[2:-2, j // 6 : j // 4] = 100
    return labels


def start(root: Path, what: str, workers: int, victim: str | None = None, out: str = "out") -> dict[str, Any]:
    """One start of the command; with a victim, its process is killed whenever it has that case."""
    command = [sys.executable, "-m", "voxbench", "evaluate", "spider", "--jobs", str(workers)]
    command += ["--predictions", str(root / "predictions"), "--references", str(root / "references")]
    begun = time.perf_counter()
    with (root / "stderr").open("w") as log:
        process = subprocess.Popen([*command, "--out", str(root / out)], stderr=log)
        killed, reads = watch(process, root / out / "cases/status.json", victim)
    seconds = time.perf_counter() - begun
    if not (root / out / "cases/status.json").is_file():
        sys.exit((root / "stderr").read_text())
    status = json.loads((root / out / "cases/status.json").read_text())
    failed = [case["case"] for case in status["cases"] if case["state"] == "failed"]
    said = (root / "stderr").read_text()
    return {
        "start": what,
        "workers": workers,
        "killed": killed,
        "done": status["counts"].get("done", 0),
        "kept": status["counts"].get("kept", 0),
        "named": failed,
        "all_named_in_the_message": all(f"\n{name}: " in said or f"\n{root}" in said for name in failed),
        "results_written": (root / out / "scores.json").is_file(),
        "exit_code": process.returncode,
        "seconds": round(seconds, 1),
        "status_read": reads,
        "half_files_left": len(list(root.rglob(".*.part.*"))),
        "message": [line for line in said.replace(str(root), "").splitlines() if " failed" in line][-3:],
    }


def watch(process: subprocess.Popen[bytes], path: Path, victim: str | None) -> tuple[int, int]:
    """Wait for the end; kill whoever has the victim. How often that was, and how often the status was read."""
    pids: set[int] = set()
    reads = 0
    while process.poll() is None:
        time.sleep(0.1)
        if victim is None or not path.is_file():
            continue
        cases = json.loads(path.read_text())["cases"]
        reads += 1
        case = next(case for case in cases if case["case"] == victim)
        if case["state"] == "running" and case["pid"] not in {*pids, process.pid}:
            pids.add(case["pid"])
            os.kill(case["pid"], signal.SIGKILL)
    return len(pids), reads


def markdown(result: dict[str, Any]) -> str:
    """The table."""
    lines = [
        f"# {result['cases']} cases, one killed and one corrupt",
        "",
        f"{result['date']}, voxbench {result['voxbench']}, {result['processor']}, {result['cores']} cores, load "
        f"{result['load']}. `voxbench evaluate spider`; {result['victim']} is killed by kill -9 whenever a worker has "
        f"it, {result['corrupt']} is truncated. Made by `python benchmarks/many_cases.py --cases {result['cases']} "
        f"--workers {result['workers']}`.",
        "",
        "| start | workers | kills | done | kept | failed, named | results | exit code | s |",
        "|---|--:|--:|--:|--:|---|---|--:|--:|",
    ]
    for row in result["starts"]:
        named = ", ".join(row["named"]) or "-"
        written = "written" if row["results_written"] else "none"
        cells = (row["start"], row["workers"], row["killed"], row["done"], row["kept"], named, written)
        lines.append("| " + " | ".join(map(str, (*cells, row["exit_code"], row["seconds"]))) + " |")
    same = "the same bytes as" if result["scores_as_undisturbed"] else "NOT the same as"
    half = sum(row["half_files_left"] for row in result["starts"])
    lines += [
        "",
        f"scores.json of the last resume: {same} that of the undisturbed run. Half-written files left: {half}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
