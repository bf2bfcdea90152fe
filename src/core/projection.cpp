// Line integrals of a cone beam whose detector columns run along k, after Joseph (1982), and their exact adjoint.
//
// All rays of a detector column lie in one plane through the source that holds the direction k. In the slice s across
// the column's main axis (i or j) they share the in-plane place y, and z is linear in the detector row. So a slice gives
// the column: two neighbouring rows of voxels (k runs fastest) blended into one, which is then read at evenly spaced
// places. The volume ends at its outer faces: what a ray has of a slice there counts by its length, and between the
// outermost centres and the faces values go on.
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
const long kPad = 80;      // before and after a blended row
const double kSteepest = 0.99;  // voxels per detector row up to which a vector of rows reads one vector of voxels
#if defined(__AVX512F__)
const long kRows = 16;
#else
const long kRows = 8;
#endif

inline double min2(double a, double b) { return a < b ? a : b; }
inline double max2(double a, double b) { return a > b ? a : b; }
inline long whole(double x) { return (long)std::floor(x); }
inline long padded(long rows) { return (rows + kRows - 1) / kRows * kRows + kRows; }
inline double within(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

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

// The plane of a detector column: position along `across` and k for every place on the main axis.
struct Column {
  int main, across;
  double from, over, y, dy, z, dz;  // t = (x - from) * over; y + t * dy; z + t * (dz + rise * row)
  double low, high;                 // of the main coordinate, within the box seen along k
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
  const double side = (double)fan.n[column.across] - 0.5;
  column.from = fan.source[m];
  column.over = 1 / d[m];
  column.y = fan.source[column.across];
  column.dy = d[column.across];
  column.z = fan.source[2];
  column.dz = d[2];
  column.low = max2(-0.5, min2(fan.source[m], to[m]));
  column.high = min2((double)fan.n[m] - 0.5, max2(fan.source[m], to[m]));
  const double slope = column.dy * column.over;
  if (slope != 0) {
    const double a = column.from + (-0.5 - column.y) / slope, b = column.from + (side - column.y) / slope;
    column.low = max2(column.low, min2(a, b));
    column.high = min2(column.high, max2(a, b));
  } else if (!(column.y > -0.5 && column.y < side)) {
    column.high = column.low - 1;
  }
  column.first = 0;
  column.last = -1;
  if (column.high > column.low) {
    column.first = whole(column.low + 0.5);
    column.last = (long)min2((double)(fan.n[m] - 1), std::ceil(column.high + 0.5) - 1);
  }
  return column;
}

// One slice of a column: which two rows of voxels, how they are blended, which places along them.
struct Cut {
  long j;                       // the lower row
  float w, share;               // of the upper row; of the slice
  double z, step;               // place of detector row 0, and how far apart
  double ends[2][2];            // the same where the ray enters and leaves the slice
  long first, last;             // detector rows that see the whole slice, last included
  long some_first, some_last;   // those that see some of it
  long low, high;               // voxels they read, high included
};

bool cut_of(const Fan& fan, const Column& column, long s, Cut& cut) {
  const double t = ((double)s - column.from) * column.over;
  const double begin = max2(column.low, (double)s - 0.5), end = min2(column.high, (double)s + 0.5);
  if (!(end > begin) || !(t > 0)) return false;
  const double y = within(column.y + t * column.dy, 0, (double)(fan.n[column.across] - 1));
  cut.j = whole(y);
  if (cut.j > 0 && cut.j == fan.n[column.across] - 1) cut.j--;
  cut.w = (float)(y - (double)cut.j);
  cut.share = (float)(end - begin);
  cut.z = column.z + t * column.dz;
  cut.step = t * fan.rise;
  double least[2], most[2];
  for (int e = 0; e < 2; e++) {
    const double at = ((e ? end : begin) - column.from) * column.over;
    cut.ends[e][0] = column.z + at * column.dz;
    cut.ends[e][1] = max2(at * fan.rise, 1e-12);
    least[e] = (-0.5 - cut.ends[e][0]) / cut.ends[e][1];
    most[e] = ((double)fan.n[2] - 0.5 - cut.ends[e][0]) / cut.ends[e][1];
  }
  const double rows = (double)(fan.rows - 1);
  cut.some_first = (long)max2(0, std::ceil(min2(rows + 1, min2(least[0], least[1]))));
  cut.some_last = (long)min2(rows, std::floor(max2(-1, max2(most[0], most[1]))));
  if (cut.some_first > cut.some_last) return false;
  cut.first = (long)max2(0, std::ceil(min2(rows + 1, max2(least[0], least[1]))));
  cut.last = (long)min2(rows, std::floor(max2(-1, min2(most[0], most[1]))));
  if (cut.first > cut.last) cut.first = cut.last + 1 > cut.some_last ? cut.some_last + 1 : cut.some_first;
  if (cut.first > cut.last) cut.last = cut.first - 1;
  const double top = (double)(fan.n[2] - 1);
  cut.low = (long)within(std::floor(cut.z + cut.step * (double)cut.some_first) - 1, 0, top);
  cut.high = (long)within(std::floor(cut.z + cut.step * (double)cut.some_last) + 2, 0, top);
  return true;
}

// How much of the slice a detector row sees that leaves the volume within it, and where it reads.
inline float part_of(const Cut& cut, long top, long r, long* k, float* w) {
  const double a = cut.ends[0][0] + cut.ends[0][1] * (double)r, b = cut.ends[1][0] + cut.ends[1][1] * (double)r;
  const double low = min2(a, b), high = max2(a, b), most = (double)top - 0.5;
  const double inside = min2(high, most) - max2(low, -0.5);
  const double z = within(cut.z + cut.step * (double)r, 0, (double)(top - 1));
  *k = whole(z);
  *w = (float)(z - (double)*k);
  if (high > low) return (float)within(inside / (high - low), 0, 1);
  return inside >= 0 ? 1.0f : 0.0f;
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
  const T* b = fan.n[column.across] > 1 ? a + across : a;
  const float w = cut.share * cut.w, rest = cut.share - w;
  for (long k = cut.low; k <= cut.high; k++) row[k] = rest * (float)a[k] + w * (float)b[k];
  row[cut.low - 1] = row[cut.low - 2] = row[cut.low];
  row[cut.high + 1] = row[cut.high + 2] = row[cut.high];
}

// sums[r] += row at z + step * r. With steps below one voxel, a vector of rows reads within one vector of voxels.
void read_row(const float* row, const Cut& cut, long top, float* sums) {
  long r = cut.first;
#if defined(__AVX512F__)
  if (cut.step <= kSteepest) {
    const __m512 lanes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512 ahead = _mm512_mul_ps(lanes, _mm512_set1_ps((float)cut.step));
    for (; r <= cut.last; r += 16) {
      const double z = cut.z + cut.step * (double)r;
      const long base = (long)(z + 64) - 64, left = cut.last - r + 1;
      const __mmask16 mask = (__mmask16)(left >= 16 ? 0xffff : (1 << left) - 1);
      const __m512 place = _mm512_add_ps(ahead, _mm512_set1_ps((float)(z - (double)base)));
      const __m512i index = _mm512_cvttps_epi32(place);
      const __m512 w = _mm512_sub_ps(place, _mm512_cvtepi32_ps(index));
      const __m512 low = _mm512_permutexvar_ps(index, _mm512_loadu_ps(row + base));
      const __m512 high = _mm512_permutexvar_ps(index, _mm512_loadu_ps(row + base + 1));
      const __m512 sum = _mm512_add_ps(_mm512_loadu_ps(sums + r), low);
      _mm512_mask_storeu_ps(sums + r, mask, _mm512_fmadd_ps(w, _mm512_sub_ps(high, low), sum));
    }
    r = cut.last + 1;
  }
#elif defined(__AVX2__)
  if (cut.step <= kSteepest) {
    const __m256 ahead = _mm256_mul_ps(_mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_ps((float)cut.step));
    for (; r + 7 <= cut.last; r += 8) {
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
  }
#endif
  for (; r <= cut.last; r++) {
    const double z = cut.z + cut.step * (double)r;
    const long k = (long)(z + 64) - 64;
    const float w = (float)(z - (double)k);
    sums[r] += row[k] + w * (row[k + 1] - row[k]);
  }
  for (r = cut.some_first; r <= cut.some_last; r++) {
    if (r == cut.first) r = cut.last + 1;
    if (r > cut.some_last) break;
    long k;
    float w;
    const float part = part_of(cut, top, r, &k, &w);
    sums[r] += part * (row[k] + w * (row[k + 1] - row[k]));
  }
}

// The transpose of read_row: row[k], row[k + 1] += what detector row r brings.
void write_row(float* row, const Cut& cut, long top, const float* values) {
  for (long r = cut.some_first; r <= cut.some_last; r++) {
    const bool whole_slice = r >= cut.first && r <= cut.last;
    const double z = cut.z + cut.step * (double)r;
    long k = (long)(z + 64) - 64;
    float w = (float)(z - (double)k), value = values[r];
    if (!whole_slice) value *= part_of(cut, top, r, &k, &w);
    const float upper = w * value;
    row[k] += value - upper;
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
            read_row(space + kPad, cut, fan.n[2], sums + c * stride);
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
  float* b = fan.n[column.across] > 1 ? a + across : a;
  const float w = cut.share * cut.w, rest = cut.share - w;
  row[cut.low] += row[cut.low - 1] + row[cut.low - 2];
  row[cut.high] += row[cut.high + 1] + row[cut.high + 2];
  for (long k = cut.low; k <= cut.high; k++) a[k] += rest * row[k];
  for (long k = cut.low; k <= cut.high; k++) b[k] += w * row[k];
  std::memset(row + cut.low - 2, 0, sizeof(float) * (size_t)(cut.high - cut.low + 5));
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
