// The windows of one plane, some side by side at a time, and what their sums are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "poolcore/scratch.hpp"
#include "poolcore/soft_backward_job.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {

// Strides and dilations are 1 for the most part, and divisions take long. a > 0.
inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
    return b == 1 ? a : (a - 1) / b + 1;
}

// Windows in row-major order, some along lanes at a time: each(o) says how many, 0 to stop.
template <class Each>
void each_windows(const Range (&windows)[kMaxPooledAxes], int lane, const Each& each) {
    SoftPlace o;
    for (int i = 0; i < kMaxPooledAxes; ++i) {
        if (windows[i].size() <= 0) return;
        o[i] = windows[i].lo;
    }
    for (;;) {
        const std::int64_t taken = each(o);
        if (taken == 0) return;
        o[lane] += taken;
        for (int i = lane; o[i] >= windows[i].hi; --i) {
            if (i == 0) return;
            o[i] = windows[i].lo;
            ++o[i - 1];
        }
    }
}

// Windows side by side: the taps that one of them has in the plane.
struct SoftBatch {
    int lanes = 1;
    SoftPlace start{};  // the first window's first tap, which may lie outside
    SoftPlace count{};
    std::int64_t taps() const { return times(times(count[0], count[1]), count[2]); }
};

inline SoftBatch batch_of(const SoftGradient& job, const SoftPlace& o, std::int64_t left) {
    const AxisGeometry& lane = job.axis[job.lane].geometry;
    SoftBatch batch;
    batch.lanes = static_cast<int>(
        std::min<std::int64_t>({kSoftLanes, left, (lane.in - 1) / lane.stride + 1}));
    const auto set = [&](int i, const TapRange& taps) {
        const AxisGeometry& g = job.axis[i].geometry;
        batch.count[i] = taps.count();
        batch.start[i] = taps.count() > 0 ? g.start(o[i]) + taps.first * g.dilation : 0;
    };
    for (int i = 0; i < kMaxPooledAxes; ++i) set(i, job.axis[i].geometry.taps(o[i]));
    const TapRange first = lane.taps(o[job.lane]);
    for (; batch.lanes > 1; batch.lanes /= 2) {
        const TapRange last = lane.taps(o[job.lane] + batch.lanes - 1);
        set(job.lane, {last.first, first.last});
        if (batch.taps() * batch.lanes <= kSoftTaps) return batch;
    }
    set(job.lane, first);
    return batch;
}

// Of windows `stride` apart, the first one's tap at `at`: which of them have it in [lo, hi).
inline Range lanes_within(std::int64_t at, std::int64_t stride, int lanes, const Range& in) {
    if (at >= in.lo && at + (lanes - 1) * stride < in.hi) return {0, lanes};
    const std::int64_t first = in.lo > at ? ceil_div(in.lo - at, stride) : 0;
    const std::int64_t last = in.hi > at ? ceil_div(in.hi - at, stride) : 0;
    return {std::min<std::int64_t>(first, lanes), std::min<std::int64_t>(last, lanes)};
}

// The windows of one plane.
class SoftMeasure {
   public:
    SoftMeasure(const SoftGradient& job, Scratch& scratch) : job_(job), block_(scratch) {}
    void go_to(const std::byte* x) { x_ = x; }

    // Afterwards the block holds all taps, weighed, if they fit. False when the job is to stop.
    bool sums(const SoftBatch& batch, SoftLanes& soft) {
        if (batch.taps() == 0) return !stop_.stops(1);
        if (batch.lanes > 1) {
            load_lanes(batch);
            soft.see(block_);
            soft.settle();
            soft.weigh(block_);
            soft.add(block_);
            return !stop_.stops(block_.taps * batch.lanes);
        }
        const TapGrid grid = grid_of(batch.start, batch.count);
        if (!each_piece(grid, [&](const auto&) { soft.see(block_); })) return false;
        soft.settle();
        const auto add = [&](const auto&) {
            soft.weigh(block_);
            soft.add(block_);
        };
        if (grid.taps() > kSoftTaps) return each_piece(grid, add);
        add(0);
        return true;
    }

    TapGrid grid_of(const SoftPlace& start, const SoftPlace& count) const {
        TapGrid grid;
        grid.base = x_;
        for (int i = 0; i < kMaxPooledAxes; ++i) {
            const GradientAxis& axis = job_.axis[i];
            grid.base += start[i] * axis.x;
            grid.count[i] = count[i];
            grid.step[i] = count[i] > 1 ? axis.geometry.dilation * axis.x : 0;
        }
        return grid;
    }
    // each(first) after a piece of one window's taps has been loaded.
    template <class Each>
    bool each_piece(const TapGrid& grid, const Each& each) {
        return for_pieces(grid, kSoftTaps, stop_, [&](const TapGrid& piece, const auto& first) {
            block_.load(job_.load_x, piece, 0, 1);
            counts_ = piece;
            each(first);
        });
    }
    SoftBlock& block() { return block_; }
    const TapGrid& piece() const { return counts_; }

   private:
    // A tap outside has no weight.
    static constexpr double kOutside = -std::numeric_limits<double>::infinity();
    void load_lanes(const SoftBatch& batch) {
        const GradientAxis& lane = job_.axis[job_.lane];
        const std::int64_t stride = lane.geometry.stride, step = stride * lane.x;
        double* to = block_.below;
        SoftPlace j;
        for (j[0] = 0; j[0] < batch.count[0]; ++j[0])
            for (j[1] = 0; j[1] < batch.count[1]; ++j[1])
                for (j[2] = 0; j[2] < batch.count[2]; ++j[2], to += batch.lanes) {
                    SoftPlace at;
                    for (int i = 0; i < kMaxPooledAxes; ++i)
                        at[i] = batch.start[i] + j[i] * job_.axis[i].geometry.dilation;
                    const Range some = lanes_within(at[job_.lane], stride, batch.lanes,
                                                    {0, lane.geometry.in});
                    std::fill(to, to + some.lo, kOutside);
                    std::fill(to + std::max(some.lo, some.hi), to + batch.lanes, kOutside);
                    if (some.size() <= 0) continue;
                    at[job_.lane] += some.lo * stride;
                    const std::byte* p = x_;
                    for (int i = 0; i < kMaxPooledAxes; ++i) p += at[i] * job_.axis[i].x;
                    job_.load_x(p, step, some.size(), to + some.lo);
                }
        block_.taps = batch.taps();
    }

    const SoftGradient& job_;
    SoftBlock block_;
    const std::byte* x_ = nullptr;
    TapGrid counts_;
    StopPoll stop_;
};

}  // namespace poolcore
