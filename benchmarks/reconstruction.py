"""Four bones from two simulated radiographs, by the shape model: errors per bone, time, wrong geometry.

Three sets of knees. "same": shapes drawn at random from the shape model of 26 people, with which they are fitted.
"develop" and "held out": the knees of people 0 to 12 and 13 to 25, each fitted with a model of the other 25; the method
was developed on the former and never tried on the latter before the run whose results are kept. Pose, gaps, tissue and
noise are drawn at random and unknown to the fit. Then knees again with a geometry that is wrong by some degrees or in
magnification, and with fewer and more photons.

python benchmarks/reconstruction.py --same 0:18 --people 0:26 --keep /tmp/knees
python benchmarks/reconstruction.py --people 0:13 --rows a.json        # several processes, then
python benchmarks/reconstruction.py --same 0:0 --people 0:0 --merge a.json b.json
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
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
DEVELOP = 13
"""People before this one were looked at while the method was made."""
USUAL = 30000.0
PHOTONS = (USUAL, 3000.0, 10000.0, 100000.0, 300000.0)
"""Of a pixel, without anything in the way."""
Images = dict[float, list[np.ndarray]]
"""The two radiographs for a number of photons."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--same", type=span, default=range(18), help="first:last of the knees drawn")
    parser.add_argument("--people", type=span, default=range(26), help="first:last of the people left out")
    parser.add_argument("--wrong", type=int, default=3, help="knees drawn whose geometry and noise are made wrong")
    parser.add_argument("--keep", type=Path, help="folder that keeps the knees and their radiographs")
    parser.add_argument("--rows", type=Path, help="write the rows here, and no table")
    parser.add_argument("--merge", type=Path, nargs="*", default=[], help="rows of earlier runs")
    parser.add_argument("--size", type=int, default=256, help="voxels along each side of the CT, 256 mm")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--real-data", type=Path, help="folder with knee/dess_right_bones-label.nrrd: a real knee too")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = [row for path in options.merge for row in json.loads(path.read_text())]
    if options.real_data:
        rows += real(options)
    for kind, name, (knee, images, model) in knees(options):
        tries = [(wrong, USUAL) for wrong in (WRONG if len(images) > 1 else ["none"])]
        tries += [("none", photons) for photons in images if photons != USUAL]
        for wrong, photons in tries:
            what = {"set": kind, "knee": name, "wrong": wrong, "photons": photons}
            rows.append(what | tried(knee, model, images[photons], WRONG[wrong]))
            print(json.dumps(rows[-1], default=float), flush=True)
            if options.rows:
                options.rows.write_text(json.dumps(rows, default=float))
    if options.rows:
        options.rows.write_text(json.dumps(rows, default=float))
    else:
        write(rows, options)


