"""Every error voxbench raises on purpose.

    VoxbenchError
    ├── InputError                 what was handed in cannot be used
    │   ├── FileReadError          missing, damaged, unreadable, or of an unknown format
    │   ├── DimensionError         not three-dimensional where it must be
    │   ├── ShearedGridError       the voxel axes are not at right angles
    │   ├── GridMismatchError      two things that must lie on one grid do not
    │   ├── FrameMismatchError     maps composed in the wrong order
    │   ├── ConventionError        a displacement file whose convention is unknown or wrong
    │   ├── EmptyShapeError        nothing there: empty mask, constant image, no overlap
    │   └── NotFiniteError         NaN or infinity where numbers are needed
    ├── UsageError                 options that contradict each other or name what does not exist (exit code 2)
    ├── FileWriteError             no permission, no space, or the file exists and --force was not given
    ├── MissingToolError           an external program or optional package is not installed
    └── JobError                   one or more cases of many failed

A message says what was wrong, the two values, and what to do. The command line prints it without a traceback and
exits with code 1 (2 for UsageError).
"""

from __future__ import annotations


class VoxbenchError(Exception):
    """Base of every error raised on purpose."""


class InputError(VoxbenchError):
    """What was handed in cannot be used."""


class FileReadError(InputError):
    """A file is missing, damaged, unreadable, or of an unknown format."""


class DimensionError(InputError):
    """An image is not three-dimensional where it must be."""


class ShearedGridError(InputError):
    """The voxel axes of an image are not at right angles."""


class GridMismatchError(InputError):
    """Two things that must lie on one grid do not."""


class FrameMismatchError(InputError):
    """Maps between named frames were composed in the wrong order."""


class ConventionError(InputError):
    """The convention of a displacement file is unknown, ambiguous or wrong."""


class EmptyShapeError(InputError):
    """There is nothing there: an empty mask, a constant image, no overlap."""


class NotFiniteError(InputError):
    """NaN or infinity where numbers are needed."""


class UsageError(VoxbenchError):
    """Options contradict each other or name what does not exist."""


class FileWriteError(VoxbenchError):
    """A file could not be written."""


class MissingToolError(VoxbenchError):
    """An external program or an optional package is not installed."""


class JobError(VoxbenchError):
    """One or more cases of many failed."""
