// Sampling of images and displacement fields, and the algebra of fields.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

inline long clampl(long v, long hi) { return v < 0 ? 0 : (v > hi ? hi : v); }
inline float clampf(float v, float hi) { return v < 0.f ? 0.f : (v > hi ? hi : v); }

// Mirrored about the first and last sample, as the spline prefilter assumes.
inline long mirror(long v, long n) {
  if (n == 1) return 0;
  const long period = 2 * n - 2;
  v %= period;
  if (v < 0) v += period;
  return v < n ? v : period - v;
}

// Coordinates within this of a voxel centre count as on it: a volume's own grid comes back exactly.
constexpr double kSnap = 1e-6;
inline double snap(double v) {
  const double r = std::nearbyint(v);
  return std::fabs(v - r) < kSnap ? r : v;
}

inline float linear_at(const float* s, const long* n, double x, double y, double z) {
  const long i = clampl((long)std::floor(x), n[0] - 1), j = clampl((long)std::floor(y), n[1] - 1),
             k = clampl((long)std::floor(z), n[2] - 1);
  const float fx = (float)(x - i), fy = (float)(y - j), fz = (float)(z - k);
  const long di = i + 1 < n[0] ? n[1] * n[2] : 0, dj = j + 1 < n[1] ? n[2] : 0, dk = k + 1 < n[2] ? 1 : 0;
  const float* p = s + (i * n[1] + j) * n[2] + k;
  const float a = p[0] + fz * (p[dk] - p[0]), b = p[dj] + fz * (p[dj + dk] - p[dj]);
  const float c = p[di] + fz * (p[di + dk] - p[di]), d = p[di + dj] + fz * (p[di + dj + dk] - p[di + dj]);
  const float e = a + fy * (b - a), f = c + fy * (d - c);
  return e + fx * (f - e);
}

inline void cubic_weights(double t, double* w) {
  const double u = 1 - t;
  w[0] = u * u * u / 6;
  w[1] = 2.0 / 3 - t * t * (2 - t) / 2;
  w[2] = 2.0 / 3 - u * u * (2 - u) / 2;
  w[3] = t * t * t / 6;
}

inline float cubic_at(const float* s, const long* n, double x, double y, double z) {
  const double c[3] = {x, y, z};
  double w[3][4];
  long at[3][4];
  for (int a = 0; a < 3; a++) {
    const long f = (long)std::floor(c[a]);
    cubic_weights(c[a] - f, w[a]);
    for (int t = 0; t < 4; t++) at[a][t] = mirror(f - 1 + t, n[a]);
  }
  double sum = 0;
  for (int p = 0; p < 4; p++) {
    double plane = 0;
    for (int q = 0; q < 4; q++) {
      const float* row = s + (at[0][p] * n[1] + at[1][q]) * n[2];
      double line = 0;
      for (int r = 0; r < 4; r++) line += w[2][r] * row[at[2][r]];
      plane += w[1][q] * line;
    }
    sum += w[0][p] * plane;
  }
  return (float)sum;
}

// Calls visit(linear index of the destination, x, y, z) for every destination voxel, with source coordinates.
template <class Visit>
inline void for_each_point(const long* d, const double* m, const float* field, const double* lin, Visit visit) {
#pragma omp parallel for schedule(static)
  for (long i = 0; i < d[0]; i++)
    for (long j = 0; j < d[1]; j++) {
      const long row = (i * d[1] + j) * d[2];
      for (long k = 0; k < d[2]; k++) {
        double c[3];
        for (int a = 0; a < 3; a++) c[a] = m[4 * a] * i + m[4 * a + 1] * j + m[4 * a + 2] * k + m[4 * a + 3];
        if (field) {
          const float* u = field + 3 * (row + k);
          for (int a = 0; a < 3; a++) c[a] += lin[3 * a] * u[0] + lin[3 * a + 1] * u[1] + lin[3 * a + 2] * u[2];
        }
        visit(row + k, snap(c[0]), snap(c[1]), snap(c[2]));
      }
    }
}

inline bool inside(const long* n, double x, double y, double z) {
  return x >= 0 && y >= 0 && z >= 0 && x <= n[0] - 1 && y <= n[1] - 1 && z <= n[2] - 1;
}

