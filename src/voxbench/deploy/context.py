"""Writes Docker build contexts: everything that is needed to build, test and save a challenge's two images."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import voxbench
from voxbench.deploy.sockets import Algorithm, Deployment
from voxbench.errors import FileReadError, InputError, UsageError
from voxbench.io import read_json
from voxbench.io.folders import new_data_set

MARKS = ("Dockerfile", "Dockerfile.evaluation", "constraints.txt")
"""What tells a context from any other folder."""
SCRIPTS = ("build.sh", "test.sh", "save.sh")
SOURCES = ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE")
WEIGHTS = ("weights.safetensors", "weights.json")
KINDS = {"image": "one .mha", "value": "JSON", "file": "a file"}
INSTALLED = {
    "sources": "voxbench is compiled from `voxbench/`, the sources beside this file.",
    "wheel": "voxbench is the wheel in `wheels/`.",
    "index": "voxbench comes from the package index.",
}


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        contract: ``exec`` or ``invoke``.
        weights: Folder of a training run.
        wheel: A wheel of voxbench.
    """

    contract: str
    weights: Path | None = None
    wheel: Path | None = None


@dataclass(frozen=True)
class Context:
    """What was written.

    Attributes:
        folder: The context.
        files: Its files, relative to it.
        warnings: For eyes.
    """

    folder: Path
    files: tuple[str, ...]
    warnings: tuple[str, ...]


def write_context(deployment: Deployment, out: Path, wanted: Wanted, *, force: bool = False) -> Context:
    """Write the context; it appears when it is complete, or not at all.

    Args:
        deployment: The challenge's.
        out: The folder.
        wanted: Which contract, which weights.
        force: Replace an earlier context.

    Raises:
        UsageError: Weights are given for a method that has none, or the wheel is none of voxbench.
        InputError: The weights are of another challenge, or there are none.
        FileWriteError: The folder must not be replaced, or cannot be written.
    """
    algorithm = deployment.algorithm
    weights = weight_files(wanted.weights, algorithm)
    source, files = _source(wanted.wheel)
    with new_data_set(out, MARKS, force, "a container context") as folder:
        for name in ("model", "ground_truth"):
            (folder / name).mkdir()
        for target, file in (*files.items(), *((f"model/{name}", file) for name, file in weights.items())):
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / target)
        (folder / "constraints.txt").write_text(constraints(_extras(algorithm, weights)), encoding="utf-8")
        for name, text in _rendered(deployment, wanted, source, weights):
            (folder / name).write_text(text, encoding="utf-8")
        written = tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))
    return Context(out, written, tuple(_warnings(algorithm, weights, source)))


def weight_files(run: Path | None, algorithm: Algorithm) -> dict[str, Path]:
    """The weights of a training run, and of its stages, by their names below it.

    Raises:
        UsageError: The method has none.
        FileReadError: There are none.
        InputError: They are of another challenge.
    """
    if run is None:
        return {}
    if algorithm.weights == "none":
        raise UsageError(f"--weights: {algorithm.challenge} has no method with weights")
    found = {str(path.relative_to(run)): path for name in WEIGHTS for path in sorted(run.rglob(name))}
    if not any(name.endswith(WEIGHTS[0]) for name in found):
        raise FileReadError(f"{run}: no {WEIGHTS[0]} here\n  give the --out folder of {algorithm.train}")
    for path in (path for name, path in found.items() if name.endswith(WEIGHTS[1])):
        card = read_json(path)
        challenge = card.get("challenge", algorithm.challenge) if isinstance(card, dict) else None
        if challenge != algorithm.challenge:
            raise InputError(
                f"{path}: weights of another challenge\n  wanted  {algorithm.challenge}\n  found   {challenge}"
            )
    return found


def constraints(extras: tuple[str, ...] = ()) -> str:
    """Every package that voxbench needs, pinned to the version installed here."""
    pinned: dict[str, str] = {}
    waiting = [("voxbench", extras)]
    seen = set(waiting)
    while waiting:
        for needed in _needs(*waiting.pop()):
            try:
                version = metadata.version(needed[0])
            except metadata.PackageNotFoundError:
                continue  # of another platform, or of an extra that is not installed
            pinned[needed[0]] = version.split("+")[0]
            if needed not in seen:
                seen.add(needed)
                waiting.append(needed)
    return "".join(f"{name}=={version}\n" for name, version in sorted(pinned.items()))


def _needs(name: str, extras: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Names of what a package needs, each with the extras it is needed with."""
    for line in metadata.requires(name) or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        if extra is None or extra.group(1) in extras:
            match = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[([^]]*)\])?", requirement)
            assert match is not None
            further = tuple(sorted(part.strip() for part in (match.group(2) or "").split(",") if part.strip()))
            yield re.sub(r"[-_.]+", "-", match.group(1)).lower(), further


def _extras(algorithm: Algorithm, weights: dict[str, Path]) -> tuple[str, ...]:
    """What voxbench is installed with."""
    return ("learn",) if algorithm.weights == "needed" or weights else ()


def _source(wheel: Path | None) -> tuple[str, dict[str, Path]]:
    """Where voxbench comes from in the image, and the files that takes."""
    if wheel is not None:
        if not wheel.is_file() or not re.fullmatch(r"voxbench-.*\.whl", wheel.name):
            raise UsageError(f"--wheel {wheel}: not a wheel of voxbench (voxbench-*.whl)")
        return "wheel", {f"wheels/{wheel.name}": wheel}
    root = Path(voxbench.__file__).parents[2]
    if not all((root / name).is_file() for name in SOURCES):
        return "index", {}
    found = [root / name for name in SOURCES]
    found += [path for path in (root / "src").rglob("*") if path.is_file() and _is_source(path)]
    return "sources", {f"voxbench/{path.relative_to(root)}": path for path in found}


def _is_source(path: Path) -> bool:
    return path.suffix not in (".so", ".pyd", ".pyc") and "__pycache__" not in path.parts and path.name[0] != "."


def _rendered(
    deployment: Deployment, wanted: Wanted, source: str, weights: dict[str, Path]
) -> Iterator[tuple[str, str]]:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("voxbench.deploy", "_assets"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    algorithm = deployment.algorithm
    values: dict[str, Any] = {
        "challenge": algorithm.challenge,
        "title": f"{algorithm.challenge} on grand-challenge",
        "image": f"voxbench-{algorithm.challenge}",
        "version": metadata.version("voxbench"),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "source": source,
        "contract": wanted.contract,
        "extras": "".join(f"[{extra}]" for extra in _extras(algorithm, weights)),
        "shapes": algorithm.challenge == "ssrkd" and not weights,
        "official": algorithm.official,
        "sockets": [*(("input", s) for s in algorithm.inputs), *(("output", s) for s in algorithm.outputs)],
        "kinds": KINDS,
        "weights": algorithm.weights,
        "has_weights": bool(weights),
        "train": algorithm.train,
        "truth": deployment.truth,
        "installed": INSTALLED[source],
    }
    for name in ("Dockerfile", "README.md", *SCRIPTS):
        yield name, pages.get_template(f"{name}.jinja").render(values)
    scoring = {"contract": "evaluation", "extras": "", "shapes": False}
    yield "Dockerfile.evaluation", pages.get_template("Dockerfile.jinja").render(values | scoring)


def _warnings(algorithm: Algorithm, weights: dict[str, Path], source: str) -> Iterator[str]:
    if algorithm.weights == "needed" and not weights:
        yield f"no weights: make them with {algorithm.train}, then give --weights RUN; without them every case fails"
    if source == "index":
        yield "voxbench is installed from the package index when the image is built; --wheel FILE takes yours"
