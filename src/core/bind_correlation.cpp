// Python's side of correlation.cpp.
#include "arrays.hpp"

void bind_correlation(nb::module_& m) {
  m.def(
      "ssd_volume",
      [](In fixed, In moving, long half) {
        const float* f = floats(fixed, 4, "fixed");
        const float* g = floats(moving, 4, "moving");
        for (int d = 0; d < 4; d++)
          if (fixed.shape(d) != moving.shape(d)) throw nb::value_error("fixed, moving: shapes differ");
        if (half < 0 || half > 20) throw nb::value_error("half: between 0 and 20 cells");
        const long n[3] = {(long)fixed.shape(1), (long)fixed.shape(2), (long)fixed.shape(3)};
        const size_t side = (size_t)(2 * half + 1);
        auto out = fresh<uint16_t>({(size_t)n[0], (size_t)n[1], side * side * side, (size_t)n[2]});
        uint16_t* dst = out.data();
        const long channels = (long)fixed.shape(0);
        nb::gil_scoped_release nogil;
        VB_CALL(ssd_volume, f, g, channels, n, half, dst);
        return out;
      },
      nb::arg("fixed"), nb::arg("moving"), nb::arg("half"),
      "Mean over channels of (fixed(x) - moving(x + d))^2 in 1/65535 for every d in a window: uint16 (i, j, d, k).");
  m.def(
      "coupled_argmin",
      [](In cost, long half, In weight, In near_, Out best) {
        const uint16_t* c = checked<uint16_t>(cost, 4, "cost", "uint16");
        long a[3], b[3];
        const float* u = planar(near_, a, "near");
        float* dst = planar(best, b, "best");
        same_shape(a, b, "near, best");
        const long at[3] = {(long)cost.shape(0), (long)cost.shape(1), (long)cost.shape(3)};
        same_shape(at, a, "cost, near");
        const long side = 2 * half + 1;
        if (half < 0 || (long)cost.shape(2) != side * side * side) throw nb::value_error("cost: not of this half width");
        const float* w = floats(weight, 1, "weight");
        if (weight.shape(0) != 3) throw nb::value_error("weight: three numbers");
        nb::gil_scoped_release nogil;
        VB_CALL(coupled_argmin, c, a, half, w, u, dst);
      },
      nb::arg("cost"), nb::arg("half"), nb::arg("weight"), nb::arg("near"), nb::arg("best"),
      "best(x) = argmin over d of cost(x, d) + sum weight (d - near(x))^2, in cells.");
}
