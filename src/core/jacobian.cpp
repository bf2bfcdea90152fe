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

}  // namespace VB_ISA
}  // namespace vb