template <class T>
void nearest(const T* src, const long* n, T* dst, const long* d, const double* m, const float* field,
             const double* lin, T outside) {
  for_each_point(d, m, field, lin, [=](long at, double x, double y, double z) {
    if (!inside(n, x, y, z)) {
      dst[at] = outside;
      return;
    }
    const long i = (long)std::floor(x + 0.5), j = (long)std::floor(y + 0.5), k = (long)std::floor(z + 0.5);
    dst[at] = src[(i * n[1] + j) * n[2] + k];
  });
}

// Where a planar field's component is read at (x, y, z), clamped to the box; offsets and weights shared by all three.
struct Cell {
  long base, di, dj, dk;
  float fx, fy, fz;
};

inline Cell cell_at(const long* n, float x, float y, float z) {
  x = clampf(x, (float)(n[0] - 1));
  y = clampf(y, (float)(n[1] - 1));
  z = clampf(z, (float)(n[2] - 1));
  const int i = (int)x, j = (int)y, k = (int)z;
  Cell c;
  c.base = ((long)i * n[1] + j) * n[2] + k;
  c.di = i + 1 < n[0] ? n[1] * n[2] : 0;
  c.dj = j + 1 < n[1] ? n[2] : 0;
  c.dk = k + 1 < n[2] ? 1 : 0;
  c.fx = x - i;
  c.fy = y - j;
  c.fz = z - k;
  return c;
}

inline float read(const float* s, const Cell& c) {
  const float* p = s + c.base;
  const float a = p[0] + c.fz * (p[c.dk] - p[0]), b = p[c.dj] + c.fz * (p[c.dj + c.dk] - p[c.dj]);
  const float* q = p + c.di;
  const float e = q[0] + c.fz * (q[c.dk] - q[0]), f = q[c.dj] + c.fz * (q[c.dj + c.dk] - q[c.dj]);
  const float g = a + c.fy * (b - a), h = e + c.fy * (f - e);
  return g + c.fx * (h - g);
}

// As read, and the gradient inside the cell (zero along an axis whose border is passed).
inline float read_gradient(const float* s, const Cell& c, float* g) {
  const float* p = s + c.base;
  const float* q = p + c.di;
  const float p0 = p[0], p1 = p[c.dk], p2 = p[c.dj], p3 = p[c.dj + c.dk];
  const float q0 = q[0], q1 = q[c.dk], q2 = q[c.dj], q3 = q[c.dj + c.dk];
  const float a = p0 + c.fz * (p1 - p0), b = p2 + c.fz * (p3 - p2), e = q0 + c.fz * (q1 - q0), f = q2 + c.fz * (q3 - q2);
  const float lo = a + c.fy * (b - a), hi = e + c.fy * (f - e);
  g[0] = hi - lo;
  g[1] = (b - a) + c.fx * ((f - e) - (b - a));
  const float z0 = (p1 - p0) + c.fy * ((p3 - p2) - (p1 - p0)), z1 = (q1 - q0) + c.fy * ((q3 - q2) - (q1 - q0));
  g[2] = z0 + c.fx * (z1 - z0);
  return lo + c.fx * g[0];
}

// s = m^-1 r, or r itself where m is nearly singular or turned over.
inline void solve(const float m[3][3], const float* r, float* s) {
  const float c0 = m[1][1] * m[2][2] - m[1][2] * m[2][1], c1 = m[1][2] * m[2][0] - m[1][0] * m[2][2],
              c2 = m[1][0] * m[2][1] - m[1][1] * m[2][0];
  const float det = m[0][0] * c0 + m[0][1] * c1 + m[0][2] * c2;
  if (det < 0.02f) {
    for (int a = 0; a < 3; a++) s[a] = 0.5f * r[a];
    return;
  }
  const float inv = 1.f / det;
  s[0] = inv * (c0 * r[0] + (m[0][2] * m[2][1] - m[0][1] * m[2][2]) * r[1] + (m[0][1] * m[1][2] - m[0][2] * m[1][1]) * r[2]);
  s[1] = inv * (c1 * r[0] + (m[0][0] * m[2][2] - m[0][2] * m[2][0]) * r[1] + (m[0][2] * m[1][0] - m[0][0] * m[1][2]) * r[2]);
  s[2] = inv * (c2 * r[0] + (m[0][1] * m[2][0] - m[0][0] * m[2][1]) * r[1] + (m[0][0] * m[1][1] - m[0][1] * m[1][0]) * r[2]);
}

}  // namespace

