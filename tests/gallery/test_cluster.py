"""The SLURM scripts of docs/cluster.md run as they stand there; a stand-in for srun starts two tasks on loopback."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from voxbench.geometry import Grid, LabelMap
from voxbench.io import write_labels

ROOT = Path(__file__).resolve().parents[2]
EVALUATION, TRAINING = re.findall(
    r"^```slurm\n(.*?)^```", (ROOT / "docs/cluster.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
)
STAND_INS = {
    "hostname": "echo 127.0.0.1",
    "srun": "trap 'kill $(jobs -p) 2>/dev/null' EXIT TERM\n"
    '"$@" & one=$!\n"$@" & other=$!\nwait "$one" || failed=1; wait "$other" || failed=1\nexit "${failed:-0}"',
    "voxbench": f'exec "{sys.executable}" -m voxbench "$@"',
    "dask": f'exec "{sys.executable}" -m dask "$@"',
    "torchrun": f'exec "{sys.executable}" -m torch.distributed.run "$@"',
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def handed_in(script: str, folder: Path, **words: str) -> subprocess.CompletedProcess[str]:
    """Run a script as sbatch would, with other folders and a free port."""
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    for name, body in STAND_INS.items():
        (place / name).write_text(f"#!/bin/bash\n{body}\n")
        (place / name).chmod(0o755)
    for name, value in {"PORT": str(free_port()), **words}.items():
        script, count = re.subn(
            rf"(?m)^{name}=.*$|(?<= ){name}(?= |$)", lambda found, v=value: replaced(found, v), script
        )
        assert count, name
    slurm = {"SLURM_CPUS_PER_TASK": "1", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}
    path = os.pathsep.join((str(place), os.environ["PATH"]))
    return subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, **slurm, "PATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def replaced(found: re.Match[str], value: str) -> str:
    name, equals, _ = found.group(0).partition("=")
    return f"{name}={value}" if equals else value


def test_an_evaluation_under_slurm_is_done_by_the_workers_of_both_tasks(tmp_path: Path) -> None:
    grid = Grid.from_parts((6, 30, 40), (4.0, 0.6, 0.6))
    labels = np.zeros(grid.shape, np.uint8)
    labels[1:5, 10:20, 5:15], labels[1:5, 10:20, 20:30], labels[1:5, 10:20, 15:20], labels[2:4, 4:8] = 1, 2, 201, 100
    for folder in ("LABELS", "MASKS"):
        (tmp_path / folder).mkdir()
        for n in range(6):
            write_labels(tmp_path / folder / f"{n}_t2.mha", LabelMap(labels, grid))
    done = handed_in(EVALUATION, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "SPIDER: 6 of 6 scored" in done.stderr
    assert (tmp_path / "RUN/scores.json").is_file()
    status = json.loads((tmp_path / "RUN/cases/status.json").read_text())
    assert status["counts"] == {"done": 6}
    assert {case["pid"] for case in status["cases"]}.isdisjoint({status["pid"]})
    assert not list((tmp_path / "RUN").rglob(".*.part.*"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch: pip install '.[learn]'")
def test_a_training_under_slurm_runs_on_two_nodes_of_one_process(tmp_path: Path) -> None:
    from voxbench.challenges.lumbarsr.simulation import LumbarsrSimulation, simulate

    simulate(tmp_path / "DATA", LumbarsrSimulation(cases=3, size=(36, 32, 32), seed=2))
    short = (
        "--batch 2 --steps 4 --warm-up 1 --patch 16 --sequence 195X_195Y_500Z_S --sample Lumbar_26 --sample Lumbar_27"
    )
    done = handed_in(TRAINING.replace("--batch 16", short), tmp_path, PROCESSES="1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "RUN/weights.safetensors").is_file()
