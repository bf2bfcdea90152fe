"""Cone-beam projection next to its peers: what a 512 x 512 view costs, and how far the results are from another.

Each tool runs in a process of its own on the same volume and the same view; a first call is not counted. Volumes: an
ellipsoid phantom whose integrals are known (`--sizes`), and with `--ct FILE` a real CT on its own grid.

python benchmarks/projection.py --sizes 256 512 --ct chest.nii.gz --python rtk=/path/to/python --python nanodrr=...
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

SIDE_MM = 256.0
DETECTOR = {"rows": 512, "pixel_mm": 0.575, "source_to_detector": 2000.0, "source_to_isocentre": 1000.0}
WATER_PER_MM = 0.02059
# Centre (mm), half axes (mm), turn about z (degrees), what it adds.
ELLIPSOIDS = (
    ((0.0, 0.0, 0.0), (100.0, 85.0, 115.0), 0.0, 0.02),
    ((-28.0, 10.0, 5.0), (22.0, 30.0, 60.0), 25.0, 0.015),
    ((30.0, -12.0, -10.0), (18.0, 24.0, 45.0), -40.0, 0.02),
    ((5.0, 40.0, 30.0), (12.0, 9.0, 20.0), 10.0, 0.03),
    ((0.0, -45.0, -35.0), (9.0, 14.0, 12.0), 60.0, -0.012),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512])
    parser.add_argument("--ct", type=Path, help="a CT, HU")
    parser.add_argument("--angles", type=float, nargs="+", default=[0.0, 30.0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--python", action="append", default=[], metavar="PACKAGE=PATH", help="its interpreter")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    parser.add_argument("--tool", nargs=2, metavar=("TOOL", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tool:
        measure(options.tool[0], Path(options.tool[1]), options.runs)
    else:
        benchmark(options)


def beam(degrees: float) -> np.ndarray:
    """Source, first pixel, step to the next column, step to the next row; mm, the isocentre at 0."""
    turn, n, pixel = np.radians(degrees), DETECTOR["rows"], DETECTOR["pixel_mm"]
    towards = np.array([np.cos(turn), np.sin(turn), 0.0])
    right, down = np.array([-np.sin(turn), np.cos(turn), 0.0]) * pixel, np.array([0.0, 0.0, -pixel])
    source = DETECTOR["source_to_isocentre"] * towards
    behind = DETECTOR["source_to_detector"] - DETECTOR["source_to_isocentre"]
    return np.stack([source, -behind * towards - (n - 1) / 2 * (right + down), right, down])


def phantom(n: int) -> np.ndarray:
    """Ellipsoids on n^3 voxels of a 256 mm cube, each voxel the mean of 27 places; float32 [i, j, k]."""
    out = np.zeros((n, n, n), np.float32)
    fine = ((np.arange(3 * n) + 0.5) / (3 * n) - 0.5) * SIDE_MM
    for centre, half, turn, value in ELLIPSOIDS:
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        y, z = fine[:, None] - centre[1], fine[None, :] - centre[2]
        for i in range(n):
            share = np.zeros((n, n), np.float32)
            for x in fine[3 * i : 3 * i + 3] - centre[0]:
                if abs(x) > max(half[:2]):
                    continue
                along, across = x * cos + y * sin, -x * sin + y * cos
                inside = (along / half[0]) ** 2 + (across / half[1]) ** 2 + (z / half[2]) ** 2 <= 1
                share += inside.reshape(n, 3, n, 3).sum(axis=(1, 3), dtype=np.float32)
            out[i] += np.float32(value / 27) * share
    return out


def exact(view: np.ndarray) -> np.ndarray:
    """The phantom's integrals."""
    n = DETECTOR["rows"]
    rows, cols = np.indices((n, n))
    rays = view[1] + cols[..., None] * view[2] + rows[..., None] * view[3] - view[0]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    total = np.zeros((n, n))
    for centre, half, turn, value in ELLIPSOIDS:
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        to_ball = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) / np.array(half)[:, None]
        d, s = rays @ to_ball.T, to_ball @ (view[0] - centre)
        square, along = (d**2).sum(axis=-1), d @ s
        total += value * 2 * np.sqrt(np.maximum(along**2 - square * (s @ s - 1), 0)) / square
    return total


