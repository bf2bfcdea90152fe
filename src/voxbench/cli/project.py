"""``voxbench project``: radiographs of a CT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

app = App(name="project", help="Make radiographs of a CT.")
Switch = Annotated[bool, Parameter(negative="")]


@app.default
def run(
    ct: Path,
    /,
    *,
    out: Path,
    views: str | None = None,
    geometry: str = "ssrkd-consistent",
    frame: Literal["anatomy", "voxels"] | None = None,
    isocentre: tuple[float, float, float] | None = None,
    bones: Annotated[list[Path] | None, Parameter(negative="")] = None,
    method: Literal["joseph", "siddon"] = "joseph",
    photons: float | None = None,
    published_noise: Switch = False,
    bone_hu: float = 200.0,
    seed: int = 0,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Radiographs of a CT: projs.npz as SSR-KD has it, and a DICOM, a PNG and the geometry of every view.

    projs.npz holds `projs`, float32 (views, rows, columns), and `angles` in radians: CT numbers of -400 to 500 HU as 0
    to 1, integrated over metres. DICOM and PNG images are line integrals of the attenuation at 60 keV, pure numbers.

    Args:
        ct: CT numbers, HU; any file `voxbench info` reads, or a DICOM folder.
        out: Folder for the results.
        views: Degrees, joined by commas, 0 frontal and 90 lateral; for the C-arm also primary/secondary, e.g.
            0/0,30/-15. 0,90 if not given.
        geometry: ssrkd-consistent, ssrkd (as released: sees 59 % of a knee), c-arm, a config.yaml of SSR-KD, or a
            JSON of views.
        frame: anatomy: at 0 degrees along the patient's front-back axis; voxels: along the first axis of the voxels,
            which is the way of a config.yaml.
        isocentre: World point about which the views turn, RAS mm; by default the middle of the CT.
        bones: Meshes; their shadows are written to bone_mask.npz, without noise.
        method: joseph (interpolates) or siddon (exact lengths in voxels).
        photons: Photons sent towards a pixel; gives the DICOM and PNG images counting noise.
        published_noise: Give projs.npz the noise of the published data.
        bone_hu: Something this dense must fall on the detector.
        seed: Of the noise.
        force: Replace earlier results.
        json: Print what was made on standard output.
    """
    from rich.console import Console

    from voxbench.cli.output import require_free_folder, result_folder
    from voxbench.cli.projecting import Request, names_of, project, request_views
    from voxbench.io import read_mesh, read_volume, to_json

    request = Request(geometry, views, frame, isocentre)
    request.check(photons, seed)
    require_free_folder(out, force)
    volume = read_volume(ct)
    volume.require_usable(str(ct))
    placed = request_views(request, volume, ct, bone_hu)
    meshes = [read_mesh(path) for path in bones or ()]
    console = Console(stderr=True, highlight=False)
    for warning in placed.warnings:
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    with result_folder(out, names_of(out), force) as folder:
        made = project(folder, volume, placed, meshes, (method, photons, published_noise, seed))
    for line in made.lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"{out}: {', '.join(made.files)}", markup=False, soft_wrap=True)
    if json:
        print(to_json({"folder": out, "files": made.files, "views": made.summaries, "warnings": placed.warnings}))
