"""Scores as pure functions and small frozen results; no files, no torch."""

from voxbench.metrics.agreement import ImageAgreement, image_agreement
from voxbench.metrics.bone_contrast import BoneContrast, local_bone_contrast
from voxbench.metrics.borders import BorderDistances, border_distances
from voxbench.metrics.deformation import (
    Diffeomorphism,
    diffeomorphism,
    jacobian_determinants,
    sd_log_jacobian,
)
from voxbench.metrics.image import normalized_cross_correlation
from voxbench.metrics.instances import Instances, Match, match_instances
from voxbench.metrics.label_surfaces import label_hausdorff
from voxbench.metrics.landmarks import LandmarkErrors, label_centroids, landmark_errors, point_errors
from voxbench.metrics.meshes import MeshDistances, MeshOverlap, mesh_distances, mesh_overlap, point_distances
from voxbench.metrics.morphometry import (
    BoneMorphometry,
    Thickness,
    bone_morphometry,
    local_thickness,
    otsu_threshold,
)
from voxbench.metrics.nodes import Node, lymph_nodes
from voxbench.metrics.overlap import Overlap, overlap
from voxbench.metrics.similarity import ssim, ssim_3d, ssim_slices
from voxbench.metrics.surface import SurfaceDistances, label_boxes, surface_distances
from voxbench.metrics.windows import UNIT_WINDOW, IntensityWindow

__all__ = [
    "UNIT_WINDOW",
    "BoneContrast",
    "BoneMorphometry",
    "BorderDistances",
    "Diffeomorphism",
    "ImageAgreement",
    "Instances",
    "IntensityWindow",
    "LandmarkErrors",
    "Match",
    "MeshDistances",
    "MeshOverlap",
    "Node",
    "Overlap",
    "SurfaceDistances",
    "Thickness",
    "bone_morphometry",
    "border_distances",
    "diffeomorphism",
    "image_agreement",
    "jacobian_determinants",
    "label_boxes",
    "label_centroids",
    "label_hausdorff",
    "landmark_errors",
    "local_bone_contrast",
    "local_thickness",
    "lymph_nodes",
    "match_instances",
    "mesh_distances",
    "mesh_overlap",
    "normalized_cross_correlation",
    "otsu_threshold",
    "overlap",
    "point_distances",
    "point_errors",
    "sd_log_jacobian",
    "ssim",
    "ssim_3d",
    "ssim_slices",
    "surface_distances",
]
