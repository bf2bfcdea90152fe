// Line integrals of a cone beam whose detector columns run along k, after Joseph (1982), and their exact adjoint.
//
// All rays of a detector column lie in one plane through the source that holds the direction k. In the slice s across
// the column's main axis (i or j) they share the in-plane place y, and z is linear in the detector row. So a slice gives
// the column: two neighbouring rows of voxels (k runs fastest) blended into one, which is then read at evenly spaced
// places. Beyond the outermost centres values fall to 0 within one voxel.
//
// Blocks of columns go to threads, slices outermost within, so that the volume streams by once; every pixel is summed by
// one thread in the order of the slices. The adjoint gives each slice to one thread. Both repeat bit for bit.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels.hpp"

namespace {

const long kColumns = 16;  // in a block
const long kPad = 80;      // zeros before and after a blended row
const double kSteepest = 0.99;  // voxels per detector row up to which a vector of rows reads one vector of voxels
#if defined(__AVX512F__)
const long kRows = 16;
#else
const long kRows = 8;
#endif

inline double min2(double a, double b) { return a < b ? a : b; }
inline double max2(double a, double b) { return a > b ? a : b; }
inline long whole(double x) { return (long)std::floor(x); }
inline long padded(long rows) { return (rows + kRows - 1) / kRows * kRows; }

// A view in voxels (as handed in: source, first pixel, step along a row of pixels, step to the next row), the rows
// turned so that k rises with them.
struct Fan {
  double source[3], first[3], u[3], rise;
  const double* spacing;
  long rows, cols;
  bool turned;
  const long* n;
};

Fan fan_of(const double* view, const double* spacing, long rows, long cols, const long* n) {
  Fan fan;
  fan.turned = view[11] < 0;
  for (int a = 0; a < 3; a++) {
    fan.source[a] = view[a];
    fan.first[a] = view[3 + a] + (fan.turned ? view[9 + a] * (double)(rows - 1) : 0);
    fan.u[a] = view[6 + a];
  }
  fan.rise = std::fabs(view[11]);
  fan.spacing = spacing;
  fan.rows = rows;
  fan.cols = cols;
  fan.n = n;
  return fan;
}

// The plane of a detector column: position along `across` and k for every slice of the main axis.
struct Column {
  int main, across;
  double from, over, y, dy, z, dz;  // t = (s - from) * over; y + t * dy; z + t * (dz + rise * row)
  long first, last;                 // slices
};

Column column_of(const Fan& fan, long c) {
  double to[3], d[3];
  for (int a = 0; a < 3; a++) {
    to[a] = fan.first[a] + (double)c * fan.u[a];
    d[a] = to[a] - fan.source[a];
  }
  Column column;
  column.main = std::fabs(d[0]) >= std::fabs(d[1]) ? 0 : 1;
  column.across = 1 - column.main;
  const int m = column.main;
  column.from = fan.source[m];
  column.over = 1 / d[m];
  column.y = fan.source[column.across];
  column.dy = d[column.across];
  column.z = fan.source[2];
  column.dz = d[2];
  column.first = (long)max2(0, std::ceil(min2(fan.source[m], to[m])));
  column.last = (long)min2((double)(fan.n[m] - 1), std::floor(max2(fan.source[m], to[m])));
  return column;
}

// One slice of a column: which two rows of voxels, how they are blended, which places along them.
struct Cut {
  long j;             // the lower row; -1 where only the upper one is there
  float w;            // of the upper row
  double z, step;     // place of detector row 0, and how far apart
  long first, last;   // detector rows that see the volume, last included
  long low, high;     // voxels they read, high included
};

bool cut_of(const Fan& fan, const Column& column, long s, Cut& cut) {
  const double t = ((double)s - column.from) * column.over;
  const double y = column.y + t * column.dy;
  if (!(y > -1 && y < (double)fan.n[column.across]) || !(t > 0)) return false;
  cut.j = whole(y);
  cut.w = (float)(y - (double)cut.j);
  cut.z = column.z + t * column.dz;
  cut.step = t * fan.rise;
  const double top = (double)fan.n[2];
  if (!(cut.z < top) || !(cut.z + cut.step * (double)(fan.rows - 1) > -1)) return false;
  cut.first = (long)max2(0, std::floor((-1 - cut.z) / cut.step));
  cut.last = (long)min2((double)(fan.rows - 1), std::ceil((top - cut.z) / cut.step));
  cut.low = (long)max2(0, std::floor(cut.z + cut.step * (double)cut.first) - kRows);
  cut.high = (long)min2(top - 1, std::floor(cut.z + cut.step * (double)cut.last) + kRows + 1);
  return cut.first <= cut.last && cut.low <= cut.high;
}

// mm of ray per slice.
double length_per_slice(const Fan& fan, const Column& column, long c, long row) {
  double square = 0;
  for (int a = 0; a < 3; a++) {
    const double d = (fan.first[a] + (double)c * fan.u[a] + (a == 2 ? fan.rise * (double)row : 0) - fan.source[a]) *
                     fan.spacing[a];
    square += d * d;
  }
  return std::sqrt(square) * std::fabs(column.over);
}

template <class T>
void blend(const T* volume, const Fan& fan, const Column& column, long s, const Cut& cut, float* row) {
  const long plane = fan.n[1] * fan.n[2], line = fan.n[2];
  const long along = column.main == 0 ? plane : line, across = column.main == 0 ? line : plane;
  const T* a = volume + s * along + cut.j * across;
  const T* b = a + across;
  const float w = cut.w, rest = 1 - cut.w;
  if (cut.j >= 0 && cut.j + 1 < fan.n[column.across]) {
    for (long k = cut.low; k <= cut.high; k++) row[k] = rest * (float)a[k] + w * (float)b[k];
  } else {
    const T* only = cut.j < 0 ? b : a;
    const float weight = cut.j < 0 ? w : rest;
    for (long k = cut.low; k <= cut.high; k++) row[k] = weight * (float)only[k];
  }
}

// sums[r] += row at z + step * r. With steps below one voxel, a vector of rows reads within one vector of voxels.
void read_row(const float* row, const Cut& cut, float* sums) {
#if defined(__AVX512F__)
  if (cut.step <= kSteepest) {
    const __m512 lanes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512 ahead = _mm512_mul_ps(lanes, _mm512_set1_ps((float)cut.step));
    for (long r = cut.first / 16 * 16; r <= cut.last; r += 16) {
      const double z = cut.z + cut.step * (double)r;
      const long base = (long)(z + 64) - 64;
      const __m512 place = _mm512_add_ps(ahead, _mm512_set1_ps((float)(z - (double)base)));
      const __m512i index = _mm512_cvttps_epi32(place);
      const __m512 w = _mm512_sub_ps(place, _mm512_cvtepi32_ps(index));
      const __m512 low = _mm512_permutexvar_ps(index, _mm512_loadu_ps(row + base));
      const __m512 high = _mm512_permutexvar_ps(index, _mm512_loadu_ps(row + base + 1));
      const __m512 sum = _mm512_add_ps(_mm512_loadu_ps(sums + r), low);
      _mm512_storeu_ps(sums + r, _mm512_fmadd_ps(w, _mm512_sub_ps(high, low), sum));
    }
    return;
  }
#elif defined(__AVX2__)
  if (cut.step <= kSteepest) {
    const __m256 ahead = _mm256_mul_ps(_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_ps((float)cut.step));
    for (long r = cut.first / 8 * 8; r <= cut.last; r += 8) {
      const double z = cut.z + cut.step * (double)r;
      const long base = (long)(z + 64) - 64;
      const __m256 place = _mm256_add_ps(ahead, _mm256_set1_ps((float)(z - (double)base)));
      const __m256i index = _mm256_cvttps_epi32(place);
      const __m256 w = _mm256_sub_ps(place, _mm256_cvtepi32_ps(index));
      const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(row + base), index);
      const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(row + base + 1), index);
      const __m256 sum = _mm256_add_ps(_mm256_loadu_ps(sums + r), low);
      _mm256_storeu_ps(sums + r, _mm256_fmadd_ps(w, _mm256_sub_ps(high, low), sum));
    }
    return;
  }
