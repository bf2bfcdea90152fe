"""Local thickness next to its peers: cost, mean thickness, and known shapes.

Each tool runs in a process of its own, on synthetic trabecular bone of several sizes, after a first call on a small
volume (which also compiles what is compiled at run time). Then every tool measures balls, rods and plates whose
thickness is known.

python benchmarks/thickness.py --sizes 64 128 256
"""

from __future__ import annotations

import argparse
import importlib.util
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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

SHARE = 0.25
DRAWN = 40
OFFSETS = {"on a voxel centre": (0.0, 0.0, 0.0), "between them": (0.5, 0.5, 0.5), "elsewhere": (0.2, -0.4, 0.3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    parser.add_argument("--shapes", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tool", nargs=3, metavar=("TOOL", "NPY", "JSON"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tool:
        tool, source, answer = options.tool
        measure(TOOLS[tool], np.load(source), options.runs, Path(answer), options.shapes)
    else:
        benchmark(options)


def benchmark(options: argparse.Namespace) -> None:
    from bench.measure import cost_of

    os.environ["NUMBA_NUM_THREADS"] = str(options.threads)
    rows, shapes = [], {}
    with tempfile.TemporaryDirectory(prefix="thickness-benchmark-") as scratch:
        root = Path(scratch)
        for size in options.sizes:
            np.save(root / "bone.npy", trabecular(size))
            for tool in options.tools:
                if importlib.util.find_spec(NEEDS[tool]) is None:
                    rows.append({"size": size, "tool": tool, "absent": NEEDS[tool]})
                    continue
                command = [sys.executable, str(Path(__file__).resolve()), "--runs", str(options.runs)]
                command += ["--shapes", "--tool", tool] if size == options.sizes[0] else ["--tool", tool]
                answer = root / "answer.json"
                cost_of([*command, str(root / "bone.npy"), str(answer)], root / "log", options.threads)
                found = json.loads(answer.read_text())
                shapes.setdefault(tool, found.pop("shapes"))
                rows.append({"size": size, "tool": tool} | found)
                print(rows[-1], flush=True)
    write(options, rows, shapes)


def trabecular(size: int) -> np.ndarray:
    """Band-pass noise, the highest quarter of it bone."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).standard_normal((size,) * 3, dtype=np.float32)
    band = gaussian_filter(noise, 3.5) - gaussian_filter(noise, 7)
    return band > np.quantile(band, 1 - SHARE)


def measure(
    tool: Callable[[np.ndarray], np.ndarray], bone: np.ndarray, runs: int, answer: Path, shapes: bool = False
) -> None:
    """What a tool costs, imports and compilation apart, and what it finds."""
    tool(bone[:32, :32, :32].copy())
    before, costs = peak_mb(), []
    for _ in range(runs):
        started = time.process_time(), time.perf_counter()
        thickness = tool(bone)
        costs.append((time.process_time() - started[0], time.perf_counter() - started[1]))
    found = {"cpu_s": statistics.median(c[0] for c in costs), "wall_s": statistics.median(c[1] for c in costs)}
    found |= {"costs": costs, "before_mb": before, "peak_mb": peak_mb(), "mean": float(thickness[bone].mean())}
    errors = {}
    if shapes:
        errors = {name: float(tool(shape)[shape].mean() - true) for name, true, shape in known_shapes()} | drawn(tool)
    answer.write_text(json.dumps(found | {"shapes": errors}))


def known_shapes() -> Iterator[tuple[str, float, np.ndarray]]:
    """Name, thickness in voxels, and the shape."""
    for where, offset in OFFSETS.items():
        for radius in (4.0, 8.0, 12.5):
            n = int(2 * radius + 9)
            index = np.indices((n, n, n)) - (n // 2 + np.array(offset)).reshape(3, 1, 1, 1)
            for kind, axes in (("ball", (0, 1, 2)), ("rod", (1, 2))):
                yield (
                    f"{kind}, radius {radius:g}, {where}",
                    2 * radius,
                    (index[list(axes)] ** 2).sum(axis=0) < radius**2,
                )
    for thick in (4, 5, 10, 11):
        plate = np.zeros((40, 40, 40), bool)
        plate[12 : 12 + thick] = True
        yield f"plate, {thick} voxels", float(thick), plate


def drawn(tool: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Mean and worst error over shapes of some widths anywhere, in any direction."""
    found = {}
    for low, high in ((1.5, 4), (4, 20)):
        for kind in ("balls", "rods", "oblique plates", "plates along an axis"):
            rng = np.random.default_rng(0)
            drawn = [error_of(tool, kind, float(rng.uniform(low, high)), rng) for _ in range(DRAWN)]
            errors = np.array(drawn)[np.isfinite(drawn)]
            name = f"{kind} of {low:g} to {high:g} voxels anywhere"
            found[f"{name}, mean"] = float(errors.mean())
            found[f"{name}, worst"] = float(errors[np.abs(errors).argmax()])
    return found


def error_of(tool: Callable[[np.ndarray], np.ndarray], kind: str, width: float, rng: np.random.Generator) -> float:
    """Of one shape; of rods and plates only their middle is looked at, where no end is seen."""
    n = int(2.6 * width + 14)
    index = np.moveaxis(np.indices((n, n, n)), 0, -1)
    axis = np.eye(3)[rng.integers(3)] if kind.endswith("axis") else rng.normal(size=3)
    way = index - ((n - 1) / 2 + rng.uniform(-0.5, 0.5, 3))
    along = way @ (axis / np.linalg.norm(axis))
    aside = (way**2).sum(axis=-1) - along**2
    inner = (index.min(axis=-1) > 0) & (index.max(axis=-1) < n - 1)
    if kind == "balls":
        shape = core = aside + along**2 < (width / 2) ** 2
    elif kind == "rods":
        shape, core = inner & (aside < (width / 2) ** 2), np.abs(along) < 1.5
    else:
        shape, core = inner & (np.abs(along) < width / 2), aside < 4
    core = shape & core
    return float(tool(shape)[core].mean() - width) if core.any() else float("nan")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def by_voxbench(bone: np.ndarray) -> np.ndarray:
    from voxbench.metrics import local_thickness

    return local_thickness(bone)


def by_half_voxels(bone: np.ndarray) -> np.ndarray:
    from voxbench.metrics import local_thickness

    return local_thickness(bone, "half-voxels")


def by_localthickness(bone: np.ndarray) -> np.ndarray:
    import localthickness

    return 2 * localthickness.local_thickness(bone)


def by_porespy(method: str) -> Callable[[np.ndarray], np.ndarray]:
    def thickness(bone: np.ndarray) -> np.ndarray:
        import porespy

        porespy.settings.tqdm["disable"] = True
        return 2 * porespy.filters.local_thickness(bone, method=method)

    return thickness


TOOLS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "voxbench": by_voxbench,
    "voxbench half-voxels": by_half_voxels,
    "localthickness": by_localthickness,
    "porespy bf": by_porespy("bf"),
    "porespy conv": by_porespy("conv"),
    "porespy dt": by_porespy("dt"),
}
NEEDS = {name: name.split()[0] for name in TOOLS}


def write(options: argparse.Namespace, rows: list[dict], shapes: dict[str, dict[str, float]]) -> None:
    versions = {}
    for package in ("voxbench", "numpy", "scipy", "edt", "porespy", "localthickness", "numba"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    about = {"date": datetime.now(UTC).date().isoformat(), "machine": platform.machine(), "cores": os.cpu_count()}
    about |= {"threads": options.threads, "runs": options.runs, "load": load, "versions": versions}
    content = json.dumps({"about": about, "rows": rows, "shapes": shapes}, indent=1)
    (options.out / "thickness.json").write_text(content + "\n")
    lines = [
        "# thickness",
        "",
        f"{about['date']}, {about['machine']}, {about['cores']} cores, {options.threads} threads, load {load}; "
        + ", ".join(f"{package} {number}" for package, number in versions.items())
        + f". Synthetic trabecular bone (band-pass noise, BV/TV {SHARE:g}); median of {options.runs}.",
        "",
        "| voxels | tool | CPU s | wall s | peak MB (before) | mean thickness, voxels |",
        "|---|---|---|---|---|---|",
        *(table_line(row) for row in rows),
        "",
        "Timed without imports, compilation and files, distance transform included; *peak* is the process's over all "
        "runs, in brackets what it held before them. porespy takes whole radii; localthickness spreads distances by "
        "dilation, an approximation; both give radii, doubled here. Their definitions differ, so do the means.",
        "",
        f"Mean thickness minus the true one, voxels; shapes *anywhere* are {DRAWN} of a kind, of random width, place "
        "and direction; rods and plates are looked at in the middle:",
        "",
        "| shape | " + " | ".join(shapes) + " |",
        "|---|" + "---|" * len(shapes),
    ]
    names = next(iter(shapes.values()), {})
    lines += [f"| {name} | " + " | ".join(f"{own[name]:+.2f}" for own in shapes.values()) + " |" for name in names]
    if len(options.sizes) > 1:
        plot(rows, options.out / "thickness.png")
        lines += ["", "![CPU seconds over voxels](thickness.png)"]
    (options.out / "thickness.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def table_line(row: dict) -> str:
    head = f"| {row['size']}^3 | {row['tool']} |"
    if "absent" in row:
        return f"{head} not measured: {row['absent']} is not installed | | | |"
    memory = f"{row['peak_mb']:.0f} ({row['before_mb']:.0f})"
    return f"{head} {row['cpu_s']:.3f} | {row['wall_s']:.3f} | {memory} | {row['mean']:.3f} |"


def plot(rows: list[dict], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for tool in dict.fromkeys(row["tool"] for row in rows if "absent" not in row):
        own = [row for row in rows if row["tool"] == tool]
        axes.loglog([row["size"] ** 3 for row in own], [row["cpu_s"] for row in own], "o-", label=tool)
    axes.set(xlabel="voxels", ylabel="CPU seconds", title="Local thickness of synthetic trabecular bone")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
