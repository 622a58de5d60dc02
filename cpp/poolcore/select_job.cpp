#include "poolcore/select_job.hpp"

#include <algorithm>

#include "poolcore/dispatch.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kTapsPerTask = 1 << 18;

std::int64_t magnitude(std::int64_t stride) { return stride < 0 ? -stride : stride; }

// The nearest axis runs along lanes, if it has enough windows for a network; else the longest.
int choose_lane(const LoopAxis* axes, int n) {
    int best = n - 1;
    for (int i = n - 1; i >= 0; --i) {
        const bool long_enough = axes[i].n >= 8;
        const bool best_is = axes[best].n >= 8;
        const bool nearer = magnitude(axes[i].in_stride) < magnitude(axes[best].in_stride);
        if (long_enough != best_is ? long_enough : long_enough ? nearer : axes[i].n > axes[best].n)
            best = i;
    }
    return best;
}

// In the order of memory the pooled axis that is nearest there is walked innermost.
void choose_slots(SelectJob& job, const StridedView& in, TapOrder by) {
    const PoolSpec& spec = job.plan->spec;
    int order[kMaxPooledAxes] = {0, 1, 2};
    const auto farther = [&](int a, int b) {
        return magnitude(in.strides[spec.axes[a]]) > magnitude(in.strides[spec.axes[b]]);
    };
    if (by == TapOrder::kMemory) std::stable_sort(order, order + spec.n_axes, farther);
    for (int i = 0; i < spec.n_axes; ++i)
        job.slot[order[i]] = i + kMaxPooledAxes - spec.n_axes;
}

void cut_tasks(SelectJob& job) {
    const std::int64_t per_task =
        std::max<std::int64_t>(1, kTapsPerTask / std::max<std::int64_t>(job.taps, 4));
    if (per_task >= job.lane.n) {
        job.lanes_per_piece = job.lane.n;
        job.rows_per_task = per_task / job.lane.n;
    } else {
        job.lanes_per_piece = per_task < kSortLanes ? per_task : per_task / kSortLanes * kSortLanes;
        job.lane_pieces = (job.lane.n + job.lanes_per_piece - 1) / job.lanes_per_piece;
    }
}

}  // namespace

// Narrows a grid to the taps of window o, and moves it there.
void place(const SelectJob& job, const LoopAxis& axis, std::int64_t o, TapGrid& grid) {
    if (axis.pooled < 0) {
        grid.base += o * axis.in_stride;
        return;
    }
    const AxisGeometry& g = job.geometry(axis);
    const TapRange taps = g.taps(o);
    const int slot = job.slot[axis.pooled];
    grid.count[slot] = taps.count();
    if (taps.count() == 0) return;
    grid.base += (g.start(o) + taps.first * g.dilation) * axis.in_stride;
    grid.step[slot] = taps.count() > 1 ? g.dilation * axis.in_stride : 0;
}

SelectJob make_select_job(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                          TapOrder order) {
    SelectJob job;
    job.plan = &plan;
    job.in = in.data;
    job.out = out.data;
    LoopAxis axes[kMaxRank];
    for (int i = 0; i < in.rank; ++i)
        axes[i] = {plan.out_shape[i], in.strides[i], out.strides[i], -1};
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        axes[plan.spec.axes[i]].pooled = i;
        const AxisGeometry& g = plan.geometry[i];
        job.taps *= std::min(g.kernel, g.in);
    }
    const int lane = choose_lane(axes, in.rank);
    job.lane = axes[lane];
    for (int i = 0; i < in.rank; ++i)
        if (i != lane) job.loops[job.n_loops++] = axes[i];
    std::stable_sort(job.loops, job.loops + job.n_loops, [](const LoopAxis& a, const LoopAxis& b) {
        return magnitude(a.in_stride) > magnitude(b.in_stride);
    });
    for (int i = 0; i < job.n_loops; ++i) job.n_rows *= job.loops[i].n;
    choose_slots(job, in, order);
    cut_tasks(job);
    if (is_float(plan.out_dtype))
        job.convert = kernels().finish[static_cast<int>(Finish::kSum)][static_cast<int>(Work::kF64)]
                                      [static_cast<int>(plan.out_dtype)];
    job.widen = kernels().pack[static_cast<int>(Change::kNone)][static_cast<int>(plan.in_dtype)]
                              [static_cast<int>(Work::kF64)];
    return job;
}

}  // namespace poolcore
