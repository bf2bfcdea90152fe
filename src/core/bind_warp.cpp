// Python's side of warp.cpp, smooth.cpp and jacobian.cpp.
#include "arrays.hpp"

namespace {

struct Points {
  long shape[3];
  const double* matrix;
  const float* field = nullptr;
  const double* linear = nullptr;
};

Points points(Shape shape, const In& matrix, const std::optional<In>& field, const std::optional<In>& linear) {
  Points p;
  std::tie(p.shape[0], p.shape[1], p.shape[2]) = shape;
  p.matrix = doubles(matrix, 2, "matrix");
  if (matrix.shape(0) != 3 || matrix.shape(1) != 4) throw nb::value_error("matrix: expected shape (3, 4)");
  for (int d = 0; d < 3; d++)
    if (p.shape[d] < 1) throw nb::value_error("shape: every axis needs at least one voxel");
  if (field.has_value() != linear.has_value()) throw nb::value_error("field and linear come together");
  if (field) {
    p.field = floats(*field, 4, "field");
    for (int d = 0; d < 3; d++)
      if ((long)field->shape(d) != p.shape[d]) throw nb::value_error("field: its shape differs from the result's");
    if (field->shape(3) != 3) throw nb::value_error("field: expected shape (i, j, k, 3)");
    p.linear = doubles(*linear, 2, "linear");
    if (linear->shape(0) != 3 || linear->shape(1) != 3) throw nb::value_error("linear: expected shape (3, 3)");
  }
  return p;
}

}  // namespace

