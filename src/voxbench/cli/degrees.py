"""Angles of views as they stand on a command line."""

from __future__ import annotations

from math import isfinite

from voxbench.errors import UsageError


def degrees_of(text: str) -> tuple[float, ...]:
    """Degrees of the form 0,90 or 0:360:10 (the last included).

    Raises:
        UsageError: They have another form.
    """
    wrong = UsageError(f"--views: degrees joined by commas (0,90) or first:last:step (0:360:10); got {text}")
    try:
        numbers = [float(word) for word in text.replace(":", ",").split(",")]
    except ValueError as error:
        raise wrong from error
    if not all(isfinite(number) for number in numbers):
        raise wrong
    if ":" not in text:
        return tuple(numbers)
    if text.count(":") != 2 or "," in text or not numbers[2] > 0 or numbers[1] < numbers[0]:
        raise wrong
    first, last, step = numbers
    return tuple(first + n * step for n in range(int((last - first) / step + 1e-9) + 1))
