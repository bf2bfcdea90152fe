// Modality-independent descriptors (MIND with self-similarity context) and the force between feature images.
// Descriptor: Heinrich et al. 2013, doi:10.1007/978-3-642-40811-3_24.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

constexpr int kPairs = 12;

inline long clampl(long v, long hi) { return v < 0 ? 0 : (v > hi ? hi : v); }

// exp(x) for -80 < x <= 0, relative error below 1e-6; plain arithmetic so that loops over it vectorise.
inline float exp_negative(float x) {
  const float t = x * 1.44269504f;
  const int whole = (int)(t - 0.5f);
  const float f = t - (float)whole;
  float p = 1.5403530e-4f;
  p = p * f + 1.3333558e-3f;
  p = p * f + 9.6181291e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.f;
  const int32_t bits = (whole + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

// The six neighbours of a row of voxels at distance `dilation`, clamped to the image: -i, +i, -j, +j, -k, +k.
struct Neighbours {
  const float* row[6];
};

Neighbours neighbours(const float* image, const long* n, long i, long j, long dilation, float* shifted) {
  const long plane = n[1] * n[2];
  Neighbours a;
  a.row[0] = image + clampl(i - dilation, n[0] - 1) * plane + j * n[2];
  a.row[1] = image + clampl(i + dilation, n[0] - 1) * plane + j * n[2];
  a.row[2] = image + i * plane + clampl(j - dilation, n[1] - 1) * n[2];
  a.row[3] = image + i * plane + clampl(j + dilation, n[1] - 1) * n[2];
  const float* here = image + i * plane + j * n[2];
  for (long k = 0; k < n[2]; k++) {
    shifted[k] = here[clampl(k - dilation, n[2] - 1)];
    shifted[n[2] + k] = here[clampl(k + dilation, n[2] - 1)];
  }
  a.row[4] = shifted;
  a.row[5] = shifted + n[2];
  return a;
}

// Pair c of the twelve: neighbours along two different axes (ij, ik, jk), the four combinations of signs each.
inline void pair_of(int c, int* a, int* b) {
  const int axes = c / 4;
  *a = (axes == 2 ? 2 : 0) + (c % 4) / 2;
  *b = (axes == 0 ? 2 : 4) + c % 2;
}

// Squared differences of every pair on plane i, summed over the patch along j and k: out[c][j][k].
void patch_plane(const float* image, const long* n, long i, int radius, long dilation, float* rows, float* scratch,
                 float* out) {
  const long plane = n[1] * n[2], nk = n[2];
  float* padded = scratch + 2 * nk;
  for (long j = 0; j < n[1]; j++) {
    const Neighbours near = neighbours(image, n, i, j, dilation, scratch);
    for (int c = 0; c < kPairs; c++) {
      int a, b;
      pair_of(c, &a, &b);
      const float* __restrict p = near.row[a];
      const float* __restrict q = near.row[b];
      float* __restrict mid = padded + radius;
      for (long k = 0; k < nk; k++) mid[k] = (p[k] - q[k]) * (p[k] - q[k]);
      for (int r = 1; r <= radius; r++) {
        padded[radius - r] = mid[0];
        mid[nk - 1 + r] = mid[nk - 1];
      }
      float* __restrict to = rows + c * plane + j * nk;
      for (long k = 0; k < nk; k++) to[k] = mid[k];
      for (int r = 1; r <= radius; r++)
        for (long k = 0; k < nk; k++) to[k] += mid[k - r] + mid[k + r];
    }
  }
  for (int c = 0; c < kPairs; c++)
    for (long j = 0; j < n[1]; j++) {
      float* __restrict to = out + c * plane + j * nk;
      std::memset(to, 0, sizeof(float) * nk);
      for (int r = -radius; r <= radius; r++) {
        const float* __restrict from = rows + c * plane + clampl(j + r, n[1] - 1) * nk;
        for (long k = 0; k < nk; k++) to[k] += from[k];
      }
    }
}

// Turns twelve rows of patch distances into descriptors: exp(-(d - min d) / V), V the mean of d - min d, at least floor.
void describe_rows(float* d, long nk, float norm, float floor) {
  for (long k = 0; k < nk; k++) {
    float low = d[k], sum = d[k];
    for (int c = 1; c < kPairs; c++) {
      const float v = d[c * nk + k];
      low = v < low ? v : low;
      sum += v;
    }
    float spread = norm * (sum / kPairs - low);
    spread = spread > floor ? spread : floor;
    const float scale = -norm / spread;
    for (int c = 0; c < kPairs; c++) d[c * nk + k] = exp_negative(scale * (d[c * nk + k] - low));
  }
}

struct Work {
  float* ring;     // (2 radius + 1) planes of [12][j][k]
  long* held;      // which plane each ring slot holds
  float* rows;     // [12][j][k]
  float* scratch;  // a few rows
  float* d;        // [12][k]
  float* pooled;   // [12][k / pool] sums
};

void descriptor_row(Work& w, const float* image, const long* n, long i, long j, int radius, long dilation, float floor) {
  const long plane = n[1] * n[2], nk = n[2], width = 2 * radius + 1;
  std::memset(w.d, 0, sizeof(float) * kPairs * nk);
  for (int r = -radius; r <= radius; r++) {
    const long at = clampl(i + r, n[0] - 1), slot = at % width;
    float* ring = w.ring + slot * kPairs * plane;
    if (w.held[slot] != at) {
      patch_plane(image, n, at, radius, dilation, w.rows, w.scratch, ring);
      w.held[slot] = at;
    }
    for (int c = 0; c < kPairs; c++) {
      float* __restrict to = w.d + c * nk;
      const float* __restrict from = ring + c * plane + j * nk;
      for (long k = 0; k < nk; k++) to[k] += from[k];
    }
  }
  describe_rows(w.d, nk, 1.f / (float)(width * width * width), floor);
}

// A thousandth of the mean squared difference of all pairs: what a flat region's spread is at least.
float spread_floor(const float* image, const long* n, long dilation) {
  double* sums = (double*)std::calloc(n[0], sizeof(double));
#pragma omp parallel
  {
    float* shifted = (float*)std::malloc(sizeof(float) * 2 * n[2]);
#pragma omp for schedule(static)
    for (long i = 0; i < n[0]; i++)
      for (long j = 0; j < n[1]; j++) {
        const Neighbours near = neighbours(image, n, i, j, dilation, shifted);
        float row = 0;
        for (int c = 0; c < kPairs; c++) {
          int a, b;
          pair_of(c, &a, &b);
          const float* __restrict p = near.row[a];
          const float* __restrict q = near.row[b];
          for (long k = 0; k < n[2]; k++) row += (p[k] - q[k]) * (p[k] - q[k]);
        }
        sums[i] += row;
      }
    std::free(shifted);
  }
  double sum = 0;
  for (long i = 0; i < n[0]; i++) sum += sums[i];
  std::free(sums);
  const double floor = 1e-3 * sum / ((double)kPairs * n[0] * n[1] * n[2]);
  return floor > 1e-20 ? (float)floor : 1e-20f;
}

// Where descriptors go: float planes [12][i][j][k], or bytes [i][j][k][12] with 255 for 1.
struct Target {
  float* planes;
  uint8_t* packed;
};

void write_row(const Target& t, const float* sums, const float* share, long at, long size, long nk) {
  if (t.planes) {
    for (int c = 0; c < kPairs; c++)
      for (long k = 0; k < nk; k++) t.planes[c * size + at + k] = sums[c * nk + k] * share[k];
    return;
  }
  for (long k = 0; k < nk; k++)
    for (int c = 0; c < kPairs; c++)
      t.packed[(at + k) * kPairs + c] = (uint8_t)(255.f * sums[c * nk + k] * share[k] + 0.5f);
}

// Moving feature c and its gradient at one point, trilinear: corners weighted, and differenced along each axis.
struct Corner {
  long base, di, dj, dk;
  float x, y, z;
  bool in[3];
};

inline Corner corner_at(const long* n, float x, float y, float z) {
  const float at[3] = {x, y, z};
  long low[3];
  float f[3];
  Corner c;
  for (int a = 0; a < 3; a++) {
    const float hi = (float)(n[a] - 1);
    c.in[a] = at[a] >= 0.f && at[a] <= hi && n[a] > 1;
    const float v = at[a] < 0.f ? 0.f : (at[a] > hi ? hi : at[a]);
    low[a] = (long)v;
    if (low[a] > n[a] - 2) low[a] = n[a] > 1 ? n[a] - 2 : 0;
    f[a] = v - (float)low[a];
  }
  c.base = (low[0] * n[1] + low[1]) * n[2] + low[2];
  c.di = n[0] > 1 ? n[1] * n[2] : 0;
  c.dj = n[1] > 1 ? n[2] : 0;
  c.dk = n[2] > 1 ? 1 : 0;
  c.x = f[0];
  c.y = f[1];
  c.z = f[2];
  return c;
}

// Sums over channels: squared residual, and residual times gradient.
template <class T, int kFixed>
inline void residuals(const T* fixed, const T* moving, const Corner& c, long channels, float* sums) {
  const long n = kFixed ? kFixed : channels;
  const T* p000 = moving + c.base * n;
  const T* p001 = p000 + c.dk * n;
  const T* p010 = p000 + c.dj * n;
  const T* p011 = p010 + c.dk * n;
  const T* p100 = p000 + c.di * n;
  const T* p101 = p100 + c.dk * n;
  const T* p110 = p100 + c.dj * n;
  const T* p111 = p110 + c.dk * n;
  float square = 0, gi = 0, gj = 0, gk = 0;
  for (long ch = 0; ch < n; ch++) {
    const float a00 = (float)p000[ch], a01 = (float)p010[ch], a10 = (float)p100[ch], a11 = (float)p110[ch];
    const float d00 = (float)p001[ch] - a00, d01 = (float)p011[ch] - a01, d10 = (float)p101[ch] - a10,
                d11 = (float)p111[ch] - a11;
    const float b00 = a00 + c.z * d00, b01 = a01 + c.z * d01, b10 = a10 + c.z * d10, b11 = a11 + c.z * d11;
    const float e0 = b00 + c.y * (b01 - b00), e1 = b10 + c.y * (b11 - b10);
    const float j0 = b01 - b00, j1 = b11 - b10;
    const float k0 = d00 + c.y * (d01 - d00), k1 = d10 + c.y * (d11 - d10);
    const float r = e0 + c.x * (e1 - e0) - (float)fixed[ch];
    square += r * r;
    gi += r * (e1 - e0);
    gj += r * (j0 + c.x * (j1 - j0));
    gk += r * (k0 + c.x * (k1 - k0));
  }
  sums[0] = square;
  sums[1] = c.in[0] ? gi : 0.f;
  sums[2] = c.in[1] ? gj : 0.f;
  sums[3] = c.in[2] ? gk : 0.f;
}

template <class T, int kFixed>
double force(const T* fixed, const T* moving, const long* m, const float* field, const long* n, long channels,
             float scale, float* out) {
  const long size = n[0] * n[1] * n[2];
  double* sums = (double*)std::calloc(n[0], sizeof(double));
  const float weight = 2.f * scale / (float)channels;
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++)
    for (long j = 0; j < n[1]; j++) {
      float row = 0;
      for (long k = 0; k < n[2]; k++) {
        const long at = (i * n[1] + j) * n[2] + k;
        const Corner c = corner_at(m, i + field[at], j + field[at + size], k + field[at + 2 * size]);
        float s[4];
        residuals<T, kFixed>(fixed + at * channels, moving, c, channels, s);
        row += s[0];
        for (int a = 0; a < 3; a++) out[at + a * size] = weight * s[a + 1];
      }
      sums[i] += row;
    }
  double sum = 0;
  for (long i = 0; i < n[0]; i++) sum += sums[i];
  std::free(sums);
  return sum * scale / ((double)size * channels);
}

}  // namespace

