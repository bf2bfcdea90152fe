"""Runs a challenge's algorithm as the platform starts it: once over /input, or whenever it is asked over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from voxbench.deploy.exchange import publish, read_inputs, read_jobs
from voxbench.deploy.sockets import INPUT, MODEL, OUTPUT, TRUTHS, Algorithm, Grade, Solve
from voxbench.errors import FileReadError, FileWriteError, VoxbenchError
from voxbench.io import write_json

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Folders:
    """What the platform mounts.

    Attributes:
        input: /input.
        output: /output.
        model: The weights.
        truth: Of an evaluation; by default the first of the platform's places that is there.
    """

    input: Path = INPUT
    output: Path = OUTPUT
    model: Path = MODEL
    truth: Path | None = None

    @property
    def weights(self) -> Path | None:
        """The folder of the weights, if there is anything in it."""
        return self.model if self.model.is_dir() and any(self.model.glob("[!.]*")) else None

    @property
    def ground_truth(self) -> Path:
        """The folder of the ground truth.

        Raises:
            FileReadError: There is none.
        """
        places = TRUTHS if self.truth is None else (self.truth,)
        for place in places:
            if place.is_dir():
                return place
        raise FileReadError(f"no ground truth: none of {', '.join(map(str, places))} is there")


def get_ready(algorithm: Algorithm, folders: Folders) -> Solve:
    """The algorithm with its weights loaded.

    Raises:
        FileReadError: It needs weights and there are none, or they cannot be read.
    """
    if algorithm.weights == "needed" and folders.weights is None:
        raise FileReadError(
            f"{folders.model}: no weights here; {algorithm.challenge} has no method without them\n"
            f"  make them with {algorithm.train}, and upload model.tar.gz beside the image"
        )
    return algorithm.load(folders.weights)


def invoke(algorithm: Algorithm, solve: Solve, folders: Folders) -> None:
    """Solve what lies in /input; /output gets its files when all of them are made and checked.

    Raises:
        InputError: What lies there cannot be used.
        FileWriteError: The results cannot be written.
    """
    inputs = read_inputs(folders.input, algorithm.inputs)
    with TemporaryDirectory(prefix="voxbench.") as scratch:
        publish(algorithm, inputs, solve(inputs, Path(scratch)), folders.output)


def grade(algorithm: Algorithm, grading: Grade, folders: Folders) -> Path:
    """Score all jobs of predictions.json.

    Returns:
        metrics.json.

    Raises:
        InputError: Jobs or ground truth cannot be used.
        FileWriteError: metrics.json cannot be written.
    """
    truth = folders.ground_truth
    jobs = read_jobs(folders.input, algorithm)
    with TemporaryDirectory(prefix="voxbench.") as scratch:
        content = grading(jobs, truth, Path(scratch))
    write_json(folders.output / "metrics.json", content)
    return folders.output / "metrics.json"


def server(algorithm: Algorithm, folders: Folders, port: int, tell: Tell) -> ThreadingHTTPServer:
    """What answers over HTTP: GET /health with 200, POST /invoke with 201 when the results are in /output.

    Everything is loaded before it listens, so that whoever gets an answer gets it quickly. One invocation at a time; one
    that fails is answered with 500 and the reason, and the next may come.

    Args:
        algorithm: What is asked.
        folders: Where it reads and writes.
        port: The platform's is 4743; 0 takes a free one.
        tell: Told of every failure.

    Raises:
        FileReadError: It needs weights and there are none.
        FileWriteError: The port is taken.
    """
    solve = get_ready(algorithm, folders)
    busy = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200 if self.path.rstrip("/") == "/health" else 404)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.rstrip("/") != "/invoke":
                self.answer(404)
                return
            with busy:
                self.answer(*self.invoked())

        def invoked(self) -> tuple[int, str]:
            try:
                invoke(algorithm, solve, folders)
            except VoxbenchError as error:
                tell(str(error))
                return 500, str(error)
            except Exception as error:
                tell(f"{type(error).__name__}: {error}")
                return 500, f"{type(error).__name__}: {error}"
            return 201, ""

        def answer(self, code: int, text: str = "") -> None:
            content = text.encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: the platform takes what is said for a warning."""

    try:
        return ThreadingHTTPServer(("0.0.0.0", port), Handler)
    except OSError as error:
        raise FileWriteError(f"port {port}: cannot be listened on: {error.strerror or error}") from error
