#include "poolcore/narrow.hpp"

#include <algorithm>

#include "poolcore/finish.hpp"
#include "poolcore/moves.hpp"

namespace poolcore {
namespace {

// Windows along kB or kW that have the same taps of x and the same divisor, or a single one.
struct Group {
    Range windows;
    TapRange taps;
    double divisor;
};

// Integer means are made in the kernel for the divisors of whole windows.
constexpr double kMostIntegerDivisor = 9;

bool small(const AxisGeometry& g) { return g.kernel <= 3; }

// Every second lane, as the kernel splits them.
bool by_pairs(const Schedule& s) { return s.inner.n == 1 && s.axis[kW].geometry.stride == 2; }

// Windows that read every element nine times: there keys, packed once, cost less.
bool reads_each_often(const Schedule& s) {
    const AxisGeometry& b = s.axis[kB].geometry;
    const AxisGeometry& w = s.axis[kW].geometry;
    return b.kernel == 3 && w.kernel == 3 && b.stride == 1 && w.stride == 1;
}

Narrow wanted(const Schedule& s) {
    if (s.combine == Combine::kMax) return Narrow::kMax;
    if (s.combine == Combine::kMin) return Narrow::kMin;
    const PoolPlan& plan = *s.plan;
    const bool means = s.finish == Finish::kMean || is_float(plan.in_dtype);
    return means && plan.in_dtype == plan.out_dtype && item_size(plan.in_dtype) <= 2
               ? Narrow::kResult
               : Narrow::kSum;
}

bool result_lies_in_lanes(const Schedule& s) {
    const std::int64_t size = static_cast<std::int64_t>(item_size(s.plan->out_dtype));
    if (s.inner.n > 1) return s.inner.out_stride == size;
    return s.axis[kW].out_stride == size || s.axis[kW].geometry.out == 1;
}

class NarrowBox {
   public:
    NarrowBox(const Schedule& s, const KernelTable& kernels, const Box& box, Scratch& scratch)
        : s_(s), box_(box), source_(source_of(s, box)), kernels_(kernels), scratch_(scratch) {}

    // Calls body(rows, columns) for every pair of groups.
    template <class Body>
    void for_groups(const Body& body) const {
        for_axis(kB, [&](const Group& rows) {
            for_axis(kW, [&](const Group& columns) { body(rows, columns); });
        });
    }

    // Whether all windows have taps and the kernel can finish them.
    bool fits(Narrow narrow) const {
        bool fit = true;
        const bool floats = is_float(s_.plan->in_dtype);
        const double most = floats ? kFloatCounts : kMostIntegerDivisor;
        for_groups([&](const Group& rows, const Group& columns) {
            const double divisor = divisor_of(rows, columns);
            fit = fit && rows.taps.count() > 0 && columns.taps.count() > 0;
            if (narrow != Narrow::kResult || s_.finish != Finish::kMean) return;
            fit = fit && divisor <= most && (floats ? divisor >= -most : divisor >= 1);
        });
        return fit;
    }

    void pool(Narrow narrow, const Field& to) {
        bytes_ = narrow == Narrow::kSum ? s_.element()
                                        : static_cast<std::int64_t>(item_size(s_.plan->in_dtype));
        const NarrowKernel kernel = kernels_.narrow[static_cast<int>(narrow)]
                                                   [static_cast<int>(s_.plan->in_dtype)];
        for_groups([&](const Group& rows, const Group& columns) {
            call(kernel, rows, columns, to);
        });
    }

   private:
    double divisor_of(const Group& rows, const Group& columns) const {
        if (s_.finish != Finish::kMean) return 0;
        if (s_.plan->spec.has_divisor) return static_cast<double>(s_.plan->spec.divisor);
        return rows.divisor * columns.divisor;
    }

    Group group(int axis, Range windows, TapRange taps) const {
        const TapRange counted = s_.plan->spec.count_include_pad
                                     ? s_.axis[axis].asked.padded_taps(windows.lo)
                                     : taps;
        return {windows, taps, static_cast<double>(counted.count())};
    }

