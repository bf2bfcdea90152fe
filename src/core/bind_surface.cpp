// Surfaces and counts of labels in two maps.
#include "arrays.hpp"

namespace {

// Two label maps of one shape and dtype; the bytes of a voxel.
int two_maps(const In& a, const In& b, long* n) {
  const auto type = a.dtype();
  const bool integer = type.code == (uint8_t)nb::dlpack::dtype_code::Int || type.code == (uint8_t)nb::dlpack::dtype_code::UInt;
  if (!integer || type != b.dtype()) throw nb::type_error("labels: expected two integer arrays of one dtype");
  if (a.ndim() != 3 || b.ndim() != 3) throw nb::type_error("labels: expected 3 axes");
  contiguous(a, "first");
  contiguous(b, "second");
  for (int d = 0; d < 3; d++) {
    n[d] = (long)a.shape(d);
    if (a.shape(d) != b.shape(d)) throw nb::value_error("labels: shapes differ");
  }
  return type.bits / 8;
}

}  // namespace

void bind_surface(nb::module_& m) {
  m.def(
      "surface_quantiles",
      [](In first, In second, In ids, In boxes, In areas, double share) {
        long n[3];
        const int bytes = two_maps(first, second, n);
        const int64_t* id = checked<int64_t>(ids, 1, "ids", "int64");
        const int64_t* box = checked<int64_t>(boxes, 2, "boxes", "int64");
        const double* area = doubles(areas, 1, "areas");
        const long count = (long)ids.shape(0);
        if (boxes.shape(0) != ids.shape(0) || boxes.shape(1) != 6) throw nb::value_error("boxes: expected shape (n, 6)");
        if (areas.shape(0) != 256) throw nb::value_error("areas: expected 256 values");
        if (!(share > 0 && share <= 1)) throw nb::value_error("share: above 0, at most 1");
        for (long l = 0; l < count; l++)
          for (int d = 0; d < 3; d++)
            if (box[6 * l + d] < 0 || box[6 * l + d] >= box[6 * l + 3 + d] || box[6 * l + 3 + d] > n[d])
              throw nb::value_error("boxes: empty, or outside the labels");
        auto out = fresh<int64_t>({(size_t)count, 2});
        int64_t* to = out.data();
        bool enough;
        {
          nb::gil_scoped_release nogil;
          enough = VB_CALL(surface_quantiles, first.data(), second.data(), bytes, n, id, box, count, area,
                           share, to);
        }
        if (!enough) throw std::bad_alloc();
        return out;
      },
      nb::arg("first"), nb::arg("second"), nb::arg("ids"), nb::arg("boxes"), nb::arg("areas"), nb::arg("share"),
      "Squared distance (cells) within which `share` of the area of each label's surface lies from the other map's, both\n"
      "ways, int64 (n, 2); boxes (low, high) hold the label in both maps, and both have it. -1: too close to call, or\n"
      "farther than 128.");
  m.def(
      "joint_counts",
      [](In first, In second, In rank, long count) {
        long n[3];
        const int bytes = two_maps(first, second, n);
        const bool is_signed = first.dtype().code == (uint8_t)nb::dlpack::dtype_code::Int;
        if (bytes == 8 && !is_signed) throw nb::type_error("labels: uint64 is not taken");
        const int32_t* ranks = checked<int32_t>(rank, 1, "rank", "int32");
        const long limit = (long)rank.shape(0);
        if (count < 1) throw nb::value_error("count: at least 1");
        for (long l = 0; l < limit; l++)
          if (ranks[l] >= count) throw nb::value_error("rank: not below count");
        auto counts = fresh<int64_t>({3, (size_t)count});
        auto boxes = fresh<int64_t>({2, (size_t)count, 6});
        int64_t *c = counts.data(), *b = boxes.data();
        for (long l = 0; l < 3 * count; l++) c[l] = 0;
        bool enough;
        {
          nb::gil_scoped_release nogil;
          enough = VB_CALL(joint_counts, first.data(), second.data(), bytes, is_signed, n, ranks, limit, count, c, b);
        }
        if (!enough) throw std::bad_alloc();
        return nb::make_tuple(counts, boxes);
      },
      nb::arg("first"), nb::arg("second"), nb::arg("rank"), nb::arg("count"),
      "Voxels of each label in the first map, the second, and both, int64 (3, count), and its box (low, high) in each,\n"
      "int64 (2, count, 6), low >= high where it is absent; rank[id] is the label's place, below 0 for none.");
}
