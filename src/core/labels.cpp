// Label maps through a displacement field, to the last bit as scipy.ndimage.map_coordinates(order=0) does it.
// Compiled without re-association: the rounding of coordinates is the point.
#include <cmath>
#include <cstdint>

#include "kernels.hpp"

namespace {

template <class L, class F>
void pull(const L* src, const long* s, const F* disp, const long* n, L* dst) {
  const long size = n[0] * n[1] * n[2];
  const double last[3] = {s[0] - 1.0, s[1] - 1.0, s[2] - 1.0};
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++)
    for (long j = 0; j < n[1]; j++)
      for (long k = 0; k < n[2]; k++) {
        const long at = (i * n[1] + j) * n[2] + k;
        const double x = (double)i + (double)disp[at], y = (double)j + (double)disp[at + size],
                     z = (double)k + (double)disp[at + 2 * size];
        const bool in = x >= 0 && x <= last[0] && y >= 0 && y <= last[1] && z >= 0 && z <= last[2];
        if (!in) {
          dst[at] = 0;
          continue;
        }
        const long a = (long)std::floor(x + 0.5), b = (long)std::floor(y + 0.5), c = (long)std::floor(z + 0.5);
        dst[at] = src[(a * s[1] + b) * s[2] + c];
      }
}

template <class L>
void pull_any(const void* src, const long* s, const void* disp, int field_bytes, const long* n, void* dst) {
  if (field_bytes == 4)
    pull((const L*)src, s, (const float*)disp, n, (L*)dst);
  else
    pull((const L*)src, s, (const double*)disp, n, (L*)dst);
}

}  // namespace

namespace vb {
namespace VB_ISA {

void warp_labels(const void* src, int bytes, const long* s, const void* disp, int field_bytes, const long* n,
                 void* dst) {
  switch (bytes) {
    case 1:
      return pull_any<uint8_t>(src, s, disp, field_bytes, n, dst);
    case 2:
      return pull_any<uint16_t>(src, s, disp, field_bytes, n, dst);
    case 4:
      return pull_any<uint32_t>(src, s, disp, field_bytes, n, dst);
    default:
      return pull_any<uint64_t>(src, s, disp, field_bytes, n, dst);
  }
}

}  // namespace VB_ISA
}  // namespace vb