void bind_warp(nb::module_& m) {
  m.def(
      "sample",
      [](In source, Shape shape, In matrix, std::optional<In> field, std::optional<In> linear, int order,
         float outside) {
        long s[3];
        const float* src = volume(source, s, "source");
        const Points p = points(shape, matrix, field, linear);
        if (order != 1 && order != 3) throw nb::value_error("order: 1 (linear) or 3 (cubic)");
        auto out = fresh<float>({(size_t)p.shape[0], (size_t)p.shape[1], (size_t)p.shape[2]});
        float* dst = out.data();
        nb::gil_scoped_release nogil;
        VB_CALL(sample, src, s, dst, p.shape, p.matrix, p.field, p.linear, order, outside);
        return out;
      },
      nb::arg("source"), nb::arg("shape"), nb::arg("matrix"), nb::arg("field").none(), nb::arg("linear").none(),
      nb::arg("order"), nb::arg("outside"),
      "Sample float32 [i,j,k] (spline coefficients for order 3) at matrix @ (i,j,k,1) + linear @ field[i,j,k].");
  m.def(
      "sample_nearest",
      [](In source, Shape shape, In matrix, std::optional<In> field, std::optional<In> linear, In outside,
         Out out) {
        if (source.ndim() != 3 || out.ndim() != 3) throw nb::type_error("source, out: expected 3 axes");
        const int bytes = (int)source.itemsize();
        if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) throw nb::type_error("source: 1, 2, 4 or 8 bytes");
        if ((int)out.itemsize() != bytes || (int)outside.itemsize() != bytes)
          throw nb::type_error("source, out and outside: dtypes differ");
        const long s[3] = {(long)source.shape(0), (long)source.shape(1), (long)source.shape(2)};
        const Points p = points(shape, matrix, field, linear);
        contiguous(source, "source");
        contiguous(out, "out");
        for (int d = 0; d < 3; d++)
          if ((long)out.shape(d) != p.shape[d]) throw nb::value_error("out: its shape differs from shape");
        nb::gil_scoped_release nogil;
        VB_CALL(sample_nearest, source.data(), bytes, s, out.data(), p.shape, p.matrix, p.field, p.linear,
                outside.data());
      },
      nb::arg("source"), nb::arg("shape"), nb::arg("matrix"), nb::arg("field").none(), nb::arg("linear").none(),
      nb::arg("outside"), nb::arg("out"), "Nearest voxel into out; any dtype of 1, 2, 4 or 8 bytes.");
  m.def(
      "spline_coefficients",
      [](In source) {
        long s[3];
        const float* src = volume(source, s, "source");
        auto out = fresh<float>({(size_t)s[0], (size_t)s[1], (size_t)s[2]});
        float* dst = out.data();
        std::copy(src, src + s[0] * s[1] * s[2], dst);
        nb::gil_scoped_release nogil;
        VB_CALL(spline_coefficients, dst, s);
        return out;
      },
      nb::arg("source"), "Interpolating cubic B-spline coefficients, mirror boundary.");
  m.def(
      "sample_vectors",
      [](In field, In points) {
        const float* f = floats(field, 4, "field");
        if (field.shape(3) != 3) throw nb::value_error("field: expected shape (i, j, k, 3)");
        const long s[3] = {(long)field.shape(0), (long)field.shape(1), (long)field.shape(2)};
        const double* p = doubles(points, 2, "points");
        if (points.shape(1) != 3) throw nb::value_error("points: expected shape (n, 3)");
        const size_t count = points.shape(0);
        auto out = fresh<double>({count, (size_t)3});
        double* dst = out.data();
        nb::gil_scoped_release nogil;
        VB_CALL(sample_vectors, f, s, p, (long)count, dst);
        return out;
      },
      nb::arg("field"), nb::arg("points"), "Vectors of float32 [i,j,k,3] at float64 voxel points [n,3], linear, clamped.");
  m.def(
      "warp_planar",
      [](In source, In field, Out out) {
        long s[3], d[3], o[3];
        const float* src = volume(source, s, "source");
        const float* disp = planar(field, d, "field");
        float* dst = volume(out, o, "out");
        same_shape(d, o, "field, out");
        nb::gil_scoped_release nogil;
        VB_CALL(warp_planar, src, s, disp, d, dst);
      },
      nb::arg("source"), nb::arg("field"), nb::arg("out"), "out(x) = source(x + field(x)), linear, clamped; voxels.");
  m.def(
      "compose_planar",
      [](In outer, In inner, float step, Out out) {
        long a[3], b[3], o[3];
        const float* pa = planar(outer, a, "outer");
        const float* pb = planar(inner, b, "inner");
        float* dst = planar(out, o, "out");
        same_shape(a, b, "outer, inner");
        same_shape(a, o, "outer, out");
        if (dst == pa || dst == pb) throw nb::value_error("out: must not be one of the inputs");
        nb::gil_scoped_release nogil;
        VB_CALL(compose_planar, pa, pb, a, step, dst);
      },
      nb::arg("outer"), nb::arg("inner"), nb::arg("step"), nb::arg("out"),
      "out(x) = step inner(x) + outer(x + step inner(x)), voxels.");
  m.def(
      "invert_planar",
      [](In field, int iterations, Out inverse) {
        long a[3], b[3];
        const float* pa = planar(field, a, "field");
        float* pb = planar(inverse, b, "inverse");
        same_shape(a, b, "field, inverse");
        nb::gil_scoped_release nogil;
        return VB_CALL(invert_planar, pa, a, iterations, pb);
      },
      nb::arg("field"), nb::arg("iterations"), nb::arg("inverse"),
      "Newton inverse, starting from and written to inverse; returns the mean residual, voxels.");
  m.def(
      "regrid_planar",
      [](In source, In offset, In ratio, In scale, Out out) {
        long s[3], d[3];
        const float* src = planar(source, s, "source");
        float* dst = planar(out, d, "out");
        const float* triple[3] = {floats(offset, 1, "offset"), floats(ratio, 1, "ratio"), floats(scale, 1, "scale")};
        if (offset.shape(0) != 3 || ratio.shape(0) != 3 || scale.shape(0) != 3)
          throw nb::value_error("offset, ratio, scale: three numbers each");
        nb::gil_scoped_release nogil;
        VB_CALL(upsample_planar, src, s, triple[0], triple[1], triple[2], dst, d);
      },
      nb::arg("source"), nb::arg("offset"), nb::arg("ratio"), nb::arg("scale"), nb::arg("out"),
      "out(x) = scale * source(offset + ratio x) per component, linear, clamped.");
  m.def(
      "gaussian",
      [](Out data, In sigma, bool clamp) {
        if (data.ndim() != 3 && data.ndim() != 4) throw nb::type_error("data: expected 3 or 4 axes");
        float* p = floats(data, data.ndim(), "data");
        const size_t first = data.ndim() - 3;
        const long s[3] = {(long)data.shape(first), (long)data.shape(first + 1), (long)data.shape(first + 2)};
        const float* sg = floats(sigma, 1, "sigma");
        if (sigma.shape(0) != 3) throw nb::value_error("sigma: three numbers");
        for (int d = 0; d < 3; d++)
          if (!(sg[d] >= 0 && sg[d] <= 18)) throw nb::value_error("sigma: between 0 and 18 voxels");
        const long channels = first ? (long)data.shape(0) : 1;
        nb::gil_scoped_release nogil;
        VB_CALL(gaussian, p, channels, s, sg, clamp);
      },
      nb::arg("data"), nb::arg("sigma"), nb::arg("clamp"),
      "Smooth float32 [i,j,k] or [c,i,j,k] in place; sigma in voxels; clamp: the border goes on, else zero outside.");
  m.def(
      "scale_to",
      [](Out data, float largest, float least) {
        float* p = floats(data, data.ndim(), "data");
        const long count = (long)data.size();
        nb::gil_scoped_release nogil;
        VB_CALL(scale_to, p, count, largest, least);
      },
      nb::arg("data"), nb::arg("largest"), nb::arg("least") = 0.0f,
      "Scale in place: the largest absolute value (taken for `least` if it is below) becomes `largest`.");
  m.def(
      "jacobian_determinant",
      [](In field) {
        long s[3];
        const float* p = planar(field, s, "field");
        auto out = fresh<float>({(size_t)s[0], (size_t)s[1], (size_t)s[2]});
        float* dst = out.data();
        nb::gil_scoped_release nogil;
        VB_CALL(jacobian_determinant, p, s, dst);
        return out;
      },
      nb::arg("field"), "det(I + grad u), central differences, one-sided at the border; planar field in voxels.");
  m.def(
      "jacobian_minimum",
      [](In field) {
        long s[3];
        const float* p = planar(field, s, "field");
        auto out = fresh<float>({(size_t)s[0], (size_t)s[1], (size_t)s[2]});
        float* dst = out.data();
        nb::gil_scoped_release nogil;
        VB_CALL(jacobian_minimum, p, s, dst);
        return out;
      },
      nb::arg("field"), "The least of the eight one-sided determinants of I + grad u; planar field in voxels.");
}
