// Sums over two images, windowed on the way: of values, absolute and squared differences, and (about given centres)
// squares and products. In float32 they are taken in the order and by the pairwise tree of numpy.sum, so that a mean
// in float32 has NumPy's digits; beside it in double. One reading of the images serves all windows; no copy is made.
// Compiled without re-association and without fused multiply-add.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

constexpr long LEAF = 128, FIFO = 4096, BLOCK = 2048, SLAB = 32, MOST = 8, QUANTITIES = 4;

typedef float v8 __attribute__((vector_size(32)));
typedef double d8 __attribute__((vector_size(64)));

struct Totals {
  float tree[MOST * QUANTITIES];
  double sums[MOST * QUANTITIES];
  float lowest, largest;
};

struct Job {
  const float* windows;  // [count][3]: lowest, highest, width
  const float* centres;  // [count][2], or null: the first kind of sums
  long count;
};

template <class V>
inline void terms(V a, V b, V* t) {
  const V d = a - b;
  t[0] = a;
  t[1] = b;
  t[2] = d < 0 ? -d : d;
  t[3] = d * d;
}

template <class V>
inline void central(V a, V b, float ma, float mb, V* t) {
  const V x = a - ma, y = b - mb;
  t[0] = x * x;
  t[1] = y * y;
  t[2] = x * y;
  t[3] = x - x;
}

template <class V>
inline void chosen(const Job& job, long w, V a, V b, V* t) {
  if (job.centres)
    central(a, b, job.centres[2 * w], job.centres[2 * w + 1], t);
  else
    terms(a, b, t);
}

// Up to LEAF values, summed as the innermost loop of numpy's pairwise sum does.
inline void leaf(const Job& job, long w, const float* a, const float* b, long n, float* tree, double* sums) {
  const long whole = n < 8 ? 0 : n - n % 8;
  float rest[QUANTITIES] = {0, 0, 0, 0};
  double wide[QUANTITIES] = {0, 0, 0, 0};
  if (whole) {
    v8 r[QUANTITIES];
    d8 s[QUANTITIES];
    for (long i = 0; i < whole; i += 8) {
      v8 x, y, t[QUANTITIES];
      std::memcpy(&x, a + i, 32);
      std::memcpy(&y, b + i, 32);
      chosen(job, w, x, y, t);
      for (int q = 0; q < QUANTITIES; q++) {
        const d8 u = __builtin_convertvector(t[q], d8);
        r[q] = i ? r[q] + t[q] : t[q];
        s[q] = i ? s[q] + u : u;
      }
    }
    for (int q = 0; q < QUANTITIES; q++) {
      rest[q] = ((r[q][0] + r[q][1]) + (r[q][2] + r[q][3])) + ((r[q][4] + r[q][5]) + (r[q][6] + r[q][7]));
      wide[q] = ((s[q][0] + s[q][1]) + (s[q][2] + s[q][3])) + ((s[q][4] + s[q][5]) + (s[q][6] + s[q][7]));
    }
  }
  for (long i = whole; i < n; i++) {
    float t[QUANTITIES];
    chosen(job, w, a[i], b[i], t);
    for (int q = 0; q < QUANTITIES; q++) {
      rest[q] += t[q];
      wide[q] += (double)t[q];
    }
  }
  for (int q = 0; q < QUANTITIES; q++) {
    tree[q] = rest[q];
    sums[q] = wide[q];
  }
}

inline void windowed(const float* __restrict src, long n, const float* window, float* __restrict dst) {
  const float lo = window[0], hi = window[1], width = window[2];
  for (long i = 0; i < n; i++) {
    float x = src[i];
    x = x < lo ? lo : x;
    x = x > hi ? hi : x;
    dst[i] = (x - lo) / width;
  }
}

