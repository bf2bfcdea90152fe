"""Whether radiographs and views make sense, before and after a fit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from voxbench.errors import InputError
from voxbench.tasks.reconstruction.fit import Radiograph

LEAST_ANGLE = 20.0
"""Views must differ by this many degrees at least: nearer, they do not say how deep things lie."""
SATURATED = 0.02
"""Share of pixels at the largest value from which a radiograph counts as saturated."""


def require_views(radiographs: Sequence[Radiograph]) -> None:
    """Refuse what cannot be reconstructed from.

    Raises:
        InputError: Fewer than two views, views of one direction, images that do not fit their detectors, empty,
            saturated or not finite.
    """
    if len(radiographs) < 2:
        raise InputError(f"two radiographs are needed, from different directions; got {len(radiographs)}")
    for number, one in enumerate(radiographs):
        _require_image(number, one)
    for (first, one), (second, other) in combinations(enumerate(radiographs), 2):
        cosine = float(np.clip(_direction(one) @ _direction(other), -1, 1))
        angle = float(np.degrees(np.arccos(abs(cosine))))
        if angle < LEAST_ANGLE:
            raise InputError(
                f"views {first} and {second} look along the same line: "
                f"{np.degrees(np.arccos(cosine)):.1f} degrees apart\n"
                f"  at least {LEAST_ANGLE:g} are needed (opposite views show the same); "
                "frontal and lateral are 90 apart"
            )


def _require_image(number: int, radiograph: Radiograph) -> None:
    image, view = np.asarray(radiograph.image), radiograph.view
    if image.shape != view.shape:
        raise InputError(
            f"radiograph {number} is not from its view: the number of pixels differs\n"
            f"  radiograph  {' x '.join(map(str, image.shape))}\n  view        {view.shape[0]} x {view.shape[1]}"
        )
    if not np.isfinite(image).all():
        raise InputError(f"radiograph {number}: {int((~np.isfinite(image)).sum())} pixels are NaN or infinite")
    largest = image.max()
    if image.min() == largest:
        raise InputError(f"radiograph {number} is empty: every pixel is {largest:g}")
    share = float(np.mean(image == largest))
    if share > SATURATED:
        raise InputError(
            f"radiograph {number} is saturated: {100 * share:.0f} % of its pixels have its largest value, {largest:g}\n"
            "  bone must be the brightest, and not cut off; if bone is dark: --inverted"
        )


def _direction(radiograph: Radiograph) -> np.ndarray:
    """Along the middle ray."""
    view = radiograph.view
    return view.rays((np.array(view.shape) - 1) / 2)
