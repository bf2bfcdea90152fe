"""How much memory the voxels of a file take, from its header alone."""

from __future__ import annotations

import math
from pathlib import Path

from voxbench.io.atomic import AnyPath

_ITK = (".mha", ".mhd", ".nrrd", ".nhdr")
_NIBABEL = (".nii.gz", ".nii", ".mgz", ".mgh")


def stored_bytes(path: AnyPath) -> int | None:
    """Bytes of a file's voxels in the dtype they are stored in, uncompressed; no voxel is read.

    Of a folder (a DICOM series), and of a file that is no image (a mesh, weights), the bytes on the disk.

    Args:
        path: A file, or a folder of files.

    Returns:
        The bytes; None if the file is missing or its header cannot be read.
    """
    path = Path(path)
    name = path.name.lower()
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        if name.endswith(_ITK):
            return _by_itk(path)
        if name.endswith(_NIBABEL):
            return _by_nibabel(path)
        return path.stat().st_size
    except Exception:  # whatever a damaged header brings about: the run itself will say what is wrong with it
        return None


def _by_itk(path: Path) -> int:
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    one = SimpleITK.Image([1] * reader.GetDimension(), reader.GetPixelID(), reader.GetNumberOfComponents())
    voxel = SimpleITK.GetArrayViewFromImage(one).nbytes
    return voxel * math.prod(reader.GetSize())


def _by_nibabel(path: Path) -> int:
    import nibabel as nib

    image = nib.load(path)  # pyright: ignore[reportPrivateImportUsage]
    header = image.header
    return header.get_data_dtype().itemsize * math.prod(int(n) for n in header.get_data_shape())  # pyright: ignore
