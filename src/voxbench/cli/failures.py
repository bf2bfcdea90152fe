"""What goes wrong, told in one message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cyclopts import CycloptsError

from voxbench.errors import UsageError, VoxbenchError

if TYPE_CHECKING:
    from cyclopts.argument import Argument
    from pydantic import ValidationError

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
BROKEN_PIPE = 141


def reported(error: Exception, words: Sequence[str]) -> int | None:
    """Tell the user about an error, on stderr.

    Args:
        error: What was raised.
        words: The command line, which says whose ``--help`` to point at.

    Returns:
        The exit code; None for an error that is nobody's but ours, which keeps its traceback.
    """
    if isinstance(error, BrokenPipeError):
        _silence_stdout()
        return BROKEN_PIPE
    misuse = _misuse(error)
    if misuse is not None:
        _tell(f"{misuse}\nTry '{_help_of(words)}'.")
        return MISUSED
    if isinstance(error, VoxbenchError):
        _tell(str(error))
        return FAILED
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        _tell(f"{error.filename}: {what}" if error.filename else what)
        return FAILED
    if isinstance(error, MemoryError):
        _tell("out of memory; crop the images or bring them to a coarser spacing first")
        return FAILED
    return None


def told(error: ValidationError, names: str = "{}") -> str:
    """What pydantic found wrong, a line for each value.

    Args:
        error: What was raised.
        names: How a setting's dotted name is written, e.g. ``--{}``.
    """
    return "\n".join(_one(item, names.format(_dotted(item["loc"]))) for item in error.errors(include_url=False))


def _tell(message: str) -> None:
    print(f"voxbench: {message}", file=sys.stderr)


def _misuse(error: Exception) -> str | None:
    """The message if the command line or a settings file is at fault."""
    from pydantic import ValidationError

    cause = error.__cause__
    if isinstance(error, CycloptsError):
        if isinstance(cause, ValidationError):
            return _settings(cause, error.argument)
        error.verbose = False
        return str(error).strip()
    if isinstance(error, ValidationError):
        return told(error, "--{}")
    return str(error) if isinstance(error, UsageError) else None


def _settings(error: ValidationError, argument: Argument | None) -> str:
    """What is wrong with settings, each by its option, or by the file it came from."""
    lines = []
    for item in error.errors(include_url=False):
        name = _dotted(item["loc"])
        source = _source(argument, item["loc"])
        lines.append(_one(item, f"{source}: {name}" if source else f"--{name.replace('_', '-')}"))
    return "\n".join(lines)


def _source(argument: Argument | None, location: tuple[int | str, ...]) -> str | None:
    """The settings file a value came from; None if it was typed."""
    names = {str(step) for step in location}
    for child in argument.children if argument is not None and argument.name == "*" else ():
        if child.name.lstrip("-").replace("-", "_") in names:
            return next((token.source for token in _tokens(child) if token.source != "cli"), None)
    return None


def _tokens(argument: Argument) -> list:
    """Of an option and the options below it."""
    return [*argument.tokens, *(token for child in argument.children for token in _tokens(child))]


def _one(item: object, name: str) -> str:
    """One finding: which setting, what was expected, what it is."""
    assert isinstance(item, dict)
    reason = item["msg"].removeprefix("Value error, ")
    rule_between_settings = not item["loc"] or isinstance(item["input"], dict)
    got = "" if rule_between_settings or item["type"] == "extra_forbidden" else f"; got {item['input']!r}"
    return f"{name}: {reason}{got}" if item["loc"] else f"{reason}{got}"


def _dotted(location: tuple[int | str, ...]) -> str:
    """``("regularity", "weight")`` as ``regularity.weight``; positions within a list are left out."""
    return ".".join(step for step in location if isinstance(step, str))


def _help_of(words: Sequence[str]) -> str:
    """The command whose help tells how it is meant."""
    from voxbench.cli import VERBS

    verb = next((word for word in words if not word.startswith("-")), "")
    return f"voxbench {verb} --help" if verb in VERBS else "voxbench --help"


def _silence_stdout() -> None:
    """Nobody listens any more: let the flush at exit go nowhere."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return
