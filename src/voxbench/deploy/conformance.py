"""Tries a challenge's containers without one: the same entry points, the platform's folders, and its checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.deploy.exchange import require_geometry
from voxbench.deploy.rehearsing import Played, Stage, hashes, made_by
from voxbench.deploy.sockets import Algorithm, Case, Deployment, Socket
from voxbench.errors import InputError
from voxbench.io import read_mesh
from voxbench.io.read import read_raw

SECONDS, MEMORY_MB = 60.0, 4096.0
"""What a tiny case may take; the least memory that the platform gives."""


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
    stage = Stage(folder, algorithm, rehearsal)
    tell("exec: once over /input")
    once = stage.solve("exec", "socket")
    yield from _ended("exec", once)
    yield from _outputs("exec", algorithm, rehearsal.cases[0], once)
    tell("exec: what must be refused")
    yield _refused("two files in one socket", stage.crowded(), ("exactly one image", "another.mha"))
    if algorithm.weights == "needed":
        yield _refused("no weights", stage.bare(), ("no weights", algorithm.train))
    tell("invoke: over HTTP, twice")
    asked = stage.solve("invoke", "interface", times=2)
    yield from _answered(asked)
    yield from _outputs("invoke", algorithm, rehearsal.cases[0], asked)
    yield _same(once, asked)
    tell("evaluation: all jobs, in no order")
    graded = stage.grade(once)
    yield from _ended("evaluation", graded)
    yield from _metrics(graded)


def _refused(what: str, played: Played, words: tuple[str, ...]) -> Finding:
    """It must end with code 1 and one message, and leave nothing."""
    said = played.report["errors"].strip()
    left = [path for path in played.output.rglob("*") if path.is_file()]
    told = all(word in said for word in words) and "Traceback" not in said
    first = said.splitlines()[0] if said else "nothing said"
    return Finding("exec", f"{what}: refused", first, played.report["code"] == 1 and told and not left)


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
    yield Finding(
        "invoke", "GET /health 200", f"{report['health']} after {report['ready_s']:.1f} s", report["health"] == 200
    )
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
            made = made_by(played.output, socket)
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
    return sorted(hashes(folder).values())


def _metrics(played: Played) -> Iterator[Finding]:
    path = played.output / "metrics.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        told, holds = ", ".join(list(content)[:4]), isinstance(content, dict) and bool(content)
    except (OSError, ValueError) as error:
        told, holds = f"{type(error).__name__}: {error}", False
    yield Finding("evaluation", "metrics.json is JSON", told, holds)
