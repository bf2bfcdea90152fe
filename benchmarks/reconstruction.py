"""Four bones from two simulated radiographs, by the shape model: errors per bone, time, wrong geometry.

Two sets of knees. "same": shapes drawn at random from the shape model of 26 people, with which they are fitted. "left
out": the knee of one of the 26 people, fitted with a model of the other 25. Pose, gaps, tissue and noise are drawn at
random and unknown to the fit in both. Then knees of the first set again, with a geometry that is wrong by some degrees
or in magnification.

python benchmarks/reconstruction.py --knees 20 --left-out 20
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

PUBLISHED = {"assd": 0.94, "hd": 2.76, "dsc": 0.909}
"""Averages of the four bones that SSR-KD reports, on its own data."""
TARGETS = {"assd": "ASSD, mm", "hd": "HD, mm", "dsc": "DSC, %", "assd_surface": "ASSD to the surface, mm"}
WRONG = {
    "none": (0.0, 1.0),
    "1 degree": (1.0, 1.0),
    "2 degrees": (2.0, 1.0),
    "5 degrees": (5.0, 1.0),
    "2 % magnification": (0.0, 1.02),
}
"""The lateral view turned by degrees, and the source-to-axis distance by a factor, in the geometry given to the fit."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=20)
    parser.add_argument("--left-out", type=int, default=20)
    parser.add_argument("--wrong", type=int, default=5, help="knees for which the geometry is made wrong")
    parser.add_argument("--size", type=int, default=256, help="voxels along each side of the CT, 256 mm")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--real-data", type=Path, help="folder with knee/dess_right_bones-label.nrrd: a real knee too")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if options.real_data:
        rows += real(options)
        write(rows, options)
    for number, (kind, name, knee, model) in enumerate(knees(options)):
        seen = radiographs_of(knee, options.size, np.random.default_rng([options.seed, 3, number]))
        tries = WRONG if kind == "same" and number < options.wrong else {"none": WRONG["none"]}
        for wrong, change in tries.items():
            rows.append({"set": kind, "knee": name, "wrong": wrong} | tried(knee, model, seen, change))
            print(json.dumps(rows[-1], default=float), flush=True)
            write(rows, options)


