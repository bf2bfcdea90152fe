// Declarations of every kernel, included once per instruction set with VB_ISA naming the namespace.
// Kernels take plain pointers and shapes; checks live in module.cpp. Volumes are C-contiguous [i][j][k];
// "planar" vectors are [3][i][j][k] in voxel units. Kernel files use no std:: templates with external linkage, so that
// the linker never mixes code of two instruction sets.
#include <cstdint>

namespace vb {
namespace VB_ISA {

// warp.cpp
void sample(const float* src, const long* sshape, float* dst, const long* dshape, const double* matrix,
            const float* field, const double* linear, int order, float outside);
void sample_nearest(const void* src, int bytes, const long* sshape, void* dst, const long* dshape,
                    const double* matrix, const float* field, const double* linear, const void* outside);
void spline_coefficients(float* volume, const long* shape);
void sample_vectors(const float* field, const long* shape, const double* points, long count, double* out);
void warp_planar(const float* src, const long* sshape, const float* disp, const long* shape, float* dst);
void compose_planar(const float* outer, const float* inner, const long* shape, float step, float* dst);
double invert_planar(const float* disp, const long* shape, int iterations, float* inverse);
void upsample_planar(const float* src, const long* sshape, const float* offset, const float* ratio, const float* scale,
                     float* dst, const long* dshape);

// smooth.cpp
void scale_to(float* data, long count, float largest, float least);
void gaussian(float* data, long channels, const long* shape, const float* sigma, int clamp);

// mind.cpp
void mind_ssc(const float* image, const long* shape, int radius, long dilation, long pool, float* planes,
              uint8_t* packed);
double feature_force_float(const float* fixed, const float* moving, const long* mshape, const float* field,
                           const long* shape, long channels, float* out);
double feature_force_bytes(const uint8_t* fixed, const uint8_t* moving, const long* mshape, const float* field,
                           const long* shape, long channels, float* out);

// correlation.cpp
void ssd_volume(const float* fixed, const float* moving, long channels, const long* shape, long half, uint16_t* cost);
void coupled_argmin(const uint16_t* cost, const long* shape, long half, const float* weight, const float* near_,
                    float* best);

// jacobian.cpp
void jacobian_determinant(const float* disp, const long* shape, float* det);
void jacobian_minimum(const float* disp, const long* shape, float* det);

// ncc.cpp
double ncc_force(const float* fixed, const float* warped, const float* weight, const long* shape, int radius,
                 float epsilon, float* scratch, float* force, float* fixed_force);
double ncc_value(const float* fixed, const float* warped, const float* weight, const long* shape, int radius,
                 float epsilon);

// diffeo.cpp
void diffeomorphism(const void* disp, int bytes, const long* n, const unsigned char* mask, double* volume, long* counts);
void central_determinant(const void* disp, int bytes, const long* n, double* out);

// labels.cpp
void warp_labels(const void* src, int bytes, const long* s, const void* disp, int field_bytes, const long* n,
                 void* dst);
// histogram.cpp
void joint_histogram(const float* points, const unsigned char* rows, long count, const float* values, const float* mask,
                     const long* shape, const double* matrix, int bins, double* histogram);
void mutual_information_many(const float* points, const unsigned char* rows, long count, const float* values,
                             const float* mask, const long* shape, const double* matrices, long many, int bins,
                             double* ratios, double* overlaps);
double mutual_information(const float* points, const unsigned char* rows, long count, const float* values,
                          const float* mask, const long* shape, const double* matrix, int bins, double* overlap,
                          double* gradient);
double block_correlation(const float* points, const float* fixed, long count, long block, const float* values,
                         const float* mask, const long* shape, const double* matrix, double floor_, double* overlap,
                         double* gradient);
void block_correlation_many(const float* points, const float* fixed, long count, long block, const float* values,
                            const float* mask, const long* shape, const double* matrices, long many, double floor_,
                            double* means, double* overlaps);

// ssim.cpp
void ssim_slices(const void* ref, const void* pred, int bytes, const uint8_t* mask, const long* n, const long* box,
                 const float* window, int size, double* out);
double ssim_volume(const void* ref, const void* pred, int bytes, const uint8_t* mask, const long* n, const long* box,
                   const float* window, int size);

// percentiles.cpp
void window_contrasts(const void* src, int bytes, const uint8_t* mask, const long* n, const long* shape,
                      const int32_t* ranks, const float* weights, float* out);

// agreement.cpp
long agreement(const void* ref, const void* pred, int bytes, const uint8_t* mask, const long* n, const float* windows,
               const float* centres, long count, float* tree_sums, double* sums, float* range);

// mesh.cpp; false where there is not enough memory
bool surface_distances(const double* points, long n, const double* vertices, const int32_t* faces, long m,
                       double* distances);
bool voxelise(const double* vertices, const int32_t* faces, long m, const long* shape, uint8_t* mask);

// surface.cpp; false where there is not enough memory
bool surface_quantiles(const void* a, const void* b, int bytes, const long* n, const int64_t* ids, const int64_t* boxes,
                       long count, const double* areas, double share, int64_t* out);
bool joint_counts(const void* a, const void* b, int bytes, bool is_signed, const long* n, const int32_t* rank,
                  long limit, long count, int64_t* counts, int64_t* boxes);

// thickness.cpp; below 0 where there is not enough memory
long local_thickness(float* squared, const long* n, bool between);

// projection.cpp; views in voxels, spacing in mm; false where there is not enough memory
bool project_columns(const void* volume, int bytes, const long* n, const double* view, const double* spacing, long rows,
                     long cols, float* out);
bool backproject_columns(const float* image, const long* n, const double* view, const double* spacing, long rows,
                         long cols, float* volume);

// rays.cpp
void project_rays(const void* volume, int bytes, const long* n, const double* view, const double* spacing, long rows,
                  long cols, int exact, float* out);
bool backproject_rays(const float* image, const long* n, const double* view, const double* spacing, long rows, long cols,
                      int exact, float* volume);
bool view_gradient(const void* volume, int bytes, const long* n, const double* view, const double* spacing,
                   const float* image, long rows, long cols, double* out);

// silhouette.cpp
void silhouette(const double* pixels, const int32_t* faces, long m, long rows, long cols, uint8_t* mask);

// fusion.cpp
void band_along(const float* x, const long* n, int axis, const int32_t* first, const float* w, long m, long width,
                float* out, bool add);
void band_spread(const float* x, const long* n, const int32_t* first, const float* w, long m, long width, float* out,
                 bool add);
double edge_penalty(const float* x, const long* n, float knee, float scale, float* curvature);
void edge_normal(const float* x, const float* c, const long* n, float* out);
double inner_product(const float* a, const float* b, const long* n);
double conjugate_step(float length, const float* along, const float* mapped, const uint8_t* held, const long* n,
                      float* found, float* left);

}  // namespace VB_ISA
}  // namespace vb