def benchmark(options: argparse.Namespace) -> None:
    from bench.measure import cost_of

    pythons = dict(item.split("=", 1) for item in options.python)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="projection-benchmark-") as scratch:
        for name, spacing in volumes(options, Path(scratch)):
            root = Path(scratch)
            for tool in options.tools:
                for angle in options.angles:
                    view = beam(angle)
                    np.savez(root / "task.npz", beam=view, spacing=spacing)
                    if tool in SMALL_ONLY and not name.startswith(SMALL_ONLY[tool]):
                        continue
                    python = pythons.get(NEEDS[tool], sys.executable)
                    command = [python, str(Path(__file__).resolve()), "--runs", str(options.runs), "--tool", tool]
                    try:
                        cost_of([*command, str(root)], root / "log", options.threads)
                    except RuntimeError as error:
                        rows.append({"volume": name, "tool": tool, "angle": angle, "failed": str(error)[-300:]})
                        print(rows[-1], flush=True)
                        break
                    found = json.loads((root / "answer.json").read_text())
                    image = np.load(root / "image.npy")
                    rows.append({"volume": name, "tool": tool, "angle": angle} | found)
                    rows[-1] |= compared(
                        image, root / f"reference_{angle:g}.npy", exact(view) if name[0] != "C" else None
                    )
                    print(rows[-1], flush=True)
            for path in root.glob("reference_*"):
                path.unlink()
    write(options, rows)


def volumes(options: argparse.Namespace, root: Path) -> Iterator[tuple[str, np.ndarray]]:
    for size in options.sizes:
        save(root, phantom(size))
        yield f"{size}^3 phantom", np.full(3, SIDE_MM / size)
    if options.ct:
        from voxbench.io import read_volume
        from voxbench.simulate import attenuation

        ct = attenuation(read_volume(options.ct))
        # Tools end a volume differently (RTK at the outermost centres, we at the outer faces): there be air.
        body = np.zeros_like(ct.array)
        body[1:-1, 1:-1, 1:-1] = ct.array[1:-1, 1:-1, 1:-1]
        save(root, body)
        yield f"CT {' x '.join(map(str, ct.grid.shape))}", ct.grid.spacing


def save(root: Path, array: np.ndarray) -> None:
    """As float32, and as bytes with what one of them is worth: each tool's process holds but one of the two."""
    worth = float(array.max()) / 255
    np.save(root / "volume.npy", array)
    stored = np.stack([np.clip(np.rint(part / worth), 0, 255).astype(np.uint8) for part in array])
    np.savez(root / "bytes.npz", array=stored, worth=worth)


def compared(image: np.ndarray, reference: Path, true: np.ndarray | None) -> dict[str, float]:
    """Against the first tool that ran, and against the truth; relative to the largest value."""
    found: dict[str, float] = {}
    if not reference.exists():
        np.save(reference, image)
    elif image.shape == np.load(reference).shape:
        off = (image - np.load(reference)) / np.load(reference).max()
        found |= {"rms": float(np.sqrt(np.mean(off**2))), "largest": float(np.abs(off).max())}
    if true is not None:
        off = (image - true) / true.max()
        found |= {"rms_true": float(np.sqrt(np.mean(off**2))), "largest_true": float(np.abs(off).max())}
    return found


