// Joint reconstruction.
#include "arrays.hpp"

void bind_fusion(nb::module_& m) {
  m.def(
      "band_along",
      [](In x, int axis, In first, In weights, Out out, bool add) {
        long n[3], size[3];
        const float* from = volume(x, n, "x");
        float* to = volume(out, size, "out");
        const int32_t* start = checked<int32_t>(first, 1, "first", "int32");
        const float* w = floats(weights, 2, "weights");
        const long rows = (long)first.shape(0), width = (long)weights.shape(1);
        if (axis < 0 || axis > 2) throw nb::value_error("axis: 0, 1 or 2");
        if ((long)weights.shape(0) != rows) throw nb::value_error("weights: expected one row per element of first");
        for (int d = 0; d < 3; d++)
          if (size[d] != (d == axis ? rows : n[d])) throw nb::value_error("out: does not fit x and the matrix");
        for (long r = 0; r < rows; r++)
          if (start[r] < 0 || start[r] + width > n[axis]) throw nb::value_error("first: a row ends outside x");
        nb::gil_scoped_release nogil;
        VB_CALL(band_along, from, n, axis, start, w, rows, width, to, add);
      },
      nb::arg("x"), nb::arg("axis"), nb::arg("first"), nb::arg("weights"), nb::arg("out"), nb::arg("add"),
      "A banded matrix times a volume along one axis: row r has weights[r] from column first[r] on. With `add` the\n"
      "product is added to `out`, else it replaces it.");
  m.def(
      "band_spread",
      [](In x, In first, In weights, Out out, bool add) {
        long n[3], size[3];
        const float* from = volume(x, size, "x");
        float* to = volume(out, n, "out");
        const int32_t* start = checked<int32_t>(first, 1, "first", "int32");
        const float* w = floats(weights, 2, "weights");
        const long rows = (long)first.shape(0), width = (long)weights.shape(1);
        if ((long)weights.shape(0) != rows) throw nb::value_error("weights: expected one row per element of first");
        if (size[0] != n[0] || size[1] != n[1] || size[2] != rows)
          throw nb::value_error("x: does not fit out and the matrix");
        for (long r = 0; r < rows; r++)
          if (start[r] < 0 || start[r] + width > n[2]) throw nb::value_error("first: a row ends outside out");
        nb::gil_scoped_release nogil;
        VB_CALL(band_spread, from, n, start, w, rows, width, to, add);
      },
      nb::arg("x"), nb::arg("first"), nb::arg("weights"), nb::arg("out"), nb::arg("add"),
      "The transposed of `band_along` along the last axis, from the same matrix.");
  m.def(
      "edge_penalty",
      [](In x, float knee, float scale, std::optional<Out> curvature) {
        long n[3], size[3];
        const float* at = volume(x, n, "x");
        float* to = nullptr;
        if (curvature) {
          to = volume(*curvature, size, "curvature");
          same_shape(n, size, "x and curvature");
        }
        if (!(knee > 0 && scale > 0)) throw nb::value_error("knee, scale: above 0");
        nb::gil_scoped_release nogil;
        return VB_CALL(edge_penalty, at, n, knee, scale, to);
      },
      nb::arg("x"), nb::arg("knee"), nb::arg("scale"), nb::arg("curvature").none(),
      "Sum over voxels of (sqrt(|forward differences|^2 + knee^2) - knee) / scale; 1 / (scale sqrt(...)) to `curvature`.");
  m.def(
      "edge_normal",
      [](In x, In curvature, Out out) {
        long n[3], size[3];
        const float* at = volume(x, n, "x");
        const float* c = volume(curvature, size, "curvature");
        same_shape(n, size, "x and curvature");
        float* to = volume(out, size, "out");
        same_shape(n, size, "x and out");
        nb::gil_scoped_release nogil;
        VB_CALL(edge_normal, at, c, n, to);
      },
      nb::arg("x"), nb::arg("curvature"), nb::arg("out"),
      "D' C D x, D the forward differences (0 across the border), C the curvature of each voxel.");
  m.def(
      "inner_product",
      [](In a, In b) {
        long n[3], size[3];
        const float* p = volume(a, n, "a");
        const float* q = volume(b, size, "b");
        same_shape(n, size, "a and b");
        nb::gil_scoped_release nogil;
        return VB_CALL(inner_product, p, q, n);
      },
      nb::arg("a"), nb::arg("b"), "Sum of products; single precision along the last axis, double beyond.");
  m.def(
      "conjugate_step",
      [](float length, In along, In mapped, In held, Out found, Out left) {
        long n[3], size[3];
        const float* a = volume(along, n, "along");
        const float* h = volume(mapped, size, "mapped");
        same_shape(n, size, "along and mapped");
        float* x = volume(found, size, "found");
        same_shape(n, size, "along and found");
        float* r = volume(left, size, "left");
        same_shape(n, size, "along and left");
        const uint8_t* z = checked<uint8_t>(held, 3, "held", "uint8");
        for (int d = 0; d < 3; d++)
          if ((long)held.shape(d) != n[d]) throw nb::value_error("held: another shape than along");
        nb::gil_scoped_release nogil;
        return VB_CALL(conjugate_step, length, a, h, z, n, x, r);
      },
      nb::arg("length"), nb::arg("along"), nb::arg("mapped"), nb::arg("held"), nb::arg("found"), nb::arg("left"),
      "found += length along; left -= length mapped, 0 where held is not 0; returns the sum of the squares of left.");
}
