"""How each sequence of the data set blurs: measured on training samples, else what such kernels usually do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from voxbench.challenges.lumbarsr.cases import SEQUENCES, TRAINING_SAMPLES, Case
from voxbench.challenges.lumbarsr.observations import Source, kind_of, observe
from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry import Volume
from voxbench.io import read_volume
from voxbench.simulate.ct import KERNELS
from voxbench.tasks.superresolution import Calibration, SequenceBlur, calibrated

MOST_SAMPLES = 2
"""Training samples a calibration looks at."""
GAUSSIAN_FWHM = 2 * np.log(2) / np.pi
"""Width at half maximum of a Gaussian times the frequency at which its transfer is 0.5."""


class SequenceModel(Config):
    """What is taken to be true of a sequence."""

    blur: SequenceBlur = Field(default=..., description="Width in plane, slice thickness, axis across the slices.")
    gain: float = Field(default=1.0, gt=0, description="Contrast of the sequence over that of the micro-CT.")
    offset: float = Field(default=0.0, description="HU of the sequence where the micro-CT has 0.")
    samples: tuple[str, ...] = Field(default=(), description="Samples it was measured on; none: nominal.")

    @property
    def origin(self) -> str:
        """Where it comes from, for eyes."""
        return f"measured on {', '.join(self.samples)}" if self.samples else "nominal for such kernels"

    def corrected(self, volume: Volume) -> Volume:
        """A sequence in the micro-CT's HU."""
        return Calibration(self.blur, self.gain, self.offset, 0.0).corrected(volume) if self.samples else volume


def nominal_model(case: Case) -> SequenceModel:
    """The Gaussian of the kernel's usual 50 % frequency (soft 0.40, bone 0.85 per mm), slices as thick as named."""
    width = float(GAUSSIAN_FWHM / KERNELS[case.kernel].f50)
    return SequenceModel(blur=SequenceBlur(in_plane=round(width, 4), slice_thickness=case.spacing_mm[2]))


def sequence_models(
    data: Path, sequences: tuple[str, ...], predicted: tuple[str, ...], source: Source
) -> dict[str, SequenceModel]:
    """A model for each sequence: the mean over training samples whose micro-CT is there.

    A sample that is to be predicted is never looked at, though its micro-CT may lie beside it.

    Args:
        data: Folder holding RegisteredData/, and original_dicom/ for native sequences.
        sequences: Which ones.
        predicted: Samples to be predicted.
        source: Where sequences are read.
    """
    others = [s for s in _samples(data) if s not in predicted]
    return {name: _model(data, name, others, source) for name in sequences if name in SEQUENCES}


def _samples(data: Path) -> list[str]:
    """Samples that are there, training samples first."""
    folder = data / "RegisteredData"
    there = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    return sorted(there, key=lambda s: (s not in TRAINING_SAMPLES, s))


def _model(data: Path, sequence: str, samples: list[str], source: Source) -> SequenceModel:
    found: dict[str, Calibration] = {}
    for sample in samples:
        try:
            case = Case(sample, sequence)
            path = case.native(data) if kind_of(data, case, source) == "native" else case.registered(data)
            if not (path.is_file() and case.reference(data).is_file()):
                continue
            truth = read_volume(case.reference(data))
            found[sample] = calibrated(observe(data, case, source, truth.grid), truth)
        except InputError:  # flat, empty or elsewhere: nothing to learn from this one
            continue
        if len(found) == MOST_SAMPLES:
            break
    if not found:
        return nominal_model(Case("Lumbar_01", sequence))
    blurs = [c.blur for c in found.values()]
    blur = blurs[0].model_copy(
        update={
            "in_plane": float(np.mean([b.in_plane for b in blurs])),
            "slice_thickness": float(np.mean([b.slice_thickness for b in blurs])),
        }
    )
    gain, offset = (float(np.mean([getattr(c, name) for c in found.values()])) for name in ("gain", "offset"))
    return SequenceModel(blur=blur, gain=gain, offset=offset, samples=tuple(found))
