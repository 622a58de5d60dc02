#include "poolcore/totals.hpp"

#include <algorithm>
#include <bit>

namespace poolcore {
namespace {

// The integer of the array that is as it is in the kernels.
DType native(Work work) {
    switch (work) {
        case Work::kI16: return DType::kInt16;
        case Work::kU16: return DType::kUInt16;
        case Work::kI32: return DType::kInt32;
        case Work::kI64: return DType::kInt64;
        default: return DType::kUInt64;
    }
}

constexpr std::int64_t kLeastInner = 16;

// Elements of x that a window covers along the axis.
Range covered(const AxisGeometry& g, std::int64_t window) {
    const TapRange taps = g.taps(window);
    return {g.start(window) + taps.first, g.start(window) + taps.last};
}

}  // namespace

bool uses_sliding(Combine combine, Work work, const AxisGeometry& g, int axis,
                  std::int64_t inner) {
    return adds_integers(combine, work) && uses_doubling(g) && g.dilation == 1 &&
           (axis != kW || inner >= kLeastInner);
}

void pool_across_sliding(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
                         const Field& to) {
    const SlidingKernel kernel =
        c.kernels->sliding[static_cast<int>(c.widens ? c.source : native(c.work))]
                          [static_cast<int>(c.work)];
    const std::int64_t tap = from.stride[axis], step = to.stride[axis];
    SlidingArgs a;
    a.tap_stride = tap;
    const LoopNest nest = loops_beside(c, axis, from, to);
    a.n = nest.run();
    pool_windows(c, g, axis, from, to, {to.origin[axis], to.origin[axis] + 1},
                 g.taps(to.origin[axis]));
    Range before = covered(g, to.origin[axis]);
    for (std::int64_t i = 1; i < to.extent[axis]; ++i) {
        const Range now = covered(g, to.origin[axis] + i);
        const Range come{std::max(before.hi, now.lo), now.hi};
        const Range go{before.lo, std::min(before.hi, now.lo)};
        a.come = come.size();
        a.go = go.size();
        nest.all([&](std::int64_t at, std::int64_t result) {
            a.coming = from.values + at + (come.lo - from.origin[axis]) * tap;
            a.going = from.values + at + (go.lo - from.origin[axis]) * tap;
            a.dst = to.values + result + i * step;
            a.before = a.dst - step;
            kernel(a);
        });
        before = now;
    }
}

void pool_spans(const StageContext& c, const LoopNest& lines, const Ends& ends,
                std::int64_t windows, std::int64_t taps) {
    const std::int64_t mark = c.scratch->mark();
    SpansArgs a;
    a.n = windows;
    a.taps = taps;
    a.scratch = c.scratch->take(spans_scratch(windows, taps, c.element()));
    const SpansKernel kernel =
        c.kernels->spans[std::countr_zero(static_cast<std::uint64_t>(c.element()))];
    lines.all([&](std::int64_t from, std::int64_t to) {
        a.src = ends.from + from;
        a.dst = ends.to + to;
        kernel(a);
    });
    c.scratch->release(mark);
}

std::int64_t spans_scratch(std::int64_t windows, std::int64_t taps, std::int64_t element) {
    return times(windows + taps, element) + 2 * kLargestVector;
}

}  // namespace poolcore
