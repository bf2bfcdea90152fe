"""LumbarSR's evaluation next to its definition in NumPy and scikit-image, on a synthetic vertebra: cost and digits.

Both run as whole processes, from the files to the numbers: three windows, three masks, PSNR, SSIM, MAE, RMSE, NRMSE,
NCC, and local bone contrast of both volumes.

python benchmarks/evaluation_lumbarsr.py --shape 250 250 300
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import nibabel as nib
import numpy as np

SAMPLE, SEQUENCE, METHOD = "Lumbar_26", "195X_195Y_1000Z_S", "synthetic"
WINDOWS = {"raw": (-1024.0, 3071.0, 4095.0), "bone": (-500.0, 1300.0, 1800.0), "soft_tissue": (-160.0, 240.0, 400.0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(250, 250, 300))
    parser.add_argument("--threads", type=int, default=2, help="of voxbench; the peer has one")
    parser.add_argument("--without-peer", action="store_true", help="voxbench alone")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--peer", type=Path, nargs=2, metavar=("ROOT", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer(*options.peer)
    else:
        benchmark(tuple(options.shape), options)


def benchmark(shape: tuple[int, ...], options: argparse.Namespace) -> None:
    from bench.measure import cost_of

    name = "evaluation_lumbarsr_" + "x".join(map(str, shape))
    with tempfile.TemporaryDirectory(prefix="lumbarsr-benchmark-") as scratch:
        root = Path(scratch)
        synthesise(root, shape)
        program = Path(sys.executable).with_name("voxbench")
        ours = [str(program), "evaluate", "lumbarsr", "--predictions", str(root / "results"), "--references", str(root)]
        ours += ["--method", METHOD, "--sample", SAMPLE, "--sequence", SEQUENCE, "--out", str(root / "out")]
        rows = [{"what": "voxbench"} | vars(cost_of(ours, root / "ours.log", options.threads))]
        differences = {}
        if not options.without_peer:
            theirs = [sys.executable, str(Path(__file__).resolve()), "--peer", str(root), str(root / "peer.json")]
            rows.append({"what": "numpy + scikit-image"} | vars(cost_of(theirs, root / "peer.log", 1)))
            differences = compared(root / "out", json.loads((root / "peer.json").read_text()))
    write(options.out or Path(__file__).resolve().parent / "results", name, rows, differences)


def synthesise(root: Path, shape: tuple[int, ...]) -> None:
    """An ellipsoid of trabecular noise in a cortical shell; the prediction is a blurred, noisy copy."""
    from scipy import ndimage

    rng = np.random.default_rng(26)
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in shape]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij", sparse=True)) / 0.72)
    noise = rng.standard_normal(shape, dtype=np.float32)
    texture = ndimage.gaussian_filter(noise, 1.2) - ndimage.gaussian_filter(noise, 3)
    inside = radius < 0.95
    image = np.where(inside, 250 + 3000 * texture, np.where(radius < 1, 1400, -1024)).astype(np.float32)
    target = (image + 20 * noise * (radius < 1.05)).clip(-1024, 3071).astype(np.int16)
    prediction = ndimage.gaussian_filter(target.astype(np.float32), 1).clip(-1024, 3071).astype(np.int16)
    save(reference(root), target)
    save(prediction_file(root), prediction)
    save(bone_mask(root), inside.astype(np.uint8))


def reference(root: Path) -> Path:
    return root / "RegisteredData" / SAMPLE / "Lumbar26_MicroPCCT_105um.nii.gz"


def bone_mask(root: Path) -> Path:
    return root / "BoneMask" / SAMPLE / f"Lumbar26_ClinicalCT_{SEQUENCE}_registered_BoneMask.nii.gz"


def prediction_file(root: Path) -> Path:
    return root / "results" / METHOD / SAMPLE / f"Lumbar26_{SEQUENCE}_{METHOD}.nii.gz"


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(array, np.diag([0.105, 0.105, 0.105, 1])), path)


def peer(root: Path, out: Path) -> None:
    """The definition, written with NumPy and scikit-image as a careful user would: float32, slice by slice."""
    a, b = (nib.load(path).get_fdata().astype(np.float32) for path in (reference(root), prediction_file(root)))
    bone = nib.load(bone_mask(root)).get_fdata() > 0
    masks = {"full": None, "non_air": (a > -1000) | (b > -1000), "bone_mask": bone}
    result = {}
    for mode, mask in masks.items():
        for window, (low, high, width) in WINDOWS.items():
            x, y = ((np.clip(v, low, high) - low) / width for v in (a, b))
            result[f"{mode} {window}"] = pixelwise(x, y, mask) | {"ssim": similarity(x, y, mask)}
    contrasts = [contrast(v, bone) for v in (a, b)]
    result["contrast"] = {"lbc_gt_mean": float(np.mean(contrasts[0])), "lbc_pred_mean": float(np.mean(contrasts[1]))}
    out.write_text(json.dumps(result))


def pixelwise(x: np.ndarray, y: np.ndarray, mask: np.ndarray | None) -> dict[str, float]:
    x, y = (x, y) if mask is None else (x[mask], y[mask])
    mse = np.mean((x - y) ** 2)
    rmse = np.sqrt(mse)
    ncc = np.mean((x - x.mean()) * (y - y.mean())) / (x.std() * y.std())
    values = {"psnr": 10 * np.log10(1 / mse), "mae": np.mean(np.abs(x - y)), "rmse": rmse}
    values |= {"nrmse": rmse / (x.max() - x.min()), "ncc": ncc}
    return {name: float(value) for name, value in values.items()}


def similarity(x: np.ndarray, y: np.ndarray, mask: np.ndarray | None) -> float:
    from skimage.metrics import structural_similarity

    if mask is not None:
        lines = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {d}))) for d in range(3)]
        box = tuple(slice(line[0], line[-1] + 1) for line in lines)
        x, y = (np.where(mask[box], v[box], np.float32(0)) for v in (x, y))
    slices = range(x.shape[2])
    return float(np.mean([structural_similarity(x[..., k], y[..., k], data_range=1.0, win_size=7) for k in slices]))


def contrast(image: np.ndarray, mask: np.ndarray) -> list[float]:
    found = []
    for k in range(image.shape[2]):
        values, inside = (np.ascontiguousarray(v[..., k]) for v in (image, mask))
        for i in range(0, image.shape[0] - 15, 8):
            for j in range(0, image.shape[1] - 15, 8):
                own = inside[i : i + 16, j : j + 16]
                if own.sum() >= 12:
                    chosen = values[i : i + 16, j : j + 16][own]
                    found.append(float(np.percentile(chosen, 95) - np.percentile(chosen, 5)))
    return found


def compared(folder: Path, expected: dict[str, dict[str, float]]) -> dict[str, float]:
    """Largest difference of every quantity."""
    largest: dict[str, float] = {}

    def look(row: dict[str, str], theirs: dict[str, float]) -> None:
        for name, value in theirs.items():
            if name in row:
                apart = abs(float(row[name]) - value)
                largest[name] = float(np.maximum(largest.get(name, 0.0), apart))  # NaN stays

    for table in ("detailed_metrics.csv", "similarity_metrics.csv"):
        with (folder / table).open(newline="") as file:
            for row in csv.DictReader(file):
                look(row, expected[f"{row['mode']} {row['window']}"])
    with (folder / "lbc_metrics.csv").open(newline="") as file:
        look(next(csv.DictReader(file)), expected["contrast"])
    return largest


def write(folder: Path, name: str, rows: list[dict], differences: dict[str, float]) -> None:
    """JSON and a table."""
    load = ", ".join(f"{n:.1f}" for n in os.getloadavg())
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    about = f"{date}, {platform.machine()}, {os.cpu_count()} cores, load {load}, NumPy {np.__version__}"
    lines = [f"# {name}", "", f"{about}. Whole processes, reading .nii.gz included; one run.", ""]
    lines += ["| what | CPU s | wall s | peak MB |", "|---|---|---|---|"]
    lines += [f"| {r['what']} | {r['cpu_s']:.1f} | {r['wall_s']:.1f} | {r['peak_mb']:.0f} |" for r in rows]
    if differences:
        ours, theirs = rows
        lines += [
            "",
            f"CPU ratio {theirs['cpu_s'] / ours['cpu_s']:.1f}, memory ratio {theirs['peak_mb'] / ours['peak_mb']:.1f}.",
        ]
        lines += ["", "| quantity | largest difference over masks and windows |", "|---|---|"]
        lines += [f"| {quantity} | {value:.2g} |" for quantity, value in differences.items()]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.json").write_text(
        json.dumps({"about": about, "rows": rows, "differences": differences}, indent=2) + "\n"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
