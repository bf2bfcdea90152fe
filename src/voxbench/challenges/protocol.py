"""What a challenge says about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Challenge:
    """One challenge.

    Attributes:
        name: As the command line takes it.
        question: What is asked, in one sentence.
        takes: What goes in.
        gives: What comes out.
        scores: Names of the official scores.
        homepage: Where the organisers are.
    """

    name: str
    question: str
    takes: str
    gives: str
    scores: tuple[str, ...]
    homepage: str
