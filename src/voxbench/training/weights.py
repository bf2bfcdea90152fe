"""A trained network on disk: safetensors with a card inside and beside it; never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from voxbench.errors import FileReadError
from voxbench.io import write_json
from voxbench.training.checkpoint import read, write

FILE = "weights.safetensors"


def save_weights(folder: Path, model: nn.Module, card: dict[str, Any]) -> None:
    """Write weights.safetensors and weights.json (the card) into a folder.

    Raises:
        FileWriteError: They cannot be written.
    """
    write(folder / FILE, model.state_dict(), card)
    write_json(folder / "weights.json", card)


def read_card(path: Path) -> dict[str, Any]:
    """The card of a weights file, or of the one in a folder.

    Raises:
        FileReadError: There is none, or it is damaged.
    """
    return read(_file(path))[1]


def load_weights(path: Path, model: nn.Module) -> dict[str, Any]:
    """Put the weights of a file, or of the one in a folder, into a network; and give the card.

    Raises:
        FileReadError: There is none, it is damaged, or it is of another network.
    """
    tensors, card = read(_file(path))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileReadError(f"{path}: weights of another network: {str(error).splitlines()[0]}") from error
    return card


def _file(path: Path) -> Path:
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise FileReadError(f"{path}: no such file; give the --out folder of voxbench train")
    return path