    template <class Body>
    void for_axis(int axis, const Body& body) const {
        const AxisGeometry& g = s_.axis[axis].geometry;
        const Range all = box_.windows[axis];
        const TapRange inside = g.interior();
        const std::int64_t first = std::clamp(inside.first, all.lo, all.hi);
        const std::int64_t last = std::clamp(inside.last, first, all.hi);
        for (std::int64_t o = all.lo; o < first; ++o) body(group(axis, {o, o + 1}, g.taps(o)));
        if (first < last) body(group(axis, {first, last}, {0, g.kernel}));
        for (std::int64_t o = last; o < all.hi; ++o) body(group(axis, {o, o + 1}, g.taps(o)));
    }

    // Offset of the first tap of the first window of a group.
    std::int64_t offset(int axis, const Group& group) const {
        const AxisGeometry& g = s_.axis[axis].geometry;
        return (g.start(group.windows.lo) + group.taps.first * g.dilation) * source_.stride[axis];
    }

    // How a kernel goes over a pair of groups: four loops, the innermost first, around its run.
    struct Loop {
        std::int64_t n, from, to;
    };
    struct Nest {
        Loop loops[4];
    };

    void call(NarrowKernel kernel, const Group& rows, const Group& columns,
              const Field& to) const {
        const AxisGeometry& b = s_.axis[kB].geometry;
        const AxisGeometry& w = s_.axis[kW].geometry;
        NarrowArgs a;
        // kA is not pooled here: its windows are positions.
        a.src = source_.base + box_.windows[kA].lo * source_.stride[kA] + offset(kB, rows) +
                offset(kW, columns);
        a.dst = to.values + (rows.windows.lo - to.origin[kB]) * to.stride[kB] +
                (columns.windows.lo - to.origin[kW]) * to.stride[kW];
        a.row_stride = wrapped(b.dilation, source_.stride[kB]);
        a.tap_stride = wrapped(w.dilation, source_.stride[kW]);
        a.rows = rows.taps.count();
        a.taps = columns.taps.count();
        a.divisor = divisor_of(rows, columns);
        a.rounding = s_.plan->spec.rounding;
        a.pairs = by_pairs(s_) && columns.windows.size() > 1;
        const Loop line{rows.windows.size(), wrapped(b.stride, source_.stride[kB]), to.stride[kB]};
        const Loop column{columns.windows.size(), wrapped(w.stride, source_.stride[kW]),
                          to.stride[kW]};
        const Loop plane{to.planes, source_.plane_stride, to.plane_stride};
        const Loop slice{to.extent[kA], source_.stride[kA], to.stride[kA]};
        if (s_.inner.n == 1) {
            a.n = columns.windows.size();
            return run(kernel, a, {{line, plane, slice, {1, 0, 0}}});
        }
        a.n = to.inner;
        const std::int64_t pixel = to.inner * bytes_;
        const bool dense = to.stride[kW] == pixel &&
                           source_.stride[kW] == to.inner * source_.inner_stride;
        const Nest lines{{line, plane, slice, {1, 0, 0}}};
        if (dense && w.stride == 1) {
            a.n *= column.n;
            return run(kernel, a, lines);
        }
        if (dense && picks_pixels(pixel, column.n, w.stride))
            return run_dense(kernel, a, column.n, lines);
        run(kernel, a, {{column, line, plane, slice}});
    }

    static void run(NarrowKernel kernel, NarrowArgs a, const Nest& nest) {
        const std::byte* src = a.src;
        std::byte* dst = a.dst;
        const Loop* loops = nest.loops;
        a.n1 = loops[0].n;
        a.src_stride1 = loops[0].from;
        a.dst_stride1 = loops[0].to;
        a.n0 = loops[1].n;
        a.src_stride0 = loops[1].from;
        a.dst_stride0 = loops[1].to;
        for (std::int64_t i = 0; i < loops[3].n; ++i)
            for (std::int64_t j = 0; j < loops[2].n; ++j) {
                a.src = src + i * loops[3].from + j * loops[2].from;
                a.dst = dst + i * loops[3].to + j * loops[2].to;
                kernel(a);
            }
    }

