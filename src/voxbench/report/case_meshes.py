"""A reconstructed knee: both surfaces coloured by their distance to the other, contours on radiographs, both in 3-D."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench import _core
from voxbench.challenges.ssrkd.cases import BONES, read_bone
from voxbench.challenges.ssrkd.processed import Processed
from voxbench.challenges.ssrkd.reading import read_radiographs
from voxbench.errors import InputError
from voxbench.geometry import Mesh
from voxbench.geometry.projection import View
from voxbench.io import read_views
from voxbench.report.figures import PREDICTION, REFERENCE, dark_figure, legend, png_of
from voxbench.report.html import Picture
from voxbench.report.reconstruction import contour_pieces
from voxbench.report.registration import INK
from voxbench.report.scene import Scene, scene_of_meshes
from voxbench.tasks.reconstruction import Radiograph
from voxbench.types import AnyArray

LARGEST_MM = 3.0
"""Of the colours of distances; larger ones have the last colour."""
PALETTE = "YlOrRd"
"""Pale as bone where two surfaces meet, dark red where they are apart: light to dark, so that no hue needs telling."""
SAMPLES_PER_PIXEL = 6
PIXELS = 520
VIEWS = {
    "from the front": (np.array([-1.0, 0, 0]), np.array([0, -1.0, 0])),
    "from the left": (np.array([0, 1.0, 0]), np.array([-1.0, 0, 0])),
    "from behind": (np.array([1.0, 0, 0]), np.array([0, 1.0, 0])),
    "from the right": (np.array([0, -1.0, 0]), np.array([1.0, 0, 0])),
}
"""Which world direction runs to the right of the page, and which away from the eye; up is up."""


@dataclass(frozen=True, eq=False)
class Coloured:
    """A surface and the distance of each of its vertices to another, mm."""

    mesh: Mesh
    distances: AnyArray


def mesh_case(case: str, folders: tuple[Path, Path], images: Path | None) -> tuple[tuple[Picture, ...], Scene | None]:
    """Pictures and scene of a case of SSR-KD.

    Args:
        case: Its name.
        folders: Of the predictions and of the references, CASE/sub_0.obj to sub_3.obj.
        images: A data set in the challenge's layout (processed/CASE/projs.npz, views.json), for radiographs.

    Raises:
        InputError: A mesh is missing or cannot be used.
    """
    predictions, references = folders
    found = {bone: read_bone(predictions, case, bone) for bone in BONES}
    truth = {bone: read_bone(references, case, bone) for bone in BONES}
    ours = {bone: Coloured(found[bone], _to(found[bone], truth[bone])) for bone in BONES}
    theirs = {bone: Coloured(truth[bone], _to(truth[bone], found[bone])) for bone in BONES}
    means = ", ".join(f"{bone} {ours[bone].distances.mean():.2f} mm" for bone in BONES)
    pictures = [
        Picture(
            _surfaces(case, (ours, theirs)),
            f"The bones of {case} from four sides, coloured by the distance to the other surface: {means}",
            f"Above, the prediction coloured by its distance to the reference; below, the reference by its distance "
            f"to the prediction, so that what is missing is seen. Mean over the prediction's vertices: {means}.",
        )
    ]
    pictures += _radiographs(case, images, (truth, found))
    colours = _Colours()
    meshes = {f"prediction: {bone}": (own.mesh, colours(own.distances)) for bone, own in ours.items()}
    meshes |= {f"reference: {bone}": (own.mesh, None) for bone, own in theirs.items()}
    return tuple(pictures), scene_of_meshes(case, meshes)


def _to(mesh: Mesh, other: Mesh) -> AnyArray:
    """From every vertex to a surface, mm."""
    return _core.surface_distances(np.ascontiguousarray(mesh.vertices), other.vertices, other.faces)


class _Colours:
    """Distances to colours, uint8 (n, 3)."""

    def __init__(self) -> None:
        from matplotlib import colormaps

        self._table = (255 * colormaps[PALETTE](np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)

    def __call__(self, distances: AnyArray) -> AnyArray:
        place = np.clip(distances / LARGEST_MM * 255, 0, 255).astype(np.uint8)
        return self._table[place]


def _surfaces(case: str, rows: tuple[Mapping[str, Coloured], Mapping[str, Coloured]]) -> bytes:
    """Two rows of four sides and a scale."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    every = np.concatenate([own.mesh.vertices for bones in rows for own in bones.values()])
    low, high = every.min(axis=0) - 2, every.max(axis=0) + 2
    tall = float(high[2] - low[2])
    widths = [float(np.abs(right) @ (high - low)) for right, _ in VIEWS.values()]
    row_inches = min(4.2, 11.0 * tall / sum(widths))
    figure = dark_figure(row_inches * sum(widths) / tall + 1.0, 2 * row_inches + 0.5)
    wide, high_inches = figure.get_size_inches()
    spec = figure.add_gridspec(
        2, 4, width_ratios=widths, left=0.3 / wide, right=1 - 0.95 / wide, bottom=0.01, top=1 - 0.45 / high_inches,
        wspace=0.01, hspace=0.01,
    )  # fmt: skip
    for row, (word, bones) in enumerate(zip(("prediction", "reference"), rows, strict=True)):
        for column, (name, directions) in enumerate(VIEWS.items()):
            axes = figure.add_subplot(spec[row, column])
            axes.imshow(_rendered(bones, directions, (low, high)), interpolation="bilinear")
            axes.set_axis_off()
            axes.text(0.5, 0.01, name, transform=axes.transAxes, color=INK, fontsize=8.5, ha="center")
        middle = (1.5 - row) / 2 * (1 - 0.45 / high_inches)
        figure.text(0.15 / wide, middle, word, color=INK, fontsize=9.5, rotation=90, ha="center", va="center")
    scale = figure.add_axes((1 - 0.8 / wide, 0.2, 0.14 / wide, 0.6))
    bar = figure.colorbar(ScalarMappable(Normalize(0, LARGEST_MM), PALETTE), cax=scale, extend="max")
    bar.ax.tick_params(colors=INK, labelsize=8)
    bar.ax.set_title("mm", color=INK, fontsize=8.5)
    figure.text(0.006, 1 - 0.1 / high_inches, case, color=INK, fontsize=11, va="top", parse_math=False)
    return png_of(figure, case)


