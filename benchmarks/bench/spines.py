"""Real lumbar MRI as two folders in SPIDER's layout, to learn from and to test with; no patient is in both.

python -m bench.spines DATA OUT [--sources chu myo zukic] [--third 0]      # DATA/spine_mri; OUT/train and OUT/test

Outlines of vertebral bodies (Chu 2015, doi:10.1371/journal.pone.0143327; Burian 2019, doi:10.1186/s12891-019-2528-x;
Zukic 2014, doi:10.1111/cgf.12343) and of discs (Menezes-Reis 2016, doi:10.21037/qims.2016.08.01). Zukic's first body is
S1, which SPIDER does not label: it becomes background. What lies above the highest structure drawn is cut off in images
to learn from, since vertebrae there are not drawn; images to test with stay whole.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_labels, read_volume, write_labels, write_table, write_volume

TEST = 3
"""Every third of a source is for tests."""
VALIDATION = ("chu04", "myo05")
ABOVE_MM = 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sources", nargs="+", default=["chu", "menezes", "myo", "zukic"])
    parser.add_argument("--third", type=int, choices=(0, 1, 2), default=0, help="of each source, for tests")
    options = parser.parse_args()
    rows: dict[str, list[dict[str, object]]] = {"train": [], "test": []}
    seen: dict[str, int] = {}
    for patient, path in enumerate(sorted((options.data / "spine_mri").glob("*labels.nii.gz")), 1):
        stem = path.name.split("_")[0]
        source = stem.rstrip("0123456789")
        if source not in options.sources:
            continue
        seen[source] = seen.get(source, 0) + 1
        part = "test" if seen[source] % TEST == options.third else "train"
        image, labels = converted(path, source, cut=part == "train")
        name = f"{patient}_{'t1' if source == 'myo' else 't2'}"
        for folder in ("images", "masks"):
            (options.out / part / folder).mkdir(parents=True, exist_ok=True)
        write_volume(options.out / part / "images" / f"{name}.mha", image)
        write_labels(options.out / part / "masks" / f"{name}.mha", labels)
        subset = "validation" if stem in VALIDATION else "training"
        rows[part].append({"new_file_name": name, "subset": subset, "case": stem})
    for part, own in rows.items():
        write_table(options.out / part / "overview.csv", own)
        print(part, ", ".join(str(row["case"]) for row in own))


def converted(path: Path, source: str, cut: bool) -> tuple[Volume, LabelMap]:
    """An image and its labels with SPIDER's numbers."""
    own = next(p for p in path.parent.glob(f"{path.name.split('_')[0]}*.nii.gz") if "labels" not in p.name)
    image, labels = read_volume(own), read_labels(path)
    array = labels.array.astype(np.int16)
    if source == "zukic":
        array = np.maximum(array - 1, 0)
    grid = labels.grid
    if cut:
        axis = int(np.abs(grid.direction[2]).argmax())
        up = np.sign(grid.direction[2, axis])
        rows = np.flatnonzero(array.any(axis=tuple(a for a in range(3) if a != axis)))
        more = int(ABOVE_MM / grid.spacing[axis])
        size = array.shape[axis]
        kept = slice(0, min(size, rows[-1] + 1 + more)) if up > 0 else slice(max(0, rows[0] - more), size)
        box = tuple(kept if a == axis else slice(None) for a in range(3))
        first = [s.start or 0 for s in box]
        grid = Grid.from_parts(
            array[box].shape, tuple(grid.spacing), grid.world_from_voxel(np.array([first], float))[0], grid.direction
        )
        return Volume(np.ascontiguousarray(image.array[box]), grid), LabelMap(np.ascontiguousarray(array[box]), grid)
    return Volume(image.array, grid), LabelMap(array, grid)


if __name__ == "__main__":
    main()
