// Structural similarity in one sweep: intensities are windowed, five running sums go down axis i and then along axis j
// (and, in 3-D, along k), and no map is ever stored. Vectors run along k, the contiguous axis: many slices at once.
// Rounds as float32 arrays through scipy.ndimage.uniform_filter do: sums in double, float32 after each axis.
// Compiled without re-association and without fused multiply-add.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

constexpr long SLICES = 32, ROWS = 64;  // a tile's width in k and height in j: its sums stay in the second-level cache

template <class T>
struct Images {
  const T* ref;
  const T* pred;
  const uint8_t* mask;  // or null
  const long* n;
  const long* box;  // begin, end of i, j, k
  float lo, hi, width;
  int size;
};

// A tile: rows [j0, j0 + jn) and slices [k0, k0 + kn) of the box.
struct Tile {
  long j0, jn, k0, kn;
};

struct Scratch {
  double* sums;  // [5][jn][kn]
  double* run;   // [5][kn]
  float* ring;   // [size][2][jn][kn]
  float* rows;   // [5][jn][kn]
  float* planes; // [5][kn]
  char* memory;
  Scratch(long jn, long kn, int size) {
    const long cells = jn * kn;
    const size_t bytes = (size_t)(5 * cells * 8 + 5 * kn * 8 + size * 2 * cells * 4 + 5 * cells * 4 + 5 * kn * 4);
    memory = (char*)std::malloc(bytes + 64);
    sums = (double*)memory;
    run = sums + 5 * cells;
    ring = (float*)(run + 5 * kn);
    rows = ring + (long)size * 2 * cells;
    planes = rows + 5 * cells;
  }
  ~Scratch() { std::free(memory); }
};

struct Constants {
  float covariance, c1, c2;
};

inline float similarity(float ux, float uy, float uxx, float uyy, float uxy, const Constants& c) {
  const float vx = c.covariance * (uxx - ux * ux), vy = c.covariance * (uyy - uy * uy);
  const float vxy = c.covariance * (uxy - ux * uy);
  const float a1 = 2.0f * ux * uy + c.c1, a2 = 2.0f * vxy + c.c2;
  const float b1 = ux * ux + uy * uy + c.c1, b2 = vx + vy + c.c2;
  return (a1 * a2) / (b1 * b2);
}

// Windowed intensities of one row of k.
template <class T>
inline void windowed(const T* __restrict src, const uint8_t* __restrict mask, long kn, float lo, float hi, float width,
                     float* __restrict dst) {
  for (long k = 0; k < kn; k++) {
    float x = (float)src[k];
    x = x < lo ? lo : x;
    x = x > hi ? hi : x;
    dst[k] = (x - lo) / width;
  }
  if (mask)
    for (long k = 0; k < kn; k++) dst[k] = mask[k] ? dst[k] : 0.0f;
}

// Moves the five sums down by one row: in come (a, b), out go the values kept in the ring, which (a, b) replace.
inline void step(const float* __restrict a, const float* __restrict b, float* __restrict old_a, float* __restrict old_b,
                 double* __restrict sums, float* __restrict rows, long cells, long kn, double weight) {
  double* __restrict s0 = sums;
  double* __restrict s1 = sums + cells;
  double* __restrict s2 = sums + 2 * cells;
  double* __restrict s3 = sums + 3 * cells;
  double* __restrict s4 = sums + 4 * cells;
  for (long k = 0; k < kn; k++) {
    const float x = a[k], y = b[k], p = old_a[k], q = old_b[k];
    const double t0 = s0[k] + ((double)x - (double)p), t1 = s1[k] + ((double)y - (double)q);
    const double t2 = s2[k] + ((double)(x * x) - (double)(p * p)), t3 = s3[k] + ((double)(y * y) - (double)(q * q));
    const double t4 = s4[k] + ((double)(x * y) - (double)(p * q));
    s0[k] = t0;
    s1[k] = t1;
    s2[k] = t2;
    s3[k] = t3;
    s4[k] = t4;
    rows[k] = (float)(t0 * weight);
    rows[cells + k] = (float)(t1 * weight);
    rows[2 * cells + k] = (float)(t2 * weight);
    rows[3 * cells + k] = (float)(t3 * weight);
    rows[4 * cells + k] = (float)(t4 * weight);
    old_a[k] = x;
    old_b[k] = y;
  }
}

// The sums of a row along j: in comes `next`, out goes `last` (null: nothing yet).
inline void along(const float* __restrict next, const float* __restrict last, double* __restrict run, long cells,
                  long kn) {
  for (int m = 0; m < 5; m++)
    for (long k = 0; k < kn; k++) {
      const double out = last ? (double)last[m * cells + k] : 0.0;
      run[m * kn + k] += (double)next[m * cells + k] - out;
    }
}

// Similarity of one row of k, each voxel added to its slice's total.
inline void add_slices(const double* __restrict run, long kn, double weight, const Constants& c,
                       double* __restrict total) {
  for (long k = 0; k < kn; k++)
    total[k] += (double)similarity((float)(run[k] * weight), (float)(run[kn + k] * weight),
                                   (float)(run[2 * kn + k] * weight), (float)(run[3 * kn + k] * weight),
                                   (float)(run[4 * kn + k] * weight), c);
}

