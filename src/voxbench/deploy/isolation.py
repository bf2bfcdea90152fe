"""Shuts a process off as a container would be: no network, nothing written but where it is allowed."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "")
DEVICES = ("/dev/", "/proc/")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
}
"""Events of the interpreter that change the disk: where their paths stand, and the open folder each is relative to."""


def close(writable: Sequence[Path]) -> None:
    """Refuse, from now on and for this process, other hosts and files elsewhere.

    Seen are the interpreter's own calls; what compiled libraries do by themselves is not, so that a namespace of the
    system is the stronger wall where there is one.

    Args:
        writable: Folders that may be written to.
    """
    roots = tuple(os.path.realpath(folder) + os.sep for folder in writable)

    def allowed(path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # an open file's number
        place = os.path.realpath(os.fsdecode(path))
        return place.startswith(DEVICES) or (place + os.sep).startswith(roots)

    def look(event: str, values: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo"):
            _require_local(event, values)
        elif event == "open" and isinstance(values[2], int) and values[2] & WRITING and not allowed(values[0]):
            raise OSError(errno.EROFS, "a container must not write here", os.fsdecode(values[0]))
        else:
            for place, folder in CHANGES.get(event, ()):
                within = folder is not None and values[folder] != -1  # of a folder that was let open
                if not within and not allowed(values[place]):
                    raise OSError(errno.EROFS, "a container must not write here", os.fsdecode(values[place]))

    sys.addaudithook(look)


def _require_local(event: str, values: tuple[Any, ...]) -> None:
    address = values[1] if event == "socket.connect" else values[0]
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(host, bytes):
        host = os.fsdecode(host)
    if host is not None and host not in LOCAL and not str(address).startswith("/"):
        raise OSError(errno.ENETUNREACH, f"a container has no network; {host} was asked for")


def main() -> int:
    """Close, then be the command line: ``-c '...main()' FOLDER... -- ARGUMENTS``."""
    words = sys.argv[1:]
    end = words.index("--")
    close([Path(word) for word in words[:end]])
    sys.argv = ["voxbench", *words[end + 1 :]]
    import runpy

    runpy.run_module("voxbench", run_name="__main__")
    return 0
