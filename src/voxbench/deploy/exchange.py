"""Reads what the platform put into /input, and leaves in /output what it takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from voxbench.deploy.sockets import Algorithm, Item, Items, Socket, Submitted
from voxbench.errors import FileReadError, FileWriteError, GridMismatchError, InputError, NotFiniteError
from voxbench.io import atomic, read_json
from voxbench.io.read import read_raw

IMAGES = (".mha",)
SUCCEEDED = "succeeded"


def read_inputs(folder: Path, sockets: Sequence[Socket]) -> Items:
    """What lies in each socket.

    Where the platform wrote no inputs.json (older ones do not) the folders themselves say what is there.

    Args:
        folder: /input.
        sockets: What may be there.

    Raises:
        FileReadError: Something is missing, or inputs.json cannot be read.
        InputError: A socket holds more than one image, is not known, or leads out of the folder.
    """
    if not folder.is_dir():
        raise FileReadError(f"{folder}: no such folder")
    given = _listed(folder / "inputs.json", sockets) if (folder / "inputs.json").exists() else None
    found: dict[str, Item] = {}
    for socket in sockets:
        if given is not None and socket.slug not in given:
            continue
        entry = {} if given is None else given[socket.slug]
        place = inside(folder, str(socket_of(entry).get("relative_path") or socket.relative_path))
        if given is None and not _holds(place):
            continue
        path = one_image(place) if socket.kind == "image" else require(place)
        found[socket.slug] = Item(path, str((entry.get("image") or {}).get("name") or path.name))
    _require_all(folder, sockets, found)
    return found


def _listed(path: Path, sockets: Sequence[Socket]) -> dict[str, Mapping[str, Any]]:
    """Entries of inputs.json by slug."""
    entries = read_json(path)
    if not isinstance(entries, list):
        raise FileReadError(f"{path}: expected a list, found a {type(entries).__name__}")
    known = {socket.slug for socket in sockets}
    found: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        slug = str(socket_of(entry).get("slug", ""))
        if slug not in known:
            raise InputError(f"{path}: socket '{slug}' is not known here\n  known are {', '.join(sorted(known))}")
        if slug in found:
            raise InputError(f"{path}: socket '{slug}' stands there twice; each holds exactly one thing")
        found[slug] = entry
    return found


def socket_of(entry: Any) -> Mapping[str, Any]:
    """The description of the socket in an entry; newer platforms call it ``socket``, older ones ``interface``."""
    if not isinstance(entry, Mapping):
        return {}
    found = entry.get("socket") or entry.get("interface") or {}
    return found if isinstance(found, Mapping) else {}


def inside(folder: Path, relative: str) -> Path:
    """A path below a folder.

    Raises:
        InputError: It leads out of it.
    """
    parts = PurePosixPath(relative)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise InputError(f"{folder}: the path '{relative}' does not lie in this folder")
    return folder / parts


def one_image(folder: Path) -> Path:
    """The one image of a socket's folder.

    Raises:
        FileReadError: There is none.
        InputError: There are several, or it is of another format.
    """
    there = sorted(path for path in folder.glob("[!.]*") if path.is_file()) if folder.is_dir() else []
    if not there:
        raise FileReadError(f"{folder}: no image here; exactly one is expected (.mha)")
    if len(there) > 1:
        raise InputError(
            f"{folder}: {len(there)} files in one socket; exactly one image is expected\n  "
            + "\n  ".join(path.name for path in there[:5])
        )
    if there[0].suffix.lower() not in IMAGES:
        raise InputError(f"{there[0]}: not an image the platform hands out\n  expected  {', '.join(IMAGES)}")
    return there[0]


def require(path: Path) -> Path:
    """A file that must be there.

    Raises:
        FileReadError: It is not.
    """
    if not path.is_file():
        raise FileReadError(f"{path}: no such file")
    return path


def _holds(place: Path) -> bool:
    return any(place.glob("[!.]*")) if place.is_dir() else place.is_file()


def _require_all(folder: Path, sockets: Sequence[Socket], found: Items) -> None:
    missing = [socket.slug for socket in sockets if socket.required and socket.slug not in found]
    if missing:
        raise FileReadError(f"{folder}: nothing in {', '.join(missing)}")
    if not found:
        raise FileReadError(
            f"{folder}: nothing in any socket\n  known are {', '.join(socket.slug for socket in sockets)}"
        )


def publish(algorithm: Algorithm, inputs: Items, made: Mapping[str, Path], output: Path) -> None:
    """Check what was made and put each file where the platform looks for it; what an earlier call left goes.

    Raises:
        InputError: An image does not lie on the grid of the image that went in, or holds NaN.
        FileWriteError: A file cannot be written.
    """
    first = next(item for slug, item in inputs.items() if algorithm.socket(slug).kind == "image")
    for socket in algorithm.outputs:
        if socket.kind == "image":
            require_geometry(first.path, made[socket.slug])
    for socket in algorithm.outputs:
        place = inside(output, socket.relative_path)
        folder = place if socket.kind == "image" else place.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileWriteError(f"{folder}: cannot be made: {error.strerror or error}") from error
        target = folder / f"{first.path.stem}.mha" if socket.kind == "image" else place
        with atomic(target) as temporary:
            shutil.copyfile(made[socket.slug], temporary)
        if socket.kind == "image":
            for other in folder.iterdir():
                if other != target:
                    other.unlink()


def require_geometry(given: Path, made: Path) -> None:
    """Refuse an image of other size, spacing, origin or axes; of vectors only the first three axes are looked at.

    Raises:
        GridMismatchError: It is one; both grids are shown.
        NotFiniteError: Some values are NaN or infinite.
    """
    one, other = read_raw(given), read_raw(made)
    if not np.isfinite(other.array).all():
        raise NotFiniteError(f"{made.name}: some values are NaN or infinite")
    if not one.grid().same_as(other.grid(), 1e-5):
        raise GridMismatchError(
            f"{made.name}: not on the grid of the image that went in\n  in   {one.grid()!r}\n  out  {other.grid()!r}"
        )


def read_jobs(folder: Path, algorithm: Algorithm) -> tuple[Submitted, ...]:
    """The jobs of predictions.json, in whatever order they stand there.

    Args:
        folder: /input of an evaluation.
        algorithm: What the jobs ran.

    Raises:
        FileReadError: There is no predictions.json, or an output is missing.
        InputError: A job did not succeed, or holds other than one image in a socket; all such jobs are named.
    """
    entries = read_json(folder / "predictions.json")
    if not isinstance(entries, list) or not entries:
        raise FileReadError(f"{folder / 'predictions.json'}: expected a list of jobs")
    found, wrong = [], []
    for entry in entries:
        try:
            found.append(_job(folder, entry, algorithm))
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError(f"{len(wrong)} of {len(entries)} jobs cannot be scored\n  " + "\n  ".join(wrong[:10]))
    return tuple(sorted(found, key=lambda job: sorted(job.names.values())))


def _job(folder: Path, entry: Any, algorithm: Algorithm) -> Submitted:
    pk = str(entry.get("pk", "")) if isinstance(entry, Mapping) else ""
    status = str(entry.get("status") or SUCCEEDED) if pk else ""
    if status.lower() != SUCCEEDED:
        raise InputError(f"job '{pk}': its status is '{status}', not Succeeded")
    home = inside(folder, pk) / "output"
    outputs = {}
    for socket in algorithm.outputs:
        place = inside(home, _told_path(entry, socket))
        outputs[socket.slug] = one_image(place) if socket.kind == "image" else require(place)
    return Submitted(pk, dict(_names(entry)), outputs)


def _told_path(entry: Mapping[str, Any], socket: Socket) -> str:
    """Where the job says that an output lies; where the socket does if it does not."""
    for output in entry.get("outputs") or []:
        told = socket_of(output)
        if told.get("slug") == socket.slug and told.get("relative_path"):
            return str(told["relative_path"])
    return socket.relative_path


def _names(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Slug and name of every image that went in; a job of one input need not name its socket."""
    for number, given in enumerate(entry.get("inputs") or []):
        image = given.get("image") if isinstance(given, Mapping) else None
        if isinstance(image, Mapping) and image.get("name"):
            yield str(socket_of(given).get("slug") or number), str(image["name"])


