// Python's side of histogram.cpp.
#include <cmath>

#include "arrays.hpp"

namespace {

// Scattered points of one image, and another image that is read through a matrix.
struct Scene {
  const float* points;
  long count;
  const float *values, *mask = nullptr;
  long shape[3];
};

Scene scene_of(const In& points, const In& image, const std::optional<In>& mask) {
  Scene s;
  s.points = floats(points, 2, "points");
  if (points.shape(1) != 3) throw nb::type_error("points: expected shape (n, 3)");
  s.count = (long)points.shape(0);
  s.values = volume(image, s.shape, "image");
  if (mask) {
    long other[3];
    s.mask = volume(*mask, other, "mask");
    same_shape(s.shape, other, "image, mask");
  }
  return s;
}

const double* matrix_of(const In& matrix) {
  const double* m = doubles(matrix, 2, "matrix");
  if (matrix.shape(0) != 3 || matrix.shape(1) != 4) throw nb::type_error("matrix: expected shape (3, 4)");
  return m;
}

const double* matrices_of(const In& matrices) {
  const double* t = doubles(matrices, 3, "matrices");
  if (matrices.shape(1) != 3 || matrices.shape(2) != 4) throw nb::type_error("matrices: expected shape (n, 3, 4)");
  return t;
}

const float* blocks_of(const In& fixed, long count, int block, double floor) {
  const float* f = floats(fixed, 1, "fixed");
  if ((long)fixed.shape(0) != count) throw nb::value_error("points, fixed: lengths differ");
  if (block < 2 || count % block) throw nb::value_error("block: at least 2, and points come in whole blocks");
  if (!(floor > 0)) throw nb::value_error("floor: must be positive");
  return f;
}

const unsigned char* rows_of(const In& bins_of_points, long count, int bins) {
  if (bins < 2 || bins > 256) throw nb::value_error("bins: 2 to 256");
  const unsigned char* rows = checked<unsigned char>(bins_of_points, 1, "rows", "uint8");
  if ((long)bins_of_points.shape(0) != count) throw nb::value_error("points, rows: lengths differ");
  for (long s = 0; s < count; s++)
    if (rows[s] >= bins) throw nb::value_error("rows: a point's bin is not below the number of bins");
  return rows;
}

}  // namespace

void bind_histogram(nb::module_& m) {
  m.def(
      "joint_histogram",
      [](In points, In rows, In image, std::optional<In> mask, In matrix, int bins) {
        const Scene s = scene_of(points, image, mask);
        const unsigned char* r = rows_of(rows, s.count, bins);
        const double* t = matrix_of(matrix);
        auto out = fresh<double>({(size_t)bins, (size_t)bins + 3});
        nb::gil_scoped_release nogil;
        VB_CALL(joint_histogram, s.points, r, s.count, s.values, s.mask, s.shape, t, bins, out.data());
        return out;
      },
      nb::arg("points"), nb::arg("rows"), nb::arg("image"), nb::arg("mask").none(), nb::arg("matrix"), nb::arg("bins"),
      "Weights of the pairs of bins: rows by the points' own bins, columns by the image's value (cubic B-spline), from -1.");
  m.def(
      "mutual_information",
      [](In points, In rows, In image, std::optional<In> mask, In matrix, int bins) {
        const Scene s = scene_of(points, image, mask);
        const unsigned char* r = rows_of(rows, s.count, bins);
        const double* t = matrix_of(matrix);
        auto gradient = fresh<double>({2, 3, 4});
        double ratio, overlap;
        {
          nb::gil_scoped_release nogil;
          ratio = VB_CALL(mutual_information, s.points, r, s.count, s.values, s.mask, s.shape, t, bins, &overlap,
                          gradient.data());
        }
        return nb::make_tuple(ratio, overlap, gradient);
      },
      nb::arg("points"), nb::arg("rows"), nb::arg("image"), nb::arg("mask").none(), nb::arg("matrix"), nb::arg("bins"),
      "Normalised mutual information, weight of the points that count, gradients (2,3,4) of both by the matrix.");
  m.def(
      "mutual_information_many",
      [](In points, In rows, In image, std::optional<In> mask, In matrices, int bins) {
        const Scene s = scene_of(points, image, mask);
        const unsigned char* r = rows_of(rows, s.count, bins);
        const double* t = matrices_of(matrices);
        const size_t many = matrices.shape(0);
        auto ratios = fresh<double>({many}), overlaps = fresh<double>({many});
        {
          nb::gil_scoped_release nogil;
          VB_CALL(mutual_information_many, s.points, r, s.count, s.values, s.mask, s.shape, t, (long)many, bins,
                  ratios.data(), overlaps.data());
        }
        return nb::make_tuple(ratios, overlaps);
      },
      nb::arg("points"), nb::arg("rows"), nb::arg("image"), nb::arg("mask").none(), nb::arg("matrices"), nb::arg("bins"),
      "Normalised mutual information and weight of the points that count, for many matrices (n,3,4).");
  m.def(
      "block_correlation",
      [](In points, In fixed, int block, In image, std::optional<In> mask, In matrix, double floor) {
        const Scene s = scene_of(points, image, mask);
        const float* f = blocks_of(fixed, s.count, block, floor);
        const double* t = matrix_of(matrix);
        auto gradient = fresh<double>({2, 3, 4});
        double mean, overlap;
        {
          nb::gil_scoped_release nogil;
          mean = VB_CALL(block_correlation, s.points, f, s.count, block, s.values, s.mask, s.shape, t, floor, &overlap,
                         gradient.data());
        }
        return nb::make_tuple(mean, overlap, gradient);
      },
      nb::arg("points"), nb::arg("fixed"), nb::arg("block"), nb::arg("image"), nb::arg("mask").none(),
      nb::arg("matrix"), nb::arg("floor"),
      "Mean squared correlation over blocks of consecutive points, weight of those that count, gradients (2,3,4).");
  m.def(
      "block_correlation_many",
      [](In points, In fixed, int block, In image, std::optional<In> mask, In matrices, double floor) {
        const Scene s = scene_of(points, image, mask);
        const float* f = blocks_of(fixed, s.count, block, floor);
        const double* t = matrices_of(matrices);
        const size_t many = matrices.shape(0);
        auto means = fresh<double>({many}), overlaps = fresh<double>({many});
        {
          nb::gil_scoped_release nogil;
          VB_CALL(block_correlation_many, s.points, f, s.count, block, s.values, s.mask, s.shape, t, (long)many, floor,
                  means.data(), overlaps.data());
        }
        return nb::make_tuple(means, overlaps);
      },
      nb::arg("points"), nb::arg("fixed"), nb::arg("block"), nb::arg("image"), nb::arg("mask").none(),
      nb::arg("matrices"), nb::arg("floor"),
      "Mean squared correlation over blocks and weight of the points that count, for many matrices (n,3,4).");
}
