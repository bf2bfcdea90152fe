"""The processes that torchrun started, if it did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch

PATIENCE = timedelta(hours=12)
"""How long processes wait for the first one, which prepares data and validates."""


def cpu() -> bool:
    """Whether there is nothing but processors here."""
    return not (torch.cuda.is_available() or torch.backends.mps.is_available())


@contextmanager
def first_alone() -> Iterator[bool]:
    """Let the first process go through the block alone, then the others; yields whether this is the first."""
    from accelerate import PartialState

    state = PartialState(cpu=cpu(), timeout=PATIENCE)
    with state.main_process_first():
        yield state.is_main_process