def name_in(job: Submitted, slug: str) -> str:
    """What the image of one socket of a job is called.

    Raises:
        InputError: The job does not say, or the name is no plain file name.
    """
    name = job.names.get(slug) or (next(iter(job.names.values())) if len(job.names) == 1 else "")
    if not name or PurePosixPath(name).name != name or name.startswith("."):
        raise InputError(f"job '{job.pk}': no usable name of the image in '{slug}'; got {json.dumps(name)}")
    return name


def by_case(jobs: Sequence[Submitted], names: Sequence[str]) -> dict[str, Submitted]:
    """Each case's job.

    Args:
        jobs: The jobs.
        names: Of each of them the case.

    Raises:
        InputError: Two jobs are of one case.
    """
    found: dict[str, Submitted] = {}
    for job, name in zip(jobs, names, strict=True):
        if name in found:
            raise InputError(f"{name}: two jobs of one case\n  {found[name].pk}\n  {job.pk}")
        found[name] = job
    return found


def require_cases(jobs: Mapping[str, Submitted], cases: Sequence[str]) -> None:
    """Refuse cases without a job, and jobs without a case.

    Raises:
        InputError: There are some; all of them are named.
    """
    lines = [f"{case}: no job" for case in cases if case not in jobs]
    lines += [
        f"{name}: no such case in the ground truth (job '{job.pk}')" for name, job in jobs.items() if name not in cases
    ]
    if lines:
        raise InputError(f"{len(cases)} cases and {len(jobs)} jobs do not go together\n  " + "\n  ".join(lines))
