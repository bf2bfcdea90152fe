"""A tiny spine data set, three commands on it, and what they must leave behind when they are killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.geometry import Grid, LabelMap, Volume

GRID = Grid.from_parts((6, 24, 48), (5.0, 2.5, 2.5), direction=np.diag([-1.0, -1.0, 1.0]))
IMAGES = ("1_t1", "1_t2", "2_t2")
PLAN = """
spacing = [5.0, 2.5, 2.5]
patch = [4, 16, 32]
features = [6, 12]
kernels = [[3, 3, 3], [3, 3, 3]]
strides = [[1, 1, 1], [1, 2, 2]]
blocks = [1, 1]
classes = 4
maps = 3
mirror = [0]
"""
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}
MEASURED = {"seconds", "date", "started", "finished", "peak_mib"}
"""In JSON: how long and how large a run was, which no two runs share."""
PROGRESS = "status.json"
"""Times and process numbers of the last start; must be whole, and is not compared."""


@dataclass(frozen=True)
class Command:
    """A command that is to be killed.

    Attributes:
        name: As in the table.
        words: The command line, given the folder of the data and that of the results.
    """

    name: str
    words: Callable[[Path, Path], list[str]]


def commands() -> tuple[Command, ...]:
    """Evaluation, prediction, training."""
    return (
        Command("evaluate spider", evaluate_words),
        Command("predict spider", predict_words),
        Command("train spider", lambda data, out: train_words(data, out, "6")),
    )


def evaluate_words(data: Path, out: Path) -> list[str]:
    """An evaluation."""
    folders = ["--predictions", str(data / "predictions"), "--references", str(data / "data/masks")]
    return ["evaluate", "spider", *folders, "--out", str(out)]


def predict_words(data: Path, out: Path) -> list[str]:
    """A prediction with the weights in ``run``."""
    folders = ["--data", str(data / "data"), "--weights", str(data / "run")]
    return ["predict", "spider", *folders, "--out", str(out)]


def train_words(data: Path, out: Path, steps: str) -> list[str]:
    """A training of a few updates, with a checkpoint at every other one."""
    words = ["train", "spider", "--data", str(data / "data"), "--out", str(out), "--plan", str(data / "plan.toml")]
    return [*words, "--steps", steps, "--warm-up", "1", "--validate-every", "4", "--save-every", "2", "--batch", "2"]


def make_data(folder: Path) -> None:
    """Three images of three vertebrae, their label maps, and predictions that lack a piece."""
    from voxbench.io import write_labels, write_volume

    for name in ("data/images", "data/masks", "predictions"):
        (folder / name).mkdir(parents=True)
    with (folder / "data/overview.csv").open("w", newline="") as file:
        subsets = ("training", "training", "validation")
        csv.writer(file).writerows([("new_file_name", "subset"), *zip(IMAGES, subsets, strict=True)])
    for number, name in enumerate(IMAGES):
        image, labels = _spine(number)
        write_volume(folder / f"data/images/{name}.mha", image)
        write_labels(folder / f"data/masks/{name}.mha", labels)
        lost = labels.array.copy()
        lost[:, :, :8] = 0
        write_labels(folder / f"predictions/{name}.mha", LabelMap(lost, GRID))
    (folder / "plan.toml").write_text(PLAN)


def _spine(seed: int) -> tuple[Volume, LabelMap]:
    labels = np.zeros(GRID.shape, np.uint8)
    for number in range(3):
        labels[1:5, 10:20, 4 + 14 * number : 14 + 14 * number] = 1 + number
        labels[1:5, 10:20, 14 + 14 * number : 18 + 14 * number] = 202 + number if number < 2 else 0
    labels[2:4, 4:8, 2:46] = 100
    noise = np.random.default_rng(seed).normal(0, 10, GRID.shape)
    image = noise + np.select([labels > 200, labels == 100, labels > 0], [100, 400, 250], 0)
    return Volume(image.astype(np.float32), GRID), LabelMap(labels, GRID)


def run_killed(
    words: list[str], out: Path, *, after: float | None = None, at_event: int | None = None, told: Path | None = None
) -> int:
    """Run a command in a forked process and kill it (SIGKILL).

    Args:
        words: The command line.
        out: Its folder of results.
        after: Seconds after which it is killed; None for never.
        at_event: Before the n-th time that it opens for writing, renames, removes or makes a file; None for never.
        told: Where what it says goes; nowhere if not given.

    Returns:
        The exit code; -9 if it was killed.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            _work(words, out, at_event, told)
        finally:
            os._exit(70)
    end = time.monotonic() + after if after is not None else None
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() >= end:
            os.kill(pid, signal.SIGKILL)
            end = None
        time.sleep(0.001)


def _work(words: list[str], out: Path, at_event: int | None, told: Path | None) -> None:
    """In the forked process."""
    from voxbench.cli import main

    null = os.open(told or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    if at_event is not None:
        die_at(at_event, out)
    os._exit(main(words))


def die_at(event: int, out: Path) -> None:
    """Die before the n-th file operation in or beside a folder."""
    left = [event]

    def watch(name: str, details: tuple[Any, ...]) -> None:
        if name in EVENTS and str(out.parent) in str(details[0]):
            if name == "open" and not (
                len(details) > 2 and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            ):
                return
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def half_files(out: Path) -> list[str]:
    """Files that a reader would take for whole and is wrong about; hidden ones all readers skip."""
    return [f"{path.relative_to(out)}: {why}" for path in _shown(out) if (why := _damage(path))]


def _shown(out: Path) -> list[Path]:
    files = [path for path in sorted(out.rglob("*")) if path.is_file()] if out.is_dir() else []
    return [path for path in files if not any(part.startswith(".") for part in path.relative_to(out).parts)]


def _damage(path: Path) -> str:
    from voxbench.io import read_json, read_labels
    from voxbench.training.checkpoint import read

    readers: dict[str, Callable[[Path], object]] = {
        ".mha": read_labels, ".json": read_json, ".safetensors": read, ".png": _read_png, ".npy": lambda p: np.load(p),
    }  # fmt: skip
    try:
        readers.get(path.suffix, Path.read_bytes)(path)
    except Exception as error:  # whatever it is, the file is not whole
        return f"{type(error).__name__}: {error}"
    return ""


def _read_png(path: Path) -> object:
    from skimage.io import imread

    return imread(path)


def contents(out: Path) -> Mapping[str, bytes]:
    """What a run left, measurements and the progress apart."""
    return {str(path.relative_to(out)): _result(path) for path in _shown(out) if path.name != PROGRESS}


def _result(path: Path) -> bytes:
    if path.suffix == ".json":
        return json.dumps(_plain(json.loads(path.read_text())), sort_keys=True).encode()
    return path.read_bytes()


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items() if key not in MEASURED}
    return [_plain(value) for value in tree] if isinstance(tree, list) else tree
