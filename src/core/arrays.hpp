// What every binding file shares: array types, checks with a message, and the choice of instruction set.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>

#define VB_ISA base
#include "kernels.hpp"
#undef VB_ISA
#ifdef VB_X86
#define VB_ISA v3
#include "kernels.hpp"
#undef VB_ISA
#define VB_ISA v4
#include "kernels.hpp"
#undef VB_ISA
#endif

namespace nb = nanobind;

// 0: any machine, 1: AVX2, 2: AVX-512. VB_CALL runs the copy of a kernel compiled for it.
extern int isa_level;
#ifdef VB_X86
#define VB_CALL(fn, ...) \
  (isa_level == 2 ? vb::v4::fn(__VA_ARGS__) : isa_level == 1 ? vb::v3::fn(__VA_ARGS__) : vb::base::fn(__VA_ARGS__))
#else
#define VB_CALL(fn, ...) vb::base::fn(__VA_ARGS__)
#endif

using In = nb::ndarray<nb::ro, nb::numpy>;  // read
using Out = nb::ndarray<nb::numpy>;          // written
using Shape = std::tuple<long, long, long>;

template <class A>
void contiguous(const A& a, const char* name) {
  int64_t stride = 1;
  for (size_t d = a.ndim(); d-- > 0;) {
    if (a.shape(d) > 1 && a.stride(d) != stride)
      throw nb::type_error((std::string(name) + ": must be C-contiguous (numpy.ascontiguousarray)").c_str());
    stride *= (int64_t)a.shape(d);
  }
  if (stride == 0) throw nb::type_error((std::string(name) + ": is empty").c_str());
}

// Refuses another dtype, another number of axes, or an array that is not C-contiguous, and says which.
template <class T, class A>
auto checked(const A& a, size_t ndim, const char* name, const char* dtype_name) {
  const std::string head = std::string(name) + ": ";
  if (a.dtype() != nb::dtype<T>()) throw nb::type_error((head + "expected dtype " + dtype_name).c_str());
  if (a.ndim() != ndim)
    throw nb::type_error((head + "expected " + std::to_string(ndim) + " axes, got " + std::to_string(a.ndim())).c_str());
  contiguous(a, name);
  using P = std::conditional_t<std::is_same_v<A, In>, const T*, T*>;
  return (P)a.data();
}

template <class A>
auto floats(const A& a, size_t ndim, const char* name) {
  return checked<float>(a, ndim, name, "float32");
}
template <class A>
auto doubles(const A& a, size_t ndim, const char* name) {
  return checked<double>(a, ndim, name, "float64");
}

// A planar vector field, float32 (3, i, j, k); its spatial shape goes to `shape`.
template <class A>
auto planar(const A& a, long* shape, const char* name) {
  auto p = floats(a, 4, name);
  if (a.shape(0) != 3) throw nb::type_error((std::string(name) + ": expected shape (3, i, j, k)").c_str());
  for (int d = 0; d < 3; d++) shape[d] = (long)a.shape(d + 1);
  return p;
}

template <class A>
auto volume(const A& a, long* shape, const char* name) {
  auto p = floats(a, 3, name);
  for (int d = 0; d < 3; d++) shape[d] = (long)a.shape(d);
  return p;
}

inline void same_shape(const long* a, const long* b, const char* what) {
  for (int d = 0; d < 3; d++)
    if (a[d] != b[d]) throw nb::value_error((std::string(what) + ": shapes differ").c_str());
}

template <class T>
nb::ndarray<nb::numpy, T> fresh(std::initializer_list<size_t> shape) {
  size_t n = 1;
  for (size_t s : shape) n *= s;
  void* p = std::malloc(n ? n * sizeof(T) : 1);
  if (!p) throw std::bad_alloc();
  return nb::ndarray<nb::numpy, T>(p, shape, nb::capsule(p, [](void* q) noexcept { std::free(q); }));
}

void bind_warp(nb::module_& m);
void bind_ncc(nb::module_& m);
void bind_diffeo(nb::module_& m);
void bind_histogram(nb::module_& m);
void bind_mind(nb::module_& m);
void bind_correlation(nb::module_& m);
void bind_image(nb::module_& m);
void bind_mesh(nb::module_& m);
void bind_surface(nb::module_& m);
void bind_thickness(nb::module_& m);
void bind_projection(nb::module_& m);
void bind_fusion(nb::module_& m);
