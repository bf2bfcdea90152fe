// Between the surfaces of equal labels in two maps on one grid: the squared distance within which a share of the area
// lies. A surface element is a cell between eight voxel centres whose code (a bit per corner inside the label) is
// neither 0 nor 255; cells lie one voxel apart, so squared distances are whole numbers.
//
// Distances come from a windowed min-plus transform, exact up to the window's radius; the radius grows until the
// quantile lies within it. What is too close to call, or too far, is left to the caller (-1).
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

const uint16_t FAR = 49151;  // plus the square of the largest radius still fits 16 bits
const long FIRST_RADIUS = 8, LAST_RADIUS = 128;
const double TOO_CLOSE = 1e-9;

struct Block {
  void* p;
  explicit Block(size_t bytes) : p(std::malloc(bytes ? bytes : 1)) {}
  ~Block() { std::free(p); }
};

// The distinct areas of codes 1 to 254, ascending, and the place of each code's among them.
struct Classes {
  double value[256];
  uint8_t of[256];
  long count = 0;
  explicit Classes(const double* areas) {
    for (int code = 1; code < 255; code++) {
      long at = 0;
      while (at < count && value[at] < areas[code]) at++;
      if (at < count && value[at] == areas[code]) continue;
      for (long i = count; i > at; i--) value[i] = value[i - 1];
      value[at] = areas[code];
      count++;
    }
    std::memset(of, 0, sizeof of);
    for (int code = 1; code < 255; code++)
      for (long i = 0; i < count; i++)
        if (value[i] == areas[code]) of[code] = (uint8_t)i;
  }
};

template <class L>
void codes_of(const L* labels, const long* n, const long* lo, const long* size, L id, uint8_t* inside, uint8_t* codes) {
  const long c1 = size[1] + 1, c2 = size[2] + 1, p1 = size[1] + 2, p2 = size[2] + 2;
  std::memset(inside, 0, (size_t)((size[0] + 2) * p1 * p2));
  for (long i = 0; i < size[0]; i++)
    for (long j = 0; j < size[1]; j++) {
      const L* from = labels + ((lo[0] + i) * n[1] + lo[1] + j) * n[2] + lo[2];
      uint8_t* to = inside + ((i + 1) * p1 + j + 1) * p2 + 1;
      for (long k = 0; k < size[2]; k++) to[k] = from[k] == id;
    }
  for (long i = 0; i <= size[0]; i++)
    for (long j = 0; j <= size[1]; j++) {
      const uint8_t* a = inside + (i * p1 + j) * p2;
      const uint8_t *b = a + p2, *c = a + p1 * p2, *d = c + p2;
      uint8_t* to = codes + (i * c1 + j) * c2;
      for (long k = 0; k < c2; k++)
        to[k] = (uint8_t)(a[k] << 7 | a[k + 1] << 6 | b[k] << 5 | b[k + 1] << 4 | c[k] << 3 | c[k + 1] << 2 |
                          d[k] << 1 | d[k + 1]);
    }
}

inline void lower(uint16_t* to, const uint16_t* from, long count, uint16_t add) {
  for (long k = 0; k < count; k++) {
    const uint16_t other = (uint16_t)(from[k] + add);
    to[k] = other < to[k] ? other : to[k];
  }
}

// out(i, j, :) = min over |o| <= radius of in(row o further along the axis) + o^2; rows without a value are skipped.
void pass(const uint16_t* in, const uint8_t* some, const long* c, long stride, long axis, long radius, uint16_t* out,
          uint8_t* out_some) {
  for (long i = 0; i < c[0]; i++)
    for (long j = 0; j < c[1]; j++) {
      const long row = i * c[1] + j, place = axis == 0 ? i : j, length = c[axis];
      uint16_t* to = out + row * c[2];
      std::memcpy(to, in + row * c[2], (size_t)c[2] * sizeof(uint16_t));
      uint8_t any = some[row];
      for (long o = 1; o <= radius; o++)
        for (long sign = -1; sign <= 1; sign += 2) {
          const long other = place + sign * o;
          if (other < 0 || other >= length) continue;
          const long from = row + sign * o * stride;
          if (!some[from]) continue;
          any = 1;
          lower(to, in + from * c[2], c[2], (uint16_t)(o * o));
        }
      out_some[row] = any;
    }
}

