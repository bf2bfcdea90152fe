"""LNQ 2023's data as pairs on one grid: what the organisers or TCIA gave, repaired where labels and CT disagree."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from voxbench.challenges.lnq2023.sources import Source
from voxbench.config import Config
from voxbench.errors import FileWriteError, InputError
from voxbench.geometry import LabelMap, Volume, resample
from voxbench.io import read_labels, read_volume, write_labels, write_volume
from voxbench.io.atomic import part_name, told_as
from voxbench.io.folders import refuse_foreign
from voxbench.jobs import Job, Record, Records
from voxbench.metrics.node_list import NodeList, list_nodes

Draw = Callable[[Path, Volume, NodeList, str], None]
"""Draws the preview of a case: where, CT, nodes, title."""
RECORDS = Path("cases") / "preparation"


class Lnq2023Preparation(Config):
    """What is written."""

    format: Literal["nrrd", "nii.gz"] = Field(default="nrrd", description="Of images and labels.")
    threshold_mm: float = Field(default=10.0, gt=0, description="Short axis from which on a node is enlarged, mm.")


def jobs(
    sources: Sequence[Source], out: Path, settings: Lnq2023Preparation, draw: Draw | None = None
) -> tuple[Job, ...]:
    """One job per case; each leaves SPLIT/CASE-ct, CASE-seg and, with ``draw``, CASE.png below ``out``."""
    decides = {**settings.model_dump(mode="json"), "picture": draw is not None}
    return tuple(
        Job(
            source.case,
            partial(prepare_case, source, out, settings, draw),
            source.inputs,
            {**decides, "completeness": source.completeness},
        )
        for source in sources
    )


def prepare_case(source: Source, out: Path, settings: Lnq2023Preparation, draw: Draw | None = None) -> Record:
    """Write one case; all of its files, or none.

    Args:
        source: Where it lies.
        out: Folder of the results.
        settings: What is written.
        draw: Draws the preview.

    Returns:
        What dataset.csv says of it, its nodes, ``repaired`` (in words), and its ``files``.

    Raises:
        InputError: The CT or the labels cannot be used.
        FileWriteError: The files cannot be written.
    """
    image = whole_hu(read_volume(source.image))
    image.require_usable(str(source.image))
    drawn, repaired = (None, []) if source.labels is None else node_labels(source.labels, image)
    found = None if drawn is None else list_nodes(drawn, image)
    with _written_together(out, source) as folder:
        write_volume(folder / f"{source.case}-ct.{settings.format}", image)
        if drawn is not None:
            write_labels(folder / f"{source.case}-seg.{settings.format}", drawn)
        if draw is not None and found is not None:
            title = f"{source.case}   {source.completeness} labels"
            draw(folder / f"{source.case}.png", image, found, title)
        files = sorted(f"{source.split}/{path.name}" for path in folder.iterdir())
    return _record(source, image, found, settings) | {"repaired": repaired, "files": files}


def whole_hu(image: Volume) -> Volume:
    """The same in int16 where that loses nothing."""
    low, high = float(image.array.min()), float(image.array.max())
    if not (low >= -32768 and high <= 32767):
        return image
    whole = image.array.astype(np.int16)
    return Volume(whole, image.grid) if np.array_equal(whole, image.array) else image


def node_labels(path: Path, image: Volume) -> tuple[LabelMap, list[str]]:
    """1 in nodes, on the CT's grid; what had to be done for that.

    Raises:
        InputError: The file cannot be used, or no labelled voxel lies within the CT.
    """
    labels = read_labels(path)
    said, nodes, ids = [], labels.array > 0, labels.ids
    if ids and ids[0] < 0:
        raise InputError(f"{path}: label {ids[0]}; labels of nodes are above 0 (is this the CT?)")
    if any(label not in (0, 1) for label in ids):
        said.append(f"labels {', '.join(map(str, ids[:5]))}{' ...' if len(ids) > 5 else ''} made 1 where above 0")
    before = np.count_nonzero(nodes) * labels.grid.voxel_volume
    if labels.grid.same_as(image.grid):
        return LabelMap(nodes.astype(np.uint8), image.grid), said
    found = resample(LabelMap(nodes.astype(np.uint8), labels.grid), image.grid)
    after = np.count_nonzero(found.array) * image.grid.voxel_volume
    said.append(
        f"labels {_extent(labels)} brought onto the CT's {_extent(image)} by position: "
        f"{before / 1000:.3f} ml before, {after / 1000:.3f} ml after"
    )
    if before and not after:
        raise InputError(
            f"{path}: no labelled voxel lies within the CT\n  labels  {labels.grid!r}\n  CT      {image.grid!r}"
        )
    return found, said


def _extent(image: Volume | LabelMap) -> str:
    return f"{' x '.join(map(str, image.grid.shape))} at {' x '.join(f'{s:.3g}' for s in image.grid.spacing)} mm"


def _record(source: Source, image: Volume, found: NodeList | None, settings: Lnq2023Preparation) -> Record:
    nodes = [] if found is None else [listed.row(settings.threshold_mm) for listed in found.nodes]
    inside = np.zeros(0) if found is None else image.array[found.labels.array > 0].astype(np.float64)
    hu = {"mean": float(inside.mean()), "sd": float(inside.std())} if inside.size else {}
    ends = np.percentile(inside, (0, 0.5, 50, 99.5, 100)).tolist() if inside.size else []
    return {
        "case": source.case,
        "split": source.split,
        "completeness": source.completeness if found is not None else "no labels",
        "from": source.whence,
        "size": list(image.grid.shape),
        "spacing_mm": [round(float(s), 6) for s in image.grid.spacing],
        "orientation": image.grid.orientation,
        "voxels": int(inside.size),
        "volume_ml": sum(float(row["volume_mm3"]) for row in nodes) / 1000,  # pyright: ignore[reportArgumentType]
        "hu": hu | dict(zip(("lowest", "p0.5", "median", "p99.5", "highest"), ends, strict=False)),
        "nodes": nodes,
    }


def line(record: Record) -> str:
    """One line for eyes; a second for each repair."""
    enlarged = sum(row["enlarged"] for row in record["nodes"])
    said = f"{len(record['nodes'])} nodes, {enlarged} enlarged, {record['volume_ml']:.1f} ml"
    head = f"{record['case']}  {record['completeness']}  {said if record['completeness'] != 'no labels' else ''}"
    return "\n".join([head.rstrip(), *(f"  {repair}" for repair in record["repaired"])])


def kept_records(out: Path, sources: Sequence[Source], force: bool) -> Records:
    """The records of an earlier start, without those whose files are gone; what a killed one left half-written goes.

    Args:
        out: Folder of the results.
        sources: What is prepared.
        force: Whether files that are not ours may be replaced.

    Raises:
        FileWriteError: Files of a case are there that no earlier start of ours left.
    """
    kept = Records(out / RECORDS)
    ours = kept.kind == "prepare lnq2023"
    foreign = [
        path
        for source in sources
        for path in sorted((out / source.split).glob(f"{source.case}[-.]*"))
        if not (ours and kept.path(source.case).is_file())
    ]
    refuse_foreign(foreign, force)
    kept.open("prepare lnq2023")
    for source in sources:
        for half in (out / source.split).glob(f".*.part.{source.case}"):
            shutil.rmtree(half, ignore_errors=True)
        files = (kept.kept(source.case).get("record") or {}).get("files", [None])
        if not all(file is not None and (out / file).is_file() for file in files):
            kept.path(source.case).unlink(missing_ok=True)
    return kept


@contextmanager
def _written_together(out: Path, source: Source) -> Iterator[Path]:
    """A temporary folder whose files become those of the case when the block succeeds."""
    home = out / source.split
    temporary = home / part_name(source.case)
    try:
        temporary.mkdir(parents=True)
        with told_as(home, temporary):
            yield temporary
        for earlier in home.glob(f"{source.case}[-.]*"):
            earlier.unlink()
        for path in sorted(temporary.iterdir()):
            path.replace(home / path.name)
    except OSError as error:
        raise FileWriteError(f"{home}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary)
