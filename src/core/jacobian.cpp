// Local volume change of a displacement field.
#include "kernels.hpp"

namespace vb {
namespace VB_ISA {

// Determinant of I + grad u by central differences, one-sided at the border; disp is planar, in voxels.
void jacobian_determinant(const float* disp, const long* n, float* det) {
  const long size = n[0] * n[1] * n[2];
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++)
    for (long j = 0; j < n[1]; j++) {
      const long row = (i * n[1] + j) * n[2];
      const long im = i > 0 ? n[1] * n[2] : 0, ip = i + 1 < n[0] ? n[1] * n[2] : 0;
      const long jm = j > 0 ? n[2] : 0, jp = j + 1 < n[1] ? n[2] : 0;
      const float wi = im && ip ? 0.5f : 1.f, wj = jm && jp ? 0.5f : 1.f;
      for (long k = 0; k < n[2]; k++) {
        const long km = k > 0 ? 1 : 0, kp = k + 1 < n[2] ? 1 : 0;
        const float wk = km && kp ? 0.5f : 1.f;
        float g[3][3];
        for (int a = 0; a < 3; a++) {
          const float* u = disp + a * size + row + k;
          g[a][0] = wi * (u[ip] - u[-im]);
          g[a][1] = wj * (u[jp] - u[-jm]);
          g[a][2] = wk * (u[kp] - u[-km]);
          g[a][a] += 1.f;
        }
        det[row + k] = g[0][0] * (g[1][1] * g[2][2] - g[1][2] * g[2][1]) -
                       g[0][1] * (g[1][0] * g[2][2] - g[1][2] * g[2][0]) +
                       g[0][2] * (g[1][0] * g[2][1] - g[1][1] * g[2][0]);
      }
    }
}

// The least of the eight determinants from one-sided differences (every choice of side along i, j, k), at the border
// from the sides there are: positive everywhere means that the linearly interpolated map folds nowhere a corner sees.
void jacobian_minimum(const float* disp, const long* n, float* det) {
  const long size = n[0] * n[1] * n[2];
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++)
    for (long j = 0; j < n[1]; j++)
      for (long k = 0; k < n[2]; k++) {
        const long at = (i * n[1] + j) * n[2] + k;
        const long step[3] = {n[1] * n[2], n[2], 1}, pos[3] = {i, j, k};
        float g[2][3][3];  // side, axis of difference, component
        for (int d = 0; d < 3; d++) {
          const bool low = pos[d] > 0, high = pos[d] + 1 < n[d];
          for (int a = 0; a < 3; a++) {
            const float* u = disp + a * size + at;
            const float back = low ? u[0] - u[-step[d]] : 0.f, ahead = high ? u[step[d]] - u[0] : back;
            g[0][d][a] = (low ? back : ahead) + (a == d);
            g[1][d][a] = ahead + (a == d);
          }
        }
        float least = 3.4e38f;
        for (int sides = 0; sides < 8; sides++) {
          const float *x = g[sides & 1][0], *y = g[sides >> 1 & 1][1], *z = g[sides >> 2 & 1][2];
          const float value = x[0] * (y[1] * z[2] - y[2] * z[1]) - x[1] * (y[0] * z[2] - y[2] * z[0]) +
                              x[2] * (y[0] * z[1] - y[1] * z[0]);
          if (value < least) least = value;
        }
        det[at] = least;
      }
}

}  // namespace VB_ISA
}  // namespace vb
