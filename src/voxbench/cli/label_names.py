"""What the option --names says labels are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxbench.geometry import LabelMap
    from voxbench.io.label_names import LabelNames
    from voxbench.io.segmentation_objects import Coded

SPINE, NODES = "spine", "nodes"


def label_names(option: str | None, labels: LabelMap | None = None) -> LabelNames | None:
    """Names and colours.

    Args:
        option: ``spine`` (SPIDER's numbers), ``nodes`` (every label is one), a table, or None: the files' own names.
        labels: Whose nodes are named.

    Raises:
        FileReadError: The table cannot be read.
    """
    from voxbench.io.label_names import LabelNames, read_label_names
    from voxbench.io.segments import segment_colour

    if option is None:
        return None
    if option == SPINE:
        return _spine()
    if option == NODES:
        ids = () if labels is None else labels.ids
        return LabelNames(
            {label: f"node {label}" for label in ids}, {label: segment_colour(label - 1) for label in ids}
        )
    return read_label_names(Path(option))


def _spine() -> LabelNames:
    """All numbers of SPIDER; a structure has its colour in every case."""
    from voxbench.geometry.spine_labels import MOST, Structure
    from voxbench.io.label_names import LabelNames
    from voxbench.io.segments import segment_colour

    structures = [Structure("canal")]
    for number in range(1, MOST + 1):
        structures += [Structure("vertebra", number), Structure("disc", number)]
    names = {one.label: one.name for one in structures}
    colours = {one.label: segment_colour(place) for place, one in enumerate(structures)}
    for number in range(1, MOST + 1):
        part, whole = Structure("vertebra", number, complete=False), Structure("vertebra", number)
        names[part.label], colours[part.label] = f"{whole.name} (in part)", colours[whole.label]
    return LabelNames(names, colours)


def codes(option: str | None, labels: LabelMap) -> dict[int, Coded]:
    """What labels are in DICOM's vocabulary, as far as it is known."""
    from voxbench.geometry.spine_labels import structure_of

    if option == NODES:
        return dict.fromkeys(labels.ids, "lymph node")
    if option != SPINE:
        return {}
    found: dict[int, Coded] = {}
    for label in labels.ids:
        kind = structure_of(label).kind
        found[label] = "anatomy" if kind == "disc" else kind
    return found


def named(labels: LabelMap, known: LabelNames | None) -> LabelMap:
    """The label map with the names of the labels that are there."""
    from voxbench.geometry import LabelMap

    if known is None:
        return labels
    names = {label: known.names[label] for label in labels.ids if label in known.names}
    return LabelMap(labels.array, labels.grid, names)
