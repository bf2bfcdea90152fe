// The extension module: picks the instruction set once, then binds each family of kernels.
#ifdef _OPENMP
#include <omp.h>
#endif

#include "arrays.hpp"

int isa_level = 0;

static int best_level() {
#ifdef VB_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 1;
#endif
  return 0;
}

NB_MODULE(_core, m) {
  m.doc() = "The hot loops. Arrays in, arrays out, no policy; every function releases the interpreter lock.";
  isa_level = best_level();
  m.def("instruction_set", [] { return isa_level; }, "0: any machine, 1: AVX2, 2: AVX-512.");
  m.def(
      "set_instruction_set",
      [](int level) {
        if (level < 0 || level > best_level()) throw nb::value_error("this machine does not have that level");
        isa_level = level;
      },
      nb::arg("level"), "Choose a level for tests and benchmarks.");
  m.def(
      "threads",
      [](int n) {
#ifdef _OPENMP
        if (n > 0) omp_set_num_threads(n);
        return omp_get_max_threads();
#else
        return 1;
#endif
      },
      nb::arg("n") = 0, "Set (if positive) and return the number of threads.");
  bind_warp(m);
  bind_diffeo(m);
  bind_ncc(m);
  bind_histogram(m);
  bind_mind(m);
  bind_correlation(m);
  bind_image(m);
  bind_mesh(m);
  bind_surface(m);
  bind_thickness(m);
  bind_projection(m);
  bind_fusion(m);
}
