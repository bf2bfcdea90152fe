// Similarity of scattered points of one image with another image read through an affine matrix, and its exact gradient.
//
// A point p of the sampled image lands at x = M (p, 1) in voxels of the other one. There the value v(x) is read trilinearly
// and the point counts with the weight w(x): a ramp of one voxel about the border, times an optional mask. The gradient
// of a similarity S with respect to M is the sum over points of (dS/dv grad v + dS/dw grad w) (p, 1).
//
// Work is cut into chunks whose number depends on the number of points alone, and chunks are added up in order: results
// are the same bits for any number of threads.
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

struct Read {
  float v, w, dv[3], dw[3];
};

struct Image {
  const float *values, *mask;
  const long* n;
};

// Trilinear value and gradient; beyond the outermost voxel centres the border value goes on.
inline float trilinear(const float* s, const long* n, const float* x, float* gradient) {
  long at[3], step[3] = {n[1] * n[2], n[2], 1};
  float f[3];
  bool held[3];
  for (int a = 0; a < 3; a++) {
    const float top = (float)(n[a] - 1);
    held[a] = x[a] < 0.f || x[a] >= top;
    const float c = x[a] < 0.f ? 0.f : (x[a] > top ? top : x[a]);
    at[a] = (long)c;
    if (at[a] > n[a] - 2) at[a] = n[a] > 1 ? n[a] - 2 : 0;
    f[a] = c - at[a];
    if (n[a] == 1) step[a] = 0;
  }
  const float* p = s + (at[0] * n[1] + at[1]) * n[2] + at[2];
  const long di = step[0], dj = step[1], dk = step[2];
  const float c000 = p[0], c001 = p[dk], c010 = p[dj], c011 = p[dj + dk];
  const float c100 = p[di], c101 = p[di + dk], c110 = p[di + dj], c111 = p[di + dj + dk];
  const float z00 = c000 + f[2] * (c001 - c000), z01 = c010 + f[2] * (c011 - c010);
  const float z10 = c100 + f[2] * (c101 - c100), z11 = c110 + f[2] * (c111 - c110);
  const float y0 = z00 + f[1] * (z01 - z00), y1 = z10 + f[1] * (z11 - z10);
  gradient[0] = held[0] ? 0.f : y1 - y0;
  gradient[1] = held[1] ? 0.f : (z01 - z00) + f[0] * ((z11 - z10) - (z01 - z00));
  const float g00 = c001 - c000, g01 = c011 - c010, g10 = c101 - c100, g11 = c111 - c110;
  const float g0 = g00 + f[1] * (g01 - g00), g1 = g10 + f[1] * (g11 - g10);
  gradient[2] = held[2] ? 0.f : g0 + f[0] * (g1 - g0);
  return y0 + f[0] * (y1 - y0);
}

// False where the point counts nothing.
inline bool read(const Image& im, const float* p, const double* m, Read& r) {
  float x[3], ramp[3], slope[3];
  for (int a = 0; a < 3; a++) {
    x[a] = (float)(m[4 * a] * p[0] + m[4 * a + 1] * p[1] + m[4 * a + 2] * p[2] + m[4 * a + 3]);
    const float low = x[a] + 0.5f, high = (float)im.n[a] - 0.5f - x[a];
    if (!(low > 0.f && high > 0.f)) return false;
    const float l = low < 1.f ? low : 1.f, h = high < 1.f ? high : 1.f;
    ramp[a] = l * h;
    slope[a] = (low < 1.f ? h : 0.f) - (high < 1.f ? l : 0.f);
  }
  r.v = trilinear(im.values, im.n, x, r.dv);
  r.w = ramp[0] * ramp[1] * ramp[2];
  r.dw[0] = slope[0] * ramp[1] * ramp[2];
  r.dw[1] = ramp[0] * slope[1] * ramp[2];
  r.dw[2] = ramp[0] * ramp[1] * slope[2];
  if (im.mask) {
    float g[3];
    const float mask = trilinear(im.mask, im.n, x, g);
    for (int a = 0; a < 3; a++) r.dw[a] = r.dw[a] * mask + r.w * g[a];
    r.w *= mask;
  }
  return r.w > 0.f;
}

// Up to here one thread is quicker: idle threads spin between calls, and a search makes hundreds of short ones.
constexpr long kSerial = 200000;

