"""Where the edge of a bone appears in a blurred radiograph: inside the bone, for its shadow begins like a square root.

Near its outline a bone of radius R adds ``sqrt(8 R t)`` to the path of a ray that passes at depth t. Within a shell of
thickness w this is too much by ``(1 - core) sqrt(8 R (t - w))``, core being the contrast of what is inside over the
shell's. Where the sum rises most steeply after a Gaussian blur depends on w over the blur alone, not on R.
"""

from __future__ import annotations

import numpy as np

from voxbench.types import AnyArray

CORE = 0.25
"""Contrast of spongiosa or marrow to soft tissue over that of cortex, about."""
SHELLS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
INSIDE = (0.03, 0.04, 0.10, 0.17, 0.25, 0.41, 0.55, 0.66, 0.76, 0.77)
"""Depth of the steepest place, in widths of the blur, for shells of so many widths; `CORE` inside them."""
END_MM, SHAFT_MM = 1.0, {"femur": 5.0, "tibia": 4.0, "fibula": 2.5}
"""Cortex of an adult at the joint and along the shaft, about."""
END_TO, SHAFT_FROM = 25.0, 100.0
"""Distances from the joint between which the one becomes the other, mm."""


def inside_mm(shell_mm: AnyArray, blur_mm: float) -> AnyArray:
    """How far inside the bone a blurred edge is steepest, mm.

    Args:
        shell_mm: Thickness of the cortex.
        blur_mm: Standard deviation of all blur, at the bone.
    """
    return blur_mm * np.interp(shell_mm / blur_mm, SHELLS, INSIDE)


def usual_shell(bone: str, height: AnyArray) -> AnyArray:
    """Thickness of the cortex in adults, mm.

    Args:
        bone: Which.
        height: Above or below the joint, mm.
    """
    along = np.clip((np.abs(height) - END_TO) / (SHAFT_FROM - END_TO), 0, 1)
    return END_MM + along * (SHAFT_MM.get(bone, END_MM) - END_MM)
