// A plan laid over memory as rows of windows, for operations that see one window at a time: the
// output axis whose windows lie nearest in memory runs along lanes, all others are loops; rows are
// cut into tasks of like cost. The run family only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernel_table.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/select_window.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// One axis of the result.
struct LoopAxis {
    std::int64_t n = 1;
    std::int64_t in_stride = 0;
    std::int64_t out_stride = 0;
    int pooled = -1;  // which pooled axis, or none
};

struct SelectJob {
    const PoolPlan* plan = nullptr;
    const std::byte* in = nullptr;
    std::byte* out = nullptr;
    LoopAxis loops[kMaxRank];  // from the farthest apart to the nearest
    int n_loops = 0;
    LoopAxis lane;
    int slot[kMaxPooledAxes] = {0, 1, 2};  // where a pooled axis stands in a TapGrid
    std::int64_t lane_pieces = 1;          // tasks of one row
    std::int64_t lanes_per_piece = 1;
    std::int64_t n_rows = 1;
    std::int64_t rows_per_task = 1;
    std::int64_t taps = 1;  // of the fullest window
    FinishKernel convert = nullptr;  // from double to the result's type, if that is a float type
    PackKernel widen = nullptr;      // from the type of x to double

    const AxisGeometry& geometry(const LoopAxis& axis) const { return plan->geometry[axis.pooled]; }
    std::int64_t n_tasks() const {
        return (n_rows + rows_per_task - 1) / rows_per_task * lane_pieces;
    }
};

// Taps come in the order of the caller's axes, or in that of memory where the result cannot tell.
enum class TapOrder { kAxes, kMemory };
SelectJob make_select_job(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                          TapOrder order);

// Narrows a grid to the taps of window o, and moves it there.
void place(const SelectJob& job, const LoopAxis& axis, std::int64_t o, TapGrid& grid);

// Calls row(grid, out, lo, hi) for windows [lo, hi) of every row of a task; the grid holds the
// other axes.
template <class Row>
void each_row(const SelectJob& job, std::int64_t task, const Row& row) {
    const std::int64_t lo = task % job.lane_pieces * job.lanes_per_piece;
    const std::int64_t hi = std::min(lo + job.lanes_per_piece, job.lane.n);
    const std::int64_t first = task / job.lane_pieces * job.rows_per_task;
    const std::int64_t last = std::min(first + job.rows_per_task, job.n_rows);
    // Looking for a stop takes as long as a few small windows.
    const std::int64_t taps = std::min(job.taps, kTapsPerLook) * std::min(hi - lo, kTapsPerLook);
    std::int64_t before_look = 0;
    for (std::int64_t number = first; number < last; ++number) {
        if (before_look <= 0 && stop_requested()) return;
        before_look = (before_look <= 0 ? kTapsPerLook : before_look) - taps;
        TapGrid grid;
        grid.base = job.in;
        std::byte* out = job.out;
        std::int64_t left = number;
        for (int i = job.n_loops - 1; i >= 0; --i) {
            const std::int64_t o = left % job.loops[i].n;
            left /= job.loops[i].n;
            place(job, job.loops[i], o, grid);
            out += o * job.loops[i].out_stride;
        }
        row(grid, out, lo, hi);
    }
}

}  // namespace poolcore