#endif
  for (long r = cut.first; r <= cut.last; r++) {
    const double z = cut.z + cut.step * (double)r;
    const long k = (long)(z + 64) - 64;
    if (k < -1 || k >= cut.high + 1) continue;
    const float w = (float)(z - (double)k);
    sums[r] += row[k] + w * (row[k + 1] - row[k]);
  }
}

// The transpose of read_row: row[k], row[k + 1] += what detector row r brings.
void write_row(float* row, const Cut& cut, long top, const float* values) {
  for (long r = cut.first; r <= cut.last; r++) {
    const double z = cut.z + cut.step * (double)r;
    const long k = (long)(z + 64) - 64;
    if (k < -1 || k >= top) continue;
    const float upper = (float)(z - (double)k) * values[r];
    row[k] += values[r] - upper;
    row[k + 1] += upper;
  }
}

template <class T>
bool forward(const T* volume, const Fan& fan, float* out) {
  const long blocks = (fan.cols + kColumns - 1) / kColumns, stride = padded(fan.rows);
  bool enough = true;
#pragma omp parallel
  {
    float* sums = (float*)std::malloc(sizeof(float) * (size_t)(kColumns * stride));
    float* space = (float*)std::calloc((size_t)(fan.n[2] + 2 * kPad), sizeof(float));
    if (!sums || !space) {
#pragma omp atomic write
      enough = false;
    }
    Column columns[kColumns];
#pragma omp for schedule(static, 1)
    for (long b = 0; b < blocks; b++) {
      if (!sums || !space) continue;
      const long begin = b * kColumns, count = fan.cols - begin < kColumns ? fan.cols - begin : kColumns;
      std::memset(sums, 0, sizeof(float) * (size_t)(count * stride));
      long first[2] = {fan.n[0], fan.n[1]}, last[2] = {-1, -1};
      for (long c = 0; c < count; c++) {
        const Column& own = columns[c] = column_of(fan, begin + c);
        if (own.first < first[own.main]) first[own.main] = own.first;
        if (own.last > last[own.main]) last[own.main] = own.last;
      }
      Cut cut;
      for (int main = 0; main < 2; main++)
        for (long s = first[main]; s <= last[main]; s++)
          for (long c = 0; c < count; c++) {
            const Column& own = columns[c];
            if (own.main != main || s < own.first || s > own.last || !cut_of(fan, own, s, cut)) continue;
            blend(volume, fan, own, s, cut, space + kPad);
            read_row(space + kPad, cut, sums + c * stride);
          }
      for (long r = 0; r < fan.rows; r++)
        for (long c = 0; c < count; c++)
          out[(fan.turned ? fan.rows - 1 - r : r) * fan.cols + begin + c] =
              (float)(length_per_slice(fan, columns[c], begin + c, r) * sums[c * stride + r]);
    }
    std::free(sums);
    std::free(space);
  }
  return enough;
}

