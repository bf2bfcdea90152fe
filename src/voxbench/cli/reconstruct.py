"""``voxbench reconstruct``: bones of a knee from two radiographs, or from a CT."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

app = App(name="reconstruct", help="Make meshes of the bones of a knee from two radiographs, or from a CT.")
Switch = Annotated[bool, Parameter(negative="")]


@app.default
def run(
    frontal: Path,
    lateral: Path | None = None,
    /,
    *,
    out: Path,
    geometry: str | None = None,
    method: Literal["shape-model", "network", "hybrid", "threshold", "teacher"] | None = None,
    weights: Path | None = None,
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
    """Patella, femur, fibula and tibia from two radiographs, or from one file: a CT.

    Writes patella, femur, fibula, tibia and knee (merged) as meshes in mm, RAS; contours.png; reconstruction.json
    (sizes, pose, uncertainty, time); by the shape model also uncertainty.npz (per vertex of the uncut bones).

    Args:
        frontal: The frontal radiograph: DICOM, grey PNG, or projs.npz, bone bright. Alone: a CT in HU, any file
        `voxbench
            info` reads, or a DICOM folder.
        lateral: The lateral radiograph; an archive may hold both.
        out: Folder for the results.
        geometry: Of radiographs: a views.json as `voxbench project` writes it, a config.yaml of SSR-KD, or the name of
        one
            of the geometries of `voxbench project`; with the latter two the isocentre is the origin of the meshes.
        method: From radiographs: shape-model (the default, no training), network, or hybrid (the network regularised by
            the shape model). From a CT: threshold (the default, no training: a threshold says where bone is, the shape
            model which) or teacher.
        weights: What `voxbench train ssrkd` wrote, for network, hybrid and teacher.
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
    from voxbench.cli.reconstructing import Asked, names_of, read_asked
    from voxbench.cli.reconstruction_methods import How, chosen_method, from_ct, from_radiographs

    used = chosen_method(method, (frontal, lateral), (geometry, views, inverted), weights)
    require_free_folder(out, force)
    how = How(used, weights, shapes, side, format, names)
    with lines("reconstructing") as tell:
        if lateral is None:
            write = from_ct(frontal, how)
        else:
            asked = Asked((frontal, lateral), str(geometry), views, indices, inverted)
            write = from_radiographs(read_asked(asked), asked, how)
        with result_folder(out, names_of(), force) as folder:
            told = write(folder)
        for line in told:
            tell(line)
        tell(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if json:
        print((out / "reconstruction.json").read_text(encoding="utf-8"))
