"""Golden numbers for surface distances, from DeepMind's package.

Run in an environment of its own (the package is not a dependency of voxbench):

    pip install numpy scipy && pip install --no-deps Surface-Distance-Based-Measures==0.1
    python tests/golden/make_surface_distances.py

The package of 2022 uses np.Inf and np.NaN, which NumPy 2 no longer has; they are put back below.
"""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy

np.Inf, np.NaN = np.inf, np.nan  # noqa: NPY201

import surface_distance  # noqa: E402

SPACINGS = [(1.0, 1.0, 1.0), (1.0, 2.0, 3.0), (0.7, 0.7, 0.7), (4.0, 0.6, 0.6), (0.5, 1.25, 3.3)]
PERCENT = (50.0, 95.0, 100.0)


def masks(rng):
    """Random masks from sparse (isolated voxels) to dense, which together hold all 256 neighbour codes."""
    for _ in range(12):
        shape = tuple(int(n) for n in rng.integers(3, 11, 3))
        yield rng.random(shape) < rng.choice([0.1, 0.5, 0.85]), rng.random(shape) < rng.choice([0.1, 0.5])


def case(first, second, spacing):
    found = surface_distance.compute_surface_distances(first, second, spacing)
    return {
        "shape": first.shape,
        "first": np.packbits(first).tobytes().hex(),
        "second": np.packbits(second).tobytes().hex(),
        "spacing": spacing,
        "areas": [float(found["surfel_areas_gt"].sum()), float(found["surfel_areas_pred"].sum())],
        "means": [float(m) for m in surface_distance.compute_average_surface_distance(found)],
        "hausdorff": {str(p): float(surface_distance.compute_robust_hausdorff(found, p)) for p in PERCENT},
        "dice_at_1mm": float(surface_distance.compute_surface_dice_at_tolerance(found, 1.0)),
    }


def main():
    rng = np.random.default_rng(20261121)
    cases = [case(a, b, SPACINGS[n % len(SPACINGS)]) for n, (a, b) in enumerate(masks(rng))]
    born = {
        "evaluator": "Surface-Distance-Based-Measures " + version("Surface-Distance-Based-Measures"),
        "command": "python tests/golden/make_surface_distances.py",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
    path = Path(__file__).with_name("surface_distances.json")
    path.write_text(json.dumps({"born": born, "cases": cases}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
