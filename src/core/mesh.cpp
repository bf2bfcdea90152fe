// Triangle meshes: the distance from points to a surface through a tree of boxes, and which voxel centres lie inside.
// Compiled without re-association, so that every instruction set gives the same bits.
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "kernels.hpp"

namespace {

const long kLeaf = 4;
// A triangle thinner than this share of its longest edge has no usable normal; its edges stand for it.
const double kThinnest = 1e-10;

struct Vec {
  double x, y, z;
};

inline Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec operator*(double t, Vec a) { return {t * a.x, t * a.y, t * a.z}; }
inline double dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec cross(Vec a, Vec b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }
inline double min2(double a, double b) { return a < b ? a : b; }
inline double max2(double a, double b) { return a > b ? a : b; }

struct Triangle {
  Vec a, ab, ac, normal;
  double over_normal, over_ab, over_ac, over_bc;  // one over the squared lengths; 0 where there is no length
};

struct Node {
  double low[3], high[3];
  long first, count, right;  // a leaf holds `count` triangles from `first`; else the left child follows, then `right`
};

struct Tree {
  Node* nodes;
  Triangle* triangles;
  double* centres;  // (m, 3), in the faces' order
  int32_t* order;
  const double* vertices;
  const int32_t* faces;
  long used;
};

inline double inverse_square(Vec e) {
  const double square = dot(e, e);
  return square > 0 ? 1 / square : 0;
}

Triangle prepared(const double* v, const int32_t* f) {
  const double *p = v + 3 * (long)f[0], *q = v + 3 * (long)f[1], *r = v + 3 * (long)f[2];
  const Vec a = {p[0], p[1], p[2]}, b = {q[0], q[1], q[2]}, c = {r[0], r[1], r[2]};
  const Vec ab = b - a, ac = c - a, bc = c - b, n = cross(ab, ac);
  const double longest = max2(dot(ab, ab), max2(dot(ac, ac), dot(bc, bc)));
  const double square = dot(n, n), least = kThinnest * longest;
  return {a, ab, ac, n, square > least * least ? 1 / square : 0, inverse_square(ab), inverse_square(ac),
          inverse_square(bc)};
}

inline double to_edge(Vec v, Vec edge, double over) {
  const double t = min2(1.0, max2(0.0, dot(v, edge) * over));
  const Vec rest = v - t * edge;
  return dot(rest, rest);
}

// Squared distance: to the plane where the foot lies inside, else to the nearest edge.
inline double to_triangle(Vec p, const Triangle& t) {
  const Vec v = p - t.a;
  if (t.over_normal > 0) {
    const double second = dot(cross(v, t.ac), t.normal) * t.over_normal;
    const double third = dot(cross(t.ab, v), t.normal) * t.over_normal;
    if (second >= 0 && third >= 0 && second + third <= 1) {
      const double height = dot(v, t.normal);
      return height * height * t.over_normal;
    }
  }
  const double one = to_edge(v, t.ab, t.over_ab), two = to_edge(v, t.ac, t.over_ac);
  return min2(min2(one, two), to_edge(v - t.ab, t.ac - t.ab, t.over_bc));
}

inline double to_box(const double* p, const Node& node) {
  double sum = 0;
  for (int d = 0; d < 3; d++) {
    const double out = max2(0.0, max2(node.low[d] - p[d], p[d] - node.high[d]));
    sum += out * out;
  }
  return sum;
}

// Puts the `middle` smallest of order[low, high) along an axis first (Hoare's selection).
void select(int32_t* order, long low, long high, long middle, const double* centres, int axis) {
  high--;
  while (low < high) {
    const double pivot = centres[3 * (long)order[(low + high) / 2] + axis];
    long i = low, j = high;
    while (i <= j) {
      while (centres[3 * (long)order[i] + axis] < pivot) i++;
      while (centres[3 * (long)order[j] + axis] > pivot) j--;
      if (i <= j) {
        const int32_t swap = order[i];
        order[i++] = order[j];
        order[j--] = swap;
      }
    }
    if (middle <= j)
      high = j;
    else if (middle >= i)
      low = i;
    else
      return;
  }
}

void bound(Tree& tree, Node& node, long first, long last, double* spread_low, double* spread_high) {
  for (int d = 0; d < 3; d++) {
    node.low[d] = spread_low[d] = HUGE_VAL;
    node.high[d] = spread_high[d] = -HUGE_VAL;
  }
  for (long at = first; at < last; at++) {
    const long face = tree.order[at];
    for (int d = 0; d < 3; d++) {
      for (int corner = 0; corner < 3; corner++) {
        const double x = tree.vertices[3 * (long)tree.faces[3 * face + corner] + d];
        node.low[d] = min2(node.low[d], x);
        node.high[d] = max2(node.high[d], x);
      }
      spread_low[d] = min2(spread_low[d], tree.centres[3 * face + d]);
      spread_high[d] = max2(spread_high[d], tree.centres[3 * face + d]);
    }
  }
}

// Halves the triangles along the axis their centres spread most; returns the index of the node made.
long build(Tree& tree, long first, long last) {
  const long own = tree.used++;
  double low[3], high[3];
  bound(tree, tree.nodes[own], first, last, low, high);
  tree.nodes[own].first = first;
  tree.nodes[own].count = last - first;
  tree.nodes[own].right = 0;
  if (last - first <= kLeaf) return own;
  int axis = 0;
  for (int d = 1; d < 3; d++)
    if (high[d] - low[d] > high[axis] - low[axis]) axis = d;
  const long middle = (first + last) / 2;
  select(tree.order, first, last, middle, tree.centres, axis);
  tree.nodes[own].count = 0;
  build(tree, first, middle);
  tree.nodes[own].right = build(tree, middle, last);
  return own;
}

bool plant(Tree& tree, long m) {
  tree.nodes = (Node*)std::malloc(sizeof(Node) * (size_t)(2 * m));
  tree.triangles = (Triangle*)std::malloc(sizeof(Triangle) * (size_t)m);
  tree.centres = (double*)std::malloc(sizeof(double) * (size_t)(3 * m));
  tree.order = (int32_t*)std::malloc(sizeof(int32_t) * (size_t)m);
  if (!tree.nodes || !tree.triangles || !tree.centres || !tree.order) return false;
  for (long f = 0; f < m; f++) {
    tree.order[f] = (int32_t)f;
    for (int d = 0; d < 3; d++) {
      double sum = 0;
      for (int corner = 0; corner < 3; corner++) sum += tree.vertices[3 * (long)tree.faces[3 * f + corner] + d];
      tree.centres[3 * f + d] = sum / 3;
    }
  }
  build(tree, 0, m);
  for (long at = 0; at < m; at++)
    tree.triangles[at] = prepared(tree.vertices, tree.faces + 3 * (long)tree.order[at]);
  return true;
}

// Squared distance to the nearest triangle; `near` is where the last search ended, and where this one begins.
double nearest(const Tree& tree, const double* point, long& near) {
  const Vec p = {point[0], point[1], point[2]};
  struct {
    long node;
    double distance;
  } waiting[128];
  double best = to_triangle(p, tree.triangles[near]);
  long depth = 0;
  waiting[depth++] = {0, to_box(point, tree.nodes[0])};
  while (depth) {
    const auto next = waiting[--depth];
    if (next.distance >= best) continue;
    const Node& node = tree.nodes[next.node];
    for (long at = node.first; at < node.first + node.count; at++) {
      const double own = to_triangle(p, tree.triangles[at]);
      if (own < best) {
        best = own;
        near = at;
      }
    }
    if (node.count) continue;
    const long left = next.node + 1, right = node.right;
    const double to_left = to_box(point, tree.nodes[left]), to_right = to_box(point, tree.nodes[right]);
    const bool left_first = to_left <= to_right;
    waiting[depth++] = {left_first ? right : left, left_first ? to_right : to_left};
    waiting[depth++] = {left_first ? left : right, left_first ? to_left : to_right};
  }
  return best;
}

// Where the line through `low` and `high` has coordinate `at` in the first component.
inline Vec crossing(Vec low, Vec high, double at) {
  const double t = (at - low.x) / (high.x - low.x);
  return {at, low.y + t * (high.y - low.y), low.z + t * (high.z - low.z)};
}

// Whole numbers n with low < n <= high, kept within 0 .. size - 1.
inline void between(double low, double high, long size, long* first, long* last) {
  *first = low < 0 ? 0 : low >= (double)size ? size : (long)std::floor(low) + 1;
  *last = high < 0 ? -1 : high >= (double)size ? size - 1 : (long)std::floor(high);
}

// The segment in which a triangle meets the plane i; its ends are the same bits in the triangle across the edge.
void segment(const Vec* corner, double i, Vec* ends) {
  int found = 0;
  for (int e = 0; e < 3; e++) {
    const Vec a = corner[e], b = corner[(e + 1) % 3];
    if ((a.x >= i) == (b.x >= i) || found == 2) continue;
    ends[found++] = a.x < i ? crossing(a, b, i) : crossing(b, a, i);
  }
}

// Flips a column from where a segment crosses it on.
void toggle(const Vec* ends, const long* shape, uint8_t* slice) {
  const bool rising = ends[0].y < ends[1].y;
  const Vec low = ends[rising ? 0 : 1], high = ends[rising ? 1 : 0];
  long first, last;
  between(low.y, high.y, shape[1], &first, &last);
  for (long j = first; j <= last; j++) {
    const double z = low.z + ((double)j - low.y) / (high.y - low.y) * (high.z - low.z);
    if (z > (double)(shape[2] - 1)) continue;
    slice[j * shape[2] + (z <= 0 ? 0 : (long)std::ceil(z))] ^= 1;
  }
}

void corners_of(const double* v, const int32_t* f, Vec* corner) {
  for (int c = 0; c < 3; c++) {
    const double* p = v + 3 * (long)f[c];
    corner[c] = {p[0], p[1], p[2]};
  }
}

void planes_of(const Vec* corner, long size, long* first, long* last) {
  between(min2(corner[0].x, min2(corner[1].x, corner[2].x)), max2(corner[0].x, max2(corner[1].x, corner[2].x)), size,
          first, last);
}

}  // namespace

