// Boxes laid over memory: one task is some channels of one box, perhaps a part of its bins. Bins
// are reduced along one axis of the plane, `across`, for a window of places of the other, `along`,
// and from there along that.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernel_table.hpp"
#include "poolcore/roi.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {

// Channels that are worked on side by side where they lie so in memory.
inline constexpr std::int64_t kRoiLanes = 64;
// Elements of a window: places times channels.
inline constexpr std::int64_t kRoiWindow = 8192;

struct RoiStrides {
    std::int64_t image, channel, plane[2];
};

struct RoiJob {
    const RoiSpec* spec = nullptr;
    const std::byte* in = nullptr;
    std::byte* out = nullptr;
    std::byte* index = nullptr;
    DType dtype = DType::kFloat32;  // of the input
    RoiStrides in_stride, out_stride, index_stride;
    std::int64_t channels = 0;
    std::int64_t length[2];
    bool lanes = false;  // channels side by side
    std::int64_t channels_per_task = 1;
    std::int64_t chunks = 1;  // tasks by channels
    std::int64_t parts = 1;   // tasks by bins
    PackKernel pack = nullptr;     // elements as doubles
    PackKernel is_nan = nullptr;   // 1 for NaN; null unless NaN is left out
    FinishKernel convert = nullptr;  // from doubles to results

    std::int64_t n_tasks() const { return spec->n_boxes * chunks * parts; }
};

struct RoiTask {
    const RoiJob& job;
    const double* box;
    const std::byte* in;  // channel 0 of the box's image
    std::byte* out;
    std::byte* index;
    std::int64_t first, last;  // channels
    std::int64_t part;

    RoiTask(const RoiJob& j, std::int64_t task) : job(j), part(task % j.parts) {
        const std::int64_t chunk = task / j.parts % j.chunks;
        const std::int64_t number = task / j.parts / j.chunks;
        box = j.spec->boxes + 5 * number;
        in = j.in + static_cast<std::int64_t>(box[0]) * j.in_stride.image;
        out = j.out + number * j.out_stride.image;
        index = j.index == nullptr ? nullptr : j.index + number * j.index_stride.image;
        first = chunk * j.channels_per_task;
        last = std::min(first + j.channels_per_task, j.channels);
    }
    // The bins of this task, of so many.
    std::int64_t first_bin(std::int64_t bins) const { return bound(bins, part); }
    std::int64_t last_bin(std::int64_t bins) const { return bound(bins, part + 1); }

   private:
    std::int64_t bound(std::int64_t bins, std::int64_t p) const {
        return static_cast<std::int64_t>(static_cast<__int128>(bins) * p / job.parts);
    }
};

// The axis to reduce first: rows, unless far more bins than rows would each read long rows.
inline int roi_across(const RoiSpec& spec, std::int64_t rows, std::int64_t columns) {
    const auto height = static_cast<double>(spec.size[0]);
    const auto width = static_cast<double>(spec.size[1]);
    const auto h = static_cast<double>(rows), w = static_cast<double>(columns);
    return height * w > 4 * (h * w + height * width) ? 1 : 0;
}

// The tasks of each mode, and the scratch of one.
struct RoiTaskKind {
    TaskFunction function;
    std::int64_t scratch;
};
RoiTaskKind roi_pool_task(DType dtype, std::int64_t longest);
RoiTaskKind roi_mean_task();
RoiTaskKind roi_largest_task(DType dtype);

}  // namespace poolcore