// Squared distance to the nearest border cell, exact up to the radius; `a` holds the result.
void distances(const uint8_t* codes, const long* c, long radius, uint16_t* a, uint16_t* b, uint8_t* some,
               uint8_t* some2) {
  const long rows = c[0] * c[1];
  for (long row = 0; row < rows; row++) {
    const uint8_t* code = codes + row * c[2];
    uint16_t* to = a + row * c[2];
    long since = radius;  // cells since the last border cell; from beyond the row it is too far
    uint8_t any = 0;
    for (long k = 0; k < c[2]; k++) {
      const bool border = (uint8_t)(code[k] - 1) < 254;
      any |= border;
      since = border ? 0 : since + 1;
      to[k] = since <= radius ? (uint16_t)(since * since) : FAR;
    }
    some[row] = any;
    if (!any) continue;
    since = radius;
    for (long k = c[2] - 1; k >= 0; k--) {
      since = to[k] == 0 ? 0 : since + 1;
      const uint16_t back = since <= radius ? (uint16_t)(since * since) : FAR;
      if (back < to[k]) to[k] = back;
    }
  }
  pass(a, some, c, 1, 1, radius, b, some2);
  pass(b, some2, c, c[1], 0, radius, a, some);
}

// The quantile over the border cells of `here`; -1: too close to call, -2: beyond the radius.
int64_t quantile(const uint8_t* here, const uint16_t* squared, long cells, long radius, const Classes& classes,
                 double share, uint32_t* histogram) {
  const long reach = radius * radius;
  std::memset(histogram, 0, (size_t)((reach + 1) * classes.count) * sizeof(uint32_t));
  int64_t beyond[256] = {0};
  for (long at = 0; at < cells; at++) {
    const uint8_t code = here[at];
    if ((uint8_t)(code - 1) >= 254) continue;
    const long d = squared[at];
    if (d <= reach)
      histogram[d * classes.count + classes.of[code]]++;
    else
      beyond[classes.of[code]]++;
  }
  double total = 0;
  for (long c = 0; c < classes.count; c++) total += (double)beyond[c] * classes.value[c];
  for (long d = 0; d <= reach; d++)
    for (long c = 0; c < classes.count; c++) total += histogram[d * classes.count + c] * classes.value[c];
  double within = 0;
  for (long d = 0; d <= reach; d++)
    for (long c = 0; c < classes.count; c++) {
      const uint32_t count = histogram[d * classes.count + c];
      if (!count) continue;
      within += count * classes.value[c];
      if (std::fabs(within / total - share) < TOO_CLOSE) return -1;
      if (within / total >= share) return d;
    }
  return -2;
}

template <class L>
bool one_label(const L* a, const L* b, const long* n, L id, const int64_t* box, const Classes& classes, double share,
               int64_t* out) {
  const long size[3] = {box[3] - box[0], box[4] - box[1], box[5] - box[2]};
  const long c[3] = {size[0] + 1, size[1] + 1, size[2] + 1};
  const long cells = c[0] * c[1] * c[2], rows = c[0] * c[1];
  Block codes((size_t)(2 * cells)), one((size_t)cells * 2), two((size_t)cells * 2), some((size_t)(2 * rows));
  // The padded mask is only needed before the distances are.
  Block padded((size_t)((size[0] + 2) * (size[1] + 2) * (size[2] + 2)));
  Block histogram((size_t)((LAST_RADIUS * LAST_RADIUS + 1) * classes.count) * sizeof(uint32_t));
  if (!codes.p || !one.p || !two.p || !some.p || !padded.p || !histogram.p) return false;
  uint8_t* code[2] = {(uint8_t*)codes.p, (uint8_t*)codes.p + cells};
  codes_of(a, n, box, size, id, (uint8_t*)padded.p, code[0]);
  codes_of(b, n, box, size, id, (uint8_t*)padded.p, code[1]);
  long radius = FIRST_RADIUS;
  for (int way = 0; way < 2; way++) {
    for (;; radius *= 2) {
      distances(code[1 - way], c, radius, (uint16_t*)one.p, (uint16_t*)two.p, (uint8_t*)some.p,
                (uint8_t*)some.p + rows);
      out[way] = quantile(code[way], (const uint16_t*)one.p, cells, radius, classes, share, (uint32_t*)histogram.p);
      if (out[way] != -2 || radius == LAST_RADIUS) break;
    }
    if (out[way] < 0) {
      out[0] = out[1] = -1;
      return true;
    }
  }
  return true;
}

template <class L>
bool all_labels(const void* a, const void* b, const long* n, const int64_t* ids, const int64_t* boxes, long count,
                const Classes& classes, double share, int64_t* out) {
  bool enough = true;
#pragma omp parallel for schedule(dynamic, 1)
  for (long l = 0; l < count; l++)
    if (!one_label((const L*)a, (const L*)b, n, (L)ids[l], boxes + 6 * l, classes, share, out + 2 * l)) {
#pragma omp atomic write
      enough = false;
    }
  return enough;
}

