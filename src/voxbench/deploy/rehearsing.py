"""Starts a challenge's entry points over folders laid out as the platform lays them out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbench.deploy.exchange import one_image
from voxbench.deploy.sockets import Algorithm, Case, Rehearsal, Socket
from voxbench.deploy.stage import walls
from voxbench.errors import InputError
from voxbench.io import read_json, sha256, write_json

STAGE_S = 900


@dataclass(frozen=True)
class Played:
    """An entry point that was started.

    Attributes:
        report: What `voxbench.deploy.stage.play` says.
        input: Its /input.
        output: Its /output.
        changed: Files that are where nothing may be written, or changed in /input.
    """

    report: Mapping[str, Any]
    input: Path
    output: Path
    changed: tuple[str, ...]


class Stage:
    """Folders as the platform mounts them, one set a start."""

    def __init__(self, folder: Path, algorithm: Algorithm, rehearsal: Rehearsal):
        self.folder, self.algorithm, self.rehearsal = folder, algorithm, rehearsal

    def solve(self, contract: str, key: str, times: int = 0) -> Played:
        """Start the algorithm over the first case.

        Args:
            contract: ``exec`` or ``invoke``.
            key: What inputs.json calls the description of a socket: ``socket``, or ``interface`` as older platforms.
            times: How often it is invoked.
        """
        home = self.folder / contract
        self._inputs(home / "input", key)
        return self._play(home, contract, times)

    def crowded(self) -> Played:
        """Start it with a second file, another.mha, in the first socket of an image."""
        home = self.folder / "two"
        self._inputs(home / "input", "socket")
        sockets = (self.algorithm.socket(slug) for slug in self.rehearsal.cases[0].inputs)
        socket = next(socket for socket in sockets if socket.kind == "image")
        image = one_image(home / "input" / socket.relative_path)
        image.with_name("another.mha").write_bytes(image.read_bytes())
        return self._play(home, "exec", 0)

    def bare(self) -> Played:
        """Start it without weights."""
        home = self.folder / "none"
        self._inputs(home / "input", "socket")
        return self._play(home, "exec", 0, home / "nothing")

    def grade(self, once: Played) -> Played:
        """Score the solved case beside others for which the truth stands, the jobs in reverse order."""
        home = self.folder / "evaluation"
        entries = []
        for number, case in enumerate(self.rehearsal.cases):
            pk = f"job-{number}"
            entries.append(_job(pk, case, self.algorithm))
            for socket in self.algorithm.outputs:
                right = case.outputs[socket.slug] if number else made_by(once.output, socket)
                _put(right, home / "input" / pk / "output", socket)
        write_json(home / "input" / "predictions.json", entries[::-1])
        return self._play(home, "evaluation", 0)

    def _inputs(self, folder: Path, key: str) -> None:
        entries = []
        for slug, item in self.rehearsal.cases[0].inputs.items():
            socket = self.algorithm.socket(slug)
            placed = _put(item.path, folder, socket)
            about = {"slug": slug, "relative_path": socket.relative_path, "kind": socket.kind}
            image = {"pk": placed.stem, "name": item.name} if socket.kind == "image" else None
            entries.append({key: about, "image": image, "value": None, "file": None, "pk": len(entries)})
        write_json(folder / "inputs.json", entries)

    def _play(self, home: Path, contract: str, times: int, model: Path | None = None) -> Played:
        """One start: /input cannot be written to, /output and /tmp can, home and working folder stay empty."""
        given, output, scratch, work, report = (home / name for name in ("input", "output", "tmp", "work", "report"))
        for path in (given, output, scratch, work, report):
            path.mkdir(parents=True, exist_ok=True)
        before = hashes(given)
        weights = model or self.rehearsal.model or home / "nothing"
        command = ["serve", self.algorithm.challenge, "--contract", contract, "--input", str(given)]
        command += ["--output", str(output), "--model", str(weights), "--ground-truth", str(self.rehearsal.truth)]
        plan = {
            "command": command if contract == "evaluation" else command[:-2],
            "writable": [str(output), str(scratch)],
            "work": str(work),
            "times": times,
            "environment": _environment(scratch, work),
            "errors": str(report / "said.txt"),
            "report": str(report / "report.json"),
        }
        write_json(report / "plan.json", plan)
        _staged(home, report / "plan.json")
        strange = [str(path.relative_to(home)) for path in work.rglob("*")]
        strange += [str(path) for path, found in hashes(given).items() if before.get(path) != found]
        strange += [str(path.relative_to(home)) for path in scratch.rglob("*")]
        return Played(read_json(report / "report.json"), given, output, tuple(strange))


def _staged(home: Path, plan: Path) -> None:
    """Run the stage, behind the system's walls where it lets us."""
    fence = walls([home / "input"], [home / "output", home / "tmp", home / "report"]) or []
    command = [*fence, sys.executable, "-m", "voxbench.deploy.stage", str(plan)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=STAGE_S,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.returncode:
        raise InputError(f"the stage itself failed\n  {done.stderr.strip()[-1000:]}")


def _environment(scratch: Path, work: Path) -> dict[str, str]:
    """As bare as a container's: no cache and no settings of the user's."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(work),
        "TMPDIR": str(scratch),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _put(file: Path, folder: Path, socket: Socket) -> Path:
    """A file where the platform would put it: images under names that say nothing."""
    place = folder / socket.relative_path
    target = place / f"{sha256(file)[:32]}{file.suffix}" if socket.kind == "image" else place
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(file.read_bytes())
    return target


def made_by(output: Path, socket: Socket) -> Path:
    """What lies in a socket of /output.

    Raises:
        InputError: Not exactly one image.
    """
    place = output / socket.relative_path
    return one_image(place) if socket.kind == "image" else place


def _job(pk: str, case: Case, algorithm: Algorithm) -> dict[str, Any]:
    inputs = [
        {"socket": {"slug": slug}, "image": {"pk": slug, "name": item.name}}
        for slug, item in case.inputs.items()
        if algorithm.socket(slug).kind == "image"
    ]
    outputs = [{"socket": {"slug": s.slug, "relative_path": s.relative_path}} for s in algorithm.outputs]
    return {"pk": pk, "inputs": inputs, "outputs": outputs, "status": "Succeeded", "exec_duration": "P0DT00H00M01S"}


def hashes(folder: Path) -> dict[Path, str]:
    """SHA-256 of every file below a folder, by its name there."""
    return {path.relative_to(folder): sha256(path) for path in folder.rglob("*") if path.is_file()}
