// Which pixel centres lie in the shadow of a mesh: every projected triangle filled, its border included.
// Compiled without re-association: two triangles agree on the bits of the edge they share, so that no crack opens.
#include <cmath>
#include <cstdint>

#include "kernels.hpp"

namespace {

struct Point {
  double row, col;
};

// Widens [low, high] by where the edge meets the line of pixels `row`.
inline void widen(Point a, Point b, double row, double& low, double& high) {
  if (a.row > b.row || (a.row == b.row && a.col > b.col)) {
    const Point swap = a;
    a = b;
    b = swap;
  }
  if (row < a.row || row > b.row) return;
  if (a.row == b.row) {
    if (a.col < low) low = a.col;
    if (b.col > high) high = b.col;
    return;
  }
  const double t = (row - a.row) / (b.row - a.row);
  const double col = t == 1 ? b.col : a.col + t * (b.col - a.col);
  if (col < low) low = col;
  if (col > high) high = col;
}

inline double lowest(double a, double b, double c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }

}  // namespace

namespace vb {
namespace VB_ISA {

void silhouette(const double* pixels, const int32_t* faces, long m, long rows, long cols, uint8_t* mask) {
  for (long f = 0; f < m; f++) {
    Point corner[3];
    for (int c = 0; c < 3; c++) {
      const double* p = pixels + 2 * (long)faces[3 * f + c];
      corner[c] = {p[0], p[1]};
    }
    const double top = lowest(corner[0].row, corner[1].row, corner[2].row);
    const double bottom = -lowest(-corner[0].row, -corner[1].row, -corner[2].row);
    if (bottom < 0 || top > (double)(rows - 1)) continue;
    const long first = top <= 0 ? 0 : (long)std::ceil(top);
    const long last = bottom >= (double)(rows - 1) ? rows - 1 : (long)std::floor(bottom);
    for (long r = first; r <= last; r++) {
      double low = HUGE_VAL, high = -HUGE_VAL;
      for (int c = 0; c < 3; c++) widen(corner[c], corner[(c + 1) % 3], (double)r, low, high);
      if (high < 0 || low > (double)(cols - 1)) continue;
      const long from = low <= 0 ? 0 : (long)std::ceil(low);
      const long to = high >= (double)(cols - 1) ? cols - 1 : (long)std::floor(high);
      for (long c = from; c <= to; c++) mask[r * cols + c] = 1;
    }
  }
}

}  // namespace VB_ISA
}  // namespace vb
