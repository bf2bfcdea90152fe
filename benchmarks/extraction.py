"""Surfaces out of an occupancy: how many places are asked, and whether anything differs from asking everywhere.

Four bones of formulas (rods with round ends, an ellipsoid) in a box of 256 mm, nodes every millimetre.

python benchmarks/extraction.py
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from voxbench.tasks.reconstruction.occupancy import evaluate
from voxbench.tasks.reconstruction.surface import extract

RESULTS = Path(__file__).resolve().parent / "results"
RODS = (  # from, to, radius, radius at the joint's end; mm
    ((3, 2, 128), (2, 4, 22), 15.0, 34.0),
    ((32, -18, -20), (28, -12, -128), 9.0, 11.0),
    ((-3, 0, -18), (-2, -4, -128), 14.0, 32.0),
)
PATELLA = ((0, 44, 8), (20, 10, 22))
RUNS = 5


class Knee:
    """Logits are minus the distance to each bone, about, in mm; those of background 0."""

    low, high = np.full(3, -128.0), np.full(3, 128.0)

    def __init__(self) -> None:
        self.asked, self.seconds = 0, 0.0

    def margins(self, points: np.ndarray) -> np.ndarray:
        """As `voxbench.tasks.reconstruction.Occupancy`."""
        begin = time.process_time()
        self.asked += len(points)
        logits = np.zeros((len(points), 5), np.float32)
        away = np.linalg.norm((points - np.array(PATELLA[0])) / np.array(PATELLA[1]), axis=1)
        logits[:, 1] = 10 * (1 - away)
        for number, (start, end, thin, wide) in zip((2, 3, 4), RODS, strict=True):
            joint, far = (np.array(start), np.array(end)) if number != 2 else (np.array(end), np.array(start))
            way = far - joint
            share = np.clip((points - joint) @ way / (way @ way), 0, 1)
            radius = thin + (wide - thin) * np.exp(-share * 6)
            logits[:, number] = radius - np.linalg.norm(points - joint - share[:, None] * way, axis=1)
        self.seconds += time.process_time() - begin
        return logits


def main() -> None:
    fields, asked, counts = [], [], []
    for dense in (False, True):
        knee = Knee()
        fields.append(evaluate(knee, 1.0, dense=dense))
        asked.append(knee.asked)
    differing = int(np.count_nonzero(fields[0].labels != fields[1].labels))
    for _ in range(RUNS):
        knee = Knee()
        begin = time.process_time()
        bones = extract(knee, 1.0)
        counts.append((time.process_time() - begin, knee.seconds))
    whole, occupancy = (statistics.median(c[i] for c in counts) for i in (0, 1))
    row = {
        "voxbench": version("voxbench"),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "nodes": int(np.prod(fields[0].labels.shape)),
        "asked": asked[0],
        "asked_dense": asked[1],
        "differing": differing,
        "cpu_s": whole,
        "cpu_s_of_the_occupancy": occupancy,
        "cpu_s_without_it": statistics.median(a - b for a, b in counts),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "watertight": all(mesh.is_watertight for mesh in bones.values()),
    }
    (RESULTS / "extraction.json").write_text(json.dumps(row, indent=1) + "\n")
    lines = [
        "# Surfaces out of an occupancy, coarse to fine",
        "",
        f"voxbench {row['voxbench']}, {row['date']}, {row['machine']}; four bones of formulas, {row['nodes']} nodes; "
        f"median of {RUNS} runs in one process, after a first.",
        "",
        "| places asked | by a dense pass | nodes that differ | CPU s | of it the occupancy | the rest | watertight |",
        "|---|---|---|---|---|---|---|",
        f"| {row['asked']} | {row['asked_dense']} | {row['differing']} | {whole:.2f} | {occupancy:.2f} | "
        f"{row['cpu_s_without_it']:.2f} | {'yes' if row['watertight'] else 'no'} |",
    ]
    (RESULTS / "extraction.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
