// Python's side of projection.cpp, rays.cpp and silhouette.cpp.
#include <cmath>
#include <cstring>
#include <new>

#include "arrays.hpp"

namespace {

const double* finite_doubles(const In& a, size_t rows, size_t cols, const char* name) {
  const double* p = doubles(a, cols ? 2 : 1, name);
  if (a.shape(0) != rows || (cols && a.shape(1) != cols))
    throw nb::value_error((std::string(name) + ": wrong shape").c_str());
  for (size_t i = 0; i < rows * (cols ? cols : 1); i++)
    if (!std::isfinite(p[i])) throw nb::value_error((std::string(name) + ": NaN or infinite").c_str());
  return p;
}

struct Beam {
  const double *view, *spacing;
};

Beam beam_of(const In& view, const In& spacing) {
  const Beam beam = {finite_doubles(view, 4, 3, "view"), finite_doubles(spacing, 3, 0, "spacing")};
  for (int a = 0; a < 3; a++)
    if (!(beam.spacing[a] > 0)) throw nb::value_error("spacing: above 0");
  return beam;
}

int bytes_of(const In& volume, long* n) {
  if (volume.dtype() != nb::dtype<float>() && volume.dtype() != nb::dtype<uint8_t>())
    throw nb::type_error("volume: expected dtype float32 or uint8");
  if (volume.ndim() != 3) throw nb::type_error("volume: expected 3 axes");
  contiguous(volume, "volume");
  for (int d = 0; d < 3; d++) n[d] = (long)volume.shape(d);
  return volume.dtype() == nb::dtype<float>() ? 4 : 1;
}

// A plane of rays for each column, its main axis i or j; else the columns do not run along k.
void along_k(const Beam& beam, long rows, long cols) {
  const double* v = beam.view;
  if (v[9] != 0 || v[10] != 0 || v[11] == 0) throw nb::value_error("view: its columns must run along k");
  for (long c = 0; c < cols; c++) {
    const double x = std::fabs(v[3] + (double)c * v[6] - v[0]), y = std::fabs(v[4] + (double)c * v[7] - v[1]);
    const double z = v[5] + (double)c * v[8] - v[2], end = z + (double)(rows - 1) * v[11];
    const double most = x > y ? x : y;
    if (!(most > 0) || std::fabs(z) > most || std::fabs(end) > most)
      throw nb::value_error("view: a ray runs more along k than across");
  }
}

void size_of(long rows, long cols) {
  if (rows < 1 || cols < 1) throw nb::value_error("rows, cols: at least 1");
}

const float* image_of(const In& image, long* size) {
  const float* p = floats(image, 2, "image");
  size[0] = (long)image.shape(0);
  size[1] = (long)image.shape(1);
  return p;
}

const char* kView =
    "view: float64 (4, 3) in voxels: source, first pixel, step to the next column of pixels, step to the next row.";

}  // namespace

