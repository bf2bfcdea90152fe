"""Scans whose place is known: a phantom turned and shifted before the scanner sees it, as DICOM and as NIfTI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from voxbench.challenges.lumbarsr.alignment import FLIPS, moved_grid
from voxbench.challenges.lumbarsr.cases import Case
from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.io import write_volume
from voxbench.simulate.ct import KERNELS, Placement, Protocol, scan
from voxbench.simulate.phantoms.vertebra import vertebra_phantom
from voxbench.tasks.registration.linear_models import rotation_by

SHAPE = (104, 96, 76)
DEGREES, SHIFT = 5.0, (2.5, -2.0, 2.4)
SEQUENCES = ("195X_195Y_500Z_B", "195X_195Y_1000Z_S", "586X_586Y_500Z_S")


def in_dicom_order(volume: Volume) -> Volume:
    """The same voxels in the order of an axial series: i to the left, j to the back, k to the head."""
    array, matrix = volume.array, np.array(volume.grid.world_from_voxel.matrix)
    for axis, sign in enumerate((-1, -1, 1)):
        if np.sign(matrix[axis, axis]) != sign:
            array = np.flip(array, axis)
            matrix[:3, 3] += matrix[:3, axis] * (array.shape[axis] - 1)
            matrix[:3, axis] *= -1
    return Volume(np.ascontiguousarray(array), Grid(volume.grid.shape, Affine(matrix, "world", "voxel")))


def write_series(folder: Path, volume: Volume, series: str = "1.2.3") -> list[Path]:
    """A CT series of HU, one file a slice, the rescale intercept -1024."""
    volume = in_dicom_order(volume)
    folder.mkdir(parents=True, exist_ok=True)
    origin = volume.grid.origin * [-1, -1, 1]
    dx, dy, dz = volume.grid.spacing
    files = []
    for k in range(volume.grid.shape[2]):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.SeriesInstanceUID, ds.SeriesNumber, ds.Modality = series, 1, "CT"
        ds.Columns, ds.Rows = volume.grid.shape[:2]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.PixelSpacing, ds.SliceThickness = [float(dy), float(dx)], float(dz)
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [round(float(v), 6) for v in origin + k * np.array([0, 0, dz])]
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = (volume.array[:, :, k].T.astype(np.int32) + 1024).astype("<u2").tobytes()
        files.append(folder / f"IM{k:04d}.dcm")
        ds.save_as(files[-1], enforce_file_format=True)
    return files


@dataclass(frozen=True)
class Scans:
    """A phantom and how it was scanned.

    Attributes:
        micro: The micro-CT, at rest.
        clinical: Sequences of it after it was moved, their headers in the moved world.
        moved_from_micro: The motion.
    """

    micro: Volume
    clinical: dict[str, Volume]
    moved_from_micro: Affine

    def lying(self, sequence: str, flip: str) -> Volume:
        """A sequence as a scanner wrote it that the organisers' flip ``flip`` puts right again."""
        volume = self.clinical[sequence]
        return Volume(volume.array, moved_grid(volume.grid, self.lay(flip)))

    @staticmethod
    def lay(flip: str) -> Affine:
        """From the moved world to the world of the scanner's headers."""
        return Affine.from_parts(np.diag(np.asarray(FLIPS[flip], float)), np.array([7.0, -80.0, 33.0]))

    def truth(self, flip: str) -> Affine:
        """From the world of the scanner's headers to the micro-CT's."""
        return (self.lay(flip) @ self.moved_from_micro).inverse()

    def error(self, found: object, flip: str) -> float:
        """How far at most a corner of the micro-CT is put wrong, mm."""
        corners = self.micro.grid.corners
        there = self.truth(flip).inverse()(corners)
        return float(np.linalg.norm(Affine(np.array(found))(there) - corners, axis=1).max())


@pytest.fixture(scope="session")
def scans() -> Scans:
    """Turned by 5 degrees about an oblique axis, shifted by 4 mm."""
    grid = Grid.from_parts(SHAPE, (0.105, 0.105, 0.105), (-3.0, 20.0, 11.0))
    phantom = vertebra_phantom(grid, 0).ct
    axis = np.array([0.6, -0.5, 0.62])
    turn = rotation_by(np.radians(DEGREES) * axis / np.linalg.norm(axis))[0]
    motion = Affine.from_parts(turn, grid.centre - turn @ grid.centre + np.array(SHIFT))
    room = grid.cropped((-36, -36, -36), (SHAPE[0] + 36, SHAPE[1] + 36, SHAPE[2] + 36))
    moved = resample(phantom, room, motion.inverse(), "linear", -1000.0)
    rng = np.random.default_rng(0)
    clinical = {}
    for sequence in SEQUENCES:
        case = Case("Lumbar_01", sequence)
        pixel, _, thickness = case.spacing_mm
        protocol = Protocol(pixel_mm=pixel, slice_mm=thickness, kernel=KERNELS[case.kernel])
        clinical[sequence] = scan(moved, protocol, rng, Placement((0.3, 0.6, 0.2)))
    micro = Volume(np.rint(phantom.array).astype(np.int16), grid)
    return Scans(micro, clinical, motion)


@pytest.fixture(scope="session")
def series() -> Callable[..., list[Path]]:
    """`write_series`."""
    return write_series


@pytest.fixture(scope="session")
def scanned(scans: Scans, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples: 01 as DICOM, mirrored; 02 as NIfTI, turned; 03 with a slice that is cut off."""
    data = tmp_path_factory.mktemp("scanned") / "data"
    one, two, three = (data / "original_dicom" / f"Lumbar_{n:02d}" for n in (1, 2, 3))
    write_series(one / "micro_ct", scans.micro)
    for sequence in SEQUENCES:
        write_series(one / "clinical_ct" / sequence, scans.lying(sequence, "mirrored"))
    (two / "clinical_ct" / SEQUENCES[0]).mkdir(parents=True)
    (two / "clinical_ct" / SEQUENCES[1]).mkdir()
    write_volume(two / "micro_ct.nii.gz", scans.micro)
    write_volume(two / "clinical_ct" / SEQUENCES[0] / "any name.nii.gz", scans.lying(SEQUENCES[0], "turned"))
    write_volume(two / "clinical_ct" / f"{SEQUENCES[2]}.nii.gz", scans.lying(SEQUENCES[2], "turned"))
    (three / "micro_ct").mkdir(parents=True)
    write_volume(three / "micro_ct" / "m.nii.gz", scans.micro)
    cut = write_series(three / "clinical_ct" / SEQUENCES[0], scans.lying(SEQUENCES[0], "as-is"))[4]
    cut.write_bytes(cut.read_bytes()[:-500])
    return data