void every_window(const Job& job, const float* a, const float* b, long n, Totals& t) {
  float x[LEAF], y[LEAF];
  for (long w = 0; w < job.count; w++) {
    windowed(a, n, job.windows + 3 * w, x);
    windowed(b, n, job.windows + 3 * w, y);
    leaf(job, w, x, y, n, t.tree + w * QUANTITIES, t.sums + w * QUANTITIES);
  }
  t.lowest = t.largest = a[0];
  for (long i = 1; i < n; i++) {
    t.lowest = a[i] < t.lowest ? a[i] : t.lowest;
    t.largest = a[i] > t.largest ? a[i] : t.largest;
  }
}

inline void join(Totals& left, const Totals& right, long count) {
  for (long q = 0; q < count * QUANTITIES; q++) {
    left.tree[q] += right.tree[q];
    left.sums[q] += right.sums[q];
  }
  left.lowest = right.lowest < left.lowest ? right.lowest : left.lowest;
  left.largest = right.largest > left.largest ? right.largest : left.largest;
}

inline long left_part(long n) {
  const long half = n / 2;
  return half - half % 8;
}

// Values inside a mask, in the order of the array.
template <class T>
struct Masked {
  const T *ref, *pred;
  const uint8_t* mask;
  long at, size, head, tail;
  float *a, *b;

  Masked(const T* r, const T* p, const uint8_t* m, const long* n, const long* before, long first)
      : ref(r), pred(p), mask(m), at(0), size(n[0] * n[1] * n[2]), head(0), tail(0) {
    a = (float*)std::malloc(2 * FIFO * sizeof(float));
    b = a + FIFO;
    const long plane = n[1] * n[2];
    long i = 0;
    while (i + 1 < n[0] && before[i + 1] <= first) i++;
    at = i * plane;
    for (long skip = first - before[i]; at < size; at++) {
      if (!mask[at]) continue;
      if (skip-- == 0) break;
    }
  }
  ~Masked() { std::free(a); }

  void refill() {
    std::memmove(a, a + head, (size_t)(tail - head) * sizeof(float));
    std::memmove(b, b + head, (size_t)(tail - head) * sizeof(float));
    tail -= head;
    head = 0;
    while (at < size && tail + BLOCK + 8 < FIFO) {
      uint64_t word = 1;
      if (at + 8 <= size) std::memcpy(&word, mask + at, 8);
      const long end = at + 8 < size ? at + 8 : size;
      if (word == 0) {
        at = end;
        continue;
      }
      for (; at < end; at++) {
        a[tail] = (float)ref[at];
        b[tail] = (float)pred[at];
        tail += mask[at] != 0;
      }
    }
  }

  void next(long n, const float** x, const float** y) {
    if (tail - head < n) refill();
    *x = a + head;
    *y = b + head;
    head += n;
  }
};

// All values, the first axis fastest (the order of a NIfTI file), a few slices turned at a time.
template <class T>
struct Filed {
  const T *ref, *pred;
  const long* n;
  long k, last, at, end;  // next slice to turn, last one needed; place in and length of what is turned
  T *a, *b;
  float x_[LEAF], y_[LEAF];

  Filed(const T* r, const T* p, const long* shape, long first, long count) : ref(r), pred(p), n(shape) {
    const long plane = n[0] * n[1];
    k = first / plane;
    last = (first + count - 1) / plane;
    a = (T*)std::malloc((size_t)(2 * SLAB * plane) * sizeof(T));
    b = a + SLAB * plane;
    turn();
    at = first % plane;
  }
  ~Filed() { std::free(a); }

  void turn() {
    const long slices = last - k + 1 < SLAB ? last - k + 1 : SLAB;
    for (long i0 = 0; i0 < n[0]; i0 += 32)
      for (long j0 = 0; j0 < n[1]; j0 += 8) turn_tile(i0, i0 + 32 < n[0] ? i0 + 32 : n[0], j0,
                                                      j0 + 8 < n[1] ? j0 + 8 : n[1], slices);
    k += slices;
    at = 0;
    end = slices * n[0] * n[1];
  }

  void turn_tile(long i0, long i1, long j0, long j1, long slices) {
    for (long s = 0; s < slices; s++)
      for (long j = j0; j < j1; j++) {
        const long from = j * n[2] + k + s, to = (s * n[1] + j) * n[0], apart = n[1] * n[2];
        for (long i = i0; i < i1; i++) {
          a[to + i] = ref[i * apart + from];
          b[to + i] = pred[i * apart + from];
        }
      }
  }

