// How far a map is from a diffeomorphism, by the finite differences of Liu et al. 2024, doi:10.1007/s11263-024-02047-1.
#include "kernels.hpp"

namespace {

struct V {
  double x, y, z;
};

inline V operator-(V a, V b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }

inline double det(V a, V b, V c) {
  return a.x * (b.y * c.z - b.z * c.y) - a.y * (b.x * c.z - b.z * c.x) + a.z * (b.x * c.y - b.y * c.x);
}

inline double negative(double j) { return j < 0 ? -j : 0; }

// The neighbourhood of one voxel: T(x + offset) - x, T = identity + displacement.
template <class F>
struct Around {
  const F* u;
  long size, di, dj;
  V at(int i, int j, int k) const {
    const F* p = u + i * di + j * dj + k;
    return {i + (double)p[0], j + (double)p[size], k + (double)p[2 * size]};
  }
};

struct Counts {
  double volume;
  long voxels, folded, tetrahedra;
};

// The ten one-sided determinants at one voxel.
template <class F>
inline void ten(const Around<F>& t, Counts& c) {
  const V o = t.at(0, 0, 0);
  const V ahead[3] = {t.at(1, 0, 0) - o, t.at(0, 1, 0) - o, t.at(0, 0, 1) - o};
  const V behind[3] = {o - t.at(-1, 0, 0), o - t.at(0, -1, 0), o - t.at(0, 0, -1)};
  double j[10];
  for (int s = 0; s < 8; s++)
    j[s] = det(s & 1 ? ahead[0] : behind[0], s & 2 ? ahead[1] : behind[1], s & 4 ? ahead[2] : behind[2]);
  j[8] = det(t.at(-1, -1, 0) - o, t.at(-1, 0, -1) - o, t.at(0, -1, -1) - o);
  j[9] = det(t.at(1, 1, 0) - o, t.at(0, 1, 1) - o, t.at(1, 0, 1) - o);
  double lost = 0;
  long bad = 0;
  for (int s = 0; s < 10; s++) {
    lost += negative(j[s]);
    bad += j[s] <= 0;
  }
  const V sum[3] = {{ahead[0].x + behind[0].x, ahead[0].y + behind[0].y, ahead[0].z + behind[0].z},
                    {ahead[1].x + behind[1].x, ahead[1].y + behind[1].y, ahead[1].z + behind[1].z},
                    {ahead[2].x + behind[2].x, ahead[2].y + behind[2].y, ahead[2].z + behind[2].z}};
  c.volume += lost * 0.5 / 6;
  c.voxels += 1;
  c.folded += det(sum[0], sum[1], sum[2]) <= 0;
  c.tetrahedra += bad;
}

template <class F>
void measure(const F* disp, const long* n, const unsigned char* mask, double* volume, long* counts) {
  const long size = n[0] * n[1] * n[2];
#pragma omp parallel for schedule(static)
  for (long i = 1; i < n[0] - 1; i++) {
    Counts c = {0, 0, 0, 0};
    for (long j = 1; j < n[1] - 1; j++)
      for (long k = 1; k < n[2] - 1; k++) {
        const long at = (i * n[1] + j) * n[2] + k;
        if (mask && !mask[at]) continue;
        ten(Around<F>{disp + at, size, n[1] * n[2], n[2]}, c);
      }
    volume[i] = c.volume;
    counts[3 * i] = c.voxels;
    counts[3 * i + 1] = c.folded;
    counts[3 * i + 2] = c.tetrahedra;
  }
}

template <class F>
void central(const F* disp, const long* n, double* out) {
  const long size = n[0] * n[1] * n[2];
#pragma omp parallel for schedule(static)
  for (long i = 1; i < n[0] - 1; i++)
    for (long j = 1; j < n[1] - 1; j++)
      for (long k = 1; k < n[2] - 1; k++) {
        const Around<F> t = {disp + (i * n[1] + j) * n[2] + k, size, n[1] * n[2], n[2]};
        out[((i - 1) * (n[1] - 2) + j - 1) * (n[2] - 2) + k - 1] =
            det(t.at(1, 0, 0) - t.at(-1, 0, 0), t.at(0, 1, 0) - t.at(0, -1, 0), t.at(0, 0, 1) - t.at(0, 0, -1)) / 8;
      }
}

}  // namespace

namespace vb {
namespace VB_ISA {

// Per plane i: the non-diffeomorphic volume, and the numbers of voxels looked at, of voxels whose central determinant is
// not positive, and of one-sided determinants that are not. The outermost voxels are left out. disp is planar, voxels.
void diffeomorphism(const void* disp, int bytes, const long* n, const unsigned char* mask, double* volume, long* counts) {
  for (long i = 0; i < n[0]; i++) volume[i] = counts[3 * i] = counts[3 * i + 1] = counts[3 * i + 2] = 0;
  if (bytes == 4)
    measure((const float*)disp, n, mask, volume, counts);
  else
    measure((const double*)disp, n, mask, volume, counts);
}

// Determinant of I + grad u by central differences, double precision, the outermost voxels left out.
void central_determinant(const void* disp, int bytes, const long* n, double* out) {
  if (bytes == 4)
    central((const float*)disp, n, out);
  else
    central((const double*)disp, n, out);
}

}  // namespace VB_ISA
}  // namespace vb