namespace vb {
namespace VB_ISA {

void sample(const float* src, const long* n, float* dst, const long* d, const double* m, const float* field,
            const double* lin, int order, float outside) {
  if (order == 1)
    for_each_point(d, m, field, lin, [=](long at, double x, double y, double z) {
      dst[at] = inside(n, x, y, z) ? linear_at(src, n, x, y, z) : outside;
    });
  else
    for_each_point(d, m, field, lin, [=](long at, double x, double y, double z) {
      dst[at] = inside(n, x, y, z) ? cubic_at(src, n, x, y, z) : outside;
    });
}

void sample_nearest(const void* src, int bytes, const long* n, void* dst, const long* d, const double* m,
                    const float* field, const double* lin, const void* outside) {
  switch (bytes) {
    case 1:
      return nearest((const uint8_t*)src, n, (uint8_t*)dst, d, m, field, lin, *(const uint8_t*)outside);
    case 2:
      return nearest((const uint16_t*)src, n, (uint16_t*)dst, d, m, field, lin, *(const uint16_t*)outside);
    case 4:
      return nearest((const uint32_t*)src, n, (uint32_t*)dst, d, m, field, lin, *(const uint32_t*)outside);
    default:
      return nearest((const uint64_t*)src, n, (uint64_t*)dst, d, m, field, lin, *(const uint64_t*)outside);
  }
}

// Interpolating cubic B-spline coefficients, mirror boundary (Unser 1999, doi:10.1109/79.799930), in place.
void spline_coefficients(float* v, const long* n) {
  const double pole = std::sqrt(3.0) - 2;
  const long stride[3] = {n[1] * n[2], n[2], 1};
  for (int axis = 0; axis < 3; axis++) {
    const long len = n[axis], st = stride[axis];
    if (len < 2) continue;
    const int o1 = axis == 0 ? 1 : 0, o2 = axis == 2 ? 1 : 2;
    const long horizon = len < 28 ? len : 28;
#pragma omp parallel
    {
      double* c = (double*)std::malloc(sizeof(double) * len);
#pragma omp for schedule(static)
      for (long p = 0; p < n[o1]; p++)
        for (long q = 0; q < n[o2]; q++) {
          float* line = v + p * stride[o1] + q * stride[o2];
          for (long t = 0; t < len; t++) c[t] = 6.0 * line[t * st];
          double first = c[0], power = pole;
          if (horizon < len) {
            for (long t = 1; t < horizon; t++, power *= pole) first += power * c[t];
          } else {
            const double last = std::pow(pole, (double)(len - 1));
            double back = last * last / pole;
            first += last * c[len - 1];
            for (long t = 1; t < len - 1; t++, power *= pole, back /= pole) first += (power + back) * c[t];
            first /= 1 - last * last;
          }
          c[0] = first;
          for (long t = 1; t < len; t++) c[t] += pole * c[t - 1];
          c[len - 1] = pole / (pole * pole - 1) * (c[len - 1] + pole * c[len - 2]);
          for (long t = len - 2; t >= 0; t--) c[t] = pole * (c[t + 1] - c[t]);
          for (long t = 0; t < len; t++) line[t * st] = (float)c[t];
        }
      std::free(c);
    }
  }
}

// Vectors of an interleaved field (i, j, k, 3) at voxel coordinates, linear, clamped at the border.
void sample_vectors(const float* field, const long* n, const double* points, long count, double* out) {
#pragma omp parallel for schedule(static)
  for (long p = 0; p < count; p++) {
    long at[3], step[3];
    double f[3];
    const long stride[3] = {n[1] * n[2] * 3, n[2] * 3, 3};
    for (int a = 0; a < 3; a++) {
      double c = points[3 * p + a];
      c = c > 0 ? (c < n[a] - 1 ? c : (double)(n[a] - 1)) : 0.0;
      at[a] = (long)c;
      f[a] = c - at[a];
      step[a] = at[a] + 1 < n[a] ? stride[a] : 0;
    }
    const float* base = field + at[0] * stride[0] + at[1] * stride[1] + at[2] * stride[2];
    for (int c = 0; c < 3; c++) {
      double sum = 0;
      for (int corner = 0; corner < 8; corner++) {
        const double w = (corner & 4 ? f[0] : 1 - f[0]) * (corner & 2 ? f[1] : 1 - f[1]) * (corner & 1 ? f[2] : 1 - f[2]);
        sum += w * base[(corner & 4 ? step[0] : 0) + (corner & 2 ? step[1] : 0) + (corner & 1 ? step[2] : 0) + c];
      }
      out[3 * p + c] = sum;
    }
  }
}

// dst(x) = src(x + disp(x)), linear, clamped at the border.
void warp_planar(const float* src, const long* n, const float* disp, const long* d, float* dst) {
  const long size = d[0] * d[1] * d[2];
#pragma omp parallel for schedule(static)
  for (long i = 0; i < d[0]; i++)
    for (long j = 0; j < d[1]; j++) {
      const long row = (i * d[1] + j) * d[2];
      for (long k = 0; k < d[2]; k++) {
        const float* u = disp + row + k;
        dst[row + k] = read(src, cell_at(n, i + u[0], j + u[size], k + u[2 * size]));
      }
    }
}

// dst(x) = step inner(x) + outer(x + step inner(x)): first inner, then outer; clamped at the border.
void compose_planar(const float* outer, const float* inner, const long* n, float step, float* dst) {
  const long size = n[0] * n[1] * n[2];
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++)
    for (long j = 0; j < n[1]; j++) {
      const long row = (i * n[1] + j) * n[2];
      for (long k = 0; k < n[2]; k++) {
        const float x = step * inner[row + k], y = step * inner[row + k + size], z = step * inner[row + k + 2 * size];
        const Cell c = cell_at(n, i + x, j + y, k + z);
        dst[row + k] = x + read(outer, c);
        dst[row + k + size] = y + read(outer + size, c);
        dst[row + k + 2 * size] = z + read(outer + 2 * size, c);
      }
    }
}

// Solves v + u(x + v) = 0 at every voxel by Newton steps on the linearly interpolated field, starting from what
// `inverse` holds; where the map is nearly singular a plain fixed-point step is taken. Returns the mean residual, voxels.
double invert_planar(const float* disp, const long* n, int iterations, float* inverse) {
  const long size = n[0] * n[1] * n[2];
  double* sums = (double*)std::calloc(n[0], sizeof(double));
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++)
    for (long j = 0; j < n[1]; j++) {
      const long row = (i * n[1] + j) * n[2];
      for (long k = 0; k < n[2]; k++) {
        float* v = inverse + row + k;
        float best[3] = {v[0], v[size], v[2 * size]}, x[3] = {best[0], best[1], best[2]};
        float least = 3.4e38f;
        for (int t = 0; t < iterations; t++) {
          const Cell c = cell_at(n, i + x[0], j + x[1], k + x[2]);
          float r[3], m[3][3];
          for (int a = 0; a < 3; a++) {
            float g[3];
            r[a] = -x[a] - read_gradient(disp + a * size, c, g);
            for (int d = 0; d < 3; d++) m[a][d] = g[d] + (a == d);
          }
          const float r2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
          if (r2 < least) {
            least = r2;
            for (int a = 0; a < 3; a++) best[a] = x[a];
          }
          if (r2 < 1e-8f) break;
          float s[3];
          solve(m, r, s);
          const float length = std::sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]);
          // steps shrink as they are many: a cycle between two cells of the piecewise linear map ends
          const float limit = 2.f / (1 + 0.2f * t), scale = length > limit ? limit / length : 1.f;
          for (int a = 0; a < 3; a++) x[a] += scale * s[a];
        }
        v[0] = best[0];
        v[size] = best[1];
        v[2 * size] = best[2];
        sums[i] += std::sqrt((double)least);
      }
    }
  double sum = 0;
  for (long i = 0; i < n[0]; i++) sum += sums[i];
  std::free(sums);
  return sum / size;
}

// dst(x) = scale * src(offset + ratio x) for every component, linear, clamped: a field brought to another grid.
void upsample_planar(const float* src, const long* s, const float* offset, const float* ratio, const float* scale,
                     float* dst, const long* d) {
  const long ss = s[0] * s[1] * s[2], size = d[0] * d[1] * d[2];
#pragma omp parallel for schedule(static)
  for (long i = 0; i < d[0]; i++)
    for (long j = 0; j < d[1]; j++) {
      const long row = (i * d[1] + j) * d[2];
      for (long k = 0; k < d[2]; k++) {
        const Cell c = cell_at(s, offset[0] + ratio[0] * i, offset[1] + ratio[1] * j, offset[2] + ratio[2] * k);
        for (int a = 0; a < 3; a++) dst[row + k + a * size] = scale[a] * read(src + a * ss, c);
      }
    }
}

}  // namespace VB_ISA
}  // namespace vb
