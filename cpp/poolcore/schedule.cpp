#include "poolcore/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "poolcore/arg_kind.hpp"
#include "poolcore/stages.hpp"

namespace poolcore {
namespace {

// ---- what the kernels work on ----------------------------------------------------------------

Work order_work(DType t) {
    switch (t) {
        case DType::kInt8: return Work::kI8;
        case DType::kInt16: return Work::kI16;
        case DType::kUInt16: return Work::kU16;
        case DType::kInt32: return Work::kI32;
        case DType::kUInt32: return Work::kU32;
        case DType::kInt64: return Work::kI64;
        case DType::kUInt64: return Work::kU64;
        case DType::kFloat16:
        case DType::kBFloat16:
        case DType::kFloat32: return Work::kF32;
        case DType::kFloat64: return Work::kF64;
        default: return Work::kU8;
    }
}

// An index beside each value is as wide as the value, so it must hold every place in the plane.
Work indexed_work(DType t, bool large_plane) {
    if (t == DType::kUInt64) return Work::kU64;
    if (is_float(t)) return large_plane || t == DType::kFloat64 ? Work::kF64 : Work::kF32;
    if (large_plane || t == DType::kInt64) return Work::kI64;
    return t == DType::kUInt32 ? Work::kU32 : Work::kI32;
}

// Float sums of up to so many taps are added in float32, in a tree of that many leaves.
constexpr std::int64_t kFloat32Taps = 4096;

Work sum_work(const PoolPlan& plan) {
    const DType t = plan.in_dtype;
    const std::int64_t taps = window_taps(plan);
    if (is_float(t)) {
        const bool wide = t == DType::kFloat64 || plan.out_dtype == DType::kFloat64;
        return wide || taps > kFloat32Taps ? Work::kF64 : Work::kF32;
    }
    if (t == DType::kUInt64) return Work::kU64;
    const int bits = static_cast<int>(item_size(t)) * 8;
    if (bits == 8 && taps <= 256) return is_signed(t) ? Work::kI16 : Work::kU16;
    return bits <= 16 && taps < (std::int64_t(1) << (31 - bits)) ? Work::kI32 : Work::kI64;
}

// Doubles hold these sums exactly, and there are more kernels for them; four taps of 32 bits are
// done sooner than converted.
bool sums_as_doubles(const Schedule& s) {
    const PoolPlan& plan = *s.plan;
    const std::size_t size = item_size(plan.in_dtype);
    return s.finish == Finish::kMean && !is_float(plan.in_dtype) && is_float(plan.out_dtype) &&
           s.sums_fit_double && (size == 8 || (size == 4 && window_taps(plan) > 4));
}

// Sums of powers are float64; the largest magnitude is found in the type there is.
void choose_power_work(Schedule& s) {
    const PoolPlan& plan = *s.plan;
    const bool floats = is_float(plan.in_dtype);
    const bool omit = floats && plan.spec.nan_policy == NanPolicy::kOmit;
    s.powers = true;
    s.work = Work::kF64;
    if (std::isinf(plan.spec.power)) {
        s.combine = omit ? Combine::kMaxOmit : Combine::kMax;
        s.finish = Finish::kOrder;
        if (floats && plan.out_dtype != DType::kFloat64) s.work = order_work(plan.in_dtype);
        return;
    }
    s.combine = Combine::kSum;
    s.finish = Finish::kSum;
    s.has_aux = omit;
}

void choose_work(Schedule& s) {
    const PoolPlan& plan = *s.plan;
    const PoolSpec& spec = plan.spec;
    const bool floats = is_float(plan.in_dtype);
    if (spec.op == Op::kLp || spec.op == Op::kGem) return choose_power_work(s);
    if (spec.op == Op::kSum || spec.op == Op::kAvg) {
        s.combine = Combine::kSum;
        s.finish = spec.op == Op::kSum ? Finish::kSum : Finish::kMean;
        s.work = sum_work(plan);
        const bool exact = spec.op == Op::kAvg || is_float(plan.out_dtype);
        s.sums_fit_double =
            plan.small_sums ||
            (item_size(plan.in_dtype) < 8 &&
             window_taps(plan) < std::int64_t(1) << (50 - 8 * item_size(plan.in_dtype)));
        if (exact && !floats && item_size(plan.in_dtype) == 8 && !plan.small_sums) {
            s.work = Work::kI64;
            s.change = Change::kHigh32;
            s.has_aux = true;
            s.aux_work = Work::kU64;
            s.aux_change = Change::kLow32;
        }
        if (sums_as_doubles(s)) s.work = Work::kF64;
    } else if (spec.return_indices) {
        std::int64_t plane = 1;
        for (int i = 0; i < spec.n_axes; ++i) plane = times(plane, plan.geometry[i].in);
        s.combine = Combine::kArgMax;
        s.work = indexed_work(plan.in_dtype, plane > INT32_MAX);
        s.change = spec.op == Op::kMin ? Change::kReverse : Change::kNone;
        s.finish = spec.op == Op::kMin ? Finish::kOrderReverse : Finish::kOrder;
    } else {
        const bool omit = floats && spec.nan_policy == NanPolicy::kOmit;
        s.combine = spec.op == Op::kMax ? (omit ? Combine::kMaxOmit : Combine::kMax)
                                        : (omit ? Combine::kMinOmit : Combine::kMin);
        s.work = order_work(plan.in_dtype);
        s.has_keys = floats && item_size(plan.in_dtype) == 2 &&
                     spec.nan_policy != NanPolicy::kOmit;
    }
    // Orders without indices have a combination of their own that passes over NaN.
    const bool counts = s.combine == Combine::kSum || s.with_index();
    if (floats && counts && spec.nan_policy == NanPolicy::kOmit) s.has_aux = true;
}

// ---- which axis is which ---------------------------------------------------------------------

// The order of the axes is part of the result: powers of integers are floats, too.
bool pools_floats(const Schedule& s) { return is_float(s.plan->in_dtype) || s.powers; }

std::int64_t magnitude(std::int64_t stride) { return stride < 0 ? -stride : stride; }

struct Views {
    const StridedView& in;
    const MutableView& out;
    const MutableView* indices;
};

BatchAxis batch_axis(const Views& v, int axis) {
    return {v.in.shape[axis], v.in.strides[axis], v.out.strides[axis],
            v.indices ? v.indices->strides[axis] : 0};
}

bool mergeable(const BatchAxis& outer, const BatchAxis& inner) {
    return outer.in_stride == inner.n * inner.in_stride &&
           outer.out_stride == inner.n * inner.out_stride &&
           outer.index_stride == inner.n * inner.index_stride;
}

// All axes that are not pooled, from the farthest apart to the nearest, merged where they can be.
void collect_batch(Schedule& s, const Views& v, const bool pooled[kMaxRank]) {
    BatchAxis axes[kMaxRank];
    int n = 0;
    for (int i = 0; i < v.in.rank; ++i)
        if (!pooled[i] && v.in.shape[i] != 1) axes[n++] = batch_axis(v, i);
    std::stable_sort(axes, axes + n, [](const BatchAxis& a, const BatchAxis& b) {
        return magnitude(a.in_stride) > magnitude(b.in_stride);
    });
    for (int i = 0; i < n; ++i) {
        if (s.n_batch > 0 && mergeable(s.batch[s.n_batch - 1], axes[i])) {
            BatchAxis& last = s.batch[s.n_batch - 1];
            const std::int64_t count = last.n * axes[i].n;
            last = axes[i];
            last.n = count;
        } else {
            s.batch[s.n_batch++] = axes[i];
        }
    }
}

// The pooled axis nearest in memory becomes kW; the others keep their order as kA, kB.
void place_pooled(Schedule& s, const Views& v) {
    // Sums go from the first axis to the last, orders from the last to the first, so that ties
    // are met in row-major order. Integers do not care: there memory decides.
    const bool forward = s.combine == Combine::kSum;
    const Trim trim = forward ? Trim::kWholeBlocks : Trim::kAll;
    const PoolPlan& plan = *s.plan;
    const int n = plan.spec.n_axes;
    int nearest = n - 1;
    for (int i = n - 1; i >= 0; --i) {
        const auto far = [&](int k) {
            const int axis = plan.spec.axes[k];
            return plan.geometry[k].in == 1 ? INT64_MAX : magnitude(v.in.strides[axis]);
        };
        if (far(i) < far(nearest)) nearest = i;
    }
    std::int64_t steps[kMaxPooledAxes];
    std::int64_t step = 1;
    for (int i = n - 1; i >= 0; --i) {
        steps[i] = step;
        step = times(step, plan.geometry[i].in);
    }
    int place[kMaxPooledAxes];
    int next = kB - (n - 2);
    for (int i = 0; i < n; ++i) {
        place[i] = i == nearest ? static_cast<int>(kW) : next++;
        const int axis = plan.spec.axes[i];
        const AxisGeometry& g = plan.geometry[i];
        s.axis[place[i]] = {g.trimmed(trim), g, v.in.strides[axis], v.out.strides[axis],
                            v.indices ? v.indices->strides[axis] : 0, steps[i]};
    }
    if (!pools_floats(s) && !s.with_index())
        for (int i = 0; i < n; ++i) place[i] = kW - (n - 1) + i;
    for (int i = 0; i < n; ++i) s.order[i] = place[forward ? i : n - 1 - i];
    s.n_stages = n;
}

bool is_identity(const AxisGeometry& g) {
    return g.kernel == 1 && g.stride == 1 && g.pad_lo == 0 && g.pad_hi == 0;
}

// Lanes run along an axis that is not pooled when that one is contiguous and kW is not.
void choose_lanes(Schedule& s, std::int64_t item) {
    s.inner = {1, item, static_cast<std::int64_t>(item_size(s.plan->out_dtype)), 8};
    if (s.n_batch == 0 || s.batch[s.n_batch - 1].in_stride != item) return;
    if (s.axis[kW].in_stride == item && s.axis[kW].geometry.in > 1) return;
    s.inner = s.batch[--s.n_batch];
}

void drop_idle_stages(Schedule& s) {
    int kept = 0;
    for (int i = 0; i < s.n_stages; ++i)
        if (!is_identity(s.axis[s.order[i]].geometry)) s.order[kept++] = s.order[i];
    if (kept == 0) s.order[kept++] = kW;  // nothing to pool is pooling one element at a time
    s.n_stages = kept;
}

// Indices of small windows: from x as it is, in one kernel.
void choose_arg_window(Schedule& s) {
    if (!s.with_index() || !takes_arg_window(s)) return;
    s.arg_window = true;
    const DType t = s.plan->in_dtype;
    s.work = is_float(t) && item_size(t) == 2 ? Work::kI16 : order_work(t);
    s.change = Change::kNone;
    s.has_aux = false;
}

void find_together(Schedule& s) {
    const bool sum = s.combine == Combine::kSum;
    for (int i = 0; i + 1 < s.n_stages && s.inner.n == 1; ++i)
        if (s.order[sum ? i : i + 1] == kB && s.order[sum ? i + 1 : i] == kW &&
            pools_together(s, s.axis[kB].geometry, s.axis[kW].geometry))
            s.together = i;
}

// The kernels' type is that of x, whose lanes are neighbours, and nothing is to be changed.
bool may_read_x(const Schedule& s) {
    const PoolPlan& plan = *s.plan;
    const std::int64_t size = s.element();
    const bool native =
        order_work(plan.in_dtype) == s.work && is_float(plan.in_dtype) == (s.work >= Work::kF32) &&
        static_cast<std::int64_t>(item_size(plan.in_dtype)) == size;
    const bool lanes = s.inner.n > 1 ? s.inner.in_stride == size
                                     : s.axis[kW].in_stride == size || s.axis[kW].geometry.in == 1;
    if (s.arg_window) return lanes;
    return native && lanes && s.change == Change::kNone && !s.has_aux && !s.with_index() &&
           !s.powers;
}

// One window, which is the axis itself.
bool is_whole(const AxisGeometry& g) {
    return g.out == 1 && g.kernel == g.in && g.dilation == 1 && g.pad_lo == 0 && g.pad_hi == 0;
}

// Bytes of a plane that one call of a kernel may take: more could keep a signal waiting.
constexpr std::int64_t kMostPlane = 16 * 1024 * 1024;
// Orders of wider planes are not packed.
constexpr std::int64_t kMostPacked = 8;
// Lines of floats that are summed sooner side by side: twice the widest vector, of elements that are
// read as they are, or so many others. Xeon with AVX-512, global means of 1-D arrays.
constexpr std::int64_t kShortLineBytes = 2 * kLargestVector;
constexpr std::int64_t kShortLine = 16;

// Planes of kB and kW, or lines of kW; kA, where it is pooled, in a stage of its own, before or after
// them.
void find_whole_planes(Schedule& s) {
    const AxisGeometry& b = s.axis[kB].geometry;
    const AxisGeometry& w = s.axis[kW].geometry;
    const bool order = s.combine != Combine::kSum;
    int planes = 0;
    for (int i = 0; i < s.n_stages; ++i) planes += s.order[i] != kA;
    const bool side_by_side = s.n_stages == planes || s.order[1] != kA;
    const std::int64_t few = may_read_x(s) ? kShortLineBytes / s.element() : kShortLine;
    const bool lines = s.n_stages == 1 && s.order[0] == kW &&
                       (order || s.work < Work::kF32 || w.in > few);
    // The kernel's own order, which integers do not mind.
    const int first = s.order[0] == kA ? s.order[1] : s.order[0];
    const bool in_order = lines || !pools_floats(s) || first == (order ? kW : kB);
    const bool fits = !order || w.in <= kMostPacked || may_read_x(s);
    s.whole_planes = (planes == 2 || lines) && side_by_side && in_order && s.inner.n == 1 &&
                     (s.n_stages == 3 ? s.axis[kA].in_stride > 0
                                      : s.axis[kA].geometry.out == 1) &&
                     !s.with_index() && is_whole(b) && is_whole(w) && fits &&
                     times(times(b.in, w.in), s.element()) <= kMostPlane &&
                     (lines || s.axis[kB].in_stride > 0) && s.axis[kW].in_stride > 0 &&
                     (s.n_batch == 0 || s.batch[s.n_batch - 1].in_stride > 0);
    if (s.whole_planes) s.together = -1;
}

void choose_direct(Schedule& s) {
    const PoolPlan& plan = *s.plan;
    const std::int64_t size = s.element();
    s.direct_in = may_read_x(s);
    if (s.arg_window) return;
    const std::int64_t item = static_cast<std::int64_t>(item_size(plan.in_dtype));
    const bool in_lanes = s.inner.n > 1
                              ? s.inner.in_stride == item
                              : s.axis[kW].in_stride == item || s.axis[kW].geometry.in == 1;
    const bool across = s.inner.n > 1 || s.order[0] != kW || s.whole_planes;
    s.widens = s.combine == Combine::kSum && s.change == Change::kNone && !s.has_aux &&
               !s.powers && !s.direct_in && in_lanes && across && s.together != 0;
    const bool same = static_cast<std::int64_t>(item_size(plan.out_dtype)) == size;
    const bool out_lanes = s.inner.n > 1
                               ? s.inner.out_stride == size
                               : s.axis[kW].out_stride == size || s.axis[kW].geometry.out == 1;
    // The identity of min, 255 for bytes, must not get into an array of bool.
    const bool clean = plan.in_dtype != DType::kBool || s.combine == Combine::kMax;
    const bool one_by_one = s.whole_planes && s.n_batch > 0 &&
                            s.batch[s.n_batch - 1].n > 1 &&
                            s.batch[s.n_batch - 1].out_stride != size;
    s.direct_out = s.finish == Finish::kOrder && same && out_lanes && !s.has_aux &&
                   !s.with_index() && clean && !one_by_one &&
                   !(s.powers && plan.empty_windows);
    s.direct_mean = s.finish == Finish::kMean && s.work >= Work::kF32 && same && out_lanes &&
                    is_float(plan.out_dtype) && !s.has_aux &&
                    s.together >= 0 && s.together + 2 == s.n_stages;
}

}  // namespace

bool reads_x(const Schedule& s) {
    if (s.widens) return true;
    if (!s.direct_in) return false;
    if (!s.lanes_first()) return true;
    const AxisGeometry& g = s.axis[kW].geometry;
    const TapRange inside = g.interior();
    return (inside.first == 0 && inside.last == g.out) ||
           (s.together == 0 && together_takes_edges(g, {0, g.out}));
}

bool packs_by_rows(const Schedule& s) {
    return s.inner.n == 1 && s.order[0] == kW && s.together != 0 && !s.whole_planes &&
           !s.arg_window;
}

bool uses_doubling(const AxisGeometry& g) { return g.kernel > 7 && g.kernel / 4 > g.stride; }

Schedule make_schedule(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                       const MutableView* indices, int threads) {
    Schedule s;
    s.plan = &plan;
    s.in = in.data;
    s.out = out.data;
    s.index = indices ? indices->data : nullptr;
    const Views views{in, out, indices};
    bool pooled[kMaxRank] = {};
    for (int i = 0; i < plan.spec.n_axes; ++i) pooled[plan.spec.axes[i]] = true;
    choose_work(s);
    collect_batch(s, views, pooled);
    place_pooled(s, views);
    choose_lanes(s, static_cast<std::int64_t>(item_size(plan.in_dtype)));
    drop_idle_stages(s);
    find_together(s);
    find_whole_planes(s);
    choose_arg_window(s);
    choose_direct(s);
    choose_box(s, threads);
    if (s.huge && s.arg_window) {  // not for this path, which holds whole windows
        s.arg_window = false;
        choose_work(s);
        choose_direct(s);
        choose_box(s, threads);
    }
    count_tasks(s);
    return s;
}

}  // namespace poolcore