  void next(long count, const float** x, const float** y) {
    for (long done = 0; done < count;) {
      if (at == end) turn();
      const long some = end - at < count - done ? end - at : count - done;
      for (long i = 0; i < some; i++) {
        x_[done + i] = (float)a[at + i];
        y_[done + i] = (float)b[at + i];
      }
      at += some;
      done += some;
    }
    *x = x_;
    *y = y_;
  }
};

template <class Source>
void tree(const Job& job, Source& source, long n, Totals& t) {
  if (n <= LEAF) {
    const float *a, *b;
    source.next(n, &a, &b);
    every_window(job, a, b, n, t);
    return;
  }
  const long left = left_part(n);
  tree(job, source, left, t);
  Totals right;
  tree(job, source, n - left, right);
  join(t, right, job.count);
}

// The upper part of the tree, cut where its branches hold at most `limit` values.
struct Branch {
  long first, count;
};

long plan(long first, long n, long limit, Branch* branches, long found) {
  if (n <= limit) {
    branches[found] = {first, n};
    return found + 1;
  }
  const long left = left_part(n);
  found = plan(first, left, limit, branches, found);
  return plan(first + left, n - left, limit, branches, found);
}

long combine(long n, long limit, const Totals* parts, long next, long windows, Totals& t) {
  if (n <= limit) {
    t = parts[next];
    return next + 1;
  }
  const long left = left_part(n);
  next = combine(left, limit, parts, next, windows, t);
  Totals right;
  next = combine(n - left, limit, parts, next, windows, right);
  join(t, right, windows);
  return next;
}

template <class T>
long sum(const T* ref, const T* pred, const uint8_t* mask, const long* n, const Job& job, Totals& t) {
  const long plane = n[1] * n[2];
  long* before = (long*)std::calloc((size_t)(n[0] + 1), sizeof(long));
  long total = n[0] * plane;
  if (mask) {
#pragma omp parallel for schedule(static)
    for (long i = 0; i < n[0]; i++) {
      long count = 0;
      for (long p = i * plane; p < (i + 1) * plane; p++) count += mask[p] != 0;
      before[i + 1] = count;
    }
    for (long i = 0; i < n[0]; i++) before[i + 1] += before[i];
    total = before[n[0]];
  }
  if (total) {
    const long limit = total / 16 > 65536 ? total / 16 : 65536;
    Branch branches[64];
    const long count = plan(0, total, limit, branches, 0);
    Totals parts[64];
#pragma omp parallel for schedule(dynamic)
    for (long p = 0; p < count; p++) {
      if (mask) {
        Masked<T> source(ref, pred, mask, n, before, branches[p].first);
        tree(job, source, branches[p].count, parts[p]);
      } else {
        Filed<T> source(ref, pred, n, branches[p].first, branches[p].count);
        tree(job, source, branches[p].count, parts[p]);
      }
    }
    combine(total, limit, parts, 0, job.count, t);
  }
  std::free(before);
  return total;
}

}  // namespace

namespace vb {
namespace VB_ISA {

long agreement(const void* ref, const void* pred, int bytes, const uint8_t* mask, const long* n, const float* windows,
               const float* centres, long count, float* tree_sums, double* sums, float* range) {
  const Job job = {windows, centres, count};
  Totals t;
  std::memset(&t, 0, sizeof t);
  const long total = bytes == 2 ? sum((const int16_t*)ref, (const int16_t*)pred, mask, n, job, t)
                                : sum((const float*)ref, (const float*)pred, mask, n, job, t);
  std::memcpy(tree_sums, t.tree, (size_t)(count * QUANTITIES) * sizeof(float));
  std::memcpy(sums, t.sums, (size_t)(count * QUANTITIES) * sizeof(double));
  range[0] = t.lowest;
  range[1] = t.largest;
  return total;
}

}  // namespace VB_ISA
}  // namespace vb
