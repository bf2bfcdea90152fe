"""Loaded by every worker process of this machine when it starts."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(_worker: Any) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that started the run; it ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