namespace vb {
namespace VB_ISA {

bool surface_distances(const double* points, long n, const double* vertices, const int32_t* faces, long m,
                       double* distances) {
  Tree tree = {nullptr, nullptr, nullptr, nullptr, vertices, faces, 0};
  const bool planted = plant(tree, m);
  if (planted) {
#pragma omp parallel
    {
      long near = 0;
#pragma omp for schedule(static)
      for (long p = 0; p < n; p++) distances[p] = std::sqrt(nearest(tree, points + 3 * p, near));
    }
  }
  std::free(tree.nodes);
  std::free(tree.triangles);
  std::free(tree.centres);
  std::free(tree.order);
  return planted;
}

bool voxelise(const double* vertices, const int32_t* faces, long m, const long* shape, uint8_t* mask) {
  long* start = (long*)std::calloc((size_t)shape[0] + 2, sizeof(long));  // faces that cross plane i: from start[i]
  if (!start) return false;
  Vec corner[3];
  long first, last;
  for (long f = 0; f < m; f++) {
    corners_of(vertices, faces + 3 * f, corner);
    planes_of(corner, shape[0], &first, &last);
    for (long i = first; i <= last; i++) start[i + 2]++;
  }
  for (long i = 0; i <= shape[0]; i++) start[i + 1] += start[i];
  int32_t* crossed = (int32_t*)std::malloc(sizeof(int32_t) * (size_t)(start[shape[0] + 1] + 1));
  if (!crossed) {
    std::free(start);
    return false;
  }
  for (long f = 0; f < m; f++) {
    corners_of(vertices, faces + 3 * f, corner);
    planes_of(corner, shape[0], &first, &last);
    for (long i = first; i <= last; i++) crossed[start[i + 1]++] = (int32_t)f;
  }
#pragma omp parallel for schedule(static)
  for (long i = 0; i < shape[0]; i++) {
    uint8_t* slice = mask + i * shape[1] * shape[2];
    Vec own[3], ends[2];
    for (long at = start[i]; at < start[i + 1]; at++) {
      corners_of(vertices, faces + 3 * (long)crossed[at], own);
      segment(own, (double)i, ends);
      toggle(ends, shape, slice);
    }
    for (long j = 0; j < shape[1]; j++)
      for (long k = 1; k < shape[2]; k++) slice[j * shape[2] + k] ^= slice[j * shape[2] + k - 1];
  }
  std::free(start);
  std::free(crossed);
  return true;
}

}  // namespace VB_ISA
}  // namespace vb
