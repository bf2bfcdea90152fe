"""Tries a challenge's containers without one: the same entry points, the platform's folders, and its checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.deploy.exchange import one_image, require_geometry
from voxbench.deploy.sockets import Algorithm, Case, Deployment, Rehearsal, Socket
from voxbench.deploy.stage import walls
from voxbench.errors import InputError
from voxbench.io import read_json, read_mesh, sha256, write_json
from voxbench.io.read import read_raw

SECONDS, MEMORY_MB = 60.0, 4096.0
"""What a tiny case may take; the least memory that the platform gives."""
STAGE_S = 900
KEYS = ("socket", "interface")
"""What entries of inputs.json call their description: newer platforms, then older ones."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: ``exec``, ``invoke`` or ``evaluation``.
        what: What must hold.
        found: What was found.
        holds: Whether it does.
    """

    part: str
    what: str
    found: str
    holds: bool


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


def rehearsed(deployment: Deployment, folder: Path, tell: Callable[[str], None]) -> Iterator[Finding]:
    """Try both contracts, what must be refused, and the evaluation.

    Args:
        deployment: The challenge's.
        folder: An empty folder to work in.
        tell: Told what comes next.

    Yields:
        What was found, one after the other.
    """
    algorithm = deployment.algorithm
    tell("making a small case")
    (folder / "data").mkdir()
    rehearsal = deployment.rehearse(folder / "data")
    stage = _Stage(folder, algorithm, rehearsal)
    tell("exec: once over /input")
    once = stage.solve("exec", ("exec",), "socket")
    yield from _ended("exec", once)
    yield from _outputs("exec", algorithm, rehearsal.cases[0], once)
    tell("exec: what must be refused")
    yield stage.refused("two files in one socket", rehearsal)
    if algorithm.weights == "needed":
        yield stage.without_weights()
    tell("invoke: over HTTP, twice")
    asked = stage.solve("invoke", ("invoke",), "interface", times=2)
    yield from _answered(asked)
    yield from _outputs("invoke", algorithm, rehearsal.cases[0], asked)
    yield _same(once, asked)
    tell("evaluation: all jobs, in no order")
    graded = stage.grade(once)
    yield from _ended("evaluation", graded)
    yield from _metrics(graded)


class _Stage:
    """Folders as the platform mounts them, one set a start."""

    def __init__(self, folder: Path, algorithm: Algorithm, rehearsal: Rehearsal):
        self.folder, self.algorithm, self.rehearsal = folder, algorithm, rehearsal
        self.fenced = walls([], []) is not None

    def solve(self, name: str, contract: tuple[str, ...], key: str, times: int = 0) -> Played:
        """Start the algorithm over the first case."""
        home = self.folder / name
        self._inputs(home / "input", key)
        return self._play(home, contract[0], times)

    def refused(self, what: str, rehearsal: Rehearsal) -> Finding:
        """A second file in the first socket must be named, and nothing left."""
        home = self.folder / "two"
        self._inputs(home / "input", "socket")
        socket = self.algorithm.socket(next(iter(rehearsal.cases[0].inputs)))
        image = one_image(home / "input" / socket.relative_path)
        image.with_name("another.mha").write_bytes(image.read_bytes())
        return self._must_fail(home, what, ("exactly one image", "another.mha"))

    def without_weights(self) -> Finding:
        """No model must be told, with how to make one."""
        home = self.folder / "none"
        self._inputs(home / "input", "socket")
        return self._must_fail(home, "no weights", ("no weights", self.algorithm.train), model=home / "nothing")

    def grade(self, once: Played) -> Played:
        """Score the solved case beside others for which the truth stands, the jobs in reverse order."""
        home = self.folder / "evaluation"
        entries = []
        for number, case in enumerate(self.rehearsal.cases):
            pk = f"job-{number}"
            entries.append(_job(pk, case, self.algorithm))
            for socket in self.algorithm.outputs:
                right = case.outputs[socket.slug] if number else _made(once.output, socket)
                _put(right, home / "input" / pk / "output", socket)
        write_json(home / "input" / "predictions.json", entries[::-1])
        return self._play(home, "evaluation", 0)

    def _must_fail(self, home: Path, what: str, words: tuple[str, ...], model: Path | None = None) -> Finding:
        played = self._play(home, "exec", 0, model)
        said = played.report["errors"].strip()
        left = [path for path in played.output.rglob("*") if path.is_file()]
        holds = played.report["code"] == 1 and all(word in said for word in words) and not left
        plain = holds and "Traceback" not in said
        return Finding("exec", f"{what}: refused", said.splitlines()[0] if said else "nothing said", plain)

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
        given, output, scratch, work, report = (
            home / name for name in ("input", "output", "tmp", "work", "report")
        )
        for path in (given, output, scratch, work, report):
            path.mkdir(parents=True, exist_ok=True)
        before = _hashes(given)
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
        strange += [str(path) for path, found in _hashes(given).items() if before.get(path) != found]
        strange += [str(path.relative_to(home)) for path in scratch.rglob("*")]
        return Played(read_json(report / "report.json"), given, output, tuple(strange))


def _staged(home: Path, plan: Path) -> None:
    """Run the stage, behind the system's walls where it lets us."""
    fence = walls([home / "input"], [home / "output", home / "tmp", home / "report"]) or []
    command = [*fence, sys.executable, "-m", "voxbench.deploy.stage", str(plan)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=STAGE_S, check=False, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
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


def _made(output: Path, socket: Socket) -> Path:
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


def _hashes(folder: Path) -> dict[Path, str]:
    return {path.relative_to(folder): sha256(path) for path in folder.rglob("*") if path.is_file()}


def _ended(part: str, played: Played) -> Iterator[Finding]:
    report = played.report
    said = report["errors"].strip()
    yield Finding(part, "exit code 0", str(report["code"]), report["code"] == 0)
    yield Finding(part, "nothing said on stderr", said.splitlines()[-1] if said else "nothing", not said)
    yield from _thrift(part, played)


def _thrift(part: str, played: Played) -> Iterator[Finding]:
    report = played.report
    told = f"{report['cpu_s']:.1f} s of processor, {report['seconds']:.1f} s on the wall"
    yield Finding(part, f"within {SECONDS:.0f} s of processor", told, report["cpu_s"] <= SECONDS)
    memory = report["memory_mb"]
    yield Finding(part, f"within {MEMORY_MB / 1024:.0f} GB", f"{memory:.0f} MB", memory <= MEMORY_MB)
    yield Finding(part, "written to /output alone", ", ".join(played.changed[:3]) or "nothing else", not played.changed)


def _answered(played: Played) -> Iterator[Finding]:
    report = played.report
    yield Finding("invoke", "GET /health 200", f"{report['health']} after {report['ready_s']:.1f} s", report["health"] == 200)
    codes = [code for code, _ in report["invoked"]]
    bodies = [body for _, body in report["invoked"] if body]
    yield Finding("invoke", "POST /invoke 201, twice", ", ".join(map(str, codes)) or "none", codes == [201, 201])
    yield Finding("invoke", "empty answers", bodies[0][:80] if bodies else "empty", not bodies)
    yield from _thrift("invoke", played)


def _outputs(part: str, algorithm: Algorithm, case: Case, played: Played) -> Iterator[Finding]:
    expected = set()
    first = next(item.path for slug, item in case.inputs.items() if algorithm.socket(slug).kind == "image")
    for socket in algorithm.outputs:
        try:
            made = _made(played.output, socket)
            told = _looked_at(socket, first, made)
            expected.add(made)
            yield Finding(part, f"{socket.slug}: {_wanted(socket)}", told, True)
        except InputError as error:
            yield Finding(part, f"{socket.slug}: {_wanted(socket)}", str(error).splitlines()[0], False)
    others = [str(path.relative_to(played.output)) for path in played.output.rglob("*") if path.is_file()]
    surplus = [name for name in others if played.output / name not in expected]
    yield Finding(part, "nothing else in /output", ", ".join(surplus) or "nothing", not surplus)


def _wanted(socket: Socket) -> str:
    return "one .mha, the input's geometry" if socket.kind == "image" else "there, and readable"


def _looked_at(socket: Socket, given: Path, made: Path) -> str:
    """What there is to say of an output.

    Raises:
        InputError: It is not as the platform wants it.
    """
    if socket.kind == "image":
        require_geometry(given, made)
        array = read_raw(made).array
        if array.dtype not in (np.uint8, np.int16, np.uint16, np.int32, np.float32):
            raise InputError(f"{made.name}: voxels of type {array.dtype}")
        return f"{' x '.join(map(str, array.shape))} {array.dtype}"
    if made.suffix == ".obj":
        mesh = read_mesh(made)
        return f"{len(mesh.vertices)} vertices, {'closed' if mesh.is_watertight else 'open'}"
    return f"{made.stat().st_size} bytes"


def _same(once: Played, asked: Played) -> Finding:
    one, other = (_contents(played.output) for played in (once, asked))
    return Finding("invoke", "the same as exec", "to the byte" if one == other else "other bytes", one == other)


def _contents(folder: Path) -> list[str]:
    return sorted(_hashes(folder).values())


def _metrics(played: Played) -> Iterator[Finding]:
    path = played.output / "metrics.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        told, holds = ", ".join(list(content)[:4]), isinstance(content, dict) and bool(content)
    except (OSError, ValueError) as error:
        told, holds = f"{type(error).__name__}: {error}", False
    yield Finding("evaluation", "metrics.json is JSON", told, holds)

