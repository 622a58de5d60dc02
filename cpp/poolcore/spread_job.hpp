// What the tasks of one call of spread share, and the share of one task. Part of spread.
#pragma once

#include <optional>

#include "kernels/kernel_table.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/run.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/spread_cover.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {

inline constexpr int kSpreadAxes = 3;  // the pooled axes, the last one at 2; others are trivial

struct SpreadAxis {
    std::int64_t n = 1;
    std::int64_t grad = 0;  // strides in bytes
    std::int64_t out = 0;
};

// Elements of the input that a task gathers for, along each axis; windows of a strip.
struct SpreadBox {
    std::int64_t n[kSpreadAxes] = {1, 1, 1};
    std::int64_t lanes = 1;
    std::int64_t strip = 1;
};

struct SpreadJob {
    const PoolPlan* plan = nullptr;
    Cover cover[kSpreadAxes] = {Cover({}), Cover({}), Cover({})};
    SpreadAxis axis[kSpreadAxes];
    SpreadAxis lane;  // neighbours in memory that are not pooled; n is 1 where W has those
    SpreadAxis batch[kMaxRank];
    int n_batch = 0;
    const std::byte* grad = nullptr;
    std::byte* out = nullptr;

    WindowRange alike[kSpreadAxes];  // windows whose divisor is the usual one
    double usual[kSpreadAxes] = {1, 1, 1};

    Work work = Work::kF32;
    bool native = false;  // the gradient's type is the kernels'
    PackKernel pack = nullptr;
    FinishKernel widen = nullptr;   // integers to float64, or null
    FinishKernel divide = nullptr;  // null for sums
    FinishKernel finish = nullptr;
    RowsKernel rows = nullptr;

    SpreadBox box;
    bool slow = false;  // no box fits the scratch
    std::int64_t n_boxes[kSpreadAxes] = {1, 1, 1};
    std::int64_t lane_boxes = 1;
    std::int64_t n_tasks = 1;
    std::int64_t scratch_bytes = 0;

    std::int64_t element() const { return work_size(work); }
    // What the gradient of a window is divided by, along one axis; 1 for sums.
    double divisor(int x, std::int64_t window) const {
        if (window >= alike[x].lo && window < alike[x].hi) return usual[x];
        const AxisGeometry& g = cover[x].geometry();
        const TapRange t =
            plan->spec.count_include_pad ? g.padded_taps(window) : g.taps(window);
        return static_cast<double>(t.count());
    }
    bool all_alike(int x, WindowRange windows) const {
        return windows.lo >= alike[x].lo && windows.hi <= alike[x].hi;
    }
    double fixed_divisor() const {
        return plan->spec.has_divisor ? static_cast<double>(plan->spec.divisor) : 1;
    }
    // Of windows that are all alike.
    double usual_divisor() const { return usual[0] * usual[1] * usual[2] * fixed_divisor(); }
};

// Whether a divisor is sure to be a whole number that a double holds.
inline bool is_exact(double divisor) {
    constexpr double limit = 9007199254740992.0;  // 2^53
    return divisor > -limit && divisor < limit;
}

// Arguments of a kernel that divides all by the same.
inline FinishArgs divided_by(double divisor) {
    static constexpr double one = 1;
    FinishArgs args{};
    args.scale = divisor;
    if (is_exact(divisor)) args.divisor = static_cast<std::int64_t>(divisor);
    else args.divisors = &one;
    return args;
}

struct SpreadTask {
    const std::byte* grad;  // window 0 of its plane, its first lane
    std::byte* out;
    std::int64_t lo[kSpreadAxes];
    std::int64_t hi[kSpreadAxes];
    std::int64_t lanes;
};

// Bytes of scratch that such a box needs.
std::int64_t spread_scratch(const SpreadJob& job, const SpreadBox& box);
// Carries out one task. Returns early when it is no longer wanted.
void spread_box(const SpreadJob& job, const SpreadTask& task, Scratch& scratch);
// The same element by element, without scratch.
void spread_slowly(const SpreadJob& job, const SpreadTask& task);

// Whether the windows lie side by side on runs of memory. spread_tiles then does the whole job, as
// `parallel` says; false when it was stopped.
bool spreads_in_tiles(const SpreadJob& job, int threads);
bool spread_tiles(const SpreadJob& job, ParallelJob parallel);

// The whole job, as `parallel` says, where very many windows lie over an element, one element
// apart; otherwise nothing. The axes and kernels of the job are set.
std::optional<RunStatus> spread_long(SpreadJob& job, const StridedView& grad,
                                     const MutableView& out, const ParallelJob& parallel);

}  // namespace poolcore
