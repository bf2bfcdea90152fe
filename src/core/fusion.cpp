// Joint reconstruction: banded matrices along an axis, an edge-preserving penalty, steps of conjugate gradients.
// Sums are made slab by slab of the first axis and added in order: the same with any number of threads.
#include <cmath>
#include <vector>

#include "kernels.hpp"

namespace {

constexpr long WIDE = 32;  // columns whose sums stay in registers

// out[r][0..B) (+)= sum over t of w[r][t] * x[first[r] + t][0..B)
template <long B>
void rows(const float* x, long stride, const int32_t* first, const float* w, long m, long width, float* out,
          long out_stride, bool add) {
  for (long r = 0; r < m; r++) {
    const float* from = x + first[r] * stride;
    const float* weight = w + r * width;
    float sum[B];
    float* to = out + r * out_stride;
    for (long b = 0; b < B; b++) sum[b] = add ? to[b] : 0.f;
    for (long t = 0; t < width; t++) {
      const float a = weight[t];
      const float* line = from + t * stride;
      for (long b = 0; b < B; b++) sum[b] += a * line[b];
    }
    for (long b = 0; b < B; b++) to[b] = sum[b];
  }
}

void columns(const float* x, long stride, long count, const int32_t* first, const float* w, long m, long width,
             float* out, long out_stride, bool add) {
  long b = 0;
  for (; b + WIDE <= count; b += WIDE) rows<WIDE>(x + b, stride, first, w, m, width, out + b, out_stride, add);
  for (; b + 8 <= count; b += 8) rows<8>(x + b, stride, first, w, m, width, out + b, out_stride, add);
  for (; b < count; b++) rows<1>(x + b, stride, first, w, m, width, out + b, out_stride, add);
}

// Along the last axis: a dot product per row, of 16 terms at a time.
void gather(const float* x, long lines, long n, const int32_t* first, const float* w, long m, long width, float* out,
            bool add) {
#pragma omp parallel for schedule(static)
  for (long l = 0; l < lines; l++) {
    const float* line = x + l * n;
    float* to = out + l * m;
    for (long r = 0; r < m; r++) {
      const float *a = w + r * width, *b = line + first[r];
      float part[16] = {0};
      long t = 0;
      for (; t + 16 <= width; t += 16)
        for (long q = 0; q < 16; q++) part[q] += a[t + q] * b[t + q];
      float sum = add ? to[r] : 0.f;
      for (; t < width; t++) sum += a[t] * b[t];
      for (long q = 0; q < 16; q++) sum += part[q];
      to[r] = sum;
    }
  }
}

// The transposed map along the last axis: each sample is spread over its columns.
void spread(const float* x, long lines, long n, const int32_t* first, const float* w, long m, long width, float* out,
            bool add) {
#pragma omp parallel for schedule(static)
  for (long l = 0; l < lines; l++) {
    const float* line = x + l * m;
    float* to = out + l * n;
    if (!add)
      for (long p = 0; p < n; p++) to[p] = 0.f;
    for (long r = 0; r < m; r++) {
      const float value = line[r];
      const float* a = w + r * width;
      float* b = to + first[r];
      for (long t = 0; t < width; t++) b[t] += value * a[t];
    }
  }
}

double total(const std::vector<double>& parts) {
  double sum = 0;
  for (double part : parts) sum += part;
  return sum;
}

}  // namespace

namespace vb {
namespace VB_ISA {

void band_along(const float* x, const long* n, int axis, const int32_t* first, const float* w, long m, long width,
                float* out, bool add) {
  if (axis == 2) return gather(x, n[0] * n[1], n[2], first, w, m, width, out, add);
  const long inner = axis == 0 ? n[1] * n[2] : n[2], outer = axis == 0 ? 1 : n[0], len = n[axis];
  const long part = 256, parts = (inner + part - 1) / part;
#pragma omp parallel for schedule(static)
  for (long task = 0; task < outer * parts; task++) {
    const long o = task / parts, from = (task % parts) * part, count = inner - from < part ? inner - from : part;
    columns(x + o * len * inner + from, inner, count, first, w, m, width, out + o * m * inner + from, inner, add);
  }
}

void band_spread(const float* x, const long* n, const int32_t* first, const float* w, long m, long width, float* out,
                 bool add) {
  spread(x, n[0] * n[1], n[2], first, w, m, width, out, add);
}

double edge_penalty(const float* x, const long* n, float knee, float scale, float* curvature) {
  const long row = n[2], plane = n[1] * n[2];
  std::vector<double> parts((size_t)n[0], 0.0);
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++) {
    double sum = 0;
    for (long j = 0; j < n[1]; j++) {
      const float* at = x + i * plane + j * row;
      const float* down = i + 1 < n[0] ? at + plane : at;
      const float* right = j + 1 < n[1] ? at + row : at;
      float* to = curvature ? curvature + i * plane + j * row : nullptr;
      float line = 0;
      for (long k = 0; k < row; k++) {
        const float a = down[k] - at[k], b = right[k] - at[k], c = k + 1 < row ? at[k + 1] - at[k] : 0.f;
        const float length = std::sqrt(a * a + b * b + c * c + knee * knee);
        line += length - knee;
        if (to) to[k] = 1.f / (scale * length);
      }
      sum += line;
    }
    parts[i] = sum;
  }
  return total(parts) / scale;
}

void edge_normal(const float* x, const float* c, const long* n, float* out) {
  const long row = n[2], plane = n[1] * n[2];
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++)
    for (long j = 0; j < n[1]; j++) {
      const long start = i * plane + j * row;
      const float *at = x + start, *own = c + start;
      // Outside the volume a difference is 0: the voxel stands in for its neighbour.
      const float *xd = i + 1 < n[0] ? at + plane : at, *xr = j + 1 < n[1] ? at + row : at;
      const float *xu = i ? at - plane : at, *xl = j ? at - row : at;
      const float *cu = i ? own - plane : own, *cl = j ? own - row : own;
      float* to = out + start;
      for (long k = 0; k < row; k++) {
        const float v = at[k];
        float sum = own[k] * (2 * v - xd[k] - xr[k]) + cu[k] * (v - xu[k]) + cl[k] * (v - xl[k]);
        if (k + 1 < row) sum += own[k] * (v - at[k + 1]);
        if (k) sum += own[k - 1] * (v - at[k - 1]);
        to[k] = sum;
      }
    }
}

double inner_product(const float* a, const float* b, const long* n) {
  const long plane = n[1] * n[2];
  std::vector<double> parts((size_t)n[0], 0.0);
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++) {
    double sum = 0;
    for (long j = 0; j < n[1]; j++) {
      const float *p = a + i * plane + j * n[2], *q = b + i * plane + j * n[2];
      float line = 0;
      for (long k = 0; k < n[2]; k++) line += p[k] * q[k];
      sum += line;
    }
    parts[i] = sum;
  }
  return total(parts);
}

double conjugate_step(float length, const float* along, const float* mapped, const uint8_t* held, const long* n,
                      float* found, float* left) {
  const long plane = n[1] * n[2];
  std::vector<double> parts((size_t)n[0], 0.0);
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++) {
    double sum = 0;
    for (long j = 0; j < n[1]; j++) {
      const long start = i * plane + j * n[2];
      float line = 0;
      for (long k = start; k < start + n[2]; k++) {
        found[k] += length * along[k];
        const float rest = held[k] ? 0.f : left[k] - length * mapped[k];
        left[k] = rest;
        line += rest * rest;
      }
      sum += line;
    }
    parts[i] = sum;
  }
  return total(parts);
}

}  // namespace VB_ISA
}  // namespace vb
