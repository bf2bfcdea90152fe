// Python's side of diffeo.cpp and labels.cpp.
#include "arrays.hpp"

namespace {

// A planar vector field of float32 or float64, (3, i, j, k); its spatial shape goes to `shape`, its element size back.
const void* either_planar(const In& a, long* shape, int& bytes, const char* name) {
  bytes = (int)a.itemsize();
  if (a.dtype() != nb::dtype<float>() && a.dtype() != nb::dtype<double>())
    throw nb::type_error((std::string(name) + ": expected dtype float32 or float64").c_str());
  if (a.ndim() != 4 || a.shape(0) != 3) throw nb::type_error((std::string(name) + ": expected shape (3, i, j, k)").c_str());
  contiguous(a, name);
  for (int d = 0; d < 3; d++) shape[d] = (long)a.shape(d + 1);
  return a.data();
}

}  // namespace

void bind_diffeo(nb::module_& m) {
  m.def(
      "diffeomorphism",
      [](In field, std::optional<In> mask) {
        long n[3];
        int bytes;
        const void* p = either_planar(field, n, bytes, "field");
        const unsigned char* inside = nullptr;
        if (mask) {
          inside = checked<uint8_t>(*mask, 3, "mask", "uint8");
          const long s[3] = {(long)mask->shape(0), (long)mask->shape(1), (long)mask->shape(2)};
          same_shape(n, s, "field, mask");
        }
        auto volume = fresh<double>({(size_t)n[0]});
        auto counts = fresh<long>({(size_t)n[0], 3});
        double* v = volume.data();
        long* c = counts.data();
        {
          nb::gil_scoped_release nogil;
          VB_CALL(diffeomorphism, p, bytes, n, inside, v, c);
        }
        return std::make_tuple(volume, counts);
      },
      nb::arg("field"), nb::arg("mask").none(),
      "Per plane i: non-diffeomorphic volume; voxels, folded voxels and non-positive one-sided determinants.");
  m.def(
      "central_determinant",
      [](In field) {
        long n[3];
        int bytes;
        const void* p = either_planar(field, n, bytes, "field");
        for (int d = 0; d < 3; d++)
          if (n[d] < 3) throw nb::value_error("field: at least three voxels along every axis");
        auto out = fresh<double>({(size_t)n[0] - 2, (size_t)n[1] - 2, (size_t)n[2] - 2});
        double* dst = out.data();
        nb::gil_scoped_release nogil;
        VB_CALL(central_determinant, p, bytes, n, dst);
        return out;
      },
      nb::arg("field"), "det(I + grad u) in float64 by central differences, without the outermost voxels.");
  m.def(
      "warp_labels",
      [](In source, In field, Out out) {
        long n[3];
        int field_bytes;
        const void* p = either_planar(field, n, field_bytes, "field");
        if (source.ndim() != 3 || out.ndim() != 3) throw nb::type_error("source, out: expected 3 axes");
        const int bytes = (int)source.itemsize();
        if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) throw nb::type_error("source: 1, 2, 4 or 8 bytes");
        if ((int)out.itemsize() != bytes) throw nb::type_error("source and out: dtypes differ");
        contiguous(source, "source");
        contiguous(out, "out");
        const long s[3] = {(long)source.shape(0), (long)source.shape(1), (long)source.shape(2)};
        const long o[3] = {(long)out.shape(0), (long)out.shape(1), (long)out.shape(2)};
        same_shape(n, o, "field, out");
        const void* src = source.data();
        void* dst = out.data();
        nb::gil_scoped_release nogil;
        VB_CALL(warp_labels, src, bytes, s, p, field_bytes, n, dst);
      },
      nb::arg("source"), nb::arg("field"), nb::arg("out"),
      "out(x) = source(nearest(x + field(x))), 0 outside; rounding as scipy's map_coordinates(order=0), in float64.");
}