def _rendered(
    bones: Mapping[str, Coloured], directions: tuple[np.ndarray, np.ndarray], ends: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """What is seen from one side, float (rows, columns, 3): points strewn over the surfaces, the nearest kept."""
    from scipy.ndimage import median_filter

    right, away = directions
    low, high = ends
    step = float(high[2] - low[2]) / PIXELS
    columns = max(1, round(float(np.abs(right) @ (high - low)) / step))
    start = float(min(right @ low, right @ high))
    image = np.full((PIXELS * columns, 3), (0.063, 0.071, 0.078))
    depth = np.full(PIXELS * columns, np.inf)
    table, rng = _Colours(), np.random.default_rng(0)
    for own in bones.values():
        places, distances, normals = _strewn(own, step, rng)
        across = ((places @ right - start) / step).astype(int)
        down = ((high[2] - places[:, 2]) / step).astype(int)
        inside = (across >= 0) & (across < columns) & (down >= 0) & (down < PIXELS)
        pixel = down[inside] * columns + across[inside]
        far = places[inside] @ away
        order = np.argsort(-far, kind="stable")  # the nearest is written last
        seen = pixel[order]
        nearest = np.full(PIXELS * columns, -1)
        nearest[seen] = order
        there = np.flatnonzero(nearest >= 0)
        chosen = nearest[there]
        closer = far[chosen] < depth[there]
        there, chosen = there[closer], chosen[closer]
        light = 0.35 + 0.65 * np.abs(normals[inside][chosen] @ _light(right, away))
        image[there] = table(distances[inside][chosen]) / 255 * light[:, None]
        depth[there] = far[chosen]
    return median_filter(image.reshape(PIXELS, columns, 3), (3, 3, 1))  # where no point fell, what is behind is seen


def _light(right: np.ndarray, away: np.ndarray) -> np.ndarray:
    """From above, behind the eye."""
    direction = -away + 0.35 * np.array([0, 0, 1.0]) - 0.25 * right
    return direction / np.linalg.norm(direction)


def _strewn(own: Coloured, step: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points on a surface, some in every pixel: places, distances between those of the corners, normals."""
    mesh = own.mesh
    count = int(np.clip(SAMPLES_PER_PIXEL * mesh.area / step**2, 1000, 1_500_000))
    up_to = np.cumsum(mesh.face_areas)
    face = np.minimum(np.searchsorted(up_to, rng.random(count) * up_to[-1]), len(mesh.faces) - 1)
    along = rng.random((count, 2))
    beyond = along.sum(axis=1) > 1
    along[beyond] = 1 - along[beyond]
    shares = np.column_stack([1 - along.sum(axis=1), along])
    corners = mesh.faces[face]
    places = np.einsum("nc,ncd->nd", shares, mesh.vertices[corners])
    a, b, c = (mesh.vertices[mesh.faces[:, n]] for n in range(3))
    across = np.cross(b - a, c - a)
    normals = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    return places, (shares * own.distances[corners]).sum(axis=1), normals[face]


def _radiographs(case: str, images: Path | None, bones: tuple[Mapping[str, Mesh], Mapping[str, Mesh]]) -> list[Picture]:
    """The contours of both on the first views that are about at a right angle; none without radiographs."""
    shown = _read_radiographs(case, images)
    if not shown:
        return []
    from matplotlib.collections import LineCollection

    figure = dark_figure(5.8 * len(shown), 6.3)
    for number, (title, radiograph) in enumerate(shown.items()):
        axes = figure.add_axes((number / len(shown) + 0.004, 0.06, 1 / len(shown) - 0.008, 0.88))
        low, high = np.quantile(radiograph.image, [0.01, 0.998])
        axes.imshow(radiograph.image, cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
        for meshes, colour, line in zip(bones, (REFERENCE, PREDICTION), ("solid", "dotted"), strict=True):
            for ends in contour_pieces(meshes, radiograph).values():
                axes.add_collection(LineCollection(list(ends), colors=colour, linewidths=1.1, linestyles=line))
        axes.set_xlim(-0.5, radiograph.view.shape[1] - 0.5)
        axes.set_ylim(radiograph.view.shape[0] - 0.5, -0.5)
        axes.set_axis_off()
        axes.text(0.01, 0.98, title, transform=axes.transAxes, color=INK, fontsize=9.5, va="top")
    legend(figure, {"reference (solid)": REFERENCE, "prediction (dotted)": PREDICTION})
    said = f"Radiographs of {case} with the projected outlines of reference and prediction"
    return [Picture(png_of(figure, case), said, "Outlines of the four bones as they project, hidden ones too.")]


def _read_radiographs(case: str, images: Path | None) -> dict[str, Radiograph]:
    """Two views with their geometry."""
    if images is None:
        return {}
    folder, listed = Processed(images / "processed" / case), images / "views.json"
    if not folder.radiographs.is_file() or not listed.is_file():
        return {}
    stack, views = read_radiographs(folder).stack, read_views(listed)
    if len(stack) != len(views):
        raise InputError(f"{case}: {len(stack)} radiographs for {len(views)} views")
    ways = np.array([_way(view) for view in views])
    other = int(np.abs(ways @ ways[0]).argmin())
    chosen = [0] if other == 0 else [0, other]
    return {f"view {n}": Radiograph(np.asarray(stack[n], np.float32), views[n]) for n in chosen}


def _way(view: View) -> np.ndarray:
    """Along the middle ray."""
    way = np.asarray(view.centre) - np.asarray(view.source)
    return way / np.linalg.norm(way)
