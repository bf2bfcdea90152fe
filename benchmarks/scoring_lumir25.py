"""LUMIR25's evaluation of one pair: cost of the command and of each metric, next to SciPy; and how it scales.

The pair is synthetic: an ellipsoidal brain of nearest-seed parcels on the official grid, a moving map with borders
elsewhere, a smooth random field with foldings, 138 landmarks of 3 x 3 x 3 voxels. The peer is the published definition
written with NumPy and SciPy, label by label as the organisers' script goes; it is not that script.

python benchmarks/scoring_lumir25.py --runs 3
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE, LABELS, LANDMARKS = (160, 224, 192), 132, 138
NAMES = {"fixed": "LUMIRMRI_3455_0000.nii.gz", "moving": "LUMIRMRI_3454_0000.nii.gz"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    parser.add_argument("--steps", type=Path, nargs=2, metavar=("ROOT", "OUT"), help=argparse.SUPPRESS)
    parser.add_argument("--peer", type=Path, nargs=2, metavar=("ROOT", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps:
        options.steps[1].write_text(json.dumps(steps(options.steps[0])))
    elif options.peer:
        options.peer[1].write_text(json.dumps(peer(options.peer[0])))
    else:
        benchmark(options)


# ---- the pair -----------------------------------------------------------------------------------------------------


def smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Unit-variance smooth noise."""
    from scipy import ndimage

    coarse = tuple(int(np.ceil(n / 4)) + 1 for n in shape)
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse), sigma / 4)
    noise = ndimage.zoom(noise / noise.std(), [n / c for n, c in zip(shape, coarse, strict=True)], order=1)
    return noise[tuple(slice(0, n) for n in shape)].astype(np.float32)


def parcels(rng: np.random.Generator, shape: tuple[int, ...], seeds: np.ndarray) -> np.ndarray:
    """An ellipsoid cut into the parcels nearest to seeds (in units of the half axes)."""
    from scipy.spatial import cKDTree

    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    points += 0.03 * np.stack([smooth(rng, shape, 6) for _ in range(3)], axis=-1)
    inside = (points**2).sum(axis=-1) < 0.72
    labels = np.zeros(shape, np.int16)
    labels[inside] = cKDTree(seeds).query(points[inside])[1] + 1
    return labels


