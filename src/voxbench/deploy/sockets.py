"""What a challenge's containers take and give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

INPUT, OUTPUT, MODEL = Path("/input"), Path("/output"), Path("/opt/ml/model")
TRUTHS = (Path("/opt/ml/input/data/ground_truth"), Path("/opt/evaluation/ground-truth"))
"""Where the platform puts the ground truth of an evaluation; the second is that of older challenges."""
PORT = 4743


@dataclass(frozen=True)
class Socket:
    """A place for one thing that goes in or comes out.

    Attributes:
        slug: Its name on the platform.
        relative_path: Below /input or /output: for an image the folder that holds its one file, else the file.
        kind: ``image``; ``value`` (JSON); or any other ``file``.
        required: Whether it must be there; of several that are not, one must be.
    """

    slug: str
    relative_path: str
    kind: Literal["image", "value", "file"] = "image"
    required: bool = True


@dataclass(frozen=True)
class Item:
    """What was put into a socket.

    Attributes:
        path: The file.
        name: What the platform calls the image; the file's own name where it does not say.
    """

    path: Path
    name: str


Items = Mapping[str, Item]
"""By slug."""
Solve = Callable[[Items, Path], Mapping[str, Path]]
"""From inputs, and an empty folder to write to, to the files of the outputs, by slug."""


@dataclass(frozen=True)
class Algorithm:
    """What solves one case of a challenge.

    Attributes:
        challenge: Its name.
        inputs: What goes in.
        outputs: What comes out; images lie on the grid of the first image that went in.
        load: Gets everything ready, given the folder of the weights (None where there are none).
        weights: Whether it can do without them.
        official: Whether sockets are the organisers'; else they are ours, since these have none.
        train: The command that makes weights.
    """

    challenge: str
    inputs: tuple[Socket, ...]
    outputs: tuple[Socket, ...]
    load: Callable[[Path | None], Solve]
    weights: Literal["needed", "possible", "none"]
    official: bool
    train: str = ""

    def socket(self, slug: str) -> Socket:
        """One of the inputs or outputs by its name."""
        return next(socket for socket in (*self.inputs, *self.outputs) if socket.slug == slug)


@dataclass(frozen=True)
class Submitted:
    """One job of an evaluation.

    Attributes:
        pk: Its key on the platform.
        names: What its images that went in are called, by slug.
        outputs: What came out, by slug.
    """

    pk: str
    names: Mapping[str, str]
    outputs: Mapping[str, Path]


Grade = Callable[[tuple[Submitted, ...], Path, Path], Any]
"""From jobs, ground truth and an empty folder to the content of metrics.json."""


@dataclass(frozen=True)
class Case:
    """A case to try containers with.

    Attributes:
        name: Its name.
        inputs: Files by slug, with the names that the platform has for them.
        outputs: What would be right, by slug; empty for the case that is solved.
    """

    name: str
    inputs: Items
    outputs: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Rehearsal:
    """Small data to try containers with.

    Attributes:
        cases: The first is solved; of the others the truth stands for a prediction.
        truth: The folder of the ground truth.
        model: Weights, if there must be any.
    """

    cases: tuple[Case, ...]
    truth: Path
    model: Path | None = None


@dataclass(frozen=True)
class Deployment:
    """A challenge's two containers, and data to try them with.

    Attributes:
        algorithm: What solves a case.
        grade: What scores all cases.
        truth: What the folder of the ground truth holds, for a person.
        rehearse: Makes small data in an empty folder.
    """

    algorithm: Algorithm
    grade: Grade
    truth: str
    rehearse: Callable[[Path], Rehearsal]