// What the image holds times mm per slice, a column at a time, rows rising with k.
void weighted(const Fan& fan, const float* image, const Column* columns, float* values) {
#pragma omp parallel for schedule(static)
  for (long c = 0; c < fan.cols; c++)
    for (long r = 0; r < fan.rows; r++)
      values[c * fan.rows + r] = (float)(length_per_slice(fan, columns[c], c, r) *
                                         image[(fan.turned ? fan.rows - 1 - r : r) * fan.cols + c]);
}

void spread(float* volume, const Fan& fan, const Column& column, long s, const Cut& cut, float* row) {
  const long plane = fan.n[1] * fan.n[2], line = fan.n[2];
  const long along = column.main == 0 ? plane : line, across = column.main == 0 ? line : plane;
  float* a = volume + s * along + cut.j * across;
  float* b = a + across;
  const float w = cut.w, rest = 1 - cut.w;
  if (cut.j >= 0)
    for (long k = cut.low; k <= cut.high; k++) a[k] += rest * row[k];
  if (cut.j + 1 < fan.n[column.across])
    for (long k = cut.low; k <= cut.high; k++) b[k] += w * row[k];
  std::memset(row + cut.low - 1, 0, sizeof(float) * (size_t)(cut.high - cut.low + 3));
}

}  // namespace

namespace vb {
namespace VB_ISA {

bool project_columns(const void* volume, int bytes, const long* n, const double* view, const double* spacing, long rows,
                     long cols, float* out) {
  const Fan fan = fan_of(view, spacing, rows, cols, n);
  return bytes == 1 ? forward((const uint8_t*)volume, fan, out) : forward((const float*)volume, fan, out);
}

bool backproject_columns(const float* image, const long* n, const double* view, const double* spacing, long rows,
                         long cols, float* volume) {
  const Fan fan = fan_of(view, spacing, rows, cols, n);
  Column* columns = (Column*)std::malloc(sizeof(Column) * (size_t)cols);
  float* values = (float*)std::malloc(sizeof(float) * (size_t)(rows * cols));
  bool enough = columns && values;
  if (enough) {
    for (long c = 0; c < cols; c++) columns[c] = column_of(fan, c);
    weighted(fan, image, columns, values);
    for (int main = 0; main < 2; main++) {
#pragma omp parallel
      {
        float* space = (float*)std::calloc((size_t)(n[2] + 2 * kPad), sizeof(float));
        if (!space) {
#pragma omp atomic write
          enough = false;
        }
        Cut cut;
#pragma omp for schedule(static)
        for (long s = 0; s < n[main]; s++)
          for (long c = 0; c < cols && space; c++) {
            const Column& own = columns[c];
            if (own.main != main || s < own.first || s > own.last || !cut_of(fan, own, s, cut)) continue;
            write_row(space + kPad, cut, n[2], values + c * rows);
            spread(volume, fan, own, s, cut, space + kPad);
          }
        std::free(space);
      }
    }
  }
  std::free(columns);
  std::free(values);
  return enough;
}

}  // namespace VB_ISA
}  // namespace vb