def measure(tool: str, root: Path, runs: int) -> None:
    """In the tool's own process: what a call costs once everything is loaded."""
    with np.load(root / "task.npz") as task:
        view, spacing = task["beam"], task["spacing"]
    if tool == BYTES:
        with np.load(root / "bytes.npz") as stored:
            worth, whole = float(stored["worth"]), by_voxbench(stored["array"], view, spacing)
        call = partial(scaled, whole, worth)
    else:
        call = TOOLS[tool](np.load(root / "volume.npy"), view, spacing)
    image, costs = call(), []
    for _ in range(runs):
        started = time.process_time(), time.perf_counter()
        image = call()
        costs.append((time.process_time() - started[0], time.perf_counter() - started[1]))
    answer = {"cpu_s": statistics.median(c[0] for c in costs), "wall_s": statistics.median(c[1] for c in costs)}
    answer |= {"costs": costs, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    (root / "answer.json").write_text(json.dumps(answer))
    np.save(root / "image.npy", np.asarray(image, np.float64))


def centred(array: np.ndarray, view: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The view in voxels, the volume's middle at the isocentre."""
    points = view / spacing
    points[:2] += (np.array(array.shape) - 1) / 2
    return np.ascontiguousarray(points)


Call = Callable[[], np.ndarray]


def by_voxbench(array: np.ndarray, view: np.ndarray, spacing: np.ndarray) -> Call:
    from voxbench import _core

    points, n = centred(array, view, spacing), DETECTOR["rows"]
    return lambda: _core.project_columns(array, points, spacing, n, n)


def scaled(call: Call, worth: float) -> np.ndarray:
    return call() * worth


def by_voxbench_any(exact_lengths: bool) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Call]:
    def prepare(array: np.ndarray, view: np.ndarray, spacing: np.ndarray) -> Call:
        from voxbench import _core

        points, n = centred(array, view, spacing), DETECTOR["rows"]
        return lambda: _core.project_rays(array, points, spacing, n, n, exact_lengths)

    return prepare


def by_voxbench_gradient(array: np.ndarray, view: np.ndarray, spacing: np.ndarray) -> Call:
    """Forward, the gradient of the volume and that of the view, for a given gradient of the image."""
    from voxbench import _core

    points, n = centred(array, view, spacing), DETECTOR["rows"]
    ones = np.ones((n, n), np.float32)

    def call() -> np.ndarray:
        image = _core.project_columns(array, points, spacing, n, n)
        _core.backproject_columns(ones, points, spacing, array.shape)
        _core.view_gradient(array, ones, points, spacing)
        return image

    return call


def by_rtk(array: np.ndarray, view: np.ndarray, spacing: np.ndarray) -> Call:
    """RTK's Joseph; its own axes are taken as x, y, z of the world."""
    import itk
    from itk import RTK as rtk  # noqa: N811

    kind = itk.Image[itk.F, 3]
    volume = itk.image_from_array(np.ascontiguousarray(array.transpose(2, 1, 0)))
    volume.SetSpacing([float(s) for s in spacing])
    volume.SetOrigin([float(-(n - 1) / 2 * s) for n, s in zip(array.shape, spacing, strict=True)])
    n, pixel = DETECTOR["rows"], DETECTOR["pixel_mm"]
    middle = view[1] + (n - 1) / 2 * (view[2] + view[3])
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    geometry.AddProjection(*([float(x) for x in v] for v in (view[0], middle, view[2] / pixel, view[3] / pixel)))
    blank = rtk.ConstantImageSource[kind].New()
    blank.SetOrigin([-(n - 1) / 2 * pixel] * 2 + [0.0])
    blank.SetSpacing([pixel, pixel, 1.0])
    blank.SetSize([n, n, 1])
    blank.SetConstant(0.0)
    blank.Update()

    # The stack of projections is filled in place: a fresh one for every call, as a user would have it.
    def call() -> np.ndarray:
        joseph = rtk.JosephForwardProjectionImageFilter[kind, kind].New()
        joseph.SetGeometry(geometry)
        joseph.SetInput(0, blank.GetOutput())
        joseph.SetInput(1, volume)
        joseph.InPlaceOff()
        joseph.Update()
        return itk.array_from_image(joseph.GetOutput())[0]

    return call


def by_nanodrr(array: np.ndarray, view: np.ndarray, spacing: np.ndarray) -> Call:
    """The torch path of nanodrr, 500 samples, 64 rows at a time; forward and both gradients."""
    import torch
    from nanodrr.data import Subject
    from nanodrr.drr import render

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    to_world = torch.eye(4)
    to_world[:3, :3] = torch.diag(torch.tensor(spacing, dtype=torch.float32))
    to_world[:3, 3] = torch.tensor(-(np.array(array.shape) - 1) / 2 * spacing, dtype=torch.float32)
    values = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 1, 0)))[None, None].requires_grad_()
    to_grid = Subject._make_voxel_to_grid(values.shape)
    subject = Subject(
        values, torch.zeros_like(values), to_world, to_world.inverse(), to_grid, torch.zeros(3), convert_to_mu=False
    )
    n, step = DETECTOR["rows"], 64
    source = torch.tensor(view[0], dtype=torch.float32)[None, None]
    far, inverse = torch.tensor([DETECTOR["source_to_detector"]]), torch.eye(3)[None]

    def call() -> np.ndarray:
        pose, image = torch.eye(4)[None].requires_grad_(), np.zeros((n, n))
        values.grad = None
        for first in range(0, n, step):
            rows, cols = np.indices((step, n))
            points = view[1] + cols[..., None] * view[2] + (rows + first)[..., None] * view[3]
            pixels = torch.tensor(points.reshape(1, -1, 3), dtype=torch.float32)
            part = render(subject, inverse, pose, far, step, n, 500, src=source, tgt=pixels, backend="torch")
            part.sum().backward()
            image[first : first + step] = part.detach().numpy()[0, 0]
        return image

    return call


