"""The compiled hot loops; see src/core/. Arrays are C-contiguous; a wrong dtype, shape or stride is a TypeError."""

import numpy as np

def instruction_set() -> int: ...
def set_instruction_set(level: int) -> None: ...
def threads(n: int = 0) -> int: ...
def sample(
    source: np.ndarray,
    shape: tuple[int, int, int],
    matrix: np.ndarray,
    field: np.ndarray | None,
    linear: np.ndarray | None,
    order: int,
    outside: float,
) -> np.ndarray: ...
def sample_nearest(
    source: np.ndarray,
    shape: tuple[int, int, int],
    matrix: np.ndarray,
    field: np.ndarray | None,
    linear: np.ndarray | None,
    outside: np.ndarray,
    out: np.ndarray,
) -> None: ...
def spline_coefficients(source: np.ndarray) -> np.ndarray: ...
def sample_vectors(field: np.ndarray, points: np.ndarray) -> np.ndarray: ...
def warp_planar(source: np.ndarray, field: np.ndarray, out: np.ndarray) -> None: ...
def compose_planar(outer: np.ndarray, inner: np.ndarray, step: float, out: np.ndarray) -> None: ...
def invert_planar(field: np.ndarray, iterations: int, inverse: np.ndarray) -> float: ...
def regrid_planar(
    source: np.ndarray, offset: np.ndarray, ratio: np.ndarray, scale: np.ndarray, out: np.ndarray
) -> None: ...
def gaussian(data: np.ndarray, sigma: np.ndarray, clamp: bool) -> None: ...
def scale_to(data: np.ndarray, largest: float, least: float = 0.0) -> None: ...
def jacobian_determinant(field: np.ndarray) -> np.ndarray: ...
def jacobian_minimum(field: np.ndarray) -> np.ndarray: ...
def ncc_value(
    fixed: np.ndarray, warped: np.ndarray, weight: np.ndarray | None, radius: int, epsilon: float
) -> float: ...
def ncc_force(
    fixed: np.ndarray,
    warped: np.ndarray,
    weight: np.ndarray | None,
    radius: int,
    epsilon: float,
    scratch: np.ndarray,
    force: np.ndarray,
    fixed_force: np.ndarray | None,
) -> float: ...
def diffeomorphism(field: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]: ...
def central_determinant(field: np.ndarray) -> np.ndarray: ...
def warp_labels(source: np.ndarray, field: np.ndarray, out: np.ndarray) -> None: ...
def joint_histogram(
    points: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    mask: np.ndarray | None,
    matrix: np.ndarray,
    bins: int,
) -> np.ndarray: ...
def mutual_information(
    points: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    mask: np.ndarray | None,
    matrix: np.ndarray,
    bins: int,
) -> tuple[float, float, np.ndarray]: ...
def mutual_information_many(
    points: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    mask: np.ndarray | None,
    matrices: np.ndarray,
    bins: int,
) -> tuple[np.ndarray, np.ndarray]: ...
def block_correlation(
    points: np.ndarray,
    fixed: np.ndarray,
    block: int,
    image: np.ndarray,
    mask: np.ndarray | None,
    matrix: np.ndarray,
    floor: float,
) -> tuple[float, float, np.ndarray]: ...
def mind_ssc(image: np.ndarray, radius: int, dilation: int, pool: int) -> np.ndarray: ...
def mind_ssc_packed(image: np.ndarray, radius: int, dilation: int, pool: int) -> np.ndarray: ...
def feature_force(fixed: np.ndarray, moving: np.ndarray, field: np.ndarray, out: np.ndarray) -> float: ...
def ssd_volume(fixed: np.ndarray, moving: np.ndarray, half: int) -> np.ndarray: ...
def coupled_argmin(cost: np.ndarray, half: int, weight: np.ndarray, near: np.ndarray, best: np.ndarray) -> None: ...
def block_correlation_many(
    points: np.ndarray,
    fixed: np.ndarray,
    block: int,
    image: np.ndarray,
    mask: np.ndarray | None,
    matrices: np.ndarray,
    floor: float,
) -> tuple[np.ndarray, np.ndarray]: ...
def ssim_slices(
    reference: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray | None,
    window: np.ndarray,
    box: np.ndarray,
    size: int,
) -> np.ndarray: ...
def ssim_volume(
    reference: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray | None,
    window: np.ndarray,
    box: np.ndarray,
    size: int,
) -> float: ...
def window_contrasts(
    source: np.ndarray,
    mask: np.ndarray,
    size: int,
    step: int,
    least: int,
    ranks: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray: ...
def agreement(
    reference: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray | None,
    windows: np.ndarray,
    centres: np.ndarray | None,
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]: ...
def surface_distances(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray: ...
def voxelise(vertices: np.ndarray, faces: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray: ...
def surface_quantiles(
    first: np.ndarray, second: np.ndarray, ids: np.ndarray, boxes: np.ndarray, areas: np.ndarray, share: float
) -> np.ndarray: ...
def joint_counts(
    first: np.ndarray, second: np.ndarray, rank: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]: ...
def local_thickness(squared: np.ndarray, between: bool = False) -> int: ...
def band_along(
    x: np.ndarray, axis: int, first: np.ndarray, weights: np.ndarray, out: np.ndarray, add: bool
) -> None: ...
def band_spread(x: np.ndarray, first: np.ndarray, weights: np.ndarray, out: np.ndarray, add: bool) -> None: ...
def edge_penalty(x: np.ndarray, knee: float, scale: float, curvature: np.ndarray | None) -> float: ...
def edge_normal(x: np.ndarray, curvature: np.ndarray, out: np.ndarray) -> None: ...
def inner_product(a: np.ndarray, b: np.ndarray) -> float: ...
def conjugate_step(
    length: float, along: np.ndarray, mapped: np.ndarray, held: np.ndarray, found: np.ndarray, left: np.ndarray
) -> float: ...
