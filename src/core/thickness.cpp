// Local thickness: at each voxel the largest ball of those that hold it and fit in the shape. The balls lie around
// voxel centres; a ball of squared radius s holds the voxel centres with |x|^2 < s, all whole numbers, so nothing is
// rounded and the order of painting does not matter.
//
// First the balls that lie within a neighbour's are dropped: |x|^2 < s implies |x + v|^2 < t exactly when the farthest
// such point does, and how far that is depends on s and the kind of step v alone. Then each plane of the result is
// painted by one thread with the balls that reach it.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace {

struct Block {
  void* p;
  explicit Block(size_t bytes) : p(std::malloc(bytes ? bytes : 1)) {}
  ~Block() { std::free(p); }
};

struct Centre {
  int32_t j, k, s;
};

// reach[(kind - 1) * (most + 1) + s]: largest |x + v|^2 over |x|^2 < s, for steps v along an axis (kind 1), an edge's
// diagonal (2), a cube's (3). By symmetry x0 >= x1 >= x2 >= 0 and v = (1, 0, 0), (1, 1, 0), (1, 1, 1) are all there is.
void fill_reach(int32_t* reach, long most) {
  std::memset(reach, 0, (size_t)(3 * (most + 1)) * sizeof(int32_t));
  for (long x = 0; x * x < most; x++)
    for (long y = 0; y <= x && x * x + y * y < most; y++)
      for (long z = 0; z <= y; z++) {
        const long norm = x * x + y * y + z * z;
        if (norm >= most) break;
        const long sums[3] = {x, x + y, x + y + z};
        for (long kind = 1; kind <= 3; kind++) {
          int32_t& there = reach[(kind - 1) * (most + 1) + norm + 1];
          const long far = norm + 2 * sums[kind - 1] + kind;
          if (far > there) there = (int32_t)far;
        }
      }
  for (long kind = 0; kind < 3; kind++)
    for (long s = 1; s <= most; s++) {
      int32_t* at = reach + kind * (most + 1) + s;
      if (at[-1] > at[0]) at[0] = at[-1];
    }
}

// Whether a neighbour's ball holds the one at (i, j, k).
bool within_neighbour(const float* squared, const long* n, long i, long j, long k, int32_t s, const int32_t* reach,
                      long most) {
  const int32_t far[4] = {0, reach[s], reach[most + 1 + s], reach[2 * (most + 1) + s]};
  for (long a = -1; a <= 1; a++) {
    if (i + a < 0 || i + a >= n[0]) continue;
    for (long b = -1; b <= 1; b++) {
      if (j + b < 0 || j + b >= n[1]) continue;
      const float* row = squared + ((i + a) * n[1] + j + b) * n[2];
      for (long c = -1; c <= 1; c++) {
        const long kind = (a != 0) + (b != 0) + (c != 0);
        if (!kind || k + c < 0 || k + c >= n[2]) continue;
        if ((int32_t)row[k + c] > far[kind]) return true;
      }
    }
  }
  return false;
}

// Keeps in `own` the squared radii of the balls no neighbour holds, 0 elsewhere; counts them plane by plane.
template <class T>
void ridge(const float* squared, const long* n, const int32_t* reach, long most, T* own, long* counts) {
#pragma omp parallel for schedule(static, 1)
  for (long i = 0; i < n[0]; i++) {
    long count = 0;
    for (long j = 0; j < n[1]; j++)
      for (long k = 0; k < n[2]; k++) {
        const long at = (i * n[1] + j) * n[2] + k;
        const int32_t s = (int32_t)squared[at];
        const bool kept = s > 0 && !within_neighbour(squared, n, i, j, k, s, reach, most);
        own[at] = kept ? (T)s : (T)0;
        count += kept;
      }
    counts[i] = count;
  }
}