inline long chunks_of(long count) {
  const long c = count / 4096;
  return c < 1 ? 1 : (c > 16 ? 16 : c);
}

inline void add_point(const float* p, const Read& r, double sv, double sw, double* gradient) {
  for (int a = 0; a < 3; a++) {
    const double g = sv * r.dv[a] + sw * r.dw[a];
    for (int b = 0; b < 3; b++) gradient[4 * a + b] += g * p[b];
    gradient[4 * a + 3] += g;
  }
}

// Cubic B-spline weights of the bins floor(v) - 1 .. floor(v) + 2 and their derivatives; returns the first one's column
// in a histogram whose columns start at bin -1.
inline int spline_bins(float v, int bins, float* w, float* dw) {
  const float top = (float)(bins - 1);
  const bool held = v < 0.f || v > top;
  v = v < 0.f ? 0.f : (v > top ? top : v);
  const int b = (int)v;
  const float t = v - b, u = 1 - t;
  w[0] = u * u * u / 6;
  w[1] = 2.f / 3 - t * t * (2 - t) / 2;
  w[2] = 2.f / 3 - u * u * (2 - u) / 2;
  w[3] = t * t * t / 6;
  if (dw) {
    dw[0] = held ? 0.f : -u * u / 2;
    dw[1] = held ? 0.f : -2 * t + 1.5f * t * t;
    dw[2] = held ? 0.f : 2 * u - 1.5f * u * u;
    dw[3] = held ? 0.f : t * t / 2;
  }
  return b;
}

void fill(const float* points, const unsigned char* rows, long from, long to, const Image& im, const double* m, int bins,
          Read* kept, double* histogram) {
  const int columns = bins + 3;
  float w[4];
  Read own;
  for (long s = from; s < to; s++) {
    Read& r = kept ? kept[s] : own;
    r.w = 0;
    if (!read(im, points + 3 * s, m, r)) {
      r.w = 0;
      std::memset(r.dw, 0, sizeof r.dw);
      continue;
    }
    double* h = histogram + rows[s] * columns + spline_bins(r.v, bins, w, nullptr);
    for (int q = 0; q < 4; q++) h[q] += (double)r.w * w[q];
  }
}

inline double log_of(double p) { return std::log(p > 1e-12 ? p : 1e-12); }

// (H(F) + H(M)) / H(F, M) in place of the histogram, which becomes its own derivative where asked.
double entropy_ratio(double* h, int bins, bool derivative) {
  const int columns = bins + 3;
  double rows[256] = {0}, cols[260] = {0}, total = 0;
  for (int a = 0; a < bins; a++)
    for (int b = 0; b < columns; b++) {
      rows[a] += h[a * columns + b];
      cols[b] += h[a * columns + b];
    }
  for (int a = 0; a < bins; a++) total += rows[a];
  if (!(total > 0)) {
    std::memset(h, 0, sizeof(double) * bins * columns);
    return 1;
  }
  double hf = 0, hm = 0, hj = 0;
  for (int a = 0; a < bins; a++) {
    rows[a] /= total;
    const double l = log_of(rows[a]);
    hf -= rows[a] * l;
    rows[a] = l;
  }
  for (int b = 0; b < columns; b++) {
    cols[b] /= total;
    const double l = log_of(cols[b]);
    hm -= cols[b] * l;
    cols[b] = l;
  }
  for (int x = 0; x < bins * columns; x++) {
    const double p = h[x] / total;
    h[x] = log_of(p);
    hj -= p * h[x];
  }
  if (!(hj > 1e-9)) {
    std::memset(h, 0, sizeof(double) * bins * columns);
    return 1;
  }
  const double ratio = (hf + hm) / hj;
  if (derivative)
    for (int a = 0; a < bins; a++)
      for (int b = 0; b < columns; b++) {
        double& x = h[a * columns + b];
        x = -(rows[a] + cols[b] - ratio * x) / (total * hj);
      }
  return ratio;
}

// Added to the variances of a block, as a share of the floor: so little that an image still fits itself best.
constexpr double kGuard = 0.02;

// One block of points: its squared correlation, and the derivative of that by every value and weight.
struct Block {
  double weight, square;  // sum of the weights; r^2
};

