"""LumbarSR's two splits by name: that of the challenge's first page, and that of the released data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from voxbench.challenges.lumbarsr.cases import OFFICIAL_SAMPLES, SEED_SEQUENCES, SEQUENCES, TRAINING_SAMPLES
from voxbench.errors import UsageError


@dataclass(frozen=True)
class Split:
    """Samples that belong together.

    Attributes:
        name: As on the command line.
        samples: Their names.
        sequences: What the data of this split hold when they are complete.
        hidden: Whether the micro-CT is kept by the organisers.
    """

    name: str
    samples: tuple[str, ...]
    sequences: tuple[str, ...]
    hidden: bool = False


def _numbered(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"Lumbar_{number:02d}" for number in range(first, last + 1))


SPLITS: Mapping[str, Split] = MappingProxyType(
    {
        split.name: split
        for split in (
            Split("seed-train", _numbered(1, 30), SEED_SEQUENCES),
            Split("seed-phase-1", _numbered(31, 35), SEED_SEQUENCES),
            Split("seed-phase-2", _numbered(36, 40), SEED_SEQUENCES, hidden=True),
            Split("released-train", TRAINING_SAMPLES, SEQUENCES),
            Split("released-test", OFFICIAL_SAMPLES, SEQUENCES),
        )
    }
)
"""Every split by name.

The first page counts 30 training and twice 5 validation samples without naming them: that they are numbered on is ours.
"""


def split_named(name: str, *, needs_target: bool = True) -> Split:
    """A split by its name.

    Args:
        name: One of `SPLITS`.
        needs_target: Whether what is asked for needs the micro-CT.

    Raises:
        UsageError: There is none of that name, or its micro-CT is hidden.
    """
    if name not in SPLITS:
        raise UsageError(f"--split {name}: no such split\n  there are {', '.join(SPLITS)}")
    split = SPLITS[name]
    if needs_target and split.hidden:
        raise UsageError(
            f"--split {name}: its micro-CT is hidden: it can be predicted, not prepared, learned from or scored\n"
            "  who has it names them one by one with --sample"
        )
    return split


def samples_of(
    named: Sequence[str] | None,
    split: str | None,
    default: tuple[str, ...],
    *,
    needs_target: bool = True,
    option: str = "sample",
) -> tuple[str, ...]:
    """The samples that a command line asks for.

    Args:
        named: Samples given one by one.
        split: Name of a split given instead.
        default: What is meant when neither is given.
        needs_target: Whether what is asked for needs the micro-CT.
        option: What naming them one by one is called on the command line.

    Raises:
        UsageError: Both are given, or there is no such split, or its micro-CT is hidden.
    """
    if split is None:
        return tuple(named or default)
    if named:
        raise UsageError(f"give --{option} or the split {split}, not both")
    return split_named(split, needs_target=needs_target).samples
