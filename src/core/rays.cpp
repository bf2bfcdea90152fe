// Line integrals along the rays of a cone beam in any pose: Joseph's bilinear slices or Siddon's exact lengths, their
// exact adjoints, and the derivative of Joseph's with respect to the view.
//
// A ray is walked slice by slice across its main axis, the one along which it passes most voxels. A slice of Joseph's has
// up to four voxels, a slab of Siddon's up to three, since the ray moves at most one voxel along the other axes. One
// function names them and their weights for the projection and for its adjoint. The adjoint gives each slice to one
// thread, which takes the rays in order: it repeats bit for bit, without atomics.
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "kernels.hpp"

namespace {

const long kTile = 16;    // rays of a tile, along each axis
const long kSlices = 16;  // slices of a share of the adjoint

inline double min2(double a, double b) { return a < b ? a : b; }
inline double max2(double a, double b) { return a > b ? a : b; }
inline long whole(double x) { return (long)std::floor(x); }
inline long within(long x, long low, long high) { return x < low ? low : x > high ? high : x; }

inline long tiles(long extent) { return (extent + kTile - 1) / kTile; }

// A ray in voxels: y0 + x dy and z0 + x dz on the main coordinate x, from `low` to `high`.
struct Ray {
  double y0, dy, z0, dz, low, high;
  int32_t first, last, main;
  float step;  // mm per voxel of the main axis
};

// The axes and strides that go with a main axis.
struct Axes {
  int y, z;
  long main, across[2], n[2];
};

Axes axes_of(int main, const long* n) {
  const long stride[3] = {n[1] * n[2], n[2], 1};
  const int y = main == 0 ? 1 : 0, z = main == 2 ? 1 : 2;
  return {y, z, stride[main], {stride[y], stride[z]}, {n[y], n[z]}};
}

struct Ends {
  double source[3], pixel[3], d[3];
  int main;
};

Ends ends_of(const double* view, long r, long c) {
  Ends ends;
  for (int a = 0; a < 3; a++) {
    ends.source[a] = view[a];
    ends.pixel[a] = view[3 + a] + (double)c * view[6 + a] + (double)r * view[9 + a];
    ends.d[a] = ends.pixel[a] - view[a];
  }
  ends.main = 0;
  for (int a = 1; a < 3; a++)
    if (std::fabs(ends.d[a]) > std::fabs(ends.d[ends.main])) ends.main = a;
  return ends;
}

double length_of(const double* d, const double* spacing) {
  double square = 0;
  for (int a = 0; a < 3; a++) square += d[a] * spacing[a] * d[a] * spacing[a];
  return std::sqrt(square);
}

// Narrows [low, high] to where -0.5 < at + x * slope < n - 0.5.
void clip(double at, double slope, long n, double& low, double& high) {
  const double least = -0.5, most = (double)n - 0.5;
  if (slope == 0) {
    if (!(at > least && at < most)) high = low - 1;
    return;
  }
  const double a = (least - at) / slope, b = (most - at) / slope;
  low = max2(low, min2(a, b));
  high = min2(high, max2(a, b));
}

// How much of the slice s the ray has within the volume.
inline double share_of(const Ray& ray, long s) {
  return min2(ray.high, (double)s + 0.5) - max2(ray.low, (double)s - 0.5);
}

// The lower of two neighbouring centres around a place, and how far it is beyond; at the outermost ones values go on.
inline long neighbours(double at, long n, float* w) {
  const double x = at < 0 ? 0 : at > (double)(n - 1) ? (double)(n - 1) : at;
  const long low = (long)x, last = n > 1 ? n - 2 : 0;
  const long kept = low < last ? low : last;
  *w = (float)(x - (double)kept);
  return kept;
}

struct Joseph {
  template <class T>
  static float read(const T* volume, const Ray& ray, long s, const Axes& axes) {
    const float share = (float)share_of(ray, s);
    if (!(share > 0)) return 0;
    float v, w;
    const long j = neighbours(ray.y0 + (double)s * ray.dy, axes.n[0], &v);
    const long k = neighbours(ray.z0 + (double)s * ray.dz, axes.n[1], &w);
    const T* at = volume + s * axes.main + j * axes.across[0] + k * axes.across[1];
    const long up = axes.n[0] > 1 ? axes.across[0] : 0, side = axes.n[1] > 1 ? axes.across[1] : 0;
    const float low = (1 - w) * (float)at[0] + w * (float)at[side];
    const float high = (1 - w) * (float)at[up] + w * (float)at[up + side];
    return share * ((1 - v) * low + v * high);
  }
  static int voxels(const Ray& ray, long s, const Axes& axes, long* where, float* weight) {
    const float share = (float)share_of(ray, s);
    if (!(share > 0)) return 0;
    float v, w;
    const long j = neighbours(ray.y0 + (double)s * ray.dy, axes.n[0], &v);
    const long k = neighbours(ray.z0 + (double)s * ray.dz, axes.n[1], &w);
    const long first = s * axes.main + j * axes.across[0] + k * axes.across[1];
    const long up = axes.n[0] > 1 ? axes.across[0] : 0, side = axes.n[1] > 1 ? axes.across[1] : 0;
    for (int c = 0; c < 4; c++) {
      where[c] = first + (c > 1 ? up : 0) + (c % 2 ? side : 0);
      weight[c] = share * (c > 1 ? v : 1 - v) * (c % 2 ? w : 1 - w);
    }
    return 4;
  }
};

struct Siddon {
  template <class T>
  static float read(const T* volume, const Ray& ray, long s, const Axes& axes) {
    long where[4];
    float weight[4], sum = 0;
    const int found = voxels(ray, s, axes, where, weight);
    for (int v = 0; v < found; v++) sum += weight[v] * (float)volume[where[v]];
    return sum;
  }
  // Where the coordinate changes voxels between x0 and x1 (x1 if it does not), and the two voxels.
  static double change(double at, double slope, double x0, double x1, long* from, long* to) {
    *from = whole(at + x0 * slope + 0.5);
    *to = *from + within(whole(at + x1 * slope + 0.5) - *from, -1, 1);
    if (*from == *to) return x1;
    const double wall = (double)(*from > *to ? *from : *to) - 0.5;
    return min2(x1, max2(x0, (wall - at) / slope));
  }
  static int voxels(const Ray& ray, long s, const Axes& axes, long* where, float* weight) {
    const double x0 = max2(ray.low, (double)s - 0.5), x1 = min2(ray.high, (double)s + 0.5);
    if (!(x1 > x0)) return 0;
    long j[2], k[2];
    const double cy = change(ray.y0, ray.dy, x0, x1, j, j + 1), cz = change(ray.z0, ray.dz, x0, x1, k, k + 1);
    const bool y_first = cy <= cz;
    const double cuts[4] = {x0, y_first ? cy : cz, y_first ? cz : cy, x1};
    const long js[3] = {j[0], y_first ? j[1] : j[0], j[1]}, ks[3] = {k[0], y_first ? k[0] : k[1], k[1]};
    int found = 0;
    for (int part = 0; part < 3; part++) {
      const double length = cuts[part + 1] - cuts[part];
      if (!(length > 0) || js[part] < 0 || js[part] >= axes.n[0] || ks[part] < 0 || ks[part] >= axes.n[1]) continue;
      where[found] = s * axes.main + js[part] * axes.across[0] + ks[part] * axes.across[1];
      weight[found++] = (float)length;
    }
    return found;
  }
};

Ray ray_of(const double* view, const double* spacing, long r, long c, const long* n) {
  const Ends ends = ends_of(view, r, c);
  const int m = ends.main;
  const Axes axes = axes_of(m, n);
  Ray ray;
  const double over = 1 / ends.d[m];
  ray.main = m;
  ray.dy = ends.d[axes.y] * over;
  ray.dz = ends.d[axes.z] * over;
  ray.y0 = ends.source[axes.y] - ends.source[m] * ray.dy;
  ray.z0 = ends.source[axes.z] - ends.source[m] * ray.dz;
  ray.low = max2(-0.5, min2(ends.source[m], ends.pixel[m]));
  ray.high = min2((double)n[m] - 0.5, max2(ends.source[m], ends.pixel[m]));
  clip(ray.y0, ray.dy, axes.n[0], ray.low, ray.high);
  clip(ray.z0, ray.dz, axes.n[1], ray.low, ray.high);
  ray.step = (float)(length_of(ends.d, spacing) * std::fabs(over));
  const bool meets = ray.high > ray.low;
  ray.first = meets ? (int32_t)within(whole(ray.low + 0.5), 0, n[m]) : 0;
  ray.last = meets ? (int32_t)within((long)std::ceil(ray.high + 0.5) - 1, -1, n[m] - 1) : -1;
  return ray;
}

template <class T, class Method>
void tile(const T* volume, const long* n, const double* view, const double* spacing, const long* box, long cols,
          float* out) {
  Ray rays[kTile * kTile];
  float sums[kTile * kTile];
  long count = 0;
  int32_t first[3] = {INT32_MAX, INT32_MAX, INT32_MAX}, last[3] = {-1, -1, -1};
  for (long r = box[0]; r < box[1]; r++)
    for (long c = box[2]; c < box[3]; c++) {
      const Ray& ray = rays[count] = ray_of(view, spacing, r, c, n);
      sums[count++] = 0;
      if (ray.first < first[ray.main]) first[ray.main] = ray.first;
      if (ray.last > last[ray.main]) last[ray.main] = ray.last;
    }
  for (int main = 0; main < 3; main++) {
    const Axes axes = axes_of(main, n);
    for (long s = first[main]; s <= last[main]; s++)
      for (long at = 0; at < count; at++) {
        const Ray& ray = rays[at];
        if (ray.main != main || s < ray.first || s > ray.last) continue;
        sums[at] += Method::read(volume, ray, s, axes);
      }
  }
  count = 0;
  for (long r = box[0]; r < box[1]; r++)
    for (long c = box[2]; c < box[3]; c++, count++) out[r * cols + c] = rays[count].step * sums[count];
}

template <class T, class Method>
void forward(const T* volume, const long* n, const double* view, const double* spacing, long rows, long cols,
             float* out) {
  const long down = tiles(rows), wide = tiles(cols);
#pragma omp parallel for schedule(static, 1)
  for (long at = 0; at < down * wide; at++) {
    const long r = at / wide * kTile, c = at % wide * kTile;
    const long box[4] = {r, r + kTile < rows ? r + kTile : rows, c, c + kTile < cols ? c + kTile : cols};
    tile<T, Method>(volume, n, view, spacing, box, cols, out);
  }
}

template <class Method>
bool adjoint(const float* image, const long* n, const double* view, const double* spacing, long rows, long cols,
             float* volume) {
  Ray* rays = (Ray*)std::malloc(sizeof(Ray) * (size_t)(rows * cols));
  if (!rays) return false;
#pragma omp parallel for schedule(static)
  for (long r = 0; r < rows; r++)
    for (long c = 0; c < cols; c++) rays[r * cols + c] = ray_of(view, spacing, r, c, n);
  for (int main = 0; main < 3; main++) {
    const Axes axes = axes_of(main, n);
    const long shares = (n[main] + kSlices - 1) / kSlices;
#pragma omp parallel for schedule(static, 1)
    for (long share = 0; share < shares; share++) {
      const long begin = share * kSlices, end = begin + kSlices - 1;
      long where[4];
      float weight[4];
      for (long at = 0; at < rows * cols; at++) {
        const Ray& ray = rays[at];
        if (ray.main != main) continue;
        const float value = ray.step * image[at];
        const long last = ray.last < end ? ray.last : end;
        for (long s = ray.first > begin ? ray.first : begin; s <= last; s++) {
          const int found = Method::voxels(ray, s, axes, where, weight);
          for (int v = 0; v < found; v++) volume[where[v]] += weight[v] * value;
        }
      }
    }
  }
  std::free(rays);
  return true;
}

// Sums along a ray: the value, its derivatives along the two other axes, and those weighted by t, which runs from 0 at the
// source to 1 at the pixel.
struct Sums {
  double value, y, ty, z, tz;
};

template <class T>
inline void add_slice(const T* volume, const Ray& ray, long s, double t, const Axes& axes, Sums& sums) {
  const float share = (float)share_of(ray, s);
  if (!(share > 0)) return;
  const double y = ray.y0 + (double)s * ray.dy, z = ray.z0 + (double)s * ray.dz;
  float v, w;
  const long j = neighbours(y, axes.n[0], &v), k = neighbours(z, axes.n[1], &w);
  const T* at = volume + s * axes.main + j * axes.across[0] + k * axes.across[1];
  const long rise = axes.n[0] > 1 ? axes.across[0] : 0, aside = axes.n[1] > 1 ? axes.across[1] : 0;
  const float corner = (float)at[0], up = (float)at[rise] - corner, side = (float)at[aside] - corner;
  const float twist = (float)at[rise + aside] - corner - up - side;
  sums.value += share * (corner + v * up + w * (side + v * twist));
  const float dy = y > 0 && y < (double)(axes.n[0] - 1) ? share * (up + w * twist) : 0;
  const float dz = z > 0 && z < (double)(axes.n[1] - 1) ? share * (side + v * twist) : 0;
  sums.y += dy;
  sums.ty += t * dy;
  sums.z += dz;
  sums.tz += t * dz;
}

// d(value of the pixel) / d(source), d(pixel), in voxels.
void pull(const Sums& sums, const Ends& ends, const Axes& axes, const double* spacing, double* source, double* pixel) {
  const int m = ends.main;
  const double length = length_of(ends.d, spacing), over = 1 / ends.d[m], step = length * std::fabs(over);
  const double near[2] = {sums.y - sums.ty, sums.z - sums.tz}, far[2] = {sums.ty, sums.tz};
  const int other[2] = {axes.y, axes.z};
  for (int a = 0; a < 3; a++) {
    const double by = sums.value * (spacing[a] * spacing[a] * ends.d[a] / length * std::fabs(over) -
                                    (a == m ? step * over : 0));
    pixel[a] = by;
    source[a] = -by;
  }
  for (int o = 0; o < 2; o++) {
    const double slope = ends.d[other[o]] * over;
    source[other[o]] += step * near[o];
    pixel[other[o]] += step * far[o];
    source[m] -= step * slope * near[o];
    pixel[m] -= step * slope * far[o];
  }
}

template <class T>
void gradient_tile(const T* volume, const long* n, const double* view, const double* spacing, const float* image,
                   const long* box, long cols, double* own) {
  Ray rays[kTile * kTile];
  Sums sums[kTile * kTile];
  double over[kTile * kTile];
  long count = 0;
  int32_t first[3] = {INT32_MAX, INT32_MAX, INT32_MAX}, last[3] = {-1, -1, -1};
  for (long r = box[0]; r < box[1]; r++)
    for (long c = box[2]; c < box[3]; c++, count++) {
      Ray& ray = rays[count] = ray_of(view, spacing, r, c, n);
      if (image[r * cols + c] == 0) ray.last = ray.first - 1;
      sums[count] = {0, 0, 0, 0, 0};
      over[count] = 1 / ends_of(view, r, c).d[ray.main];
      if (ray.first < first[ray.main]) first[ray.main] = ray.first;
      if (ray.last > last[ray.main]) last[ray.main] = ray.last;
    }
  for (int main = 0; main < 3; main++) {
    const Axes axes = axes_of(main, n);
    for (long s = first[main]; s <= last[main]; s++)
      for (long at = 0; at < count; at++) {
        const Ray& ray = rays[at];
        if (ray.main != main || s < ray.first || s > ray.last) continue;
        add_slice(volume, ray, s, ((double)s - view[main]) * over[at], axes, sums[at]);
      }
  }
  for (int a = 0; a < 12; a++) own[a] = 0;
  count = 0;
  for (long r = box[0]; r < box[1]; r++)
    for (long c = box[2]; c < box[3]; c++, count++) {
      const Ends ends = ends_of(view, r, c);
      const double value = image[r * cols + c];
      double source[3], pixel[3];
      pull(sums[count], ends, axes_of(ends.main, n), spacing, source, pixel);
      for (int a = 0; a < 3; a++) {
        own[a] += value * source[a];
        own[3 + a] += value * pixel[a];
        own[6 + a] += value * pixel[a] * (double)c;
        own[9 + a] += value * pixel[a] * (double)r;
      }
    }
}

template <class T>
void gradient(const T* volume, const long* n, const double* view, const double* spacing, const float* image, long rows,
              long cols, double* by_tile) {
#pragma omp parallel for schedule(static, 1)
  for (long at = 0; at < tiles(rows) * tiles(cols); at++) {
    const long r = at / tiles(cols) * kTile, c = at % tiles(cols) * kTile;
    const long box[4] = {r, r + kTile < rows ? r + kTile : rows, c, c + kTile < cols ? c + kTile : cols};
    gradient_tile(volume, n, view, spacing, image, box, cols, by_tile + 12 * at);
  }
}

}  // namespace

