"""Golden numbers for border distances, from medpy.

Run in an environment of its own (the package is GPL and not a dependency of voxbench):

    pip install numpy scipy SimpleITK medpy==0.5.2
    python tests/golden/make_border_distances.py

The definition (SPIDER's with connectivity 3): the border is the mask less its erosion, what lies beyond the image is
outside, and the two directed lists are pooled.
"""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy
from medpy.metric.binary import assd, hd

SPACINGS = [(1.0, 1.0, 1.0), (4.0, 0.6, 0.6), (0.6, 0.6, 4.0), (0.5, 1.25, 3.3)]


def masks(rng):
    """Boxes with single voxels changed, some at the image's edge."""
    for _ in range(12):
        shape = tuple(int(n) for n in rng.integers(5, 14, 3))
        pair = np.zeros((2, *shape), bool)
        for mask in pair:
            start = [int(rng.integers(0, n - 3)) for n in shape]
            mask[tuple(slice(a, a + int(rng.integers(2, 8))) for a in start)] = True
        pair ^= rng.random(pair.shape) < 0.02
        yield pair[0], pair[1]


def case(first, second, spacing):
    return {
        "shape": first.shape,
        "first": np.packbits(first).tobytes().hex(),
        "second": np.packbits(second).tobytes().hex(),
        "spacing": spacing,
        "assd": {str(c): float(assd(first, second, voxelspacing=spacing, connectivity=c)) for c in (1, 3)},
        "hd": {str(c): float(hd(first, second, voxelspacing=spacing, connectivity=c)) for c in (1, 3)},
    }


def main():
    rng = np.random.default_rng(20261121)
    cases = [case(a, b, SPACINGS[n % len(SPACINGS)]) for n, (a, b) in enumerate(masks(rng))]
    born = {
        "evaluator": "medpy " + version("medpy"),
        "command": "python tests/golden/make_border_distances.py",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
    path = Path(__file__).with_name("border_distances.json")
    path.write_text(json.dumps({"born": born, "cases": cases}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
