"""What the demo's parts share: commands as a user types them, and the files they leave."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxbench.errors import JobError

if TYPE_CHECKING:
    from voxbench.report import Picture

Say = Callable[[str], None]


class Steps:
    """Commands, done one after another and remembered.

    Attributes:
        done: Each as it was typed.
    """

    def __init__(self, out: Path, say: Say) -> None:
        """Commands name files below ``out.parent``; that is left out where they are shown."""
        self.done: list[str] = []
        self._root, self._say = out.parent, say

    def __call__(self, *words: object) -> None:
        """Do ``voxbench WORDS``.

        Raises:
            JobError: It failed; the reason was printed.
        """
        from voxbench.cli import main

        typed = [str(word) for word in words]
        shown = shlex.join(["voxbench", *(self._short(word) for word in typed if word != "--force")])
        self.done.append(shown)
        self._say(f"$ {shown}")
        code = main(typed)
        if code != 0:
            raise JobError(f"exit code {code} of: {shown}")

    def _short(self, word: str) -> str:
        path = Path(word)
        if path.is_absolute() and not path.is_relative_to(self._root):
            return path.name  # a sample in the user's cache
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else word


def picture(path: Path, alt: str, caption: str = "") -> Picture:
    """A picture that a command left."""
    from voxbench.report import Picture

    return Picture(path.read_bytes(), alt, caption)


def numbers(path: Path) -> Any:
    """What a command left as JSON."""
    from voxbench.io import read_json

    return read_json(path)
