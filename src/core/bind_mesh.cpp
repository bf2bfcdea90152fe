// Python's side of mesh.cpp.
#include <cmath>
#include <cstring>
#include <new>

#include "arrays.hpp"

static const double* finite_points(const In& a, const char* name) {
  const double* p = doubles(a, 2, name);
  if (a.shape(1) != 3) throw nb::value_error((std::string(name) + ": expected shape (n, 3)").c_str());
  for (size_t i = 0; i < a.shape(0) * 3; i++)
    if (!std::isfinite(p[i])) throw nb::value_error((std::string(name) + ": NaN or infinite").c_str());
  return p;
}

static const int32_t* faces_of(const In& faces, const In& vertices) {
  const int32_t* f = checked<int32_t>(faces, 2, "faces", "int32");
  if (faces.shape(1) != 3) throw nb::value_error("faces: expected shape (m, 3)");
  const int64_t n = (int64_t)vertices.shape(0);
  for (size_t i = 0; i < faces.shape(0) * 3; i++)
    if (f[i] < 0 || f[i] >= n) throw nb::value_error("faces: names a vertex that is not there");
  return f;
}

void bind_mesh(nb::module_& m) {
  m.def(
      "surface_distances",
      [](In points, In vertices, In faces) {
        const double* p = finite_points(points, "points");
        const double* v = finite_points(vertices, "vertices");
        const int32_t* f = faces_of(faces, vertices);
        const long n = (long)points.shape(0), count = (long)faces.shape(0);
        auto out = fresh<double>({(size_t)n});
        double* dst = out.data();
        bool done;
        {
          nb::gil_scoped_release nogil;
          done = VB_CALL(surface_distances, p, n, v, f, count, dst);
        }
        if (!done) throw std::bad_alloc();
        return out;
      },
      nb::arg("points"), nb::arg("vertices"), nb::arg("faces"),
      "Distance of every point to the nearest point of any triangle, float64 (n,).");
  m.def(
      "voxelise",
      [](In vertices, In faces, Shape shape) {
        const double* v = finite_points(vertices, "vertices");
        const int32_t* f = faces_of(faces, vertices);
        const long n[3] = {std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)};
        for (long extent : n)
          if (extent < 1) throw nb::value_error("shape: at least one voxel along each axis");
        auto out = fresh<uint8_t>({(size_t)n[0], (size_t)n[1], (size_t)n[2]});
        uint8_t* dst = out.data();
        const long count = (long)faces.shape(0);
        bool done;
        {
          nb::gil_scoped_release nogil;
          std::memset(dst, 0, (size_t)(n[0] * n[1] * n[2]));
          done = VB_CALL(voxelise, v, f, count, n, dst);
        }
        if (!done) throw std::bad_alloc();
        return out;
      },
      nb::arg("vertices"), nb::arg("faces"), nb::arg("shape"),
      "1 at the voxel centres an odd number of surfaces lies below (along k); vertices in voxels. uint8 (i, j, k).");
}
