// The range between two percentiles of the masked values in every small window of every slice. Order statistics are
// found by bisection over the values: counting at most a few hundred of them is a handful of vector instructions.
// Compiled without fused multiply-add: the interpolation rounds as NumPy's does in float32.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

constexpr long SLICES = 16, BAND = 64, TILE = 32;

// Keys: whole numbers in the order of the values.
inline int16_t key_of(int16_t x) { return x; }
inline float value_of(int16_t key) { return (float)key; }
inline int32_t key_of(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits < 0 ? bits ^ 0x7fffffff : bits;
}
inline float value_of(int32_t key) {
  const int32_t bits = key < 0 ? key ^ 0x7fffffff : key;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
template <class T>
struct Key;
template <>
struct Key<int16_t> {
  using type = int16_t;
};
template <>
struct Key<float> {
  using type = int32_t;
};

template <class K>
inline long count_up_to(const K* __restrict keys, long n, K limit) {
  using Count = K;  // as wide as the keys, so that comparisons and sums share lanes; n is small
  Count count = 0;
  for (long i = 0; i < n; i++) count = (Count)(count + (Count)(keys[i] <= limit));
  return (long)count;
}

template <class K>
inline K least_above(const K* __restrict keys, long n, K limit, K largest) {
  K best = largest;
  for (long i = 0; i < n; i++) {
    const K x = keys[i] > limit ? keys[i] : largest;
    best = x < best ? x : best;
  }
  return best;
}

// The values of rank r and r + 1 (from 0; the last one twice), interpolated as numpy.percentile does in float32:
// up from the lower one, or (negative weight) down from the upper one.
template <class K>
inline float quantile(const K* keys, long n, long rank, float weight, K lowest, K largest) {
  int64_t lo = lowest, hi = largest;
  while (lo < hi) {
    const int64_t mid = lo + ((hi - lo) >> 1);
    if (count_up_to(keys, n, (K)mid) > rank)
      hi = mid;
    else
      lo = mid + 1;
  }
  const K first = (K)lo;
  const bool again = rank + 1 >= n || count_up_to(keys, n, first) > rank + 1;
  const float a = value_of(first), b = again ? a : value_of(least_above(keys, n, first, largest));
  const float apart = b - a;
  return weight < 0 ? b + apart * weight : a + apart * weight;
}

template <class K>
inline float contrast(const K* keys, long n, const int32_t* ranks, const float* weights) {
  K lowest = keys[0], largest = keys[0];
  for (long i = 1; i < n; i++) {
    lowest = keys[i] < lowest ? keys[i] : lowest;
    largest = keys[i] > largest ? keys[i] : largest;
  }
  const float high = quantile(keys, n, ranks[2 * n + 1], weights[2 * n + 1], lowest, largest);
  return high - quantile(keys, n, ranks[2 * n], weights[2 * n], lowest, largest);
}

// slab[k][i][j] = source[i][j][k] for a band of rows and a few slices; true if the mask has anything there.
template <class T>
bool turned(const T* src, const uint8_t* mask, const long* n, long i0, long in, long k0, long kn,
            typename Key<T>::type* keys, uint8_t* inside) {
  bool any = false;
  for (long i = 0; i < in; i++)
    for (long j0 = 0; j0 < n[1]; j0 += TILE) {
      const long end = j0 + TILE < n[1] ? j0 + TILE : n[1];
      for (long k = 0; k < kn; k++) {
        const long from = (i0 + i) * n[1] * n[2] + k0 + k, to = (k * in + i) * n[1];
        uint8_t here = 0;
        for (long j = j0; j < end; j++) {
          keys[to + j] = key_of(src[from + j * n[2]]);
          inside[to + j] = (uint8_t)(mask[from + j * n[2]] != 0);
          here |= inside[to + j];
        }
        any |= here != 0;
      }
    }
  return any;
}

template <class K>
float window_contrast(const K* keys, const uint8_t* inside, long stride, long size, long least, const int32_t* ranks,
                      const float* weights, K* values) {
  long count = 0;
  for (long i = 0; i < size; i++)
    for (long j = 0; j < size; j++) {
      values[count] = keys[i * stride + j];
      count += inside[i * stride + j];
    }
  return count < least ? __builtin_nanf("") : contrast(values, count, ranks, weights);
}

template <class T>
void every_window(const T* src, const uint8_t* mask, const long* n, const long* shape, const int32_t* ranks,
                  const float* weights, float* out) {
  using K = typename Key<T>::type;
  const long size = shape[0], step = shape[1], least = shape[2];
  const long rows = (n[0] - size) / step + 1, columns = (n[1] - size) / step + 1;
  const long a_band = BAND / step > 0 ? BAND / step : 1, bands = (rows + a_band - 1) / a_band;
  const long chunks = (n[2] + SLICES - 1) / SLICES, tallest = (a_band - 1) * step + size;
#pragma omp parallel
  {
    K* keys = (K*)std::malloc((size_t)(SLICES * tallest * n[1]) * sizeof(K));
    uint8_t* inside = (uint8_t*)std::malloc((size_t)(SLICES * tallest * n[1]));
    K* values = (K*)std::malloc((size_t)(size * size + 1) * sizeof(K));
#pragma omp for schedule(dynamic) collapse(2)
    for (long chunk = 0; chunk < chunks; chunk++)
      for (long band = 0; band < bands; band++) {
        const long k0 = chunk * SLICES, kn = n[2] - k0 < SLICES ? n[2] - k0 : SLICES;
        const long first = band * a_band, last = first + a_band < rows ? first + a_band : rows;
        const long in = (last - first - 1) * step + size;
        const bool any = turned(src, mask, n, first * step, in, k0, kn, keys, inside);
        for (long k = 0; k < kn; k++)
          for (long r = first; r < last; r++)
            for (long c = 0; c < columns; c++) {
              const long at = (k * in + (r - first) * step) * n[1] + c * step;
              out[((k0 + k) * rows + r) * columns + c] =
                  any ? window_contrast(keys + at, inside + at, n[1], size, least, ranks, weights, values)
                      : __builtin_nanf("");
            }
      }
    std::free(keys);
    std::free(inside);
    std::free(values);
  }
}

}  // namespace

namespace vb {
namespace VB_ISA {

void window_contrasts(const void* src, int bytes, const uint8_t* mask, const long* n, const long* shape,
                      const int32_t* ranks, const float* weights, float* out) {
  if (bytes == 2)
    every_window((const int16_t*)src, mask, n, shape, ranks, weights, out);
  else
    every_window((const float*)src, mask, n, shape, ranks, weights, out);
}

}  // namespace VB_ISA
}  // namespace vb
