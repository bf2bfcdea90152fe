// Discrete search: the cost of every displacement in a window, and the best one near a smooth field.
// Heinrich et al. 2014, doi:10.1007/978-3-319-10404-1_81.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

inline long clampl(long v, long hi) { return v < 0 ? 0 : (v > hi ? hi : v); }

constexpr float kUnit = 65535.f;

// Rows of all channels of one line of voxels, continued by `pad` copies of the end values on either side.
void padded_lines(const float* planes, long channels, long size, long at, long nk, long pad, float* to) {
  const long width = nk + 2 * pad;
  for (long c = 0; c < channels; c++) {
    const float* line = planes + c * size + at;
    float* row = to + c * width;
    for (long p = 0; p < pad; p++) {
      row[p] = line[0];
      row[pad + nk + p] = line[nk - 1];
    }
    std::memcpy(row + pad, line, sizeof(float) * nk);
  }
}

}  // namespace

namespace vb {
namespace VB_ISA {

// cost[i][j][d][k] = mean over channels of (fixed(x) - moving(x + d))^2 in units of 1/65535, at most 1; d runs over the
// (2 half + 1)^3 window, the last component fastest; moving goes on beyond its border. Features are [c][i][j][k].
void ssd_volume(const float* fixed, const float* moving, long channels, const long* n, long half, uint16_t* cost) {
  const long size = n[0] * n[1] * n[2], nk = n[2], side = 2 * half + 1, width = nk + 2 * half;
  const float scale = kUnit / (float)channels;
#pragma omp parallel
  {
    float* lines = (float*)std::malloc(sizeof(float) * channels * width);
    float* sum = (float*)std::malloc(sizeof(float) * nk);
#pragma omp for schedule(static)
    for (long i = 0; i < n[0]; i++)
      for (long j = 0; j < n[1]; j++) {
        const long at = (i * n[1] + j) * nk;
        uint16_t* to = cost + at * side * side * side;
        for (long a = -half; a <= half; a++)
          for (long b = -half; b <= half; b++) {
            const long there = (clampl(i + a, n[0] - 1) * n[1] + clampl(j + b, n[1] - 1)) * nk;
            padded_lines(moving, channels, size, there, nk, half, lines);
            for (long d = 0; d < side; d++, to += nk) {
              std::memset(sum, 0, sizeof(float) * nk);
              for (long c = 0; c < channels; c++) {
                const float* __restrict f = fixed + c * size + at;
                const float* __restrict m = lines + c * width + d;
                for (long k = 0; k < nk; k++) sum[k] += (f[k] - m[k]) * (f[k] - m[k]);
              }
              for (long k = 0; k < nk; k++) {
                const float v = scale * sum[k];
                to[k] = (uint16_t)((v < kUnit ? v : kUnit) + 0.499f);
              }
            }
          }
      }
    std::free(lines);
    std::free(sum);
  }
}

// best(x) = argmin over d of cost(x, d) + sum_a weight[a] (d_a - near_a(x))^2; d in cells of the search grid.
void coupled_argmin(const uint16_t* cost, const long* n, long half, const float* weight, const float* near_,
                    float* best) {
  const long size = n[0] * n[1] * n[2], nk = n[2], side = 2 * half + 1;
#pragma omp parallel
  {
    float* low = (float*)std::malloc(sizeof(float) * nk);
    int32_t* where = (int32_t*)std::malloc(sizeof(int32_t) * nk);
#pragma omp for schedule(static)
    for (long i = 0; i < n[0]; i++)
      for (long j = 0; j < n[1]; j++) {
        const long at = (i * n[1] + j) * nk;
        const uint16_t* __restrict from = cost + at * side * side * side;
        const float* __restrict u = near_ + at;
        const float* __restrict v = near_ + at + size;
        const float* __restrict w = near_ + at + 2 * size;
        for (long k = 0; k < nk; k++) {
          low[k] = 3e38f;
          where[k] = 0;
        }
        int32_t index = 0;
        for (long a = -half; a <= half; a++)
          for (long b = -half; b <= half; b++)
            for (long c = -half; c <= half; c++, index++, from += nk)
              for (long k = 0; k < nk; k++) {
                const float p = a - u[k], q = b - v[k], r = c - w[k];
                const float e = (1.f / kUnit) * from[k] + weight[0] * p * p + weight[1] * q * q + weight[2] * r * r;
                where[k] = e < low[k] ? index : where[k];
                low[k] = e < low[k] ? e : low[k];
              }
        for (long k = 0; k < nk; k++) {
          best[at + k] = (float)(where[k] / (side * side) - half);
          best[at + k + size] = (float)(where[k] / side % side - half);
          best[at + k + 2 * size] = (float)(where[k] % side - half);
        }
      }
    std::free(low);
    std::free(where);
  }
}

}  // namespace VB_ISA
}  // namespace vb