template <class T>
void list_centres(const T* own, const long* n, const long* first, Centre* centres, long* plane_most) {
#pragma omp parallel for schedule(static)
  for (long i = 0; i < n[0]; i++) {
    Centre* to = centres + first[i];
    long largest = 0;
    for (long j = 0; j < n[1]; j++) {
      const T* row = own + (i * n[1] + j) * n[2];
      for (long k = 0; k < n[2]; k++) {
        if (!row[k]) continue;
        *to++ = {(int32_t)j, (int32_t)k, (int32_t)row[k]};
        if ((long)row[k] > largest) largest = (long)row[k];
      }
    }
    plane_most[i] = largest;
  }
}

template <class T>
void paint_disc(T* plane, const long* n, const Centre& c, long left, const uint16_t* half) {
  const long wide = half[left];
  const T s = (T)c.s;
  const long j0 = c.j - wide < 0 ? 0 : c.j - wide, j1 = c.j + wide >= n[1] ? n[1] - 1 : c.j + wide;
  for (long j = j0; j <= j1; j++) {
    const long w = half[left - (j - c.j) * (j - c.j)];
    const long k0 = c.k - w < 0 ? 0 : c.k - w, k1 = c.k + w >= n[2] ? n[2] - 1 : c.k + w;
    T* row = plane + j * n[2];
    for (long k = k0; k <= k1; k++) row[k] = row[k] < s ? s : row[k];
  }
}

template <class T>
void paint(T* own, const long* n, const long* first, const Centre* centres, const long* plane_most,
           const uint16_t* half) {
#pragma omp parallel for schedule(static, 1)
  for (long i = 0; i < n[0]; i++) {
    T* plane = own + i * n[1] * n[2];
    std::memset(plane, 0, (size_t)(n[1] * n[2]) * sizeof(T));
    for (long a = 0; a < n[0]; a++) {
      const long step = (a - i) * (a - i);
      if (step >= plane_most[a]) continue;
      for (long c = first[a]; c < first[a + 1]; c++)
        if (centres[c].s > step) paint_disc(plane, n, centres[c], centres[c].s - step, half);
    }
  }
}

template <class T>
long thickness_of(float* squared, const long* n, long most) {
  const long total = n[0] * n[1] * n[2];
  Block own_(total * sizeof(T)), reach_((size_t)(3 * (most + 1)) * sizeof(int32_t));
  Block half_((size_t)(most + 1) * sizeof(uint16_t)), planes_((size_t)(3 * n[0] + 1) * sizeof(long));
  if (!own_.p || !reach_.p || !half_.p || !planes_.p) return -1;
  T* own = (T*)own_.p;
  int32_t* reach = (int32_t*)reach_.p;
  uint16_t* half = (uint16_t*)half_.p;
  long *counts = (long*)planes_.p, *first = counts + n[0], *plane_most = first + n[0] + 1;

  fill_reach(reach, most);
  half[0] = 0;
  for (long m = 1, z = 0; m <= most; m++) {
    if ((z + 1) * (z + 1) < m) z++;
    half[m] = (uint16_t)z;
  }
  ridge(squared, n, reach, most, own, counts);
  first[0] = 0;
  for (long i = 0; i < n[0]; i++) first[i + 1] = first[i] + counts[i];
  Block centres_((size_t)first[n[0]] * sizeof(Centre));
  if (!centres_.p) return -1;
  Centre* centres = (Centre*)centres_.p;
  list_centres(own, n, first, centres, plane_most);
  paint(own, n, first, centres, plane_most, half);
#pragma omp parallel for schedule(static)
  for (long v = 0; v < total; v++) squared[v] = 2 * std::sqrt((float)own[v]);
  return first[n[0]];
}

}  // namespace

namespace vb {
namespace VB_ISA {

long local_thickness(float* squared, const long* n) {
  const long total = n[0] * n[1] * n[2];
  long most = 0;
#pragma omp parallel for schedule(static) reduction(max : most)
  for (long v = 0; v < total; v++) most = (long)squared[v] > most ? (long)squared[v] : most;
  return most < 65536 ? thickness_of<uint16_t>(squared, n, most) : thickness_of<int32_t>(squared, n, most);
}

}  // namespace VB_ISA
}  // namespace vb