void bind_projection(nb::module_& m) {
  m.def(
      "project_columns",
      [](In volume, In view, In spacing, long rows, long cols) {
        long n[3];
        const int bytes = bytes_of(volume, n);
        const Beam beam = beam_of(view, spacing);
        size_of(rows, cols);
        along_k(beam, rows, cols);
        auto out = fresh<float>({(size_t)rows, (size_t)cols});
        float* dst = out.data();
        const void* src = volume.data();
        bool done;
        {
          nb::gil_scoped_release nogil;
          done = VB_CALL(project_columns, src, bytes, n, beam.view, beam.spacing, rows, cols, dst);
        }
        if (!done) throw std::bad_alloc();
        return out;
      },
      nb::arg("volume"), nb::arg("view"), nb::arg("spacing"), nb::arg("rows"), nb::arg("cols"), kView);
  m.def(
      "backproject_columns",
      [](In image, In view, In spacing, Shape shape) {
        long size[2];
        const float* src = image_of(image, size);
        const Beam beam = beam_of(view, spacing);
        along_k(beam, size[0], size[1]);
        const long n[3] = {std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)};
        for (long extent : n)
          if (extent < 1) throw nb::value_error("shape: at least one voxel along each axis");
        auto out = fresh<float>({(size_t)n[0], (size_t)n[1], (size_t)n[2]});
        float* dst = out.data();
        bool done;
        {
          nb::gil_scoped_release nogil;
          std::memset(dst, 0, sizeof(float) * (size_t)(n[0] * n[1] * n[2]));
          done = VB_CALL(backproject_columns, src, n, beam.view, beam.spacing, size[0], size[1], dst);
        }
        if (!done) throw std::bad_alloc();
        return out;
      },
      nb::arg("image"), nb::arg("view"), nb::arg("spacing"), nb::arg("shape"), "The adjoint of project_columns.");
  m.def(
      "project_rays",
      [](In volume, In view, In spacing, long rows, long cols, bool exact) {
        long n[3];
        const int bytes = bytes_of(volume, n);
        const Beam beam = beam_of(view, spacing);
        size_of(rows, cols);
        auto out = fresh<float>({(size_t)rows, (size_t)cols});
        float* dst = out.data();
        const void* src = volume.data();
        {
          nb::gil_scoped_release nogil;
          VB_CALL(project_rays, src, bytes, n, beam.view, beam.spacing, rows, cols, (int)exact, dst);
        }
        return out;
      },
      nb::arg("volume"), nb::arg("view"), nb::arg("spacing"), nb::arg("rows"), nb::arg("cols"), nb::arg("exact"),
      "As project_columns for any pose; `exact` takes Siddon's lengths instead of Joseph's slices.");
  m.def(
      "backproject_rays",
      [](In image, In view, In spacing, Shape shape, bool exact) {
        long size[2];
        const float* src = image_of(image, size);
        const Beam beam = beam_of(view, spacing);
        const long n[3] = {std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)};
        for (long extent : n)
          if (extent < 1) throw nb::value_error("shape: at least one voxel along each axis");
        auto out = fresh<float>({(size_t)n[0], (size_t)n[1], (size_t)n[2]});
        float* dst = out.data();
        bool done;
        {
          nb::gil_scoped_release nogil;
          std::memset(dst, 0, sizeof(float) * (size_t)(n[0] * n[1] * n[2]));
          done = VB_CALL(backproject_rays, src, n, beam.view, beam.spacing, size[0], size[1], (int)exact, dst);
        }
        if (!done) throw std::bad_alloc();
        return out;
      },
      nb::arg("image"), nb::arg("view"), nb::arg("spacing"), nb::arg("shape"), nb::arg("exact"),
      "The adjoint of project_rays.");
  m.def(
      "view_gradient",
      [](In volume, In image, In view, In spacing) {
        long n[3], size[2];
        const int bytes = bytes_of(volume, n);
        const float* weights = image_of(image, size);
        const Beam beam = beam_of(view, spacing);
        auto out = fresh<double>({4, 3});
        double* dst = out.data();
        const void* src = volume.data();
        bool done;
        {
          nb::gil_scoped_release nogil;
          done = VB_CALL(view_gradient, src, bytes, n, beam.view, beam.spacing, weights, size[0], size[1], dst);
        }
        if (!done) throw std::bad_alloc();
        return out;
      },
      nb::arg("volume"), nb::arg("image"), nb::arg("view"), nb::arg("spacing"),
      "Derivative of sum(image * project_rays(volume, view)) (Joseph's) with respect to the view, float64 (4, 3).");
  m.def(
      "silhouette",
      [](In pixels, In faces, long rows, long cols) {
        const double* p = doubles(pixels, 2, "pixels");
        const size_t count = pixels.shape(0);
        if (pixels.shape(1) != 2) throw nb::value_error("pixels: expected shape (n, 2)");
        for (size_t i = 0; i < 2 * count; i++)
          if (!std::isfinite(p[i])) throw nb::value_error("pixels: NaN or infinite");
        const int32_t* f = checked<int32_t>(faces, 2, "faces", "int32");
        if (faces.shape(1) != 3) throw nb::value_error("faces: expected shape (m, 3)");
        for (size_t i = 0; i < 3 * faces.shape(0); i++)
          if (f[i] < 0 || f[i] >= (int64_t)count) throw nb::value_error("faces: names a vertex that is not there");
        size_of(rows, cols);
        const long m_ = (long)faces.shape(0);
        auto out = fresh<uint8_t>({(size_t)rows, (size_t)cols});
        uint8_t* dst = out.data();
        {
          nb::gil_scoped_release nogil;
          std::memset(dst, 0, (size_t)(rows * cols));
          VB_CALL(silhouette, p, f, m_, rows, cols, dst);
        }
        return out;
      },
      nb::arg("pixels"), nb::arg("faces"), nb::arg("rows"), nb::arg("cols"),
      "1 at the pixel centres a projected triangle holds, its border included. Pixels as (row, column). uint8.");
}
