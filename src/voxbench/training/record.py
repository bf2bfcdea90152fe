"""What a training tells while it runs: one JSON line per event, learning curves as a picture, TensorBoard if wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voxbench.errors import FileWriteError, MissingToolError
from voxbench.io import atomic

FILE = "metrics.jsonl"


class Log:
    """metrics.jsonl of a run folder, and tensorboard/ beside it."""

    def __init__(self, folder: Path, step: int, tensorboard: bool = False) -> None:
        """Open it; events after ``step`` (of a run that was interrupted later) are dropped.

        Raises:
            MissingToolError: TensorBoard is wanted and not installed.
        """
        self._board = _board(folder / "tensorboard", step) if tensorboard else None
        self._path = folder / FILE
        self.events = [event for event in _events(self._path) if event.get("step", 0) <= step]
        with atomic(self._path) as temporary:
            temporary.write_text("".join(json.dumps(event) + "\n" for event in self.events), encoding="utf-8")

    def add(self, event: dict[str, Any]) -> None:
        """Append an event.

        Raises:
            FileWriteError: It cannot be written.
        """
        self.events.append(event)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")
        except OSError as error:
            raise FileWriteError(f"{self._path}: cannot be written: {error.strerror or error}") from error
        if self._board is not None:
            flat = {f"validation/{name}": value for name, value in event.get("validation", {}).items()}
            for name, value in (event | flat).items():
                if isinstance(value, int | float) and name != "step":
                    self._board.add_scalar(name, value, event["step"])

    def close(self) -> None:
        """Write what is left."""
        if self._board is not None:
            self._board.close()


def draw_curves(events: list[dict[str, Any]], path: Path) -> None:
    """Losses and validation over the updates, as PNG.

    A score called "of ..." is that of something else, to compare with: it is drawn dashed beside every score.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    scores = sorted({name for event in events for name in event.get("validation", {})})
    compared = [name for name in scores if name.startswith("of ")]
    names = [name for name in scores if name not in compared]
    panels = [("training loss", ["loss"])]
    if any("critic" in event for event in events):
        panels.append(("against each other", ["adversarial", "critic"]))
    columns = len(panels) + len(names)
    figure, axes = pyplot.subplots(1, columns, figsize=(4 * columns, 3), layout="constrained", squeeze=False)
    for axis, (label, some) in zip(axes[0], panels, strict=False):
        for name in some:
            axis.plot(*_points(events, name), label=name)
        axis.set(xlabel="updates", ylabel=label, yscale="log" if len(some) == 1 else "linear")
        if len(some) > 1:
            axis.legend()
    flat = [{"step": event["step"], **event["validation"]} for event in events if "validation" in event]
    for axis, name in zip(axes[0][len(panels) :], names, strict=True):
        axis.plot(*_points(flat, name), "o-")
        for other in compared:
            axis.plot(*_points(flat, other), "--", label=other)
        axis.set(xlabel="updates", ylabel=name)
        if compared:
            axis.legend()
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=100)
    pyplot.close(figure)


def _points(events: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Updates and values of what events tell under a name."""
    told = [event for event in events if name in event]
    return [event["step"] for event in told], [event[name] for event in told]


def _events(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    events = []
    for line in path.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):  # the line a killed run was writing
            break
        if not isinstance(event, dict) or not isinstance(event.get("step", 0), int):
            break
        events.append(event)
    return events


def _board(folder: Path, step: int) -> Any:
    """Where TensorBoard's events go; those after ``step`` are hidden."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError as error:
        raise MissingToolError("--tensorboard needs tensorboard: pip install 'voxbench[tensorboard]'") from error
    return SummaryWriter(str(folder), purge_step=step + 1)
