// Local thickness.
#include "arrays.hpp"

void bind_thickness(nb::module_& m) {
  m.def(
      "local_thickness",
      [](Out squared, bool between) {
        long n[3];
        float* data = volume(squared, n, "squared");
        const long total = n[0] * n[1] * n[2];
        for (long v = 0; v < total; v++)
          if (!(data[v] >= 0 && data[v] < 16777216.0f))
            throw nb::value_error("squared: expected whole numbers from 0 to 2^24 - 1");
        long centres;
        {
          nb::gil_scoped_release nogil;
          centres = VB_CALL(local_thickness, data, n, between);
        }
        if (centres < 0) throw std::bad_alloc();
        return centres;
      },
      nb::arg("squared"), nb::arg("between") = false,
      "Squared distances (voxels, whole numbers, 0 outside the shape) become the local thickness in place: the diameter\n"
      "of the largest ball around a voxel that holds the voxel; with `between` also of balls around points half a voxel\n"
      "beside voxels that no neighbour exceeds. Returns the number of balls painted.");
}
