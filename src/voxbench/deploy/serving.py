"""Does what the platform asks for: solves what lies in /input, or scores all jobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from voxbench.deploy.exchange import publish, read_inputs, read_jobs
from voxbench.deploy.sockets import INPUT, MODEL, OUTPUT, TRUTHS, Algorithm, Grade, Solve
from voxbench.errors import FileReadError
from voxbench.io import write_json


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
