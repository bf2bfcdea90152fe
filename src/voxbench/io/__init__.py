"""Files to values and back; the world is RAS+ mm from here on."""

from voxbench.io.atomic import atomic, sha256
from voxbench.io.displacements import Convention, read_displacement, write_displacement
from voxbench.io.read import read_labels, read_volume, write_labels, write_volume
from voxbench.io.tables import read_json, write_json, write_table

__all__ = [
    "Convention",
    "atomic",
    "read_displacement",
    "read_json",
    "read_labels",
    "read_volume",
    "sha256",
    "write_displacement",
    "write_json",
    "write_labels",
    "write_table",
    "write_volume",
]
