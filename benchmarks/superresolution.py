"""LumbarSR's methods on real trabecular bone: similarity, morphometry, cost.

Two specimens of human trabecular bone, micro-CT brought to HU and 105 um, are degraded to the eight clinical sequences
at two levels of noise. Every method predicts with the command line and is scored with it. Blur is calibrated on a
phantom seen by the same simulated scanner; nothing is trained or tuned on the specimens.

python benchmarks/superresolution.py --data ../shared/data [--network NAME=RUN ...] [--cost]
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

SOFT = ("195X_195Y_500Z_S", "195X_195Y_1000Z_S", "586X_586Y_500Z_S", "586X_586Y_1000Z_S")
BONE = tuple(name[:-1] + "B" for name in SOFT)
INTERPOLATIONS = ("nearest", "trilinear", "bicubic", "spline5", "lanczos")
NOISE_HU = (20.0, 40.0)


@dataclass(frozen=True)
class Entry:
    """A row of the table: a method and what it saw.

    Attributes:
        name: For eyes.
        method: As --method, or the name given to a network.
        sequence: Whose file is scored.
        words: More of the command line.
    """

    name: str
    method: str
    sequence: str
    words: tuple[str, ...] = ()


def entries(networks: dict[str, Path]) -> list[Entry]:
    found = [Entry(f"{m}, {s}", m, s) for s in (*SOFT, *BONE) for m in INTERPOLATIONS]
    order = ("195X_195Y_1000Z_S", "195X_195Y_500Z_S", "586X_586Y_1000Z_S", "586X_586Y_500Z_S")
    found += [Entry(f"fusion of {n} S", "fusion", order[0], observing(order[:n])) for n in range(1, 5)]
    found.append(Entry("fusion of 4 B", "fusion", order[0], observing(BONE)))
    found.append(Entry("fusion of 4 S + 4 B", "fusion", order[0]))
    for name, run in networks.items():
        found.append(Entry(name, name, order[0], ("--weights", str(run))))
    return found


def observing(sequences: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for sequence in sequences for word in ("--observe", sequence))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--network", action="append", default=[], metavar="NAME=RUN")
    parser.add_argument(
        "--cost",
        choices=("none", "networks", "all"),
        default="none",
        help="of what seconds and memory are measured; the others keep what the results hold",
    )
    parser.add_argument("--tiles", type=int, nargs=3, default=[4, 4, 3])
    parser.add_argument("--network-tiles", type=int, nargs=3, default=[2, 2, 1])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep data and predictions here")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    options = parser.parse_args()
    networks = {name: Path(run) for name, _, run in (text.partition("=") for text in options.network)}
    with tempfile.TemporaryDirectory(prefix="superresolution-") as scratch:
        root = options.keep or Path(scratch)
        rows = [row for noise in NOISE_HU for row in quality(options.data, root, noise, networks)]
        costs = cost(options, root, networks)
    report(options.out, rows, costs)


def quality(data: Path, root: Path, noise: float, networks: dict[str, Path]) -> list[dict[str, object]]:
    from bench.microct import SAMPLES, make

    folder = root / f"noise_{noise:g}"
    if not (folder / "data").is_dir():
        make(data, folder / "data", noise)
    rows: list[dict[str, object]] = []
    for entry in entries(networks):
        place = folder / entry.name.replace(" ", "_").replace(",", "")
        for sample in SAMPLES:
            only = ["--sample", sample, "--sequence", entry.sequence]
            method = ["--method", entry.method]
            run("predict", "lumbarsr", "--data", folder / "data", "--out", place, *only, *method, *entry.words)
            words = ["--predictions", place, "--references", folder / "data", *only, *method, "--morphometry"]
            run("evaluate", "lumbarsr", *words, "--out", place / "scores" / sample)
            rows.append(row(place / "scores" / sample, entry, sample, noise))
            print(*(f"{v:.4g}" if isinstance(v, float) else v for v in rows[-1].values()), sep="  ", flush=True)
    return rows


def run(*words: object) -> None:
    from voxbench.cli import main as voxbench

    with contextlib.redirect_stderr(io.StringIO()) as told, contextlib.redirect_stdout(io.StringIO()):
        code = voxbench([str(word) for word in words])
    if code != 0:
        sys.exit(told.getvalue())


def row(folder: Path, entry: Entry, sample: str, noise: float) -> dict[str, object]:
    """The numbers of one case, from what the command wrote."""
    value = next(r for r in read(folder / "detailed_metrics.csv") if (r["mode"], r["window"]) == ("bone_mask", "bone"))
    bone = {r["quantity"]: r for r in read(folder / "bone_morphometry.csv")}
    fraction, thickness, gap = (
        bone[f] for f in ("bone_volume_fraction", "trabecular_thickness", "trabecular_separation")
    )
    return {
        "noise_hu": noise,
        "sample": sample,
        "entry": entry.name,
        "psnr_db": float(value["psnr"]),
        "ssim": float(value["ssim"]),
        "bv_tv": float(fraction["prediction"]),
        "bv_tv_error": abs(float(fraction["difference"])),
        "tb_th_mm": float(thickness["prediction"]),
        "tb_th_error_mm": abs(float(thickness["difference"])),
        "tb_sp_error_mm": abs(float(gap["difference"])),
        "truth_bv_tv": float(fraction["reference"]),
        "truth_tb_th_mm": float(thickness["reference"]),
    }


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def cost(options: argparse.Namespace, root: Path, networks: dict[str, Path]) -> list[dict[str, object]]:
    """CPU seconds, wall seconds and peak memory of whole commands, per 100 million voxels of the result."""
    from bench.microct import tiled

    if options.cost == "none":
        return earlier(options.out, ())
    tried = [("lanczos", ("--method", "lanczos")), ("spline5", ("--method", "spline5"))]
    tried += [("trilinear", ("--method", "trilinear"))]
    tried += [("fusion of 4 S", ("--method", "fusion", *observing(SOFT)))]
    tried += [("fusion of 4 S + 4 B", ("--method", "fusion"))]
    learned = [(name, ("--method", name, "--weights", str(run))) for name, run in networks.items()]
    source = root / f"noise_{NOISE_HU[0]:g}" / "data"
    rows = [] if options.cost == "all" else earlier(options.out, tuple(networks))
    tried = tried if options.cost == "all" else []
    for folder, tiles, methods in (("large", options.tiles, tried), ("small", options.network_tiles, learned)):
        if methods and not (root / folder / "data").is_dir():
            tiled(source, root / folder / "data", tuple(tiles))
        for name, words in methods:
            rows.append(spent(root / folder, name, words, options.threads))
            print(rows[-1], flush=True)
    return rows


def earlier(out: Path, but: tuple[str, ...]) -> list[dict[str, object]]:
    """Costs that the results hold already, but for some."""
    path = out / "superresolution.json"
    return [row for row in json.loads(path.read_text())["cost"] if row["entry"] not in but] if path.is_file() else []


def spent(folder: Path, name: str, words: tuple[str, ...], threads: int) -> dict[str, object]:
    from bench.measure import cost_of

    from voxbench.challenges.lumbarsr.cases import SEQUENCES, Case
    from voxbench.io.read import read_grid

    shape = read_grid(Case("Lumbar_26", SEQUENCES[0]).reference(folder / "data")).shape
    where = ["--data", str(folder / "data"), "--out", str(folder / "out"), "--force"]
    only = ["--sample", "Lumbar_26", "--sequence", SOFT[1]]
    command = [sys.executable, "-m", "voxbench", "predict", "lumbarsr", *where, *only, *words]
    found = cost_of(command, folder / "log", threads)
    scale = 1e8 / float(np.prod(shape))
    return {
        "entry": name,
        "shape": "x".join(map(str, shape)),
        "cpu_s_per_100M": found.cpu_s * scale,
        "wall_s_per_100M": found.wall_s * scale,
        "peak_mb": found.peak_mb,
    }


def report(out: Path, rows: list[dict[str, object]], costs: list[dict[str, object]]) -> None:
    import platform
    from importlib.metadata import version

    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("voxbench", "numpy", "scipy")},
        "threshold": "Otsu of each micro-CT in the volume of interest",
    }
    out.mkdir(parents=True, exist_ok=True)
    data = {"about": about, "rows": rows, "cost": costs}
    (out / "superresolution.json").write_text(json.dumps(data, indent=1) + "\n")
    lines = ["# superresolution", "", json.dumps(about), ""]
    for noise, sample in dict.fromkeys((r["noise_hu"], r["sample"]) for r in rows):
        inside = [r for r in rows if (r["noise_hu"], r["sample"]) == (noise, sample)]
        first = inside[0]
        lines += [
            f"## {sample}, noise {noise:g} HU (1 mm soft slice); truth BV/TV {first['truth_bv_tv']:.4f}, "
            f"Tb.Th {first['truth_tb_th_mm']:.3f} mm",
            "",
            "| method | PSNR dB | SSIM | BV/TV | error | Tb.Th mm | error | Tb.Sp error |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {r['entry']} | {r['psnr_db']:.2f} | {r['ssim']:.4f} | {r['bv_tv']:.4f} | {r['bv_tv_error']:.4f} "
            f"| {r['tb_th_mm']:.3f} | {r['tb_th_error_mm']:.3f} | {r['tb_sp_error_mm']:.3f} |"
            for r in inside
        ]
        lines.append("")
    if costs:
        lines += ["## Cost of the whole command, per 100 million voxels", ""]
        lines += ["| method | measured on | CPU s | wall s | peak MB (as measured) |", "|---|---|---|---|---|"]
        lines += [
            f"| {r['entry']} | {r['shape']} | {r['cpu_s_per_100M']:.1f} | {r['wall_s_per_100M']:.1f} "
            f"| {r['peak_mb']:.0f} |"
            for r in costs
        ]
        lines.append("")
    (out / "superresolution.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
