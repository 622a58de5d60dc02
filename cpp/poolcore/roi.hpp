// Regions of interest: parts of images, given by boxes of real coordinates, pooled to one size.
// RoI max pooling (Girshick, Fast R-CNN, 2015) and RoIAlign (He et al., Mask R-CNN, 2017).
#pragma once

#include <cstdint>

#include "poolcore/run.hpp"
#include "poolcore/types.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

enum class RoiMode : std::uint8_t { kPool, kAlignMean, kAlignMax };

// `boxes` are rows of five finite numbers: an image's number, x1, y1, x2, y2.
struct RoiSpec {
    const char* function = "roi_pool";
    RoiMode mode = RoiMode::kPool;
    NanPolicy nan_policy = NanPolicy::kPropagate;
    bool channels_last = false;
    bool aligned = false;
    std::int64_t size[2] = {1, 1};  // bins along H and W
    std::int64_t sampling = -1;     // samples along each axis of a bin; below 1: by its size
    double scale = 1;
    const double* boxes = nullptr;
    std::int64_t n_boxes = 0;

    int channel_axis() const { return channels_last ? 3 : 1; }
    int plane_axis(int i) const { return (channels_last ? 1 : 2) + i; }
};

// Of a result; integers and bool become float64 in means.
DType roi_dtype(RoiMode mode, DType in);

// Preconditions: `in` has four axes, none of the plane of length 0, and holds the images that the
// boxes name; `out` has one image a box and the type of roi_dtype; `indices`, kPool only, is null or
// int64 of that shape. Errors and cancelling as in run().
RunStatus run_roi(const RoiSpec& spec, const StridedView& in, const MutableView& out,
                  const MutableView* indices, const RunControl& control);

// Element operations, roughly: of all boxes in one channel, and in all.
double roi_plane_work(const RoiSpec& spec, const std::int64_t* length);
double roi_work(const RoiSpec& spec, const StridedView& in);

// What a gradient is carried back by: the indices that kPool gave, or the x of kAlignMax.
struct RoiSource {
    const StridedView* indices = nullptr;
    const StridedView* x = nullptr;
};
// Of a gradient; integers stay only where they are added up.
DType roi_gradient_dtype(RoiMode mode, DType grad);
double roi_gradient_work(const RoiSpec& spec, const std::int64_t* shape);

// Fills `out`, of the shape of what was pooled, with the gradient of it. Preconditions: `grad` has
// one image a box, no bool; `out` the images that the boxes name and the type of
// roi_gradient_dtype. Throws PoolError: kIndex for an index outside its plane, before `out` is
// touched unless another thread changes the indices meanwhile.
RunStatus run_roi_gradient(const RoiSpec& spec, const StridedView& grad, const RoiSource& source,
                           const MutableView& out, const RunControl& control);

}  // namespace poolcore
