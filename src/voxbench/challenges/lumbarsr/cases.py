"""LumbarSR's files: samples, sequences, and what the volumes of each are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from voxbench.errors import InputError
from voxbench.metrics import IntensityWindow

SEQUENCES = tuple(
    f"{plane}_{thickness}_{kernel}"
    for plane in ("195X_195Y", "586X_586Y")
    for thickness in ("500Z", "1000Z")
    for kernel in ("S", "B")
)
"""In-plane spacing and slice thickness in um, kernel (soft, bone). The seed of the challenge has the soft ones only."""
SEED_SEQUENCES = tuple(sequence for sequence in SEQUENCES if sequence.endswith("S"))
"""What the first page of the challenge hands out; the released data have the bone kernel, too."""
FIELDS_OF_VIEW = ("195X", "586X")
"""How the sequences of each field of view begin."""
OFFICIAL_SEQUENCES = ("195X_195Y_1000Z_S", "586X_586Y_1000Z_S")
"""What the organisers' evaluation scores by default."""
OFFICIAL_SAMPLES = tuple(f"Lumbar_{number:02d}" for number in range(26, 31))
"""The released reference test: 26 to 30; training is 01 to 25."""

TRAINING_SAMPLES = tuple(f"Lumbar_{number:02d}" for number in range(1, 26))

WINDOWS: dict[str, IntensityWindow] = {
    "raw": IntensityWindow(-1024, 4095),
    "bone": IntensityWindow.centred(400, 1800),
    "soft_tissue": IntensityWindow.centred(40, 400),
}
MODES = ("full", "non_air", "bone_mask")
AIR_HU = -1000

MICRO_CT_MM = 0.105
"""Spacing of the micro-CT along every axis."""

_SAMPLE = re.compile(r"Lumbar_(\d+)")


@dataclass(frozen=True)
class Case:
    """One sample seen in one sequence.

    Attributes:
        sample: e.g. ``Lumbar_26``.
        sequence: e.g. ``195X_195Y_1000Z_S``.
    """

    sample: str
    sequence: str

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        if not _SAMPLE.fullmatch(self.sample):
            raise InputError(f"{self.sample}: not a sample's name\n  expected  Lumbar_<number>, e.g. Lumbar_26")
        if self.sequence not in SEQUENCES:
            raise InputError(f"{self.sequence}: not a sequence of LumbarSR\n  there are {', '.join(SEQUENCES)}")

    @property
    def key(self) -> str:
        """How the case is named in messages."""
        return f"{self.sample} {self.sequence}"

    def reference(self, root: Path) -> Path:
        """The micro-CT below the references' folder."""
        return root / "RegisteredData" / self.sample / f"{self._prefix}_MicroPCCT_105um.nii.gz"

    def bone_masks(self, root: Path) -> tuple[Path, Path]:
        """The sequence's bone mask, then the micro-CT's own."""
        folder = root / "BoneMask" / self.sample
        return (
            folder / f"{self._prefix}_ClinicalCT_{self.sequence}_registered_BoneMask.nii.gz",
            folder / f"{self._prefix}_MicroPCCT_105um_BoneMask.nii.gz",
        )

    def registered(self, root: Path) -> Path:
        """The clinical sequence on the micro-CT's grid."""
        folder = root / "RegisteredData" / self.sample
        return folder / f"{self._prefix}_ClinicalCT_{self.sequence}_registered.nii.gz"

    def native(self, root: Path) -> Path:
        """The clinical sequence on the scanner's grid, NIfTI in the micro-CT's world.

        Where ``prepare`` put it if it is there; else where ``simulate`` puts it, in the place of the DICOM series.
        """
        prepared = self.prepared_native(root)
        folder = root / "original_dicom" / self.sample / "clinical_ct"
        return prepared if prepared.is_file() else folder / self.sequence / f"{self.sequence}.nii.gz"

    def prepared_native(self, root: Path) -> Path:
        """Where ``prepare`` puts the sequence's own voxels; never a file that is not registered."""
        return root / "native" / self.sample / f"{self._prefix}_ClinicalCT_{self.sequence}_native.nii.gz"

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """The sequence's own voxels: in plane twice, slice thickness."""
        x, y, z, _ = self.sequence.split("_")
        return int(x[:-1]) / 1000, int(y[:-1]) / 1000, int(z[:-1]) / 1000

    @property
    def field_of_view(self) -> str:
        """Which scan the sequence was made from: ``195X`` or ``586X``."""
        return self.sequence[:4]

    @property
    def kernel(self) -> str:
        """``S`` (soft) or ``B`` (bone)."""
        return self.sequence[-1]

    @property
    def twin(self) -> Case:
        """The same field of view and slices behind the other kernel."""
        return Case(self.sample, self.sequence[:-1] + ("B" if self.kernel == "S" else "S"))

    def prediction(self, root: Path, method: str) -> Path:
        """A method's volume below the predictions' folder."""
        return root / method / self.sample / f"{self._prefix}_{self.sequence}_{method}.nii.gz"

    @property
    def _prefix(self) -> str:
        return self.sample.replace("_", "")


def cases_of(samples: tuple[str, ...], sequences: tuple[str, ...]) -> tuple[Case, ...]:
    """Every sequence of every sample, sample by sample."""
    return tuple(Case(sample, sequence) for sample in dict.fromkeys(samples) for sequence in dict.fromkeys(sequences))
