// Python's side of ssim.cpp, percentiles.cpp and agreement.cpp: two images of one dtype, int16 or float32.
#include "arrays.hpp"

namespace {

struct PairOfImages {
  const void *ref, *pred;
  const uint8_t* mask;
  int bytes;
  long n[3];
};

const void* image(const In& a, int& bytes, long* n, const char* name) {
  const std::string head = std::string(name) + ": ";
  if (a.dtype() != nb::dtype<int16_t>() && a.dtype() != nb::dtype<float>())
    throw nb::type_error((head + "expected dtype int16 or float32").c_str());
  if (a.ndim() != 3) throw nb::type_error((head + "expected 3 axes, got " + std::to_string(a.ndim())).c_str());
  contiguous(a, name);
  bytes = (int)a.itemsize();
  for (int d = 0; d < 3; d++) n[d] = (long)a.shape(d);
  return a.data();
}

const uint8_t* inside(const In& mask, const long* n) {
  const uint8_t* p = checked<uint8_t>(mask, 3, "mask", "uint8");
  const long s[3] = {(long)mask.shape(0), (long)mask.shape(1), (long)mask.shape(2)};
  same_shape(n, s, "image, mask");
  return p;
}

PairOfImages pair_of(const In& reference, const In& prediction, const std::optional<In>& mask) {
  PairOfImages g;
  long other[3];
  int bytes;
  g.ref = image(reference, g.bytes, g.n, "reference");
  g.pred = image(prediction, bytes, other, "prediction");
  if (bytes != g.bytes) throw nb::type_error("reference and prediction: dtypes differ");
  same_shape(g.n, other, "reference, prediction");
  g.mask = mask ? inside(*mask, g.n) : nullptr;
  return g;
}

const float* one_window(const In& window) {
  const float* p = floats(window, 1, "window");
  if (window.shape(0) != 3) throw nb::value_error("window: expected lowest, highest, width");
  return p;
}

// Begin and end along every axis, after a check that the box lies inside and holds the window.
void box_of(const In& box, const long* n, int size, int axes, long* out) {
  const int64_t* p = checked<int64_t>(box, 2, "box", "int64");
  if (box.shape(0) != 3 || box.shape(1) != 2) throw nb::value_error("box: expected shape (3, 2)");
  if (size < 3 || size % 2 == 0) throw nb::value_error("size: an odd number of at least 3");
  for (int d = 0; d < 3; d++) {
    out[2 * d] = (long)p[2 * d];
    out[2 * d + 1] = (long)p[2 * d + 1];
    if (out[2 * d] < 0 || out[2 * d + 1] > n[d] || out[2 * d] >= out[2 * d + 1])
      throw nb::value_error("box: empty, or not inside the image");
    if (d < axes && out[2 * d + 1] - out[2 * d] < size) throw nb::value_error("box: smaller than the window");
  }
}

}  // namespace

void bind_image(nb::module_& m) {
  m.def(
      "ssim_slices",
      [](In reference, In prediction, std::optional<In> mask, In window, In box, int size) {
        const PairOfImages g = pair_of(reference, prediction, mask);
        const float* w = one_window(window);
        long b[6];
        box_of(box, g.n, size, 2, b);
        auto out = fresh<double>({(size_t)(b[5] - b[4])});
        double* dst = out.data();
        nb::gil_scoped_release nogil;
        VB_CALL(ssim_slices, g.ref, g.pred, g.bytes, g.mask, g.n, b, w, size, dst);
        return out;
      },
      nb::arg("reference"), nb::arg("prediction"), nb::arg("mask").none(), nb::arg("window"), nb::arg("box"),
      nb::arg("size"), "Mean 2-D SSIM of every slice (axis k) of a box; 0 outside the mask.");
  m.def(
      "ssim_volume",
      [](In reference, In prediction, std::optional<In> mask, In window, In box, int size) {
        const PairOfImages g = pair_of(reference, prediction, mask);
        const float* w = one_window(window);
        long b[6];
        box_of(box, g.n, size, 3, b);
        nb::gil_scoped_release nogil;
        return VB_CALL(ssim_volume, g.ref, g.pred, g.bytes, g.mask, g.n, b, w, size);
      },
      nb::arg("reference"), nb::arg("prediction"), nb::arg("mask").none(), nb::arg("window"), nb::arg("box"),
      nb::arg("size"), "Mean 3-D SSIM of a box; 0 outside the mask.");
  m.def(
      "window_contrasts",
      [](In source, In mask, long size, long step, long least, In ranks, In weights) {
        long n[3];
        int bytes;
        const void* p = image(source, bytes, n, "source");
        const uint8_t* where = inside(mask, n);
        if (size < 1 || size > 128 || step < 1 || least < 1) throw nb::value_error("size, step, least: out of range");
        if (n[0] < size || n[1] < size) throw nb::value_error("source: smaller than the window");
        const int32_t* r = checked<int32_t>(ranks, 2, "ranks", "int32");
        const float* w = floats(weights, 2, "weights");
        const size_t rows = (size_t)(size * size + 1);
        if (ranks.shape(0) != rows || weights.shape(0) != rows || ranks.shape(1) != 2 || weights.shape(1) != 2)
          throw nb::value_error("ranks, weights: expected shape (size * size + 1, 2)");
        const size_t down = (size_t)((n[0] - size) / step + 1), across = (size_t)((n[1] - size) / step + 1);
        auto out = fresh<float>({(size_t)n[2], down, across});
        float* dst = out.data();
        const long shape[3] = {size, step, least};
        nb::gil_scoped_release nogil;
        VB_CALL(window_contrasts, p, bytes, where, n, shape, r, w, dst);
        return out;
      },
      nb::arg("source"), nb::arg("mask"), nb::arg("size"), nb::arg("step"), nb::arg("least"), nb::arg("ranks"),
      nb::arg("weights"),
      "Difference of two percentiles of the masked values in every window of every slice: (k, i, j); NaN where the mask "
      "has fewer than `least` voxels. Row n of the tables: lower rank and weight of the two percentiles of n values, "
      "up from the lower value or, if negative, down from the upper one.");
  m.def(
      "agreement",
      [](In reference, In prediction, std::optional<In> mask, In windows, std::optional<In> centres) {
        const PairOfImages g = pair_of(reference, prediction, mask);
        const float* w = floats(windows, 2, "windows");
        const size_t count = windows.shape(0);
        if (windows.shape(1) != 3 || count > 8) throw nb::value_error("windows: expected shape (at most 8, 3)");
        const float* c = centres ? floats(*centres, 2, "centres") : nullptr;
        if (centres && (centres->shape(0) != count || centres->shape(1) != 2))
          throw nb::value_error("centres: expected shape (windows, 2)");
        auto tree = fresh<float>({count, 4});
        auto sums = fresh<double>({count, 4});
        auto range = fresh<float>({2});
        float *t = tree.data(), *r = range.data();
        double* s = sums.data();
        long total;
        {
          nb::gil_scoped_release nogil;
          total = VB_CALL(agreement, g.ref, g.pred, g.bytes, g.mask, g.n, w, c, (long)count, t, s, r);
        }
        return std::make_tuple(total, tree, sums, range);
      },
      nb::arg("reference"), nb::arg("prediction"), nb::arg("mask").none(), nb::arg("windows"),
      nb::arg("centres").none(),
      "Voxels; per window the sums of a, b, |a - b|, (a - b)^2 (about centres: of a'^2, b'^2, a'b', 0) in float32 as "
      "numpy.sum takes them and in float64; range of the reference. In file order without a mask, else in array order.");
}