    // Runs of a few elements: windows are pooled at every position of the line, in whole vectors,
    // and those asked for picked out of it.
    void run_dense(NarrowKernel kernel, const NarrowArgs& args, std::int64_t windows,
                   const Nest& nest) const {
        const std::int64_t stride = s_.axis[kW].geometry.stride;
        const std::int64_t pixel = args.n * bytes_;
        const std::int64_t mark = scratch_.mark();
        NarrowArgs a = args;
        a.n = ((windows - 1) * stride + 1) * args.n;
        a.n0 = a.n1 = 1;
        a.src_stride0 = a.src_stride1 = a.dst_stride0 = a.dst_stride1 = 0;
        a.dst = scratch_.take(a.n * bytes_ + kWidePixel);
        const Loop* loops = nest.loops;
        for (std::int64_t i = 0; i < loops[2].n; ++i)
            for (std::int64_t j = 0; j < loops[1].n; ++j)
                for (std::int64_t k = 0; k < loops[0].n; ++k) {
                    a.src = args.src + i * loops[2].from + j * loops[1].from + k * loops[0].from;
                    kernel(a);
                    std::byte* const dst =
                        args.dst + i * loops[2].to + j * loops[1].to + k * loops[0].to;
                    pick_pixels(kernels_, a.dst, dst, windows, pixel, stride * pixel);
                }
        scratch_.release(mark);
    }

    const Schedule& s_;
    const Box& box_;
    const Source source_;
    const KernelTable& kernels_;
    Scratch& scratch_;
    std::int64_t bytes_ = 0;  // of a result, as the kernel stores it
};

}  // namespace

bool pools_narrow(const Schedule& s) {
    const PoolPlan& plan = *s.plan;
    const bool sums = s.combine == Combine::kSum;
    const bool halves = is_float(plan.in_dtype) && item_size(plan.in_dtype) == 2;
    const bool integers = !is_float(plan.in_dtype) && item_size(plan.in_dtype) <= 4;
    const bool omit = s.combine == Combine::kMaxOmit || s.combine == Combine::kMinOmit;
    if (s.with_index() || omit || s.has_aux || s.huge || s.powers) return false;
    if (!halves && !(integers && sums)) return false;
    if (halves && s.work != Work::kF32) return false;
    if (integers && s.work >= Work::kF32) return false;
    if (halves && !sums && reads_each_often(s)) return false;
    for (int i = 0; i < s.n_stages; ++i)
        if (s.order[i] == kA) return false;
    const AxisGeometry& w = s.axis[kW].geometry;
    if (!small(s.axis[kB].geometry) || !small(w)) return false;
    // Float sums go along kB first, orders along kW.
    if (halves && s.n_stages == 2 && s.order[0] != (sums ? kB : kW)) return false;
    const std::int64_t item = static_cast<std::int64_t>(item_size(plan.in_dtype));
    const bool along = s.inner.n == 1;
    const bool lanes = along ? s.axis[kW].in_stride == item || w.in == 1
                             : s.inner.in_stride == item;
    const bool steps = !along || w.stride == 1 || w.out == 1 ||
                       (w.stride == 2 && w.dilation == 1 && w.kernel > 1);
    return lanes && steps;
}

bool pool_narrow(const Schedule& s, const KernelTable& kernels, const Box& box,
                 Scratch& scratch) {
    NarrowBox narrow(s, kernels, box, scratch);
    Narrow what = wanted(s);
    if (what == Narrow::kSum || !result_lies_in_lanes(s) || !narrow.fits(what)) {
        what = Narrow::kSum;
        if (s.combine != Combine::kSum || !narrow.fits(what)) return false;
        const StageContext c{&kernels, s.combine, s.work, &scratch};
        const Field sums = make_field(c, box.planes, box.windows, box.inner);
        narrow.pool(what, sums);
        finish_box(s, c, s.finish, box, sums, nullptr);
        return true;
    }
    narrow.pool(what, field_on_output(s, box));
    return true;
}

}  // namespace poolcore
