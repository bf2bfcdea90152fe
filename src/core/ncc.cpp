// Local normalised cross-correlation in a cubic window and its exact gradient.
//
// With window sums over n voxels, c = cov(F, W), f = var F, w = var W (times n), the value at x is r(x) = c^2 / (f w).
// The gradient of sum_x r(x) with respect to W(y) gathers, over the windows that hold y,
//   a (F(y) - mean F) + b (W(y) - mean W),  a = 2 c / (f w),  b = -2 c^2 / (f w^2),
// that is F(y) S[a] + W(y) S[b] - S[a mean F + b mean W] with S the same window sum: two passes of box sums.
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

inline long lo(long v) { return v < 0 ? 0 : v; }
inline long hi(long v, long n) { return v > n ? n : v; }

// out[x] = sum of in[x-r .. x+r] along a line; `pad` holds len + 2 r + 1 floats.
void box_line(const float* __restrict in, long len, int r, float* __restrict pad, float* __restrict out) {
  std::memset(pad, 0, sizeof(float) * r);
  std::memcpy(pad + r, in, sizeof(float) * len);
  std::memset(pad + r + len, 0, sizeof(float) * r);
  for (long x = 0; x < len; x++) out[x] = pad[x];
  for (int o = 1; o <= 2 * r; o++) {
    const float* __restrict p = pad + o;
    for (long x = 0; x < len; x++) out[x] += p[x];
  }
}

// In-plane box sum of one plane [j][k] in place; scratch: plane + padded line.
void box_plane(float* plane, long nj, long nk, int r, float* scratch) {
  float* pad = scratch + nj * nk;
  for (long j = 0; j < nj; j++) box_line(plane + j * nk, nk, r, pad, scratch + j * nk);
  for (long j = 0; j < nj; j++) {
    float* __restrict out = plane + j * nk;
    const long a = lo(j - r), b = hi(j + r + 1, nj);
    std::memcpy(out, scratch + a * nk, sizeof(float) * nk);
    for (long q = a + 1; q < b; q++) {
      const float* __restrict in = scratch + q * nk;
      for (long k = 0; k < nk; k++) out[k] += in[k];
    }
  }
}

// Planes of box sums along i: a ring of 2 r + 1 in-plane sums per quantity, made once and added up per output plane.
template <int Q, class Fill, class Use>
void box_volume(const long* n, int r, Fill fill, Use use) {
  const long plane = n[1] * n[2], ring = 2 * r + 1;
#pragma omp parallel
  {
    float* store = (float*)std::malloc(sizeof(float) * (Q * (ring + 1) * plane + plane + n[2] + 2 * r + 16));
    float* total = store + Q * ring * plane;
    float* scratch = total + Q * plane;
    long made = -1;  // planes up to here are in the ring
#pragma omp for schedule(static)
    for (long i = 0; i < n[0]; i++) {
      const long a = lo(i - r), b = hi(i + r + 1, n[0]);
      for (long p = made < a ? a : made + 1; p < b; p++) {
        float* at = store + (p % ring) * Q * plane;
        fill(p, at);
        for (int q = 0; q < Q; q++) box_plane(at + q * plane, n[1], n[2], r, scratch);
        made = p;
      }
      std::memcpy(total, store + (a % ring) * Q * plane, sizeof(float) * Q * plane);
      for (long p = a + 1; p < b; p++) {
        const float* __restrict in = store + (p % ring) * Q * plane;
        for (long x = 0; x < Q * plane; x++) total[x] += in[x];
      }
      use(i, total);
    }
    std::free(store);
  }
}

// r at every voxel of plane i from the five window sums, and (if `out`) the maps whose window sums make the gradients:
// a, bW, a mF + bW mW for the warped image; with `both` also bF, a mW + bF mF for the fixed one.
double coefficients(const long* n, long i, int r, float eps, const float* s, const float* weight, float* out, long size,
                    bool both) {
  const long plane = n[1] * n[2];
  double sum = 0;
  const float ci = (float)(hi(i + r + 1, n[0]) - lo(i - r));
  for (long j = 0; j < n[1]; j++) {
    const float cij = ci * (float)(hi(j + r + 1, n[1]) - lo(j - r));
    const long row = j * n[2];
    float line = 0;
    for (long k = 0; k < n[2]; k++) {
      const long k0 = k - r < 0 ? 0 : k - r, k1 = k + r + 1 > n[2] ? n[2] : k + r + 1;
      const float count = cij * (float)(k1 - k0);
      const float inv = 1.f / count;
      const long x = row + k;
      const float mf = s[x] * inv, mw = s[x + plane] * inv;
      const float vf = s[x + 2 * plane] - s[x] * mf;
      const float vw = s[x + 3 * plane] - s[x + plane] * mw;
      const float c = s[x + 4 * plane] - s[x] * mw;
      const bool live = vf > eps * count && vw > eps * count;
      const float w = live ? (weight ? weight[i * plane + x] : 1.f) : 0.f;
      const float ivf = 1.f / (live ? vf : 1.f), ivw = 1.f / (live ? vw : 1.f);
      const float a = w * c * ivf * ivw;
      const float rr = a * c;
      line += rr;
      if (out) {
        float* o = out + i * plane + x;
        const float bw = -rr * ivw, bf = -rr * ivf;
        o[0] = a;
        o[size] = bw;
        o[2 * size] = a * mf + bw * mw;
        if (both) {
          o[3 * size] = bf;
          o[4 * size] = a * mw + bf * mf;
        }
      }
    }
    sum += line;
  }
  return sum;
}

