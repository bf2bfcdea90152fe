// Local thickness: at each voxel the largest ball of those that hold it and fit in the shape. Lengths are counted in half
// voxels, so that all squares are whole numbers: nothing is rounded and the order of painting does not matter.
//
// Balls lie around voxel centres and reach to the nearest voxel centres outside the shape.
//
// If asked for they also lie, beside voxels that no neighbour exceeds, around the points half a voxel away whose ball is
// larger than those of all voxels beside them. Then, when the nearest centres outside lie straight ahead and straight behind
// and nowhere else, two flat surfaces hold a ball and it ends at their faces.
//
// First the balls that lie within a neighbour's are dropped: |x|^2 < s implies |x + v|^2 < t exactly when the farthest
// such point does, and how far that is depends on s and the kind of step v alone. Then each plane of the result is
// painted by one thread with the balls that reach it.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels.hpp"

namespace {

struct Block {
  void* p;
  explicit Block(size_t bytes) : p(std::malloc(bytes ? bytes : 1)) {}
  ~Block() { std::free(p); }
};

struct Centre {
  int32_t i, j, k, s;  // place and squared radius, half voxels
};

// The balls of one plane.
struct Centres {
  Centre* p = nullptr;
  long count = 0, room = 0, most = 0;
  bool failed = false;
  ~Centres() { std::free(p); }
  void add(const Centre& c) {
    if (count == room) {
      room = room ? 2 * room : 256;
      Centre* more = (Centre*)std::realloc(p, (size_t)room * sizeof(Centre));
      if (!more) {
        failed = true;
        room = count;
        return;
      }
      p = more;
    }
    p[count++] = c;
    if (c.s > most) most = c.s;
  }
};

struct Planes {
  Centres* p;
  explicit Planes(long n) : p(new (std::nothrow) Centres[(size_t)n]) {}
  ~Planes() { delete[] p; }
};

// Voxels outside the shape around a voxel, in half voxels from it.
struct Outside {
  int32_t *i, *j, *k;
  long count, nearest;  // those nearest to the voxel come first
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

bool outside(const float* squared, const long* n, long i, long j, long k) {
  return i >= 0 && j >= 0 && k >= 0 && i < n[0] && j < n[1] && k < n[2] && squared[(i * n[1] + j) * n[2] + k] == 0;
}

// Whether of the voxels at distance d those straight ahead and behind along one axis are outside, and no others.
bool between_faces(const float* squared, const long* n, long i, long j, long k, long d, const uint16_t* root) {
  const bool ahead[3] = {outside(squared, n, i - d, j, k) && outside(squared, n, i + d, j, k),
                         outside(squared, n, i, j - d, k) && outside(squared, n, i, j + d, k),
                         outside(squared, n, i, j, k - d) && outside(squared, n, i, j, k + d)};
  if (ahead[0] + ahead[1] + ahead[2] != 1) return false;
  for (long a = -d; a <= d; a++)
    for (long b = -d; b <= d; b++) {
      const long left = d * d - a * a - b * b;
      if (left < 0 || (left && !root[left])) continue;
      const long c = left ? root[left] : 0;
      if ((ahead[0] && !b && !c) || (ahead[1] && !a && !c) || (ahead[2] && !a && !b)) continue;
      if (outside(squared, n, i + a, j + b, k - c) || outside(squared, n, i + a, j + b, k + c)) return false;
    }
  return true;
}

// Squared radius, half voxels, of the ball around a voxel: to the nearest centres outside, or to the faces between when
// all the nearest lie straight ahead and straight behind. root[s] is the root of a square s, 0 elsewhere.
int32_t ball(const float* squared, const long* n, long i, long j, long k, const uint16_t* root) {
  const long s = (long)squared[(i * n[1] + j) * n[2] + k], d = root[s];
  return (int32_t)(d && between_faces(squared, n, i, j, k, d, root) ? (2 * d - 1) * (2 * d - 1) : 4 * s);
}

template <class T>
void fill_balls(const float* squared, const long* n, bool between, const uint16_t* root, T* own) {
#pragma omp parallel for schedule(static, 1)
  for (long i = 0; i < n[0]; i++)
    for (long j = 0; j < n[1]; j++) {
      const long at = (i * n[1] + j) * n[2];
      for (long k = 0; k < n[2]; k++) own[at + k] = (T)(4 * (int32_t)squared[at + k]);
      for (long k = 0; between && k < n[2]; k++)
        if (own[at + k] && root[own[at + k] / 4]) own[at + k] = (T)ball(squared, n, i, j, k, root);
    }
}

// The 26 ways to a neighbour, those along an axis first: steps, how far that is in the list, and the kind of step.
struct Ways {
  long step[26][3], ahead[26];
  int kind[26];
  explicit Ways(const long* n) {
    int count = 0;
    for (int wanted = 1; wanted <= 3; wanted++)
      for (int code = 0; code < 27; code++) {
        const long a = code / 9 - 1, b = code / 3 % 3 - 1, c = code % 3 - 1;
        if ((a != 0) + (b != 0) + (c != 0) != wanted) continue;
        step[count][0] = a, step[count][1] = b, step[count][2] = c;
        ahead[count] = (a * n[1] + b) * n[2] + c;
        kind[count++] = wanted;
      }
  }
};

// Whether a neighbour's ball holds the one at (i, j, k), s half voxels squared: as far as voxel centres go. Begins with
// the way `last`, for it often is the same along a row, and leaves the one found there.
template <class T>
bool within_neighbour(const T* own, const long* n, const long* at, const Ways& ways, const int32_t* far, int* last) {
  const T* here = own + (at[0] * n[1] + at[1]) * n[2] + at[2];
  bool inner = true;
  for (int axis = 0; axis < 3; axis++) inner &= at[axis] > 0 && at[axis] < n[axis] - 1;
  if (inner && (int32_t)here[ways.ahead[*last]] > far[ways.kind[*last]]) return true;
  for (int w = 0; w < 26; w++) {
    bool inside = true;
    for (int axis = 0; axis < 3 && !inner; axis++)
      inside &= at[axis] + ways.step[w][axis] >= 0 && at[axis] + ways.step[w][axis] < n[axis];
    if (!inside || (int32_t)here[ways.ahead[w]] <= far[ways.kind[w]]) continue;
    *last = w;
    return true;
  }
  return false;
}

// Whether no neighbour is farther from the outside.
bool highest(const float* squared, const long* n, long i, long j, long k) {
  const float own = squared[(i * n[1] + j) * n[2] + k];
  for (long a = i > 0 ? i - 1 : 0; a <= i + 1 && a < n[0]; a++)
    for (long b = j > 0 ? j - 1 : 0; b <= j + 1 && b < n[1]; b++)
      for (long c = k > 0 ? k - 1 : 0; c <= k + 1 && c < n[2]; c++)
        if (squared[(a * n[1] + b) * n[2] + c] > own) return false;
  return own > 0;
}

// The voxels outside that are nearest to any point half a voxel from (i, j, k): none is farther than its own nearest and
// twice the way to that point, sqrt(3) voxels. Returns false without room for them.
bool gather(const float* squared, const long* n, long i, long j, long k, Outside& found, long room) {
  const long s = (long)squared[(i * n[1] + j) * n[2] + k];
  const double r = std::sqrt((double)s);
  const long wide = (long)(r + 1.7320509);
  const double far = (r + 1.7320509) * (r + 1.7320509), near = r * r - 0.5;
  found.count = found.nearest = 0;
  for (long a = i - wide < 0 ? -i : -wide; a <= wide && i + a < n[0]; a++)
    for (long b = j - wide < 0 ? -j : -wide; b <= wide && j + b < n[1]; b++) {
      const double across = (double)(a * a + b * b);
      if (across > far) continue;
      const long most = (long)std::sqrt(far - across);
      const long least = across < near ? (long)std::sqrt(near - across) : 0;  // closer than that all is inside
      const float* row = squared + ((i + a) * n[1] + j + b) * n[2] + k;
      for (long side = least ? -1 : 1; side <= 1; side += 2)
        for (long c = side < 0 ? -most : (least ? least : -most); c <= (side < 0 ? -least : most); c++) {
          if (k + c < 0 || k + c >= n[2] || row[c] != 0) continue;
          if (found.count == room) return false;
          long to = found.count++;
          if (a * a + b * b + c * c == s) {
            const long from = found.nearest++;
            found.i[to] = found.i[from], found.j[to] = found.j[from], found.k[to] = found.k[from];
            to = from;
          }
          found.i[to] = (int32_t)(2 * a), found.j[to] = (int32_t)(2 * b), found.k[to] = (int32_t)(2 * c);
        }
    }
  return true;
}

// Squared way from h to the nearest of some voxels.
int32_t nearest(const Outside& found, const int32_t* h, long from, long to) {
  int32_t least = INT32_MAX;
  for (long q = from; q < to; q++) {
    const int32_t a = found.i[q] - h[0], b = found.j[q] - h[1], c = found.k[q] - h[2];
    const int32_t norm = a * a + b * b + c * c;
    least = norm < least ? norm : least;
  }
  return least;
}

// Squared radius of the ball around the point h, half voxels from the voxel of `found`; as `ball`. Straight ahead of a
// point between voxels lie one, two or four of them. When the nearest lie in pairs to both sides of a plane between voxels,
// half a voxel from it, the way along that plane counts: the ball is no larger than its like around the voxels beside.
// Stops where it finds that the ball is no larger than `least`.
int32_t ball_between(const Outside& found, const int32_t* h, int32_t least_wanted) {
  int32_t s = nearest(found, h, 0, found.nearest);
  if (s <= least_wanted) return s;
  const int32_t others = nearest(found, h, found.nearest, found.count);
  s = others < s ? others : s;
  if (s <= least_wanted) return s;
  int32_t all = 0, counts[3][2] = {{0, 0}, {0, 0}, {0, 0}}, aside[3][2] = {{0, 0}, {0, 0}, {0, 0}};
  for (long q = 0; q < found.count; q++) {
    const int32_t way[3] = {found.i[q] - h[0], found.j[q] - h[1], found.k[q] - h[2]};
    if (way[0] * way[0] + way[1] * way[1] + way[2] * way[2] != s) continue;
    all++;
    for (int axis = 0; axis < 3; axis++) {
      const int32_t one = way[(axis + 1) % 3], other = way[(axis + 2) % 3];
      if (one * one <= 1 && other * other <= 1 && way[axis]) counts[axis][way[axis] > 0]++;
      if (way[axis] * way[axis] == 1) aside[axis][way[axis] > 0]++;
    }
  }
  int32_t least = s;
  for (int axis = 0; axis < 3; axis++) {
    const int32_t beside = (h[(axis + 1) % 3] & 1) + (h[(axis + 2) % 3] & 1), ahead = 1 << beside;
    if (2 * aside[axis][0] == all && 2 * aside[axis][1] == all) least--;
    if (counts[axis][0] != ahead || counts[axis][1] != ahead || 2 * ahead != all) continue;
    const int32_t d = (int32_t)std::lround(std::sqrt((double)(s - beside)));
    return (d - 1) * (d - 1);
  }
  return least;
}

// The points around the voxel (i, j, k), which no neighbour exceeds, whose ball is larger than those of all voxels beside.
template <class T>
bool add_between(const float* squared, const T* own, const long* n, long i, long j, long k, Outside& found, long room,
                 Centres& to) {
  if (!gather(squared, n, i, j, k, found, room)) return false;
  const long at[3] = {i, j, k};
  for (int code = 0; code < 27; code++) {
    const int32_t h[3] = {code / 9 - 1, code / 3 % 3 - 1, code % 3 - 1};
    bool inside = code != 13;
    for (int axis = 0; axis < 3; axis++) inside &= at[axis] + h[axis] >= 0 && at[axis] + h[axis] < n[axis];
    if (!inside) continue;
    int32_t least = 0;  // of the balls around the voxels beside it
    for (int beside = 0; beside < 8; beside++) {
      const long a = i + (beside & 4 ? h[0] : 0), b = j + (beside & 2 ? h[1] : 0), c = k + (beside & 1 ? h[2] : 0);
      const int32_t s = (int32_t)own[(a * n[1] + b) * n[2] + c];
      least = s > least ? s : least;
    }
    const int32_t s = ball_between(found, h, least);
    bool first = s > least;  // of the voxels beside it that no neighbour exceeds; else another one adds it
    for (int beside = 0; beside < 8 && first; beside++) {
      const long v[3] = {beside & 4 ? h[0] : 0, beside & 2 ? h[1] : 0, beside & 1 ? h[2] : 0};
      const long ahead = v[0] ? v[0] : v[1] ? v[1] : v[2];
      if (ahead < 0 && highest(squared, n, i + v[0], j + v[1], k + v[2])) first = false;
    }
    if (first) to.add({(int32_t)(2 * i + h[0]), (int32_t)(2 * j + h[1]), (int32_t)(2 * k + h[2]), s});
  }
  return !to.failed;
}

// Lists, plane by plane, the balls that no neighbour holds and those between voxels. Returns false without memory.
template <class T>
bool list_centres(const float* squared, const T* own, const long* n, bool between, const int32_t* reach, long most,
                  Centres* planes) {
  const long wide = (long)std::sqrt((double)most) + 3;
  const long room = 8 * (2 * wide + 1) * (2 * wide + 1);  // of a shell 1.74 voxels thick, with some to spare
  const Ways ways(n);
  bool fine = true;
#pragma omp parallel
  {
    Block places((size_t)(3 * room) * sizeof(int32_t));
    int32_t* p = (int32_t*)places.p;
    Outside found = {p, p + room, p + 2 * room, 0, 0};
    bool ours = p != nullptr;
#pragma omp for schedule(static, 1)
    for (long i = 0; i < n[0]; i++) {
      int last = 0;
      if (!ours) continue;
      for (long j = 0; j < n[1]; j++)
        for (long k = 0; k < n[2]; k++) {
          const int32_t s = (int32_t)own[(i * n[1] + j) * n[2] + k];
          if (!s) continue;
          const long at[3] = {i, j, k}, held = (s + 3) / 4;  // |x|^2 < s / 4 for whole |x|^2
          const int32_t far[4] = {0, 4 * reach[held], 4 * reach[most + 1 + held], 4 * reach[2 * (most + 1) + held]};
          if (within_neighbour(own, n, at, ways, far, &last)) continue;  // and so exceeded
          planes[i].add({(int32_t)(2 * i), (int32_t)(2 * j), (int32_t)(2 * k), s});
          if (between && highest(squared, n, i, j, k))
            ours = ours && add_between(squared, own, n, i, j, k, found, room, planes[i]);
        }
      ours = ours && !planes[i].failed;
    }
#pragma omp critical
    fine = fine && ours;
  }
  return fine;
}

// Half voxels to whole ones, up and down.
long up(long x) { return (x + 1) >> 1; }
long down(long x) { return x >> 1; }

template <class T>
void paint_disc(T* plane, const long* n, const Centre& c, long left, const uint16_t* half) {
  const long wide = half[left];
  const T s = (T)c.s;
  const long j0 = c.j - wide < 0 ? 0 : up(c.j - wide), j1 = down(c.j + wide) >= n[1] ? n[1] - 1 : down(c.j + wide);
  for (long j = j0; j <= j1; j++) {
    const long w = half[left - (2 * j - c.j) * (2 * j - c.j)];
    const long k0 = c.k - w < 0 ? 0 : up(c.k - w), k1 = down(c.k + w) >= n[2] ? n[2] - 1 : down(c.k + w);
    T* row = plane + j * n[2];
    for (long k = k0; k <= k1; k++) row[k] = row[k] < s ? s : row[k];
  }
}

template <class T>
void paint(T* own, const long* n, const Centres* planes, const uint16_t* half) {
#pragma omp parallel for schedule(static, 1)
  for (long i = 0; i < n[0]; i++) {
    T* plane = own + i * n[1] * n[2];
    std::memset(plane, 0, (size_t)(n[1] * n[2]) * sizeof(T));
    for (long a = 0; a < n[0]; a++) {
      const long apart = a == i ? 0 : 2 * std::labs(a - i) - 1;  // a point between voxels is that much nearer
      if (apart * apart >= planes[a].most) continue;
      for (long c = 0; c < planes[a].count; c++) {
        const Centre& centre = planes[a].p[c];
        const long step = (2 * i - centre.i) * (2 * i - centre.i);
        if (centre.s > step) paint_disc(plane, n, centre, centre.s - step, half);
      }
    }
  }
}

// half[m]: largest z with z^2 < m; root[m]: the root of a square.
void fill_roots(uint16_t* half, long most_half, uint16_t* root, long most) {
  half[0] = 0;
  for (long m = 1, z = 0; m <= most_half; m++) {
    if ((z + 1) * (z + 1) < m) z++;
    half[m] = (uint16_t)z;
  }
  std::memset(root, 0, (size_t)(most + 1) * sizeof(uint16_t));
  for (long z = 1; z * z <= most; z++) root[z * z] = (uint16_t)z;
}

template <class T>
long thickness_of(float* squared, const long* n, bool between, long most) {
  const long total = n[0] * n[1] * n[2], most_half = (long)(4 * most + 4 * std::sqrt(3.0 * (double)most) + 4);
  Block own_(total * sizeof(T)), reach_((size_t)(3 * (most + 1)) * sizeof(int32_t));
  Block half_((size_t)(most_half + 1) * sizeof(uint16_t)), root_((size_t)(most + 1) * sizeof(uint16_t));
  Planes planes(n[0]);
  if (!own_.p || !reach_.p || !half_.p || !root_.p || !planes.p) return -1;
  T* own = (T*)own_.p;
  fill_reach((int32_t*)reach_.p, most);
  fill_roots((uint16_t*)half_.p, most_half, (uint16_t*)root_.p, most);
  fill_balls(squared, n, between, (const uint16_t*)root_.p, own);
  if (!list_centres(squared, own, n, between, (const int32_t*)reach_.p, most, planes.p)) return -1;
  paint(own, n, planes.p, (const uint16_t*)half_.p);
  long count = 0;
  for (long i = 0; i < n[0]; i++) count += planes.p[i].count;
#pragma omp parallel for schedule(static)
  for (long v = 0; v < total; v++) squared[v] = std::sqrt((float)own[v]);
  return count;
}

}  // namespace

namespace vb {
namespace VB_ISA {

long local_thickness(float* squared, const long* n, bool between) {
  const long total = n[0] * n[1] * n[2];
  long most = 0;
#pragma omp parallel for schedule(static) reduction(max : most)
  for (long v = 0; v < total; v++) most = (long)squared[v] > most ? (long)squared[v] : most;
  return most < 15800 ? thickness_of<uint16_t>(squared, n, between, most)
                      : thickness_of<int32_t>(squared, n, between, most);
}

}  // namespace VB_ISA
}  // namespace vb