Block correlate(const float* fixed, const Read* r, long count, double guard, double* by_value, double* by_weight) {
  double w = 0, mf = 0, mm = 0, vf = 0, vm = 0, c = 0;
  for (long s = 0; s < count; s++) {
    w += r[s].w;
    mf += r[s].w * fixed[s];
    mm += r[s].w * r[s].v;
  }
  if (!(w > 1e-6)) return {0, 0};
  mf /= w;
  mm /= w;
  for (long s = 0; s < count; s++) {
    const double a = fixed[s] - mf, b = r[s].v - mm;
    vf += r[s].w * a * a;
    vm += r[s].w * b * b;
    c += r[s].w * a * b;
  }
  const double f = vf / w + guard, m = vm / w + guard;
  c /= w;
  const double square = c * c / (f * m);
  if (by_value)
    for (long s = 0; s < count; s++) {
      const double a = fixed[s] - mf, b = r[s].v - mm;
      by_value[s] = 2 * r[s].w / w * (c * a - square * f * b) / (f * m);
      by_weight[s] = (2 * c * (a * b - c) / (f * m) - square * ((a * a + guard - f) / f + (b * b + guard - m) / m)) / w;
    }
  return {w, square};
}

// A block's say: its weight, less where the sampled image is flat (all points counted).
double say_of(const float* fixed, long count, double floor_) {
  double mean = 0, var = 0;
  for (long s = 0; s < count; s++) mean += fixed[s];
  mean /= count;
  for (long s = 0; s < count; s++) var += (fixed[s] - mean) * (fixed[s] - mean);
  var /= count;
  return var / (var + floor_);
}

// Sums over blocks: say, say r^2, overlap, then the gradients of say, of say r^2 and of the overlap, 12 each.
constexpr int kSums = 39;

template <bool gradients>
void add_blocks(const float* points, const float* fixed, long from, long to, long block, const Image& im,
                const double* matrix, double floor_, double* t) {
  Read* r = (Read*)std::malloc(sizeof(Read) * block);
  double* by = (double*)std::malloc(sizeof(double) * 2 * block);
  for (long b = from; b < to; b++) {
    const float* p = points + 3 * b * block;
    const float* f = fixed + b * block;
    for (long s = 0; s < block; s++)
      if (!read(im, p + 3 * s, matrix, r[s])) std::memset(r + s, 0, sizeof(Read));
    const Block c = correlate(f, r, block, kGuard * floor_, gradients ? by : nullptr, by + block);
    if (!(c.weight > 0)) continue;
    const double say = say_of(f, block, floor_);
    t[0] += say * c.weight;
    t[1] += say * c.weight * c.square;
    t[2] += c.weight;
    for (long s = 0; gradients && s < block; s++) {
      if (!(r[s].w > 0)) continue;
      add_point(p + 3 * s, r[s], 0, say, t + 3);
      add_point(p + 3 * s, r[s], say * c.weight * by[s], say * (c.square + c.weight * by[block + s]), t + 15);
      add_point(p + 3 * s, r[s], 0, 1, t + 27);
    }
  }
  std::free(by);
  std::free(r);
}

}  // namespace

