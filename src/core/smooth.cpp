// Separable Gaussian smoothing in place.
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

struct Taps {
  float w[64];
  int radius;
};

Taps taps_of(float sigma) {
  Taps t;
  t.radius = (int)std::ceil(3.5f * sigma);
  if (t.radius > 63) t.radius = 63;
  double sum = 0;
  for (int i = 0; i <= t.radius; i++) {
    const double g = std::exp(-0.5 * i * i / ((double)sigma * sigma));
    t.w[i] = (float)g;
    sum += i ? 2 * g : g;
  }
  for (int i = 0; i <= t.radius; i++) t.w[i] = (float)(t.w[i] / sum);
  return t;
}

// Lines of `len` rows, each row `width` wide and `stride` apart; smooths across rows. scratch: (len + 2 radius) * width.
void smooth_rows(float* data, long len, long stride, long width, const Taps& t, bool clamp, float* scratch) {
  const long r = t.radius;
  for (long p = 0; p < len + 2 * r; p++) {
    const long q = p - r;
    float* to = scratch + p * width;
    if (q >= 0 && q < len)
      std::memcpy(to, data + q * stride, sizeof(float) * width);
    else if (clamp)
      std::memcpy(to, data + (q < 0 ? 0 : len - 1) * stride, sizeof(float) * width);
    else
      std::memset(to, 0, sizeof(float) * width);
  }
  for (long p = 0; p < len; p++) {
    float* __restrict out = data + p * stride;
    const float* __restrict mid = scratch + (p + r) * width;
    for (long x = 0; x < width; x++) out[x] = t.w[0] * mid[x];
    for (long o = 1; o <= r; o++) {
      const float* __restrict lo = mid - o * width;
      const float* __restrict hi = mid + o * width;
      const float w = t.w[o];
      for (long x = 0; x < width; x++) out[x] += w * (lo[x] + hi[x]);
    }
  }
}

void smooth_line(float* line, long len, const Taps& t, bool clamp, float* scratch) {
  const long r = t.radius;
  for (long p = 0; p < r; p++) {
    scratch[p] = clamp ? line[0] : 0.f;
    scratch[len + r + p] = clamp ? line[len - 1] : 0.f;
  }
  std::memcpy(scratch + r, line, sizeof(float) * len);
  const float* __restrict mid = scratch + r;
  for (long x = 0; x < len; x++) line[x] = t.w[0] * mid[x];
  for (long o = 1; o <= r; o++) {
    const float w = t.w[o];
    for (long x = 0; x < len; x++) line[x] += w * (mid[x - o] + mid[x + o]);
  }
}

}  // namespace

namespace vb {
namespace VB_ISA {

// Multiplies everything so that the largest absolute value becomes `largest`; where it is below `least` (rounding, not
// signal) it is taken for `least`. Zeros stay.
void scale_to(float* data, long count, float largest, float least) {
  float top = 0;
#pragma omp parallel for schedule(static) reduction(max : top)
  for (long x = 0; x < count; x++) {
    const float v = std::fabs(data[x]);
    top = v > top ? v : top;
  }
  if (!(top > 0)) return;
  const float factor = largest / (top > least ? top : least);
#pragma omp parallel for schedule(static)
  for (long x = 0; x < count; x++) data[x] *= factor;
}

// clamp: the border value goes on outside (images); otherwise zero lies outside (updates).
void gaussian(float* data, long channels, const long* n, const float* sigma, int clamp) {
  const long plane = n[1] * n[2], size = n[0] * plane;
  constexpr long kBlock = 64;
#pragma omp parallel
  {
    long longest = n[0] > n[1] ? n[0] : n[1];
    float* scratch = (float*)std::malloc(sizeof(float) * ((longest + 128) * (n[2] > kBlock ? n[2] : kBlock) + n[2] + 128));
    if (sigma[2] > 0 || sigma[1] > 0) {
      const Taps tk = taps_of(sigma[2] > 0 ? sigma[2] : 1.f), tj = taps_of(sigma[1] > 0 ? sigma[1] : 1.f);
#pragma omp for schedule(static)
      for (long p = 0; p < channels * n[0]; p++) {
        float* at = data + p * plane;
        if (sigma[2] > 0)
          for (long j = 0; j < n[1]; j++) smooth_line(at + j * n[2], n[2], tk, clamp, scratch);
        if (sigma[1] > 0) smooth_rows(at, n[1], n[2], n[2], tj, clamp, scratch);
      }
    }
    if (sigma[0] > 0) {
      const Taps ti = taps_of(sigma[0]);
      const long blocks = (plane + kBlock - 1) / kBlock;
#pragma omp for schedule(static)
      for (long p = 0; p < channels * blocks; p++) {
        const long c = p / blocks, b = p % blocks;
        const long width = (b + 1) * kBlock <= plane ? kBlock : plane - b * kBlock;
        smooth_rows(data + c * size + b * kBlock, n[0], plane, width, ti, clamp, scratch);
      }
    }
    std::free(scratch);
  }
}

}  // namespace VB_ISA
}  // namespace vb
