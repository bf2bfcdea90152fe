"""An evaluation killed before chosen file operations: nothing half is left, and the next start gives the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")
START = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from bench.kill_runs import die_at
if int(sys.argv[2]):
    die_at(int(sys.argv[2]), Path(sys.argv[3]))
from voxbench.cli import main
sys.exit(main(sys.argv[4:]))
"""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


def start(words: list[str], out: Path, at_event: int = 0) -> int:
    """The command's exit code; killed before the n-th file operation if asked for."""
    out.parent.mkdir(exist_ok=True)
    line = [sys.executable, "-c", START, BENCHMARKS, str(at_event), str(out), *words]
    return subprocess.run(line, capture_output=True, check=False).returncode


def test_an_evaluation_killed_twice_ends_as_one_left_alone(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from bench import kill_runs

    kill_runs.make_data(tmp_path)
    words = kill_runs.evaluate_words
    alone, killed = tmp_path / "a" / "out", tmp_path / "b" / "out"
    assert start(words(tmp_path, alone), alone) == 0
    for event in (5, 12):
        assert start(words(tmp_path, killed), killed, event) == -signal.SIGKILL
        assert kill_runs.half_files(killed) == []
        assert not (killed / "scores.json").exists()
    assert start(words(tmp_path, killed), killed) == 0
    assert kill_runs.contents(killed) == kill_runs.contents(alone)