namespace vb {
namespace VB_ISA {

void joint_histogram(const float* points, const unsigned char* rows, long count, const float* values, const float* mask,
                     const long* shape, const double* matrix, int bins, double* histogram) {
  const Image im = {values, mask, shape};
  std::memset(histogram, 0, sizeof(double) * bins * (bins + 3));
  fill(points, rows, 0, count, im, matrix, bins, nullptr, histogram);
}

// NMI for each of `many` matrices; overlaps: the sum of the weights.
void mutual_information_many(const float* points, const unsigned char* rows, long count, const float* values,
                             const float* mask, const long* shape, const double* matrices, long many, int bins,
                             double* ratios, double* overlaps) {
  const Image im = {values, mask, shape};
  const long size = (long)bins * (bins + 3);
#pragma omp parallel
  {
    double* h = (double*)std::malloc(sizeof(double) * size);
#pragma omp for schedule(static)
    for (long q = 0; q < many; q++) {
      std::memset(h, 0, sizeof(double) * size);
      fill(points, rows, 0, count, im, matrices + 12 * q, bins, nullptr, h);
      double total = 0;
      for (long x = 0; x < size; x++) total += h[x];
      overlaps[q] = total;
      ratios[q] = entropy_ratio(h, bins, false);
    }
    std::free(h);
  }
}

// gradient: 12 of the ratio, then 12 of the overlap, row by row of the matrix.
double mutual_information(const float* points, const unsigned char* rows, long count, const float* values,
                          const float* mask, const long* shape, const double* matrix, int bins, double* overlap,
                          double* gradient) {
  const Image im = {values, mask, shape};
  const long size = (long)bins * (bins + 3), chunks = chunks_of(count);
  Read* kept = (Read*)std::malloc(sizeof(Read) * count);
  double* h = (double*)std::calloc(size * chunks, sizeof(double));
  double* g = (double*)std::calloc(24 * chunks, sizeof(double));
#pragma omp parallel for schedule(static) if (count > kSerial)
  for (long q = 0; q < chunks; q++)
    fill(points, rows, count * q / chunks, count * (q + 1) / chunks, im, matrix, bins, kept, h + q * size);
  for (long q = 1; q < chunks; q++)
    for (long x = 0; x < size; x++) h[x] += h[q * size + x];
  *overlap = 0;
  for (long x = 0; x < size; x++) *overlap += h[x];
  const double ratio = entropy_ratio(h, bins, true);
#pragma omp parallel for schedule(static) if (count > kSerial)
  for (long q = 0; q < chunks; q++)
    for (long s = count * q / chunks; s < count * (q + 1) / chunks; s++) {
      const Read& r = kept[s];
      if (!(r.w > 0)) continue;
      float w[4], dw[4];
      const double* by = h + rows[s] * (bins + 3) + spline_bins(r.v, bins, w, dw);
      double sv = 0, sw = 0;
      for (int b = 0; b < 4; b++) {
        sv += by[b] * dw[b];
        sw += by[b] * w[b];
      }
      add_point(points + 3 * s, r, r.w * sv, sw, g + 24 * q);
      add_point(points + 3 * s, r, 0, 1, g + 24 * q + 12);
    }
  std::memset(gradient, 0, sizeof(double) * 24);
  for (long q = 0; q < chunks; q++)
    for (int x = 0; x < 24; x++) gradient[x] += g[24 * q + x];
  std::free(g);
  std::free(h);
  std::free(kept);
  return ratio;
}

// Mean squared correlation over blocks of `block` points each; gradient as above.
double block_correlation(const float* points, const float* fixed, long count, long block, const float* values,
                         const float* mask, const long* shape, const double* matrix, double floor_, double* overlap,
                         double* gradient) {
  const Image im = {values, mask, shape};
  const long chunks = chunks_of(count);
  double* sums = (double*)std::calloc(kSums * chunks, sizeof(double));
#pragma omp parallel for schedule(static) if (count > kSerial)
  for (long q = 0; q < chunks; q++) {
    const long blocks = count / block;
    add_blocks<true>(points, fixed, blocks * q / chunks, blocks * (q + 1) / chunks, block, im, matrix, floor_,
                     sums + kSums * q);
  }
  for (long q = 1; q < chunks; q++)
    for (int x = 0; x < kSums; x++) sums[x] += sums[kSums * q + x];
  const double say = sums[0], mean = say > 0 ? sums[1] / say : 0;
  *overlap = sums[2];
  for (int x = 0; x < 12; x++) {
    gradient[x] = say > 0 ? (sums[15 + x] - mean * sums[3 + x]) / say : 0;
    gradient[12 + x] = sums[27 + x];
  }
  std::free(sums);
  return mean;
}

void block_correlation_many(const float* points, const float* fixed, long count, long block, const float* values,
                            const float* mask, const long* shape, const double* matrices, long many, double floor_,
                            double* means, double* overlaps) {
  const Image im = {values, mask, shape};
#pragma omp parallel for schedule(static)
  for (long q = 0; q < many; q++) {
    double t[kSums] = {0};
    add_blocks<false>(points, fixed, 0, count / block, block, im, matrices + 12 * q, floor_, t);
    means[q] = t[0] > 0 ? t[1] / t[0] : 0;
    overlaps[q] = t[2];
  }
}

}  // namespace VB_ISA
}  // namespace vb
