"""Files to values and back; the world is RAS+ mm from here on."""

from voxbench.io.affines import read_affine, write_affine
from voxbench.io.atomic import atomic, sha256
from voxbench.io.conventions import CONVENTIONS, Convention
from voxbench.io.describe import Description, FieldDescription, describe, describe_field
from voxbench.io.describe_mesh import MeshDescription, describe_mesh, is_mesh_name
from voxbench.io.displacements import read_displacement, write_displacement
from voxbench.io.meshes import read_mesh, write_mesh
from voxbench.io.points import read_points
from voxbench.io.radiographs import RadiographFile, read_radiograph, write_radiograph_dicom, write_radiograph_png
from voxbench.io.read import read_grid, read_labels, read_volume, require_writable_name, write_labels, write_volume
from voxbench.io.tables import read_json, to_json, write_json, write_table
from voxbench.io.views import read_views, write_views

__all__ = [
    "CONVENTIONS",
    "Convention",
    "Description",
    "FieldDescription",
    "MeshDescription",
    "RadiographFile",
    "atomic",
    "describe",
    "describe_field",
    "describe_mesh",
    "is_mesh_name",
    "read_affine",
    "read_displacement",
    "read_grid",
    "read_json",
    "read_labels",
    "read_mesh",
    "read_points",
    "read_radiograph",
    "read_views",
    "read_volume",
    "require_writable_name",
    "sha256",
    "to_json",
    "write_affine",
    "write_displacement",
    "write_json",
    "write_labels",
    "write_mesh",
    "write_radiograph_dicom",
    "write_radiograph_png",
    "write_table",
    "write_views",
    "write_volume",
]
