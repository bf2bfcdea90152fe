"""What parsers of files raise, told as one of our errors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, TracebackType

from voxbench.errors import FileReadError, VoxbenchError
from voxbench.io.atomic import AnyPath


@contextmanager
def named_failures(path: AnyPath, what: str) -> Iterator[None]:
    """Whatever a parser raises on a file that is not as it should be, as a FileReadError that names the file.

    Libraries raise anything on damaged bytes, from KeyError to an error of the data base they keep their frames in, so
    everything is taken but our own errors, and names that our own code gets wrong. Their remarks on sloppy values are
    kept quiet.

    Args:
        path: The file.
        what: What is wrong with it if its parser fails, e.g. ``DICOM that cannot be read``.

    Raises:
        FileReadError: The block raised something that was not ours.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except VoxbenchError:
        raise
    except MemoryError as error:
        raise FileReadError(f"{path}: {what}: it takes more memory than there is") from error
    except RecursionError as error:
        raise FileReadError(f"{path}: {what}: nested too deeply") from error
    except Exception as error:
        if _misnamed(error):
            raise
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        raise FileReadError(f"{path}: {what}: {reason[:LONGEST]}") from error


def _misnamed(error: Exception) -> bool:
    """Whether our own code asked for a name that no file can make exist: a defect, to be seen as one."""
    wrong = isinstance(error, NameError) or isinstance(getattr(error, "obj", None), ModuleType)
    return wrong and _innermost(error.__traceback__).startswith("voxbench.")


def _innermost(frames: TracebackType | None) -> str:
    """The module that raised."""
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    return str(frames.tb_frame.f_globals.get("__name__")) if frames else ""


LONGEST = 300
"""Characters of another library's message that are repeated."""
