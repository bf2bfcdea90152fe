"""Scores as pure functions and small frozen results; no files, no torch."""

from voxbench.metrics.deformation import (
    Diffeomorphism,
    diffeomorphism,
    jacobian_determinants,
    sd_log_jacobian,
)
from voxbench.metrics.image import normalized_cross_correlation
from voxbench.metrics.landmarks import LandmarkErrors, label_centroids, landmark_errors, point_errors
from voxbench.metrics.overlap import Overlap, overlap
from voxbench.metrics.surface import SurfaceDistances, label_boxes, surface_distances

__all__ = [
    "Diffeomorphism",
    "LandmarkErrors",
    "Overlap",
    "SurfaceDistances",
    "diffeomorphism",
    "jacobian_determinants",
    "label_boxes",
    "label_centroids",
    "landmark_errors",
    "normalized_cross_correlation",
    "overlap",
    "point_errors",
    "sd_log_jacobian",
    "surface_distances",
]
