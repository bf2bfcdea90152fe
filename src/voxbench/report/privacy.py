"""What must not be on a page: where files lie on the machine that made it."""

from __future__ import annotations

import re

_PATH = re.compile(
    r"""(?<![^\s"'(=,])            # where a word begins
    (?:
      (?:[A-Za-z]:|~|\.{1,2})?[\\/](?:[^:\n"']*[\\/])?    # from the root, home or here; blanks may be in it
      | [^\s:"'(]+[\\/](?:[^\s:"']*[\\/])?(?=[^\s\\/:"']+\.\w)    # any other that ends in a file's name
    )""",
    re.VERBOSE,
)


def without_paths(text: str) -> str:
    """A message with every path cut to the name of its file, so that a page tells nothing of the machine."""
    return _PATH.sub("", text)