double first_pass(const float* fixed, const float* warped, const float* weight, const long* n, int r, float eps,
                  float* maps, bool both) {
  const long plane = n[1] * n[2], size = n[0] * plane;
  double* sums = (double*)std::calloc(n[0], sizeof(double));
  box_volume<5>(
      n, r,
      [=](long p, float* at) {
        const float* __restrict f = fixed + p * plane;
        const float* __restrict w = warped + p * plane;
        for (long x = 0; x < plane; x++) {
          at[x] = f[x];
          at[x + plane] = w[x];
          at[x + 2 * plane] = f[x] * f[x];
          at[x + 3 * plane] = w[x] * w[x];
          at[x + 4 * plane] = f[x] * w[x];
        }
      },
      [=](long i, const float* total) { sums[i] = coefficients(n, i, r, eps, total, weight, maps, size, both); });
  double sum = 0;
  for (long i = 0; i < n[0]; i++) sum += sums[i];
  std::free(sums);
  return sum;
}

// One plane of the force on image w: (f S[a] + w S[b] - S[c]) grad w, sums at t, t + b, t + c.
void force_plane(const float* f, const float* w, const float* t, long b, long c, const long* n, long i, float* force) {
  const long plane = n[1] * n[2], size = n[0] * plane;
  const long im = i > 0 ? plane : 0, ip = i + 1 < n[0] ? plane : 0;
  for (long j = 0; j < n[1]; j++) {
    const long jm = j > 0 ? n[2] : 0, jp = j + 1 < n[1] ? n[2] : 0, row = i * plane + j * n[2];
    const float* __restrict wr = w + row;
    const float* __restrict fr = f + row;
    const float* __restrict tr = t + j * n[2];
    float* __restrict x = force + row;
    float* __restrict y = x + size;
    float* __restrict z = y + size;
    for (long k = 0; k < n[2]; k++) {
      const float g = fr[k] * tr[k] + wr[k] * tr[k + b] - tr[k + c];
      x[k] = g * (wr[k + ip] - wr[k - im]);
      y[k] = g * (wr[k + jp] - wr[k - jm]);
    }
    for (long k = 1; k + 1 < n[2]; k++) {
      const float g = fr[k] * tr[k] + wr[k] * tr[k + b] - tr[k + c];
      z[k] = g * (wr[k + 1] - wr[k - 1]);
    }
    z[0] = z[n[2] - 1] = 0;
  }
}

}  // namespace

namespace vb {
namespace VB_ISA {

double ncc_value(const float* fixed, const float* warped, const float* weight, const long* n, int r, float eps) {
  return first_pass(fixed, warped, weight, n, r, eps, nullptr, false);
}

// force: d(sum r)/dW times the gradient of W, the direction in which moving each voxel raises the similarity (planar,
// three volumes); fixed_force (may be null): the same with the images' parts exchanged. scratch: three volumes, five
// with fixed_force.
double ncc_force(const float* fixed, const float* warped, const float* weight, const long* n, int r, float eps,
                 float* scratch, float* force, float* fixed_force) {
  const long plane = n[1] * n[2], size = n[0] * plane;
  const double sum = first_pass(fixed, warped, weight, n, r, eps, scratch, fixed_force != nullptr);
  if (!fixed_force)
    box_volume<3>(
        n, r,
        [=](long p, float* at) {
          for (int q = 0; q < 3; q++) std::memcpy(at + q * plane, scratch + q * size + p * plane, sizeof(float) * plane);
        },
        [=](long i, const float* t) { force_plane(fixed, warped, t, plane, 2 * plane, n, i, force); });
  else
    box_volume<5>(
        n, r,
        [=](long p, float* at) {
          for (int q = 0; q < 5; q++) std::memcpy(at + q * plane, scratch + q * size + p * plane, sizeof(float) * plane);
        },
        [=](long i, const float* t) {
          force_plane(fixed, warped, t, plane, 2 * plane, n, i, force);
          force_plane(warped, fixed, t, 3 * plane, 4 * plane, n, i, fixed_force);
        });
  return sum;
}

}  // namespace VB_ISA
}  // namespace vb
