// Windows too large for the scratch: one output at a time, the window cut into pieces along the
// splits of the canonical tree, so that the bits are those of any other path.
#include <algorithm>

#include "poolcore/box.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

// Taps of a piece along the lanes, and along any other axis. Powers of two, as the tree's splits.
constexpr std::int64_t kLaneTaps = 2048;
constexpr std::int64_t kPackedLaneTaps = 512;
constexpr std::int64_t kRowTaps = 4;

std::int64_t largest_power_below(std::int64_t k) {
    std::int64_t p = 1;
    while (p < k - p) p *= 2;  // 2 * p could overflow
    return p;
}

// The window in units of its taps: real taps are numbered from 0 along every axis.
class Window {
   public:
    Window(const Schedule& s, const StageContext& c, const Pass& pass, const Box& box)
        : s_(s), c_(c), pass_(pass), box_(box), source_(source_of(s, box)) {
        for (int x = 0; x < kNumPhysical; ++x) {
            const AxisGeometry& g = s.axis[x].geometry;
            const TapRange taps = g.taps(box.windows[x].lo);
            first_[x] = taps.first;
            real_[x] = taps.count();
            kernel_[x] = g.kernel;
            const std::int64_t start =
                real_[x] > 0 ? g.start(box.windows[x].lo) + taps.first * g.dilation : 0;
            source_.base += start * source_.stride[x];
            source_.index_base += start * source_.plane_step[x];
            source_.stride[x] = wrapped(g.dilation, source_.stride[x]);
            source_.plane_step[x] = wrapped(g.dilation, source_.plane_step[x]);
            source_.in[x] = real_[x];
        }
        direct_ = c.combine == s.combine && pass.change == s.change && s.direct_in &&
                  (s.inner.n > 1 || s.axis[kW].geometry.dilation == 1 || real_[kW] <= 1);
    }

    bool has_taps() const { return real_[kA] > 0 && real_[kB] > 0 && real_[kW] > 0; }

    void pool(const Field& to) {
        Range taps[kNumPhysical];
        for (int x = 0; x < kNumPhysical; ++x) taps[x] = {0, kernel_[x]};
        piece(s_.n_stages - 1, taps, to);
    }

   private:
    bool lanes(int axis) const { return axis == kW && s_.inner.n == 1; }

    // The most taps that are pooled at once. Pieces that hang over an edge of x are packed.
    std::int64_t leaf(int stage, Range taps) const {
        const int axis = s_.order[stage];
        const bool inside = real(axis, taps).size() == taps.size();
        if (lanes(axis)) return direct_ && inside ? kLaneTaps : kPackedLaneTaps;
        return stage == 0 && direct_ ? INT64_MAX : kRowTaps;
    }

    // Real taps among the taps of a piece.
    Range real(int axis, Range taps) const {
        const std::int64_t lo = std::max<std::int64_t>(taps.lo - first_[axis], 0);
        return {lo, std::max(lo, std::min(taps.hi - first_[axis], real_[axis]))};
    }

    // Pools the axes of stages 0..stage; `to` has one place along each of them and all real taps
    // of its piece along the others.
    void piece(int stage, const Range taps[kNumPhysical], const Field& to) {
        if (stop_requested()) throw Stopped{};
        const int axis = s_.order[stage];
        const std::int64_t mark = c_.scratch->mark();
        if (taps[axis].size() > leaf(stage, taps[axis])) {
            split(stage, taps, to);
        } else {
            const Field from = stage == 0 ? source(axis, taps) : pooled(stage - 1, axis, taps);
            AxisGeometry g;
            g.kernel = taps[axis].size();
            g.pad_lo = first_[axis] - taps[axis].lo;
            g.in = real_[axis];
            Field target = to;
            target.origin[axis] = 0;
            target.extent[axis] = 1;
            pool_axis(c_, g, axis, from, target);
        }
        c_.scratch->release(mark);
    }

