// How a plan is laid over real memory: which axis holds the lanes, in which order the axes are
// pooled, what is one task. Made once per call from the plan and the views; immutable.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernel_table.hpp"
#include "poolcore/geometry.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// Physical axes. kW is the lane axis when `inner` is 1: contiguous, or packed until it is.
// Otherwise lanes run along the `inner` elements that are contiguous and not pooled.
enum PhysicalAxis : int { kA = 0, kB = 1, kW = 2 };
inline constexpr int kNumPhysical = 3;

struct Range {
    std::int64_t lo;
    std::int64_t hi;
    std::int64_t size() const { return hi - lo; }
};

struct PooledAxis {
    AxisGeometry geometry;  // trimmed
    AxisGeometry asked;     // what means count their elements by
    std::int64_t in_stride = 0;  // bytes
    std::int64_t out_stride = 0;
    std::int64_t index_stride = 0;
    std::int64_t plane_step = 0;  // what one position adds to a flat index
};

struct BatchAxis {
    std::int64_t n = 1;
    std::int64_t in_stride = 0;
    std::int64_t out_stride = 0;
    std::int64_t index_stride = 0;
};

// Outputs one task makes along each axis, the planes of the innermost batch axis included.
struct BoxShape {
    std::int64_t planes = 1;
    std::int64_t out[kNumPhysical] = {1, 1, 1};
    std::int64_t inner = 1;
};

struct Schedule {
    const PoolPlan* plan = nullptr;
    const std::byte* in = nullptr;
    std::byte* out = nullptr;
    std::byte* index = nullptr;

    Work work = Work::kF32;
    Combine combine = Combine::kMax;
    Change change = Change::kNone;
    Finish finish = Finish::kOrder;
    bool direct_in = false;   // the first stage may read x itself
    bool widens = false;      // it may read x and convert on the way
    bool direct_out = false;  // the last stage may write the result itself
    bool direct_mean = false;  // it may, divided
    // Elements become powers on their way into the scratch: see powers.hpp.
    bool powers = false;
    bool sums_fit_double = false;  // integers only: no sum reaches 2^50
    bool has_keys = false;  // try 16-bit floats as integers first
    // A second pass over the same windows: NaN taps under "omit", low halves of 64-bit integers.
    bool has_aux = false;
    Work aux_work = Work::kF64;
    Change aux_change = Change::kIsNan;

    PooledAxis axis[kNumPhysical];
    int order[kNumPhysical];  // pooled in this order; axes with nothing to do are left out
    int n_stages = 0;
    int together = -1;  // stages together and together + 1, kB and kW, are one kernel's work
    bool whole_planes = false;  // every window is a plane of its own: see PlanesArgs
    bool arg_window = false;  // indices by one kernel for all axes: see arg_box.hpp
    BatchAxis inner;  // strides of the contiguous run; n = 1 when kW holds the lanes
    BatchAxis batch[kMaxRank];
    int n_batch = 0;  // batch[n_batch - 1] is the one whose planes share a box

    bool huge = false;  // one window does not fit the scratch: see huge.cpp
    BoxShape box;
    std::int64_t n_boxes[kNumPhysical] = {1, 1, 1};
    std::int64_t plane_boxes = 1;
    std::int64_t inner_boxes = 1;
    std::int64_t n_tasks = 0;
    std::int64_t scratch_bytes = 0;

    bool with_index() const { return combine == Combine::kArgMax; }
    std::int64_t element() const { return work_size(work); }
    // The first kernel needs all columns of its windows, the padding included.
    bool lanes_first() const {
        return inner.n == 1 && (arg_window || order[0] == kW || together == 0);
    }
};

// Products of sizes that stay comparable however absurd: beyond kMany is kMany.
inline constexpr std::int64_t kMany = std::int64_t(1) << 40;
inline std::int64_t times(std::int64_t a, std::int64_t b) {
    std::int64_t r = 0;
    return __builtin_mul_overflow(a, b, &r) || r > kMany ? kMany : r;
}

// `all` in as few parts as hold at most so many each, the parts as equal as can be.
inline std::int64_t even_share(std::int64_t all, std::int64_t at_most) {
    const std::int64_t parts = (all + at_most - 1) / at_most;
    return (all + parts - 1) / parts;
}

// The same, of at least two each; perhaps a few more.
inline std::int64_t share_without_one(std::int64_t all, std::int64_t at_most) {
    std::int64_t share = std::max<std::int64_t>(2, even_share(all, at_most));
    while (all % share == 1) ++share;
    return share;
}

inline std::int64_t window_taps(const PoolPlan& plan) {
    std::int64_t taps = 1;
    for (int i = 0; i < plan.spec.n_axes; ++i) taps = times(taps, plan.geometry[i].kernel);
    return taps;
}

Schedule make_schedule(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                       const MutableView* indices, int threads);

// What a schedule of it reserves at most for one worker.
std::int64_t most_scratch(const PoolPlan& plan);

// Parts of make_schedule: sets the box, counts the tasks.
void choose_box(Schedule& s, int threads);
void count_tasks(Schedule& s);

// The first stage reads x itself: no element is out of place and no lane hangs over an edge.
bool reads_x(const Schedule& s);

// The first stage is along the lanes: rows that cannot be read as they are get packed, a few at a
// time.
bool packs_by_rows(const Schedule& s);

// Whether the windows of this axis are pooled by doubling, in time that grows with the logarithm
// of the window, and not tap by tap.
bool uses_doubling(const AxisGeometry& g);

}  // namespace poolcore
