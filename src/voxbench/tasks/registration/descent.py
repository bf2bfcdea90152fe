"""A quasi-Newton minimiser for a dozen parameters, without the threads that a BLAS would wake for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Value and gradient."""

SMALL_GRADIENT = 1e-3
SMALL_GAIN = 1e-5
"""Share of the first step's expected gain; two steps in a row below it end the descent."""


def descend(function: Function, start: np.ndarray, iterations: int, longest: float) -> np.ndarray:
    """Minimise by BFGS steps with a backtracking, interpolating line search.

    Args:
        function: Scaled so that the first step, minus the gradient, has about the right length.
        start: First parameters.
        iterations: Steps at most.
        longest: No step is longer.

    Returns:
        The best parameters met.

    References:
        J. Nocedal and S. Wright, Numerical Optimization, 2nd ed., 2006, chapter 6, doi:10.1007/978-0-387-40065-5
    """
    x = start
    value, gradient = function(x)
    inverse = np.eye(len(x))
    expected = float(gradient @ gradient)
    idle = 0
    for _ in range(iterations):
        if np.linalg.norm(gradient) < SMALL_GRADIENT or idle == 2:
            break
        direction = -inverse @ gradient
        if direction @ gradient >= 0:
            inverse, direction = np.eye(len(x)), -gradient
        direction = direction * min(1.0, longest / float(np.linalg.norm(direction)))
        step = line_search(function, x, (value, gradient), direction)
        if step is None:
            if np.array_equal(inverse, np.eye(len(x))):
                break
            inverse = np.eye(len(x))
            continue
        moved, new_value, new_gradient = step
        idle = idle + 1 if value - new_value < SMALL_GAIN * expected else 0
        inverse = updated(inverse, moved - x, new_gradient - gradient)
        x, value, gradient = moved, new_value, new_gradient
    return x


def line_search(
    function: Function, x: np.ndarray, here: tuple[float, np.ndarray], direction: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray] | None:
    """The first point along the direction that gains enough (Armijo); None if there is none."""
    value, gradient = here
    slope = float(gradient @ direction)
    length = 1.0
    for _ in range(12):
        moved = x + length * direction
        new_value, new_gradient = function(moved)
        if new_value <= value + 1e-4 * length * slope:
            return moved, new_value, new_gradient
        curvature = new_value - value - length * slope
        length *= float(np.clip(-0.5 * length * slope / curvature, 0.1, 0.5))
    return None


def updated(inverse: np.ndarray, moved: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The inverse Hessian after a step; unchanged where the function does not curve upwards along it."""
    curve = float(moved @ change)
    if curve <= 1e-10 * float(np.linalg.norm(moved) * np.linalg.norm(change)):
        return inverse
    if np.array_equal(inverse, np.eye(len(moved))):
        inverse = inverse * (curve / float(change @ change))
    left = np.eye(len(moved)) - np.outer(moved, change) / curve
    return left @ inverse @ left.T + np.outer(moved, moved) / curve
