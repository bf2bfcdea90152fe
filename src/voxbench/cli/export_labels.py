"""voxbench export slicer, voxbench export dicom-seg: label maps for people to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts

if TYPE_CHECKING:
    from voxbench.geometry import LabelMap

Switch = Annotated[bool, cyclopts.Parameter(negative="")]
ENDING = ".seg.nrrd"


def slicer(labels: Path, *, out: Path, names: str | None = None, force: Switch = False, json: Switch = False) -> None:
    """Write label maps as 3D Slicer's segmentations (.seg.nrrd): a segment a label, with name and colour.

    Args:
        labels: A label map, or a folder of them.
        out: The .seg.nrrd; for a folder, a folder that receives CASE.seg.nrrd.
        names: What labels are called: spine (SPIDER's numbers), nodes, or a .tsv, .csv or .json with index, name and
            color; by default the names the files have.
        force: Replace what is there.
        json: Print file, labels and names on standard output.
    """
    from voxbench.cli.output import require_free_file, require_free_folder, result_folder
    from voxbench.cli.progress import lines
    from voxbench.errors import UsageError
    from voxbench.io import to_json
    from voxbench.io.folders import files_by_case

    if labels.is_dir() and not _is_series(labels):
        require_free_folder(out, force)
        files = files_by_case(labels)
        with lines("exporting") as tell, result_folder(out, {f"{c}{ENDING}" for c in files}, force) as folder:
            written = [_segments(path, folder / f"{case}{ENDING}", names) for case, path in files.items()]
            tell(f"{out}: {len(written)} segmentations")
    else:
        if not out.name.endswith(ENDING):
            raise UsageError(f"--out: a name that ends in {ENDING}; got {out.name}")
        require_free_file(out, force)
        written = [_segments(labels, out, names)]
        with lines("exporting") as tell:
            tell(f"{out}: {len(written[0]['segments'])} segments")
    if json:
        print(to_json(written))


def dicom_seg(
    labels: Path,
    *,
    series: Path,
    out: Path,
    names: str | None = None,
    form: Literal["binary", "labelmap"] = "binary",
    algorithm: str | None = None,
    description: str = "Segmentation",
    force: Switch = False,
    json: Switch = False,
) -> None:
    """Write a label map as a DICOM segmentation object of the series it belongs to; the patient is the series'.

    Args:
        labels: The label map, on the grid of the series (its voxels may run along other axes or the other way).
        series: Folder of the DICOM series (one file per slice), or one of its files.
        out: The .dcm.
        names: What labels are called: spine (SPIDER's numbers), nodes, or a .tsv, .csv or .json with index, name and
            color; by default the names the file has.
        form: binary, which every viewer reads, or labelmap, smaller, in DICOM since 2024.
        algorithm: Name of what made the labels; without it a person did.
        description: Of the series that the segmentation makes.
        force: Replace a file that is there.
        json: Print which segment is which label on standard output.
    """
    from voxbench.cli.label_names import codes, label_names, named
    from voxbench.cli.output import require_free_file
    from voxbench.cli.progress import lines
    from voxbench.io import read_labels, to_json
    from voxbench.io.segmentation_objects import SegmentationObject, write_segmentation_object

    require_free_file(out, force)
    found = read_labels(labels)
    known = label_names(names, found)
    colours = {} if known is None else known.colours
    settings = SegmentationObject(form, algorithm, description, colours, codes(names, found))
    found = named(found, known)
    ids = write_segmentation_object(out, found, series, settings)
    with lines("exporting") as tell:
        tell(f"{out}: {len(ids)} segments of {series}; it holds who the patient is, as the series does")
    if json:
        print(to_json([{"segment": n, "label": i, "name": found.names.get(i)} for n, i in enumerate(ids, start=1)]))


def _segments(path: Path, out: Path, names: str | None) -> dict[str, Any]:
    """Write one; what was written."""
    from voxbench.cli.label_names import label_names, named
    from voxbench.io import read_labels, write_labels

    labels: LabelMap = read_labels(path)
    known = label_names(names, labels)
    labels = named(labels, known)
    write_labels(out, labels, {} if known is None else known.colours)
    return {"labels": path, "file": out.name, "segments": {label: labels.names.get(label) for label in labels.ids}}


def _is_series(folder: Path) -> bool:
    """Whether a folder holds DICOM."""
    from voxbench.io.dicom import looks_like_dicom

    return any(looks_like_dicom(path) for path in folder.iterdir() if path.is_file())