namespace vb {
namespace VB_ISA {

void project_rays(const void* volume, int bytes, const long* n, const double* view, const double* spacing, long rows,
                  long cols, int exact, float* out) {
  const uint8_t* small = (const uint8_t*)volume;
  const float* real = (const float*)volume;
  if (exact && bytes == 1)
    forward<uint8_t, Siddon>(small, n, view, spacing, rows, cols, out);
  else if (exact)
    forward<float, Siddon>(real, n, view, spacing, rows, cols, out);
  else if (bytes == 1)
    forward<uint8_t, Joseph>(small, n, view, spacing, rows, cols, out);
  else
    forward<float, Joseph>(real, n, view, spacing, rows, cols, out);
}

bool backproject_rays(const float* image, const long* n, const double* view, const double* spacing, long rows, long cols,
                      int exact, float* volume) {
  return exact ? adjoint<Siddon>(image, n, view, spacing, rows, cols, volume)
               : adjoint<Joseph>(image, n, view, spacing, rows, cols, volume);
}

bool view_gradient(const void* volume, int bytes, const long* n, const double* view, const double* spacing,
                   const float* image, long rows, long cols, double* out) {
  const long count = tiles(rows) * tiles(cols);
  double* by_tile = (double*)std::malloc(sizeof(double) * 12 * (size_t)count);
  if (!by_tile) return false;
  if (bytes == 1)
    gradient((const uint8_t*)volume, n, view, spacing, image, rows, cols, by_tile);
  else
    gradient((const float*)volume, n, view, spacing, image, rows, cols, by_tile);
  for (int a = 0; a < 12; a++) out[a] = 0;
  for (long at = 0; at < count; at++)
    for (int a = 0; a < 12; a++) out[a] += by_tile[12 * at + a];
  std::free(by_tile);
  return true;
}

}  // namespace VB_ISA
}  // namespace vb
