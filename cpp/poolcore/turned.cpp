#include "poolcore/turned.hpp"

#include <algorithm>
#include <bit>

#include "poolcore/arg_kind.hpp"
#include "poolcore/stages.hpp"

namespace poolcore {
namespace {

// A block of planes and what it becomes: as many vectors of planes as stay near, and no larger
// planes than let one vector of them stay at hand.
constexpr std::int64_t kNearBlock = 64 * 1024;
constexpr std::int64_t kMostBlock = 384 * 1024;
// Rows so far apart share their places in the nearest cache.
constexpr std::int64_t kAlias = 2048;

// Runs go from the last axis on, as long as neighbours follow each other; false if they never do.
template <class View>
bool lay_out(const View& view, const PoolSpec& spec, TurnedArray& array) {
    PlaneLayout& plane = array.plane;
    array.item = static_cast<std::int64_t>(item_size(view.dtype));
    bool joined = true;
    for (int i = spec.n_axes - 1; i >= 0; --i) {
        const std::int64_t n = view.shape[spec.axes[i]], stride = view.strides[spec.axes[i]];
        if (i == spec.n_axes - 1) {
            array.row = n;
        } else {
            array.rows = times(array.rows, n);
            joined = joined && array.pad == 0;
        }
        if (n == 1) continue;
        joined = joined && stride == plane.run * array.item;
        if (joined) {
            plane.run *= n;
        } else {
            plane.n[i] = n;
            plane.stride[i] = stride;
        }
    }
    return plane.run > 1 || times(array.rows, array.row) == 1;
}

// Calls each(run, element) with the place of every run of a plane in bytes, and its first element.
template <class Each>
void for_runs(const PlaneLayout& p, const Each& each) {
    std::int64_t element = 0;
    for (std::int64_t a = 0; a < p.n[0]; ++a)
        for (std::int64_t b = 0; b < p.n[1]; ++b)
            for (std::int64_t c = 0; c < p.n[2]; ++c, element += p.run)
                each(a * p.stride[0] + b * p.stride[1] + c * p.stride[2], element);
}

// A plan for `lanes` planes side by side.
PoolPlan turned_plan(const PoolPlan& plan, std::int64_t lanes) {
    PoolPlan turned = plan;
    const int n = plan.spec.n_axes;
    turned.rank = n + 1;
    turned.out_elements = lanes;
    for (int i = 0; i < n; ++i) {
        turned.spec.axes[i] = i;
        turned.in_shape[i] = plan.geometry[i].in;
        turned.out_shape[i] = plan.geometry[i].out;
        turned.out_elements *= plan.geometry[i].out;
    }
    turned.in_shape[n] = turned.out_shape[n] = lanes;
    return turned;
}

// A block of planes.
template <class View>
View block_view(DType dtype, const PoolPlan& plan, const std::int64_t shape[kMaxRank],
                std::int64_t pad) {
    View view;
    view.dtype = dtype;
    view.rank = plan.rank;
    std::int64_t stride = static_cast<std::int64_t>(item_size(dtype));
    for (int i = plan.rank - 1; i >= 0; --i) {
        view.shape[i] = shape[i];
        view.strides[i] = stride;
        stride *= shape[i];
        if (i == plan.spec.n_axes - 1) stride += pad;
    }
    return view;
}

}  // namespace

Turned::Turned(const PoolPlan& plan, const Schedule& laid, const TurnedArray arrays[3],
               std::int64_t lanes)
    : plan_(turned_plan(plan, lanes)), laid_(laid), in_(arrays[0]), out_(arrays[1]),
      index_(arrays[2]), lanes_(lanes) {
    const auto in =
        block_view<StridedView>(plan.in_dtype, plan_, plan_.in_shape, in_.pad);
    const auto out = block_view<MutableView>(plan.out_dtype, plan_, plan_.out_shape, 0);
    const auto index = block_view<MutableView>(DType::kInt64, plan_, plan_.out_shape, 0);
    boxes_.emplace(plan_, in, out, index_.item ? &index : nullptr, 0);
    for (int i = 0; i < laid.n_batch; ++i)
        n_tasks_ *= i == laid.n_batch - 1 ? (laid.batch[i].n + lanes - 1) / lanes
                                          : laid.batch[i].n;
}

std::int64_t Turned::scratch_bytes() const {
    std::int64_t bytes = boxes_->scratch_bytes();
    for (const TurnedArray* a : {&in_, &out_, &index_})
        bytes += Scratch::footprint(a->block_bytes(lanes_));
    return bytes;
}

void Turned::pool(std::int64_t number, Scratch& scratch) const {
    const BatchAxis& planes = laid_.batch[laid_.n_batch - 1];
    const std::int64_t blocks = (planes.n + lanes_ - 1) / lanes_;
    const std::int64_t first = number % blocks * lanes_;
    const std::int64_t lanes = std::min(lanes_, planes.n - first);
    const std::byte* in = laid_.in + first * planes.in_stride;
    std::byte* out = laid_.out + first * planes.out_stride;
    std::byte* index = index_.item ? laid_.index + first * planes.index_stride : nullptr;
    number /= blocks;
    for (int i = laid_.n_batch - 2; i >= 0; --i) {
        const BatchAxis& axis = laid_.batch[i];
        in += number % axis.n * axis.in_stride;
        out += number % axis.n * axis.out_stride;
        if (index) index += number % axis.n * axis.index_stride;
        number /= axis.n;
    }
    std::byte* const block = scratch.take(in_.block_bytes(lanes_));
    std::byte* const result = scratch.take(out_.block_bytes(lanes_));
    std::byte* const places = scratch.take(index_.block_bytes(lanes_));
    for_runs(in_.plane, [&](std::int64_t at, std::int64_t element) {
        turn(in_, {in + at, block + in_.place(element, lanes_), lanes, in_.plane.run,
                   planes.in_stride, lanes_ * in_.item});
    });
    boxes_->pool_all(block, result, index ? places : nullptr, lanes, scratch);
    const auto turn_back = [&](const TurnedArray& array, const std::byte* from, std::byte* to,
                               std::int64_t plane_stride) {
        for_runs(array.plane, [&](std::int64_t at, std::int64_t element) {
            turn(array, {from + array.place(element, lanes_), to + at, array.plane.run, lanes,
                         lanes_ * array.item, plane_stride});
        });
    };
    turn_back(out_, result, out, planes.out_stride);
    if (index) turn_back(index_, places, index, planes.index_stride);
}

void Turned::turn(const TurnedArray& array, const TurnArgs& args) const {
    const int size = std::countr_zero(static_cast<std::uint64_t>(array.item));
    boxes_->kernels().turn[size](args);
}

namespace {

// Turning pays for rows of x shorter than so many elements, by the taps of a window (2, 3, 4, more),
// how far apart windows are (by one element, less than a window, a window and more), and whether
// they hang over the edges. Measured on vectors of 16, 32 and 64 bytes alike: see
// docs/performance.md.
using Limits = std::int16_t[4][3][2];
constexpr std::int16_t kAny = INT16_MAX;
constexpr Limits kOrders = {{{0, 16}, {0, 0}, {8, 16}},
                            {{0, 0}, {10, 9}, {14, 24}},
                            {{8, 24}, {16, 28}, {12, 24}},
                            {{10, 24}, {kAny, kAny}, {kAny, kAny}}};
constexpr Limits kSums = {{{0, 12}, {0, 0}, {0, 14}},
                          {{0, 0}, {0, 0}, {0, 12}},
                          {{5, 24}, {8, 24}, {0, 16}},
                          {{7, 20}, {10, 28}, {8, 14}}};
// Elements that are converted on their way, a row at a time if not turned.
constexpr Limits kConvertedSums = {{{8, 20}, {0, 0}, {10, 24}},
                                   {{10, 16}, {16, 28}, {24, 48}},
                                   {{8, 40}, {18, 48}, {16, 32}},
                                   {{10, 40}, {48, 64}, {20, 40}}};
// Where the rows are all there is.
constexpr Limits kLineOrders = {{{0, 8}, {0, 0}, {0, 8}},
                                {{0, 8}, {0, 8}, {0, 8}},
                                {{0, 8}, {0, 8}, {0, 8}},
                                {{0, 16}, {kAny, kAny}, {kAny, kAny}}};
constexpr Limits kLineSums = {{{0, 0}, {0, 0}, {0, 0}},
                              {{0, 0}, {0, 0}, {0, 0}},
                              {{0, 0}, {0, 0}, {0, 0}},
                              {{0, 0}, {0, 28}, {0, 14}}};
constexpr Limits kConvertedLineSums = {{{8, 12}, {0, 0}, {8, 16}},
                                       {{8, 12}, {8, 24}, {8, 48}},
                                       {{8, 12}, {8, 24}, {8, 48}},
                                       {{0, 12}, {8, 64}, {8, 64}}};

bool overlaps(const AxisGeometry& g) { return g.kernel > g.stride; }
bool is_padded(const AxisGeometry& g) { return g.pad_lo > 0 || g.pad_hi > 0; }

// In tenths: shorter elements take more of them to fill a vector.
std::int64_t scale_of(const Schedule& s, const KernelTable& kernels) {
    const std::size_t item = item_size(s.plan->in_dtype);
    const bool native = s.direct_in || s.combine != Combine::kSum;
    if (!native) return item == 1 && item_size(s.plan->out_dtype) == 1 ? 30 : 10;
    if (item < 8) return item == 1 ? 30 : item == 2 ? 20 : 10;
    return s.combine == Combine::kSum && kernels.vector_bytes < 32 ? 3 : 6;
}

const Limits& limits_of(const Schedule& s) {
    const bool line = s.n_stages == 1;
    if (s.combine != Combine::kSum) return line ? kLineOrders : kOrders;
    if (s.direct_in) return line ? kLineSums : kSums;
    return line ? kConvertedLineSums : kConvertedSums;
}

// One by one the taps of windows side by side take no longer in short rows, unless they are narrow.
bool pays_for_indices(const Schedule& s, const KernelTable& kernels, const AxisGeometry& row) {
    constexpr std::int64_t kPaddedApart = 48;
    const std::int64_t vector = kernels.vector_bytes / s.element();
    if (window_taps(*s.plan) > kMaxArgTaps || uses_doubling(row)) return true;
    if (row.out < 2) return false;
    if (!overlaps(row) && is_padded(row)) return row.in < kPaddedApart;
    if (row.out >= vector) return false;
    const std::size_t item = item_size(s.plan->in_dtype);
    if (!overlaps(row))
        return item < 4 ||
               (item == 4 && row.kernel <= 5 && kernels.vector_bytes == kLargestVector);
    return item > 1 || row.stride > 1 || row.out < 16 || !can_share_rows(s);
}

bool pays(const Schedule& s, const KernelTable& kernels) {
    constexpr std::int64_t kEnough = 2048;  // small windows, for what it takes to begin
    const auto last = s.order + s.n_stages;
    if (std::find(s.order, last, kW) == last) return false;
    const AxisGeometry& row = s.axis[kW].geometry;
    if (s.with_index()) return pays_for_indices(s, kernels, row);
    if (s.together >= 0 && s.plan->out_elements < kEnough) return false;
    const std::int64_t taps = std::clamp<std::int64_t>(row.kernel, 2, 5) - 2;
    const int apart = row.stride == 1 ? 0 : overlaps(row) ? 1 : 2;
    const std::int64_t limit = limits_of(s)[taps][apart][is_padded(row)];
    return limit == kAny || 10 * row.in < limit * scale_of(s, kernels);
}

}  // namespace

void choose_turned(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                   const MutableView* indices, const Boxes& laid, int threads,
                   std::optional<Turned>& turned) {
    const Schedule& s = laid.schedule();
    const std::int64_t vector = laid.kernels().vector_bytes;
    if (vector == 0 || plan.adaptive || s.inner.n > 1 || s.n_batch == 0 || s.huge ||
        s.whole_planes || !pays(s, laid.kernels()))
        return;
    TurnedArray arrays[3];
    const std::int64_t item = static_cast<std::int64_t>(item_size(plan.in_dtype));
    const std::int64_t lanes = vector / item;
    const AxisGeometry& rows = plan.geometry[plan.spec.n_axes - 1];
    if (times(rows.in, vector) % kAlias == 0) {
        if (rows.stride == 1 && rows.in >= 64) return;
        arrays[0].pad = kScratchAlign;
    }
    if (!lay_out(in, plan.spec, arrays[0]) || !lay_out(out, plan.spec, arrays[1])) return;
    if (indices && !lay_out(*indices, plan.spec, arrays[2])) return;
    const std::int64_t planes = s.batch[s.n_batch - 1].n;
    std::int64_t plane = 0;  // bytes, with what it becomes
    for (const TurnedArray& a : arrays) plane = std::min(kMany, plane + a.block_bytes(1));
    if (planes < lanes / 2 || times(plane, lanes) > kMostBlock) return;
    const std::int64_t share = std::min(planes, std::max(lanes, planes / threads));
    const std::int64_t near = std::clamp(kNearBlock / plane, lanes, 4 * lanes);
    turned.emplace(plan, s, arrays, share_without_one(planes, std::min(share, near)));
}

}  // namespace poolcore
