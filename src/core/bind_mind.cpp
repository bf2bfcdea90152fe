// Python's side of mind.cpp.
#include "arrays.hpp"

namespace {

constexpr size_t kPairs = 12;

// Reads the image, checks the parameters, and sets the shape of the pooled result.
const float* described(const In& image, int radius, long dilation, long pool, long* n, size_t* o) {
  const float* p = volume(image, n, "image");
  if (radius < 0 || radius > 8) throw nb::value_error("radius: between 0 and 8 voxels");
  if (dilation < 1) throw nb::value_error("dilation: at least 1 voxel");
  if (pool < 1) throw nb::value_error("pool: at least 1 voxel");
  for (int d = 0; d < 3; d++) o[d] = (size_t)((n[d] + pool - 1) / pool);
  return p;
}

template <class T, class A>
const T* features(const A& a, long* shape, long* channels, const char* name, const char* dtype) {
  const T* p = checked<T>(a, 4, name, dtype);
  for (int d = 0; d < 3; d++) shape[d] = (long)a.shape(d);
  *channels = (long)a.shape(3);
  return p;
}

}  // namespace

void bind_mind(nb::module_& m) {
  m.def(
      "mind_ssc",
      [](In image, int radius, long dilation, long pool) {
        long n[3];
        size_t o[3];
        const float* p = described(image, radius, dilation, pool, n, o);
        auto out = fresh<float>({kPairs, o[0], o[1], o[2]});
        float* dst = out.data();
        nb::gil_scoped_release nogil;
        VB_CALL(mind_ssc, p, n, radius, dilation, pool, dst, nullptr);
        return out;
      },
      nb::arg("image"), nb::arg("radius"), nb::arg("dilation"), nb::arg("pool"),
      "The twelve self-similarity descriptors, block means over pool^3 voxels, float32 (12, i, j, k).");
  m.def(
      "mind_ssc_packed",
      [](In image, int radius, long dilation, long pool) {
        long n[3];
        size_t o[3];
        const float* p = described(image, radius, dilation, pool, n, o);
        auto out = fresh<uint8_t>({o[0], o[1], o[2], kPairs});
        uint8_t* dst = out.data();
        nb::gil_scoped_release nogil;
        VB_CALL(mind_ssc, p, n, radius, dilation, pool, nullptr, dst);
        return out;
      },
      nb::arg("image"), nb::arg("radius"), nb::arg("dilation"), nb::arg("pool"),
      "As mind_ssc, in multiples of 1/255 and channels last: uint8 (i, j, k, 12).");
  m.def(
      "feature_force",
      [](In fixed, In moving, In field, Out out) {
        long f[3], g[3], u[3], v[3], cf, cm;
        const float* disp = planar(field, u, "field");
        float* dst = planar(out, v, "out");
        const bool bytes = fixed.dtype() == nb::dtype<uint8_t>();
        const void* pf = bytes ? (const void*)features<uint8_t>(fixed, f, &cf, "fixed", "uint8")
                               : (const void*)features<float>(fixed, f, &cf, "fixed", "float32 or uint8");
        const void* pm = bytes ? (const void*)features<uint8_t>(moving, g, &cm, "moving", "uint8, as fixed")
                               : (const void*)features<float>(moving, g, &cm, "moving", "float32, as fixed");
        same_shape(f, u, "fixed, field");
        same_shape(f, v, "fixed, out");
        if (cf != cm) throw nb::value_error("fixed, moving: numbers of channels differ");
        nb::gil_scoped_release nogil;
        if (bytes)
          return VB_CALL(feature_force_bytes, (const uint8_t*)pf, (const uint8_t*)pm, g, disp, f, cf, dst);
        return VB_CALL(feature_force_float, (const float*)pf, (const float*)pm, g, disp, f, cf, dst);
      },
      nb::arg("fixed"), nb::arg("moving"), nb::arg("field"), nb::arg("out"),
      "Mean squared difference of fixed(x) and moving(x + field(x)), channels last; its gradient per voxel into out.");
}