BYTES = "voxbench, uint8"
TOOLS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Call]] = {
    "rtk Joseph": by_rtk,
    "voxbench": by_voxbench,
    BYTES: by_voxbench,
    "voxbench, any pose": by_voxbench_any(False),
    "voxbench, any pose, Siddon": by_voxbench_any(True),
    "voxbench + both gradients": by_voxbench_gradient,
    "nanodrr + both gradients": by_nanodrr,
}
SMALL_ONLY = {"nanodrr + both gradients": "256"}
"""Tools that take minutes, and the volume they are tried on."""
NEEDS = {name: name.split(maxsplit=1)[0].strip(",") for name in TOOLS}


def write(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    about = {"date": datetime.now(UTC).date().isoformat(), "machine": platform.machine(), "cores": os.cpu_count()}
    about |= {"threads": options.threads, "runs": options.runs, "load": load, "detector": DETECTOR}
    (options.out / "projection.json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    lines = [
        "# projection",
        "",
        f"{about['date']}, {about['machine']}, {about['cores']} cores, {options.threads} threads, load {load}; median "
        f"of {options.runs}. One view of 512 x 512 pixels of 0.575 mm, 2 m from the source, axis at 1 m (SSR-KD's).",
        "",
        "| volume | tool | angle | CPU s | wall s | peak MB | off the first: RMS, most | off the truth: RMS, most |",
        "|---|---|---|---|---|---|---|---|",
        *(line(row) for row in rows),
        "",
        "Timed without imports, files and the first call. *Peak* is the whole process's, volume included. Differences "
        "are relative to the largest value; those off the truth are the phantom's staircase of voxels, not the "
        "integrator's. With gradients: forward, gradient of the volume (the adjoint) and of the view. The outermost "
        "layer of the CT's voxels is made air, for RTK ends a volume at the outermost centres, voxbench at the faces.",
    ]
    (options.out / "projection.md").write_text("\n".join(lines) + "\n")


def line(row: dict[str, Any]) -> str:
    head = f"| {row['volume']} | {row['tool']} | {row['angle']:g} | "
    if "failed" in row:
        return head + "failed or absent | | | | |"
    cost = f"{row['cpu_s']:.3f} | {row['wall_s']:.3f} | {row['peak_mb']:.0f} | "
    pairs = (("rms", "largest"), ("rms_true", "largest_true"))
    return head + cost + " | ".join(", ".join(f"{row[k]:.2g}" for k in pair if k in row) for pair in pairs) + " |"


if __name__ == "__main__":
    main()