template <class L>
bool counted(const L* a, const L* b, const long* n, const int32_t* rank, long limit, long count, int64_t* counts,
             int64_t* boxes) {
  const L* maps[2] = {a, b};
  bool enough = true;
#pragma omp parallel
  {
    Block own_counts((size_t)(3 * (count + 1)) * sizeof(int64_t)), own_boxes((size_t)(12 * (count + 1)) * sizeof(int64_t));
    int64_t* own = (int64_t*)own_counts.p;
    int64_t* box = (int64_t*)own_boxes.p;
    const bool here = own && box;
    if (!here) {
#pragma omp atomic write
      enough = false;
    }
    if (here) std::memset(own, 0, (size_t)(3 * (count + 1)) * sizeof(int64_t));
    for (long l = 0; here && l < 2 * (count + 1); l++)
      for (int d = 0; d < 3; d++) box[6 * l + d] = n[d], box[6 * l + 3 + d] = 0;
#pragma omp for schedule(static)
    for (long i = 0; i < n[0]; i++)
      for (long j = 0; here && j < n[1]; j++) {
        const long row = (i * n[1] + j) * n[2];
        for (int m = 0; m < 2; m++) {
          const L* labels = maps[m] + row;
          for (long k = 0; k < n[2];) {  // run by run
            const L id = labels[k];
            long stop = k + 1;
            while (stop < n[2] && labels[stop] == id) stop++;
            const long known = (long)id >= 0 && (long)id < limit ? rank[(long)id] : -1;
            const long at = known < 0 ? count : known;
            own[m * (count + 1) + at] += stop - k;
            int64_t* c = box + 6 * (m * (count + 1) + at);
            const long first[3] = {i, j, k}, last[3] = {i + 1, j + 1, stop};
            for (int d = 0; d < 3; d++) {
              if (first[d] < c[d]) c[d] = first[d];
              if (last[d] > c[3 + d]) c[3 + d] = last[d];
            }
            k = stop;
          }
        }
        const L *p = a + row, *q = b + row;
        for (long k = 0; k < n[2];) {
          const L id = p[k], other = q[k];
          long stop = k + 1;
          while (stop < n[2] && p[stop] == id && q[stop] == other) stop++;
          if (id == other) {
            const long known = (long)id >= 0 && (long)id < limit ? rank[(long)id] : -1;
            own[2 * (count + 1) + (known < 0 ? count : known)] += stop - k;
          }
          k = stop;
        }
      }
#pragma omp critical
    for (long l = 0; here && l < count; l++)
      for (int m = 0; m < 3; m++) {
        counts[m * count + l] += own[m * (count + 1) + l];
        if (m == 2) continue;
        int64_t* to = boxes + 6 * (m * count + l);
        const int64_t* from = box + 6 * (m * (count + 1) + l);
        for (int d = 0; d < 3; d++) {
          if (from[d] < to[d]) to[d] = from[d];
          if (from[3 + d] > to[3 + d]) to[3 + d] = from[3 + d];
        }
      }
  }
  return enough;
}

}  // namespace

namespace vb {
namespace VB_ISA {

bool surface_quantiles(const void* a, const void* b, int bytes, const long* n, const int64_t* ids, const int64_t* boxes,
                       long count, const double* areas, double share, int64_t* out) {
  const Classes classes(areas);
  switch (bytes) {
    case 1:
      return all_labels<uint8_t>(a, b, n, ids, boxes, count, classes, share, out);
    case 2:
      return all_labels<uint16_t>(a, b, n, ids, boxes, count, classes, share, out);
    case 4:
      return all_labels<uint32_t>(a, b, n, ids, boxes, count, classes, share, out);
    default:
      return all_labels<uint64_t>(a, b, n, ids, boxes, count, classes, share, out);
  }
}

bool joint_counts(const void* a, const void* b, int bytes, bool is_signed, const long* n, const int32_t* rank,
                  long limit, long count, int64_t* counts, int64_t* boxes) {
  for (long l = 0; l < 2 * count; l++)
    for (int d = 0; d < 3; d++) boxes[6 * l + d] = n[d], boxes[6 * l + 3 + d] = 0;
#define VB_COUNT(T) return counted((const T*)a, (const T*)b, n, rank, limit, count, counts, boxes)
  if (bytes == 1) {
    if (is_signed) VB_COUNT(int8_t);
    VB_COUNT(uint8_t);
  }
  if (bytes == 2) {
    if (is_signed) VB_COUNT(int16_t);
    VB_COUNT(uint16_t);
  }
  if (bytes == 4) {
    if (is_signed) VB_COUNT(int32_t);
    VB_COUNT(uint32_t);
  }
  VB_COUNT(int64_t);
#undef VB_COUNT
}

}  // namespace VB_ISA
}  // namespace vb