// The same in 3-D: one more running sum, along k.
inline void add_volume(const double* __restrict run, float* __restrict planes, long kn, int size, double weight,
                       const Constants& c, double* total) {
  for (long k = 0; k < 5 * kn; k++) planes[k] = (float)(run[k] * weight);
  double s[5] = {0, 0, 0, 0, 0};
  for (long k = 0; k < kn; k++) {
    float u[5];
    for (int m = 0; m < 5; m++) {
      const double out = k >= size ? (double)planes[m * kn + k - size] : 0.0;
      s[m] += (double)planes[m * kn + k] - out;
      u[m] = (float)(s[m] * weight);
    }
    if (k >= size - 1) *total += (double)similarity(u[0], u[1], u[2], u[3], u[4], c);
  }
}

// Adds the similarities of a tile: to one total per slice, or in 3-D to a single one.
template <class T>
void sweep(const Images<T>& g, const Tile& t, bool solid, const Constants& c, double* total) {
  const long cells = t.jn * t.kn, J = g.n[1], K = g.n[2];
  Scratch s(t.jn, t.kn, g.size);
  const double weight = 1.0 / g.size;
  std::memset(s.sums, 0, (size_t)(5 * cells) * 8);
  std::memset(s.ring, 0, (size_t)(g.size * 2 * cells) * 4);
  float* fresh_rows = (float*)std::malloc((size_t)(2 * t.kn) * 4);
  for (long i = g.box[0]; i < g.box[1]; i++) {
    float* old = s.ring + ((i - g.box[0]) % g.size) * 2 * cells;
    for (long j = 0; j < t.jn; j++) {
      const long at = (i * J + g.box[2] + t.j0 + j) * K + g.box[4] + t.k0, cell = j * t.kn;
      const uint8_t* mask = g.mask ? g.mask + at : nullptr;
      windowed(g.ref + at, mask, t.kn, g.lo, g.hi, g.width, fresh_rows);
      windowed(g.pred + at, mask, t.kn, g.lo, g.hi, g.width, fresh_rows + t.kn);
      step(fresh_rows, fresh_rows + t.kn, old + cell, old + cells + cell, s.sums + cell, s.rows + cell, cells, t.kn,
           weight);
    }
    if (i - g.box[0] < g.size - 1) continue;
    std::memset(s.run, 0, (size_t)(5 * t.kn) * 8);
    for (long j = 0; j < t.jn; j++) {
      along(s.rows + j * t.kn, j >= g.size ? s.rows + (j - g.size) * t.kn : nullptr, s.run, cells, t.kn);
      if (j < g.size - 1) continue;
      if (solid)
        add_volume(s.run, s.planes, t.kn, g.size, weight, c, total);
      else
        add_slices(s.run, t.kn, weight, c, total);
    }
  }
  std::free(fresh_rows);
}

Constants constants(long voxels) {
  return {(float)((double)voxels / (double)(voxels - 1)), (float)(0.01 * 0.01), (float)(0.03 * 0.03)};
}

template <class T>
void slices(const Images<T>& g, double* out) {
  const long I = g.box[1] - g.box[0], J = g.box[3] - g.box[2], K = g.box[5] - g.box[4];
  const long inner = J - g.size + 1, chunks = (K + SLICES - 1) / SLICES;
  const Constants c = constants((long)g.size * g.size);
#pragma omp parallel for schedule(dynamic)
  for (long chunk = 0; chunk < chunks; chunk++) {
    const long k0 = chunk * SLICES, kn = K - k0 < SLICES ? K - k0 : SLICES;
    for (long k = 0; k < kn; k++) out[k0 + k] = 0;
    for (long j0 = 0; j0 < inner; j0 += ROWS) {
      const long outputs = inner - j0 < ROWS ? inner - j0 : ROWS;
      sweep(g, Tile{j0, outputs + g.size - 1, k0, kn}, false, c, out + k0);
    }
    for (long k = 0; k < kn; k++) out[k0 + k] /= (double)(inner * (I - g.size + 1));
  }
}

template <class T>
double solid(const Images<T>& g) {
  const long I = g.box[1] - g.box[0], J = g.box[3] - g.box[2], K = g.box[5] - g.box[4];
  const long inner = J - g.size + 1, rows = 16, tiles = (inner + rows - 1) / rows;
  const Constants c = constants((long)g.size * g.size * g.size);
  double* parts = (double*)std::calloc((size_t)tiles, 8);
#pragma omp parallel for schedule(dynamic)
  for (long tile = 0; tile < tiles; tile++) {
    const long j0 = tile * rows, outputs = inner - j0 < rows ? inner - j0 : rows;
    sweep(g, Tile{j0, outputs + g.size - 1, 0, K}, true, c, parts + tile);
  }
  double total = 0;
  for (long tile = 0; tile < tiles; tile++) total += parts[tile];
  std::free(parts);
  return total / ((double)(I - g.size + 1) * (double)inner * (double)(K - g.size + 1));
}

template <class T>
Images<T> images(const void* ref, const void* pred, const uint8_t* mask, const long* n, const long* box,
                 const float* window, int size) {
  return {(const T*)ref, (const T*)pred, mask, n, box, window[0], window[1], window[2], size};
}

}  // namespace

namespace vb {
namespace VB_ISA {

void ssim_slices(const void* ref, const void* pred, int bytes, const uint8_t* mask, const long* n, const long* box,
                 const float* window, int size, double* out) {
  if (bytes == 2)
    slices(images<int16_t>(ref, pred, mask, n, box, window, size), out);
  else
    slices(images<float>(ref, pred, mask, n, box, window, size), out);
}

double ssim_volume(const void* ref, const void* pred, int bytes, const uint8_t* mask, const long* n, const long* box,
                   const float* window, int size) {
  if (bytes == 2) return solid(images<int16_t>(ref, pred, mask, n, box, window, size));
  return solid(images<float>(ref, pred, mask, n, box, window, size));
}

}  // namespace VB_ISA
}  // namespace vb