    void split(int stage, const Range taps[kNumPhysical], const Field& to) {
        const int axis = s_.order[stage];
        Range left[kNumPhysical], right[kNumPhysical];
        std::copy(taps, taps + kNumPhysical, left);
        std::copy(taps, taps + kNumPhysical, right);
        left[axis].hi = right[axis].lo =
            taps[axis].lo + largest_power_below(taps[axis].size());
        if (real(axis, left[axis]).size() == 0) return piece(stage, right, to);
        piece(stage, left, to);
        if (real(axis, right[axis]).size() == 0) return;
        Range places[kNumPhysical];
        for (int x = 0; x < kNumPhysical; ++x)
            places[x] = {to.origin[x], to.origin[x] + to.extent[x]};
        const Field other = make_field(c_, 1, places, to.inner);
        piece(stage, right, other);
        combine_fields(c_, to, other);
    }

    // Places of `axis` and of the axes still to be pooled after `stage`.
    void places(int stage, int axis, const Range taps[kNumPhysical], Range ranges[kNumPhysical]) {
        for (int x = 0; x < kNumPhysical; ++x) ranges[x] = {0, 1};
        for (int i = stage; i < s_.n_stages; ++i)
            ranges[s_.order[i]] = real(s_.order[i], taps[s_.order[i]]);
        if (lanes(axis))  // the lanes are pooled with their padding
            ranges[axis] = {taps[axis].lo - first_[axis], taps[axis].hi - first_[axis]};
    }

    Field source(int axis, const Range taps[kNumPhysical]) {
        Range ranges[kNumPhysical];
        places(0, axis, taps, ranges);
        const bool inside = ranges[axis].lo >= 0 && ranges[axis].hi <= real_[axis];
        if (direct_ && inside) return field_on_source(source_, box_, ranges);
        const Field field = make_field(c_, 1, ranges, box_.inner);
        pack_field(c_, pass_, source_, field);
        return field;
    }

    Field pooled(int stage, int axis, const Range taps[kNumPhysical]) {
        Range ranges[kNumPhysical];
        places(stage + 1, axis, taps, ranges);
        const Field field = make_field(c_, 1, ranges, box_.inner);
        const Range held = real(axis, taps[axis]);
        if (!lanes(axis) || held.size() == ranges[axis].size()) {
            piece(stage, taps, field);
            return field;
        }
        // Pieces are combined in tight fields, and a vector past the end.
        const Range all = ranges[axis];
        ranges[axis] = held;
        const Field tight = make_field(c_, 1, ranges, box_.inner);
        piece(stage, taps, tight);
        Field middle = field;
        const std::int64_t offset = (held.lo - all.lo) * field.stride[axis];
        middle.values += offset;
        if (middle.index) middle.index += offset;
        middle.extent[axis] = held.size();
        copy_field(c_, tight, middle);
        fill_identity(c_, field, all.lo, held.lo);
        fill_identity(c_, field, held.hi, all.hi);
        return field;
    }

    const Schedule& s_;
    const StageContext& c_;
    const Pass& pass_;
    const Box& box_;
    Source source_;
    std::int64_t first_[kNumPhysical];
    std::int64_t real_[kNumPhysical];
    std::int64_t kernel_[kNumPhysical];
    bool direct_;
};

}  // namespace

void pool_huge_window(const Schedule& s, const StageContext& c, const Pass& pass, const Box& box,
                      const Field& to) {
    Window window(s, c, pass, box);
    const std::int64_t mark = c.scratch->mark();
    Range one[kNumPhysical] = {{0, 1}, {0, 1}, {0, 1}};
    const Field result = make_field(c, 1, one, box.inner);
    if (window.has_taps()) {
        window.pool(result);
    } else {
        fill_identity(c, result, 0, 1);
    }
    Field target = to;
    for (int x = 0; x < kNumPhysical; ++x) target.origin[x] = 0;
    pool_axis(c, AxisGeometry{}, kA, result, target);  // a window of one tap: a copy
    c.scratch->release(mark);
}

}  // namespace poolcore