def pair(shape: tuple[int, ...] = SHAPE, labels: int = LABELS, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((labels, 3))
    seeds = directions / np.linalg.norm(directions, axis=1, keepdims=True) * rng.random((labels, 1)) ** (1 / 3) * 0.85
    found = {name: parcels(rng, shape, seeds + 0.04 * rng.standard_normal(seeds.shape)) for name in NAMES}
    field = np.stack([3.0 * smooth(rng, shape, 6) for _ in range(3)])
    places = np.argwhere(found["fixed"][8:-8, 8:-8, 8:-8] > 0) + 8
    landmarks = {name: np.zeros(shape, np.int16) for name in NAMES}
    for n, place in enumerate(places[rng.choice(len(places), LANDMARKS)], 1):
        for name, shift in (("fixed", 0), ("moving", 3)):
            i, j, k = place + rng.integers(-shift, shift + 1, 3)
            landmarks[name][i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2] = n
    return {"field": field, **found, "fixed_landmarks": landmarks["fixed"], "moving_landmarks": landmarks["moving"]}


def synthesise(root: Path) -> None:
    made = pair()
    for name, file in NAMES.items():
        image = np.where(made[name] > 0, 40 + made[name] % 97, 0).astype(np.uint8)
        arrays = {"imagesVal": image, "labelsVal": made[name], "landmarksVal": made[f"{name}_landmarks"]}
        for folder, array in arrays.items():
            (root / folder).mkdir(exist_ok=True, parents=True)
            nib.save(nib.Nifti1Image(array, np.eye(4)), root / folder / file)
    (root / "fields").mkdir()
    field = np.moveaxis(made["field"], 0, -1).astype(np.float32)
    nib.save(nib.Nifti1Image(field, np.eye(4)), root / "fields" / "disp_3455_3454.nii.gz")
    ids = list(range(LABELS + 1))
    methods = [
        {"name": "NDV", "metric": "ndv"},
        {"name": "DSC", "metric": "dice", "labels": ids},
        {"name": "HD95", "metric": "hd95", "labels": ids},
        {"name": "TRE_lm", "metric": "tre", "dest": "landmarks"},
    ]
    pairs = [{name: f"./imagesVal/{file}" for name, file in NAMES.items()}]
    config = {"name": "benchmark", "evaluation_methods": methods, "expected_shape": [*SHAPE, 3], "eval_pairs": pairs}
    (root / "config.json").write_text(json.dumps(config))


# ---- ours ---------------------------------------------------------------------------------------------------------


def load(root: Path) -> dict[str, np.ndarray]:
    from voxbench.io import read_labels, read_volume
    from voxbench.io.displacements import read_displacement_file

    field = read_displacement_file(root / "fields" / "disp_3455_3454.nii.gz").array
    made = {
        "field": np.ascontiguousarray(np.moveaxis(field, -1, 0)),
        "image": read_volume(root / "imagesVal" / NAMES["fixed"]).array,
    }
    for name, file in NAMES.items():
        made[name] = read_labels(root / "labelsVal" / file).array
        made[f"{name}_landmarks"] = read_labels(root / "landmarksVal" / file).array
    return made


def steps(root: Path) -> dict[str, float]:
    """CPU seconds of each step of our evaluation, all threads, in a process that has already imported."""
    from voxbench.challenges.lumir25 import scoring

    ids = range(LABELS + 1)
    cost, start = {}, time.process_time()

    def lap(name: str) -> None:
        nonlocal start
        cost[name], start = time.process_time() - start, time.process_time()

    made = load(root)
    lap("read five files")
    labels = scoring.WarpedLabels(made["fixed"], made["moving"], made["field"])
    _ = labels.warped
    lap("warp labels")
    scoring.official_dice(labels, ids)
    lap("Dice")
    scoring.official_hd95(labels, ids)
    lap("HD95")
    scoring.official_ndv(made["field"], made["image"])
    lap("NDV")
    scoring.official_tre(scoring.WarpedLabels(made["fixed_landmarks"], made["moving_landmarks"], made["field"]))
    lap("TRE")
    cost["all metrics"] = sum(value for name, value in cost.items() if name != "read five files")
    return cost


# ---- the peer -----------------------------------------------------------------------------------------------------


def peer(root: Path) -> dict[str, float | list[float]]:
    """The definitions with NumPy and SciPy; CPU seconds by step, and the values."""
    from scipy import ndimage

    result: dict[str, float | list[float]] = {}
    start = time.process_time()

    def lap(name: str) -> None:
        nonlocal start
        result[name], start = time.process_time() - start, time.process_time()

    def image(folder: str, name: str) -> np.ndarray:
        return nib.load(root / folder / NAMES[name]).get_fdata()

    field = np.moveaxis(nib.load(root / "fields" / "disp_3455_3454.nii.gz").get_fdata(), -1, 0)
    fixed, moving, anatomy = image("labelsVal", "fixed"), image("labelsVal", "moving"), image("imagesVal", "fixed")
    marks, moving_marks = image("landmarksVal", "fixed"), image("landmarksVal", "moving")
    identity = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"))
    lap("read five files")
    warped = ndimage.map_coordinates(moving, identity + field, order=0)
    lap("warp labels")
    ids = range(LABELS + 1)
    dice = [2 * ((fixed == i) & (warped == i)).sum() / ((fixed == i).sum() + (warped == i).sum()) for i in ids]
    lap("Dice")
    hd95 = [hausdorff(fixed == i, warped == i) for i in ids]
    lap("HD95")
    ndv = folded_volume(identity + field, anatomy > 0)
    lap("NDV")
    warped_marks = ndimage.map_coordinates(moving_marks, identity + field, order=0)
    errors = []
    for mark in np.unique(marks)[1:]:
        ends = [np.argwhere(m == mark).mean(axis=0) for m in (marks, warped_marks)]
        errors.append(np.linalg.norm(ends[0] - ends[1]))
    lap("TRE")
    result["all metrics"] = sum(float(v) for name, v in result.items() if name != "read five files")
    return result | {"values": [float(np.mean(dice)), float(np.mean(hd95)), ndv, float(np.mean(errors))]}


def hausdorff(one: np.ndarray, other: np.ndarray) -> float:
    from scipy import ndimage

    from voxbench.metrics.surface_elements import element_areas

    where = np.argwhere(one | other)
    box = tuple(slice(low, high + 1) for low, high in zip(where.min(axis=0), where.max(axis=0), strict=True))
    kernel = np.array([[[128, 64], [32, 16]], [[8, 4], [2, 1]]])
    codes = [
        ndimage.correlate(np.pad(m[box], 1).astype(np.uint8), kernel, mode="constant", origin=-1)[:-1, :-1, :-1]
        for m in (one, other)
    ]
    borders = [(code != 0) & (code != 255) for code in codes]
    worst = 0.0
    for here, there in ((0, 1), (1, 0)):
        distances = ndimage.distance_transform_edt(~borders[there])[borders[here]]
        areas = element_areas((1.0, 1.0, 1.0))[codes[here][borders[here]]]
        order = np.lexsort((areas, distances))
        share = np.cumsum(areas[order]) / areas.sum()
        worst = max(worst, float(distances[order][np.searchsorted(share, 0.95)]))
    return worst


def folded_volume(transform: np.ndarray, mask: np.ndarray) -> float:
    inner = slice(1, -1)
    here = transform[:, inner, inner, inner]

    def moved(*offset: int) -> np.ndarray:
        box = tuple(slice(1 + o, n - 1 + o) for o, n in zip(offset, mask.shape, strict=True))
        return transform[(slice(None), *box)] - here

    def folded(columns: list[np.ndarray]) -> np.ndarray:
        a, b, c = columns
        determinant = (a * np.cross(b, c, axis=0)).sum(axis=0)
        return 0.5 * np.maximum(-determinant, 0) / 6

    axes = np.eye(3, dtype=int)
    total = sum(
        folded([s * moved(*(s * axis)) for s, axis in zip(signs, axes, strict=True)])
        for signs in itertools.product((1, -1), repeat=3)
    )
    total += folded([moved(-1, -1, 0), moved(-1, 0, -1), moved(0, -1, -1)])
    total += folded([moved(1, 1, 0), moved(0, 1, 1), moved(1, 0, 1)])
    inside = mask[inner, inner, inner]
    return float(total[inside].sum() / inside.sum() * 100)


# ---- the tables ---------------------------------------------------------------------------------------------------


def benchmark(options: argparse.Namespace) -> None:
    from bench.measure import cost_of

    this = str(Path(__file__).resolve())
    with tempfile.TemporaryDirectory(prefix="lumir25-benchmark-") as scratch:
        root = Path(scratch)
        synthesise(root)
        program = str(Path(sys.executable).with_name("voxbench"))
        command = [program, "evaluate", "lumir25", "--predictions", str(root / "fields"), "--references", str(root)]
        command += ["--config", str(root / "config.json"), "--out", str(root / "out"), "--force"]
        whole = [cost_of(command, root / "log", options.threads) for _ in range(options.runs)]
        measured = []
        for _ in range(options.runs):
            cost_of(
                [sys.executable, this, "--steps", str(root), str(root / "steps.json")], root / "log", options.threads
            )
            measured.append(json.loads((root / "steps.json").read_text()))
        ours = {name: float(np.median([run[name] for run in measured])) for name in measured[0]}
        metrics = json.loads((root / "out" / "metrics.json").read_text())["cases"]["3455_0000<--3454_0000"]
        result = {
            "whole command": {k: float(np.median([vars(c)[k] for c in whole])) for k in vars(whole[0])},
            "steps, CPU s": ours,
            "values": [metrics[name]["mean"] for name in ("DSC", "HD95", "NDV", "TRE_lm")],
        }
        if not options.without_peer:
            cost = cost_of([sys.executable, this, "--peer", str(root), str(root / "peer.json")], root / "log", 1)
            result["peer"] = json.loads((root / "peer.json").read_text()) | {"whole process": vars(cost)}
    result["scaling"] = scaling(options.runs)
    write(options, result)


def scaling(runs: int) -> dict[str, list[list[float]]]:
    """CPU seconds of Dice and HD95 over the number of labels, and over the number of voxels."""
    from voxbench.challenges.lumir25 import scoring

    def cost(shape: tuple[int, ...], labels: int) -> float:
        made, times = pair(shape, labels), []
        for _ in range(runs):
            start = time.process_time()
            warped = scoring.WarpedLabels(made["fixed"], made["moving"], made["field"])
            scoring.official_dice(warped, range(labels + 1))
            scoring.official_hd95(warped, range(labels + 1))
            times.append(time.process_time() - start)
        return float(np.median(times))

    by_labels = [[float(n), cost(SHAPE, n)] for n in (8, 16, 32, 64, 128, 256)]
    by_voxels = []
    for factor in (0.125, 0.25, 0.5, 1.0, 2.0, 4.0):
        shape = tuple(round(n * factor ** (1 / 3)) for n in SHAPE)
        by_voxels.append([float(np.prod(shape)), cost(shape, 64)])
    return {"labels": by_labels, "voxels": by_voxels}


def slope(points: list[list[float]]) -> float:
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


def write(options: argparse.Namespace, result: dict) -> None:
    import scipy

    versions = {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__}
    from importlib.metadata import version

    versions["voxbench"] = version("voxbench")
    about = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {options.threads} threads, "
    about += f"median of {options.runs} runs"
    whole, ours, scale = result["whole command"], result["steps, CPU s"], result["scaling"]
    lines = [
        "# LUMIR25, one pair (synthetic, 160 x 224 x 192, 132 labels and background, 138 landmarks)",
        "",
        f"{about}; {', '.join(f'{k} {v}' for k, v in versions.items())}",
        "",
        f"`voxbench evaluate lumir25`, whole process: {whole['cpu_s']:.2f} CPU s, {whole['wall_s']:.2f} s wall, "
        f"{whole['peak_mb']:.0f} MB",
        "",
    ]
    theirs = result.get("peer")
    lines += ["| step | voxbench, CPU s | NumPy + SciPy, CPU s (1 run) | ratio |", "|---|---|---|---|"]
    for name, value in ours.items():
        other = f"{theirs[name]:.2f} | {theirs[name] / max(value, 1e-3):.0f}" if theirs else "not run | "
        lines.append(f"| {name} | {value:.3f} | {other} |")
    if theirs:
        peak = theirs["whole process"]["peak_mb"]
        differences = [abs(a - b) for a, b in zip(result["values"], theirs["values"], strict=True)]
        lines += [
            "",
            f"Peak memory of the peer's process: {peak:.0f} MB. "
            f"Largest difference of the four means (Dice, HD95, NDV, TRE): {max(differences):.1e}.",
        ]
    for name, points in scale.items():
        lines += [
            "",
            f"Dice and HD95 over {name} (log-log slope {slope(points):.2f}):",
            "",
            f"| {name} | CPU s |",
            "|---|---|",
        ]
        lines += [f"| {n:.0f} | {cost:.3f} |" for n, cost in points]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "scoring_lumir25.md").write_text("\n".join([*lines, "", "![scaling](scoring_lumir25.png)", ""]))
    (options.out / "scoring_lumir25.json").write_text(
        json.dumps(result | {"versions": versions, "about": about}, indent=1)
    )
    plot(options.out / "scoring_lumir25.png", scale)
    print("\n".join(lines))


def plot(path: Path, scale: dict[str, list[list[float]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for axis, (name, points) in zip(axes, scale.items(), strict=True):
        x, y = np.array(points).T
        axis.loglog(x, y, "o-")
        axis.loglog(x, y[-1] * x / x[-1], "k:", label="linear")
        axis.set(xlabel=name, ylabel="CPU s", title=f"slope {slope(points):.2f}")
        axis.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