namespace vb {
namespace VB_ISA {

// Descriptors averaged over blocks of pool^3 voxels (cut at the far border) into planes or packed, whichever is not null.
void mind_ssc(const float* image, const long* n, int radius, long dilation, long pool, float* planes, uint8_t* packed) {
  const long plane = n[1] * n[2], nk = n[2], width = 2 * radius + 1;
  const long o[3] = {(n[0] + pool - 1) / pool, (n[1] + pool - 1) / pool, (n[2] + pool - 1) / pool};
  const float floor = spread_floor(image, n, dilation);
  const Target target = {planes, packed};
#pragma omp parallel
  {
    Work w;
    w.ring = (float*)std::malloc(sizeof(float) * width * kPairs * plane);
    w.rows = (float*)std::malloc(sizeof(float) * kPairs * plane);
    w.scratch = (float*)std::malloc(sizeof(float) * (3 * nk + 2 * radius));
    w.d = (float*)std::malloc(sizeof(float) * kPairs * nk);
    w.pooled = (float*)std::malloc(sizeof(float) * (kPairs + 1) * o[2]);
    w.held = (long*)std::malloc(sizeof(long) * width);
    for (long s = 0; s < width; s++) w.held[s] = -1;
    float* sums = (float*)std::malloc(sizeof(float) * kPairs * o[1] * o[2]);
#pragma omp for schedule(static)
    for (long a = 0; a < o[0]; a++) {
      std::memset(sums, 0, sizeof(float) * kPairs * o[1] * o[2]);
      const long i1 = (a + 1) * pool < n[0] ? (a + 1) * pool : n[0];
      for (long i = a * pool; i < i1; i++)
        for (long j = 0; j < n[1]; j++) {
          descriptor_row(w, image, n, i, j, radius, dilation, floor);
          float* block = sums + (j / pool) * kPairs * o[2];
          for (int c = 0; c < kPairs; c++)
            for (long k = 0; k < nk; k++) block[c * o[2] + k / pool] += w.d[c * nk + k];
        }
      float* share = w.pooled;
      for (long b = 0; b < o[1]; b++) {
        const long depth = i1 - a * pool, height = ((b + 1) * pool < n[1] ? (b + 1) * pool : n[1]) - b * pool;
        for (long k = 0; k < o[2]; k++) {
          const long across = ((k + 1) * pool < nk ? (k + 1) * pool : nk) - k * pool;
          share[k] = 1.f / (float)(depth * height * across);
        }
        write_row(target, sums + b * kPairs * o[2], share, (a * o[1] + b) * o[2], o[0] * o[1] * o[2], o[2]);
      }
    }
    std::free(w.ring);
    std::free(w.rows);
    std::free(w.scratch);
    std::free(w.d);
    std::free(w.pooled);
    std::free(w.held);
    std::free(sums);
  }
}

// Mean squared difference of fixed(x) and moving(x + field(x)) over voxels and channels, and per voxel its gradient with
// respect to field(x) (of the mean over channels). Features are [i][j][k][c]; bytes count as multiples of 1/255.
double feature_force_float(const float* fixed, const float* moving, const long* m, const float* field, const long* n,
                           long channels, float* out) {
  return channels == kPairs ? force<float, kPairs>(fixed, moving, m, field, n, channels, 1.f, out)
                            : force<float, 0>(fixed, moving, m, field, n, channels, 1.f, out);
}

double feature_force_bytes(const uint8_t* fixed, const uint8_t* moving, const long* m, const float* field,
                           const long* n, long channels, float* out) {
  const float scale = 1.f / (255.f * 255.f);
  return channels == kPairs ? force<uint8_t, kPairs>(fixed, moving, m, field, n, channels, scale, out)
                            : force<uint8_t, 0>(fixed, moving, m, field, n, channels, scale, out);
}

}  // namespace VB_ISA
}  // namespace vb
