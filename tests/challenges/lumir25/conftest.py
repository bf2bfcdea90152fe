"""A data set of four tiny subjects in LUMIR25's layout, with fields in both axis layouts."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SHAPE = (9, 10, 8)
LABELS = [0, 1, 2, 3, 5, 77]
SPACING = (1.0, 1.0, 2.0)


def save(path, array, spacing=SPACING):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


@dataclass
class World:
    """Paths and arrays of the little data set."""

    root: Path
    images: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    landmarks: dict = field(default_factory=dict)
    fields: dict = field(default_factory=dict)

    @property
    def predictions(self):
        return self.root / "predictions"

    def name(self, subject, modality="0000"):
        return f"./imagesVal/LUMIRMRI_{subject}_{modality}.nii.gz"

    def config(self, name, pairs, methods, **extra):
        content = {
            "name": "LUMIR",
            "evaluation_methods": methods,
            "expected_shape": [*SHAPE, 3],
            "eval_pairs": [{"fixed": self.name(*f), "moving": self.name(*m)} for f, m in pairs],
            "eval_config_version": 0.0,
            "masked_evaluation": False,
            **extra,
        }
        path = self.root / name
        path.write_text(json.dumps(content))
        return path

    def dataset(self, pairs):
        content = {
            "name": "LUMIR",
            "tensorImageShape": {"0": list(SHAPE)},
            "training": [{"image": "./imagesTr/LUMIRMRI_0000_0000.nii.gz"}],
            "validation": [{"fixed": self.name(*f), "moving": self.name(*m)} for f, m in pairs],
        }
        path = self.root / "LUMIR25_dataset.json"
        path.write_text(json.dumps(content))
        return path

    def predict(self, stem, displacement, layout="last"):
        """Write a field (3, i, j, k); keep it as the oracle takes it."""
        self.fields[stem] = displacement
        array = displacement if layout == "first" else np.moveaxis(displacement, 0, -1)
        save(self.predictions / f"{stem}.nii.gz", np.ascontiguousarray(array))


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    rng = np.random.default_rng(0)
    for subject in ("3454", "3455", "3456", "4023"):
        for modality in ("0000", "0001", "0002"):
            key = (subject, modality)
            image = rng.random(SHAPE).astype(np.float32) * (rng.random(SHAPE) < 0.7)
            coarse = rng.choice([0, 1, 2, 3, 5], (5, 5, 4))
            labels = np.kron(coarse, np.ones((2, 2, 2)))[: SHAPE[0], : SHAPE[1], : SHAPE[2]].astype(np.int16)
            landmarks = np.zeros(SHAPE, np.int16)
            for n, corner in enumerate(((1, 1, 1), (5, 2, 3), (4, 6, 4)), 1):
                landmarks[tuple(slice(c, c + 2) for c in corner)] = n
            made.images[key], made.labels[key], made.landmarks[key] = image, labels, landmarks
            for folder, array in (("images", image), ("labels", labels), ("landmarks", landmarks)):
                save(tmp_path / f"{folder}Val" / f"LUMIRMRI_{subject}_{modality}.nii.gz", array)
    for n, stem in enumerate(("disp_3455_3454", "disp_3456_3455", "disp_4023_3454", "disp_4023_0000_3454_0002")):
        displacement = (rng.normal(size=(3, *SHAPE)) * 0.6).astype(np.float32)
        made.predict(stem, displacement, "first" if n == 1 else "last")
    return made