def real(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the real knee: from its CT by the threshold, from two radiographs by the shape model."""
    from bench import real_knee

    from voxbench.io.lower_limbs import fetch_knee_shapes

    return real_knee.rows(options.real_data, fetch_knee_shapes(), options.seed)


def span(text: str) -> range:
    """``first:last`` as a range."""
    return range(*(int(end) for end in text.split(":")))


def knees(options: argparse.Namespace) -> Iterator[tuple[str, str, tuple[Any, Images, Any]]]:
    """Every knee, its radiographs, and the shape model it is fitted with."""
    from voxbench.geometry.seating import seated
    from voxbench.io.lower_limbs import SAMPLE, fetch_knee_shapes, knee_of_people, read_people
    from voxbench.io.samples import fetch_sample

    model = fetch_knee_shapes() if len(options.same) else None
    for number in options.same:
        photons = PHOTONS if number < options.wrong else PHOTONS[:1]
        knee, images = kept(options, f"drawn_{number}", (model, [1, number], [3, number]), photons)
        yield "same", f"drawn {number}", (knee, images, model)
    vertices, faces = read_people(fetch_sample(SAMPLE))
    for person in options.people:
        others = np.arange(26) != person
        known = seated(knee_of_people({b: v[others] for b, v in vertices.items()}, faces, "left", "25 people"))
        own = seated(knee_of_people({b: v[~others] for b, v in vertices.items()}, faces, "left", "one person"))
        knee, images = kept(options, f"person_{person}", (own, [2, person], [3, 18 + person]), PHOTONS[:1])
        yield "develop" if person < DEVELOP else "held out", f"person {person}", (knee, images, known)


def kept(
    options: argparse.Namespace, name: str, how: tuple[Any, list[int], list[int]], photons: tuple[float, ...]
) -> tuple[Any, Images]:
    """A knee and its radiographs, drawn, or as they were kept."""
    from voxbench.simulate.knees import random_knee

    path = options.keep / f"{name}.pickle" if options.keep else None
    if path is not None and path.exists():
        return pickle.loads(path.read_bytes())
    model, draw, paint = how
    knee = random_knee(model, np.random.default_rng([options.seed, *draw]))
    drawn = knee, radiographs_of(knee, options.size, np.random.default_rng([options.seed, *paint]), photons)
    if path is not None:
        path.write_bytes(pickle.dumps(drawn))
    return drawn


def radiographs_of(knee: Any, size: int, rng: np.random.Generator, photons: tuple[float, ...]) -> Images:
    """Frontal and lateral line integrals at 60 keV through a CT of the knee, for each number of photons a pixel."""
    from voxbench.challenges.ssrkd.geometry import CONSISTENT
    from voxbench.challenges.ssrkd.processed import case_grid
    from voxbench.challenges.ssrkd.simulation import SsrkdSimulation, seen
    from voxbench.geometry.projection import gantry
    from voxbench.simulate.phantoms.knee import knee_phantom
    from voxbench.simulate.radiograph import PhotonNoise, measured, radiographs

    settings = SsrkdSimulation(size=size)
    phantom = knee_phantom(knee.bones, case_grid(size, settings.field_mm), rng)
    images = radiographs(seen(phantom.ct, settings, rng), [gantry(angle, CONSISTENT) for angle in (0, 90)])
    return {count: [measured(image, PhotonNoise(photons=count), rng) for image in images] for count in photons}


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
    picture([row for row in rows if row["set"] != "real"], options.out / "reconstruction.png")
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
        ("same", "knees drawn from the model they are fitted with"),
        ("develop", "people not in the model, on whom the method was developed (0 to 12)"),
        ("held out", "people not in the model, held out (13 to 25)"),
    ):
        own = [row for row in rows if row["set"] == kind and usual(row)]
        done = [row for row in own if "bones" in row]
        if not done:
            continue
        sides = sum(row["right_side"] for row in done)
        yield f"## {len(own)} {meaning}\n"
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
    yield from robustness([row for row in rows if row["set"] != "real"])


def usual(row: dict[str, Any]) -> bool:
    """Whether a row's geometry is right and its noise the usual."""
    return row["wrong"] == "none" and row["photons"] == USUAL


def altered(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the knees that were tried with wrong geometry and other noise, by what was done to them."""
    names = {row["knee"] for row in rows if not usual(row)}
    own = [row for row in rows if row["knee"] in names]
    found = {wrong: [r for r in own if r["wrong"] == wrong and r["photons"] == USUAL] for wrong in WRONG}
    for count in sorted(PHOTONS):
        found[f"{count:g} photons"] = [r for r in own if r["wrong"] == "none" and r["photons"] == count]
    return {name: some for name, some in found.items() if some}


def robustness(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The table of wrong geometry and noise."""
    cases = altered(rows)
    if not cases:
        return
    yield f"## A geometry that is wrong, and noise ({len(cases['none'])} knees of the first set)\n"
    yield "| | fitted | ASSD, mm | HD, mm | DSC, % | strength |\n|---|---|---|---|---|---|"
    for name, own in cases.items():
        done = [row for row in own if "bones" in row]
        numbers = [f"{mean_of(done, n, scale):.2f}" for n, scale in (("assd", 1), ("hd", 1), ("dsc", 100)) if done]
        strength = f"{np.mean([row['score'] for row in done]):.2f}" if done else "-"
        yield f"| {name} | {len(done)} of {len(own)} | {' | '.join(numbers or '---')} | {strength} |"
    yield "\n![ASSD and HD with wrong geometry and noise](reconstruction.png)"


def mean_of(rows: list[dict[str, Any]], name: str, scale: float = 1.0) -> float:
    """Mean of a number over all knees and bones."""
    return scale * float(np.mean([[bone[name] for bone in row["bones"].values()] for row in rows]))


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """ASSD and HD over degrees and photons."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cases = {name: [r for r in own if "bones" in r] for name, own in altered(rows).items()}
    if not cases:
        return
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
    lines = (
        (
            "lateral view wrong by, degrees",
            {WRONG[n][0]: o for n, o in cases.items() if n in WRONG and WRONG[n][1] == 1},
        ),
        ("photons a pixel", {o[0]["photons"]: o for n, o in cases.items() if n.endswith("photons") and o}),
    )
    for axis, (title, points) in zip(axes, lines, strict=True):
        for name, colour in (("assd", "tab:blue"), ("hd", "tab:orange")):
            values = [mean_of(own, name) if own else np.nan for own in points.values()]
            axis.plot(list(points), values, "o-", color=colour, label=f"{name.upper()}, mm")
        axis.set(xlabel=title, ylim=(0, None))
        axis.grid(alpha=0.3)
    if cases.get("2 % magnification"):
        for name, colour in (("assd", "tab:blue"), ("hd", "tab:orange")):
            axes[0].axhline(mean_of(cases["2 % magnification"], name), color=colour, ls=":", lw=1)
        axes[0].set_title("dotted: 2 % magnification", fontsize=9)
    axes[1].set_xscale("log")
    axes[0].legend(loc="upper left", fontsize=8)
    figure.savefig(path, dpi=90)


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