def real(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the real knee: from its CT by the threshold, from two radiographs by the shape model."""
    from bench import real_knee

    from voxbench.io.lower_limbs import fetch_knee_shapes

    return real_knee.rows(options.real_data, fetch_knee_shapes(), options.seed)


def knees(options: argparse.Namespace) -> Iterator[tuple[str, str, Any, Any]]:
    """Every knee, and the shape model it is fitted with."""
    from voxbench.geometry.seating import seated
    from voxbench.io.lower_limbs import SAMPLE, fetch_knee_shapes, knee_of_people, read_people
    from voxbench.io.samples import fetch_sample
    from voxbench.simulate.knees import random_knee

    model = fetch_knee_shapes()
    for number in range(options.knees):
        yield "same", f"drawn {number}", random_knee(model, np.random.default_rng([options.seed, 1, number])), model
    vertices, faces = read_people(fetch_sample(SAMPLE))
    for person in range(options.left_out):
        others = np.arange(26) != person
        known = seated(knee_of_people({b: v[others] for b, v in vertices.items()}, faces, "left", "25 people"))
        own = seated(knee_of_people({b: v[~others] for b, v in vertices.items()}, faces, "left", "one person"))
        knee = random_knee(own, np.random.default_rng([options.seed, 2, person]))
        yield "left out", f"person {person}", knee, known


def radiographs_of(knee: Any, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Frontal and lateral line integrals at 60 keV with 30000 photons a pixel, through a CT of the knee."""
    from voxbench.challenges.ssrkd.geometry import CONSISTENT
    from voxbench.challenges.ssrkd.processed import case_grid
    from voxbench.challenges.ssrkd.simulation import SsrkdSimulation, seen
    from voxbench.geometry.projection import gantry
    from voxbench.simulate.phantoms.knee import knee_phantom
    from voxbench.simulate.radiograph import PhotonNoise, measured, radiographs

    settings = SsrkdSimulation(size=size)
    phantom = knee_phantom(knee.bones, case_grid(size, settings.field_mm), rng)
    images = radiographs(seen(phantom.ct, settings, rng), [gantry(angle, CONSISTENT) for angle in (0, 90)])
    return [measured(image, PhotonNoise(), rng) for image in images]


def tried(knee: Any, model: Any, images: list[np.ndarray], wrong: tuple[float, float]) -> dict[str, Any]:
    """Fit, and compare with the truth."""
    from voxbench.challenges.ssrkd.cases import BONES
    from voxbench.challenges.ssrkd.geometry import CONSISTENT
    from voxbench.challenges.ssrkd.processed import case_grid
    from voxbench.challenges.ssrkd.scoring import OFFICIAL_POINTS, score_bone
    from voxbench.challenges.ssrkd.writing import sides_of
    from voxbench.errors import InputError
    from voxbench.geometry.cut import cut_mesh
    from voxbench.geometry.projection import gantry
    from voxbench.tasks.reconstruction import Radiograph, reconstruct

    degrees, factor = wrong
    distance = CONSISTENT.source_to_isocentre_mm * factor
    device = CONSISTENT.model_copy(update={"source_to_isocentre_mm": distance})
    views = [gantry(0, device), gantry(90 + degrees, device)]
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        found = reconstruct([Radiograph(i, v) for i, v in zip(images, views, strict=True)], model)
    except InputError as error:
        return {"refused": str(error).splitlines()[0]}
    cost = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    sides = sides_of(case_grid(64, 256.0))
    bones: dict[str, Any] = {}
    for number, bone in enumerate(BONES):
        truth = cut_mesh(knee.bones[bone], *sides)
        got = cut_mesh(found.bones[bone], *sides)
        numbers = score_bone(truth, got, (OFFICIAL_POINTS, [0, number]), (0.5, 1.0))
        bones[bone] = {name: numbers[name] for name in TARGETS} | spread(knee.bones[bone], found, bone)
    return cost | {"score": found.score, "right_side": found.side == knee.side, "bones": bones}


def spread(truth: Any, found: Any, bone: str) -> dict[str, float]:
    """Root mean square of the true error across the surface and of the stated one, within the view."""
    from scipy.spatial import cKDTree

    mesh = found.whole[bone]
    near = np.abs(mesh.vertices[:, 2]) < 120
    distances = cKDTree(truth.vertices).query(mesh.vertices[near])[1]
    normals = np.zeros_like(truth.vertices)
    a, b, c = truth.corners
    for corner in range(3):
        np.add.at(normals, truth.faces[:, corner], np.cross(b - a, c - a))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    off = np.einsum("nd,nd->n", mesh.vertices[near] - truth.vertices[distances], normals[distances])
    stated = found.uncertainty[bone][near]
    return {
        "error_rms": float(np.sqrt(np.mean(off**2))),
        "error_mean": float(np.mean(off)),
        "stated_rms": float(np.sqrt(np.mean(stated**2))),
    }


def write(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """The results as they stand, JSON and Markdown."""
    about = {
        "voxbench": version("voxbench"),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, shared with other work",
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "voxel_mm": 256 / options.size,
        "seed": options.seed,
    }
    options.out.mkdir(exist_ok=True)
    content = json.dumps({"about": about, "published": PUBLISHED, "rows": rows}, indent=1, default=float)
    (options.out / "reconstruction.json").write_text(content + "\n", encoding="utf-8")
    (options.out / "reconstruction.md").write_text("\n".join(markdown(rows, about)) + "\n", encoding="utf-8")


def markdown(rows: list[dict[str, Any]], about: dict[str, Any]) -> Iterator[str]:
    """Tables for eyes."""
    from voxbench.challenges.ssrkd.cases import BONES

    yield "# Four bones from two radiographs, by the shape model\n"
    yield (
        f"voxbench {about['voxbench']}, {about['date']}; {about['machine']}; threads: {about['threads']}. Simulated\n"
        f"knees (CT of {about['voxel_mm']:g} mm voxels, 512 x 512 pixels, 0 and 90 degrees, 30000 photons). The\n"
        "published averages are of other knees (real ones), so they say how large errors may be, not who is better.\n"
        "ASSD and HD are between sampled points, as the organisers' script measures; DSC is at 0.5 mm.\n"
        "Refused knees are in no average, which flatters a set with many of them.\n"
    )
    for kind, meaning in (
        ("same", "drawn from the model they are fitted with"),
        ("left out", "people not in the model"),
    ):
        own = [row for row in rows if row["set"] == kind and row["wrong"] == "none"]
        done = [row for row in own if "bones" in row]
        if not done:
            continue
        sides = sum(row["right_side"] for row in done)
        yield f"## {len(own)} knees {meaning}\n"
        yield f"{len(done)} fitted, {len(own) - len(done)} refused, {sides} on the right side.\n"
        yield "| | " + " | ".join(BONES) + " | average | worst knee | published |\n|---|" + "---|" * (len(BONES) + 3)
        for name, title in TARGETS.items():
            scale = 100 if name == "dsc" else 1
            table = scale * np.array([[row["bones"][bone][name] for bone in BONES] for row in done])
            means = [f"{value:.2f}" for value in (*table.mean(axis=0), table.mean())]
            worst = table.mean(axis=1).min() if name == "dsc" else table.mean(axis=1).max()
            published = f"{scale * PUBLISHED[name]:.4g}" if name in PUBLISHED else ""
            yield f"| {title} | {' | '.join(means)} | {worst:.2f} | {published} |"
        errors = {
            n: [np.mean([r["bones"][b][n] for r in done]) for b in BONES]
            for n in ("error_rms", "stated_rms", "error_mean")
        }
        for name, title in (
            ("error_rms", "error across the surface, rms, mm"),
            ("stated_rms", "uncertainty stated, rms, mm"),
            ("error_mean", "mean signed error (outwards), mm"),
        ):
            values = " | ".join(f"{value:.2f}" for value in (*errors[name], np.mean(errors[name])))
            yield f"| {title} | {values} | | |"
        seconds = np.array([[row["seconds"], row["cpu_seconds"]] for row in done])
        yield (
            f"\nTime of a fit: median {np.median(seconds[:, 0]):.1f} s wall (most {seconds[:, 0].max():.1f}), "
            f"{np.median(seconds[:, 1]):.1f} CPU-s. Strength of the edges {min(r['score'] for r in done):.3f} to "
            f"{max(r['score'] for r in done):.3f}.\n"
        )
    yield from _real([row for row in rows if row["set"] == "real"])
    names = {row["knee"] for row in rows if row["wrong"] != "none"}
    if names:
        yield f"## A geometry that is wrong ({len(names)} knees of the first set)\n"
        yield "| wrong by | fitted | ASSD, mm | HD, mm | DSC, % | strength |\n|---|---|---|---|---|---|"
        for wrong in WRONG:
            own = [row for row in rows if row["wrong"] == wrong and row["knee"] in names]
            done = [row for row in own if "bones" in row]
            if not own:
                continue
            numbers = [
                f"{scale * np.mean([[row['bones'][b][n] for b in BONES] for row in done]):.2f}" if done else "-"
                for n, scale in (("assd", 1), ("hd", 1), ("dsc", 100))
            ]
            strength = f"{np.mean([row['score'] for row in done]):.2f}" if done else "-"
            yield f"| {wrong} | {len(done)} of {len(own)} | {' | '.join(numbers)} | {strength} |"


def _real(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The real knee."""
    from voxbench.challenges.ssrkd.cases import BONES

    if not rows:
        return
    yield "## A real knee\n"
    yield (
        "The bones of a segmented DESS MRI, painted as CT (0.8 mm). It shows 140 mm of the leg; bones are compared\n"
        "within 57 mm of the middle, cut flat at the same places, which flatters shafts a bit. ASSD / HD to the\n"
        "surface, mm.\n"
    )
    yield "| method | " + " | ".join(BONES) + " | CPU-s |\n|---|" + "---|" * (len(BONES) + 1)
    for row in rows:
        if "refused" in row:
            yield f"| {row['method']} | refused: {row['refused']} |" + " |" * len(BONES)
            continue
        for kind, name in (("bones", row["method"]), ("model", f"{row['method']}: the fitted model alone")):
            cells = [f"{own['assd']:.2f} / {own['hd']:.1f}" if (own := row[kind].get(b)) else "-" for b in BONES]
            yield f"| {name} | {' | '.join(cells)} | {row['cpu_seconds']:.1f} |"


if __name__ == "__main__":
    main()
