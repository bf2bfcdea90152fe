// Python's side of ncc.cpp.
#include "arrays.hpp"

namespace {

struct Pair {
  long shape[3];
  const float *fixed, *warped, *weight = nullptr;
};

Pair pair_of(const In& fixed, const In& warped, const std::optional<In>& weight, int radius) {
  Pair p;
  long other[3];
  p.fixed = volume(fixed, p.shape, "fixed");
  p.warped = volume(warped, other, "warped");
  same_shape(p.shape, other, "fixed, warped");
  if (weight) {
    p.weight = volume(*weight, other, "weight");
    same_shape(p.shape, other, "fixed, weight");
  }
  if (radius < 1 || radius > 16) throw nb::value_error("radius: 1 to 16 voxels");
  return p;
}

}  // namespace

void bind_ncc(nb::module_& m) {
  m.def(
      "ncc_value",
      [](In fixed, In warped, std::optional<In> weight, int radius, float epsilon) {
        const Pair p = pair_of(fixed, warped, weight, radius);
        nb::gil_scoped_release nogil;
        return VB_CALL(ncc_value, p.fixed, p.warped, p.weight, p.shape, radius, epsilon);
      },
      nb::arg("fixed"), nb::arg("warped"), nb::arg("weight").none(), nb::arg("radius"), nb::arg("epsilon"),
      "Sum over voxels of the squared local correlation; epsilon: least variance in a window that counts.");
  m.def(
      "ncc_force",
      [](In fixed, In warped, std::optional<In> weight, int radius, float epsilon, Out scratch, Out force,
         std::optional<Out> fixed_force) {
        const Pair p = pair_of(fixed, warped, weight, radius);
        long other[3];
        float* s = floats(scratch, 4, "scratch");
        if ((long)scratch.shape(0) < (fixed_force ? 5 : 3)) throw nb::value_error("scratch: expected 3 or 5 volumes");
        for (int d = 0; d < 3; d++) other[d] = (long)scratch.shape(d + 1);
        same_shape(p.shape, other, "fixed, scratch");
        float* f = planar(force, other, "force");
        same_shape(p.shape, other, "fixed, force");
        float* g = nullptr;
        if (fixed_force) {
          g = planar(*fixed_force, other, "fixed_force");
          same_shape(p.shape, other, "fixed, fixed_force");
        }
        nb::gil_scoped_release nogil;
        return VB_CALL(ncc_force, p.fixed, p.warped, p.weight, p.shape, radius, epsilon, s, f, g);
      },
      nb::arg("fixed"), nb::arg("warped"), nb::arg("weight").none(), nb::arg("radius"), nb::arg("epsilon"),
      nb::arg("scratch"), nb::arg("force"), nb::arg("fixed_force").none(),
      "As ncc_value, and force (3,i,j,k): its exact gradient in the warped image times that image's own gradient; fixed_force\n"
      "(or None): the same for the fixed image. scratch: (3 or, with fixed_force, 5, i, j, k).");
}
