// How much of the work one task takes: the largest box whose scratch fits.
#include <algorithm>
#include <initializer_list>

#include "poolcore/flat.hpp"
#include "poolcore/schedule.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/stages.hpp"
#include "poolcore/totals.hpp"

namespace poolcore {
namespace {

// Positions [start of the first window, end of the last) of `windows` windows, padding included.
std::int64_t reach(const AxisGeometry& g, std::int64_t windows) {
    return std::min(kMany, times(windows - 1, g.stride) + std::min(kMany, g.effective()));
}

std::int64_t clipped_reach(const AxisGeometry& g, std::int64_t windows) {
    return std::min(g.in, reach(g, windows));
}

bool lanes_pooled(const Schedule& s, int axis) { return axis == kW && s.inner.n == 1; }

// Values, and the indices beside them.
std::int64_t arrays(const Schedule& s) { return s.with_index() && !s.arg_window ? 2 : 1; }

// What doubling along an axis takes of a field of `bytes`, for `windows` along it: parts of it, as
// stages.cpp and lanes.cpp cut them. `extent` reaches over all taps.
std::int64_t doubling_scratch(const Schedule& s, const BoxShape& box, int axis,
                              std::int64_t windows, const std::int64_t extent[kNumPhysical],
                              std::int64_t bytes) {
    if (axis != kW && uses_sliding(s.combine, s.work, s.axis[axis].geometry, axis, box.inner))
        return 0;
    if (lanes_pooled(s, axis) && adds_integers(s.combine, s.work) &&
        s.axis[axis].geometry.dilation == 1)
        return spans_scratch(windows, s.axis[kW].geometry.kernel, s.element()) +
               4 * kScratchSlack;
    const std::int64_t size = s.element() * arrays(s);
    const std::int64_t narrow = axis == kW ? extent[kW] : std::min(extent[kW], kNarrowest);
    const std::int64_t across = times(times(narrow, box.inner), times(extent[kA], extent[kB]));
    const std::int64_t least = times(lanes_pooled(s, axis) ? extent[kW] : across, size);
    const std::int64_t part = std::max(kNearBytes * arrays(s), least) + 4 * kScratchSlack;
    return times(s.combine == Combine::kSum ? 3 : 1, std::min(bytes, part));
}

// What windows along the lanes take at a stride: halves, then the windows at every place, of which
// those asked for are picked.
std::int64_t strided_scratch(const Schedule& s, const BoxShape& box,
                             const std::int64_t extent[kNumPhysical], std::int64_t bytes) {
    AxisGeometry g = s.axis[kW].geometry;
    const std::int64_t places = times(box.out[kW], g.stride);
    g.stride = 1;
    const bool doubles = uses_doubling(g) && box.out[kW] > 1;
    return bytes + (doubles ? doubling_scratch(s, box, kW, places, extent, bytes) : 0);
}

std::int64_t together_scratch(const Schedule& s) {
    if (s.together < 0) return 0;
    return flat_scratch(s.axis[kB].geometry, s.axis[kW].geometry, s.element());
}

// Scratch that a pass over a box needs at most, counted as box.cpp and stages.cpp take it: what is
// there at its end, and what one stage takes and gives back.
struct Need {
    std::int64_t kept;
    std::int64_t passing;
};

Need need_of(const Schedule& s, const BoxShape& box) {
    const std::int64_t size = s.element() * arrays(s);
    std::int64_t extent[kNumPhysical];
    for (int x = 0; x < kNumPhysical; ++x)
        extent[x] = lanes_pooled(s, x) ? reach(s.axis[x].geometry, box.out[x]) + 8
                                       : clipped_reach(s.axis[x].geometry, box.out[x]);
    const auto bytes = [&] {
        const std::int64_t plane =
            times(times(extent[kA], extent[kB]), times(extent[kW], box.inner));
        return times(times(plane, box.planes), size) + 4 * kScratchSlack;
    };
    std::int64_t total = reads_x(s) ? 0 : bytes();
    if (total > 0 && packs_by_rows(s)) {
        const std::int64_t row = times(times(box.planes, extent[kA]), times(extent[kW], size));
        total = std::min(total, kNearBytes * arrays(s) + row + 4 * kScratchSlack);
    }
    if (s.arg_window) return {total, 0};
    std::int64_t temporary = 0;
    for (int i = 0; i < s.n_stages; ++i) {
        const int x = s.order[i];
        const AxisGeometry& g = s.axis[x].geometry;
        if (i == s.together || (s.whole_planes && x != kA)) {  // one kernel's work
            extent[kB] = box.out[kB];
            extent[kW] = box.out[kW];
            total = std::min(kMany, total + bytes());
            ++i;
            continue;
        }
        if (uses_doubling(g) && box.out[x] > 1 && (g.stride == 1 || !lanes_pooled(s, x))) {
            extent[x] = reach(g, box.out[x]);
            temporary = std::max(
                temporary, doubling_scratch(s, box, x, box.out[x], extent, bytes()));
            if (!lanes_pooled(s, x) && uses_running(s.combine, g, box.out[x]))
                temporary = std::max(
                    temporary,
                    std::min(kRunningBytes, running_scratch(g, true)) + 4 * kScratchSlack);
        } else if (lanes_pooled(s, x)) {
            temporary = std::max(temporary, strided_scratch(s, box, extent, bytes()));
        } else if (x == kW) {  // one line: see picks_pixels
            const std::int64_t line = times(times(extent[kW], box.inner), size);
            temporary = std::max(temporary, Scratch::footprint(line));
        }
        extent[x] = box.out[x];
        const bool written = i + 1 == s.n_stages && s.direct_out;
        if (!written) total = std::min(kMany, total + bytes());
    }
    for (const std::int64_t out : box.out)  // the counts of taps that finish.cpp divides by
        total = std::min(kMany, total + 2 * Scratch::footprint(times(8, out)));
    return {total, temporary};
}

// The second accumulator's pass needs as much again, in its own elements.
std::int64_t box_scratch(const Schedule& s, const BoxShape& box) {
    const std::int64_t ratio = s.has_aux ? work_size(s.aux_work) / s.element() : 0;
    const Need need = need_of(s, box);
    const std::int64_t passing = std::max(times(need.passing, std::max<std::int64_t>(ratio, 1)),
                                          s.arg_window ? 0 : together_scratch(s));
    return std::min(kMany, times(need.kept + 64 * kScratchSlack, 1 + ratio) + passing);
}

bool fits(const Schedule& s, const BoxShape& box, std::int64_t limit) {
    return box_scratch(s, box) <= limit;
}

// The most windows along one measure of the box that fit, to an eighth.
void grow(const Schedule& s, BoxShape& box, std::int64_t& side, std::int64_t most,
          std::int64_t limit, std::int64_t elements) {
    const auto takes = [&](std::int64_t more) {
        const std::int64_t before = side;
        side = std::min(most, side + more);
        std::int64_t made = times(box.planes, box.inner);
        for (const std::int64_t out : box.out) made = times(made, out);
        if (made <= elements && fits(s, box, limit)) return true;
        side = before;
        return false;
    };
    while (side < most && takes(side)) {}
    for (std::int64_t more = side / 2; side < most && more > side / 8; more /= 2) takes(more);
}

// Lanes across `inner` elements of fewer bytes are not worth a loop of their own.
constexpr std::int64_t kLeastInnerBytes = 128;

bool can_halve(const Schedule& s, std::int64_t inner) {
    return inner / 2 * s.element() >= kLeastInnerBytes;
}

constexpr std::int64_t kComfortable = kScratchLimit / 4;

// Windows that overlap and are so long may have more scratch, since boxes of few of them make most of
// the sums and extrema anew.
constexpr std::int64_t kLongTaps = 4096;
constexpr std::int64_t kLongScratch = 256 * 1024 * 1024;
constexpr double kTooWasteful = 2;

bool has_long_windows(const PoolPlan& plan) {
    bool overlap = false;
    std::int64_t taps = 1;
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        const AxisGeometry& g = plan.geometry[i];
        overlap = overlap || (g.out > 1 && g.kernel > g.stride);
        taps = times(taps, g.trimmed(Trim::kWholeBlocks).kernel);
    }
    return overlap && taps > kLongTaps && !plan.adaptive && !plan.within_call;
}

// A line takes what so many bytes of it take, whatever its length.
constexpr double kLineBytes = 128;

// What is done over what is needed: windows that overlap at the seams of boxes cost twice, and
// lines cut in parts are more lines.
double waste(const Schedule& s, const BoxShape& box) {
    double factor = 1;
    for (int x = 0; x < kNumPhysical; ++x) {
        const AxisGeometry& g = s.axis[x].geometry;
        const double useful = static_cast<double>(box.out[x]) * static_cast<double>(g.stride);
        // Along the lanes doubling passes over the padding, too.
        const bool padded = lanes_pooled(s, x) && uses_doubling(g) && has_long_windows(*s.plan);
        const double held = static_cast<double>(padded ? reach(g, box.out[x])
                                                       : clipped_reach(g, box.out[x]));
        factor *= std::max(1.0, held / useful);
    }
    const std::int64_t line = times(times(box.out[kW], box.inner), s.element());
    return factor * (1 + kLineBytes / static_cast<double>(line));
}

// The largest box around `width` windows of kW.
BoxShape box_of_width(const Schedule& s, std::int64_t width, std::int64_t inner,
                      std::int64_t limit, std::int64_t elements) {
    BoxShape box;
    box.inner = inner;
    box.out[kW] = width;
    while (!fits(s, box, limit) && can_halve(s, box.inner)) box.inner = (box.inner + 1) / 2;
    grow(s, box, box.out[kB], s.axis[kB].geometry.out, limit, elements);
    grow(s, box, box.out[kA], s.axis[kA].geometry.out, limit, elements);
    return box;
}

std::int64_t parts(std::int64_t all, std::int64_t share) { return (all + share - 1) / share; }

// Enough work to be worth a task, whether it lies in the outputs or in what they are made from.
std::int64_t outputs_per_task(const Schedule& s, int threads) {
    constexpr std::int64_t kSmall = 4096;
    constexpr std::int64_t kLarge = 256 * 1024;
    constexpr std::int64_t kMostInputs = 16 * kLarge;  // signals wait for a task
    if (threads == 0) return kLarge;
    std::int64_t inputs = 1;
    for (int i = 0; i < s.plan->rank; ++i) inputs = times(inputs, s.plan->in_shape[i]);
    // At least one: an empty result is described too.
    const std::int64_t outputs = std::max<std::int64_t>(1, s.plan->out_elements);
    const std::int64_t share = outputs / (4 * static_cast<std::int64_t>(threads));
    const std::int64_t each = std::max<std::int64_t>(1, inputs / outputs);
    const std::int64_t least = std::max<std::int64_t>(1, kSmall / each);
    return std::clamp(share, least, std::max(least, std::min(kLarge, kMostInputs / each)));
}

struct Choice {
    BoxShape box;
    double cost = 0;  // 0: none fits
};

// The widest box that wastes little, for boxes of so many lanes across.
Choice best_of_widths(const Schedule& s, std::int64_t inner, std::int64_t elements,
                      std::initializer_list<std::int64_t> limits) {
    Choice best;
    std::int64_t width = s.axis[kW].geometry.out;
    for (;; width = (width + 1) / 2) {
        for (const std::int64_t limit : limits) {
            const BoxShape box = box_of_width(s, width, inner, limit, elements);
            if (!fits(s, box, limit)) continue;
            const double cost = waste(s, box);
            if (best.cost == 0 || cost < 0.8 * best.cost) best = {box, cost};
        }
        if (width <= 1 || (best.cost > 0 && width <= 32)) return best;
    }
}

// As much scratch as it takes, within bounds, for boxes as long as their windows.
Choice with_more_scratch(const Schedule& s, Choice choice, std::int64_t elements) {
    constexpr std::int64_t kMostOutputs = 4 * 1024 * 1024;  // signals wait for them
    std::int64_t beside = 1;
    for (const PooledAxis& axis : s.axis)
        beside = times(beside, std::min(axis.geometry.kernel, axis.geometry.out));
    elements = std::max(elements, std::min(beside, kMostOutputs));
    for (std::int64_t limit = 2 * kScratchLimit; limit <= kLongScratch; limit *= 2) {
        const Choice other = best_of_widths(s, s.inner.n, elements, {limit});
        if (other.cost > 0 && (choice.cost == 0 || other.cost < 0.8 * choice.cost))
            choice = other;
        if (choice.cost > 0 && choice.cost <= kTooWasteful) break;
    }
    return choice;
}

}  // namespace

std::int64_t most_scratch(const PoolPlan& plan) {
    return has_long_windows(plan) ? 2 * kLongScratch : kScratchMost;
}

void choose_box(Schedule& s, int threads) {
    const std::int64_t planes = s.n_batch > 0 ? s.batch[s.n_batch - 1].n : 1;
    const std::int64_t elements = outputs_per_task(s, threads);
    const auto usual = {kComfortable, kScratchLimit};
    Choice choice = best_of_widths(s, s.inner.n, elements, usual);
    for (std::int64_t inner = s.inner.n; choice.cost > 1.5 && can_halve(s, inner);) {
        inner = (inner + 1) / 2;
        const Choice other = best_of_widths(s, inner, elements, usual);
        if (other.cost > 0 && other.cost < 0.8 * choice.cost) choice = other;
    }
    if ((choice.cost == 0 || choice.cost > kTooWasteful) && has_long_windows(*s.plan))
        choice = with_more_scratch(s, choice, elements);
    BoxShape& best = choice.box;
    s.huge = choice.cost == 0;
    if (s.huge) best = BoxShape{1, {1, 1, 1}, std::min<std::int64_t>(s.inner.n, 64)};
    if (!s.huge && best.out[kA] == s.axis[kA].geometry.out &&
        best.out[kB] == s.axis[kB].geometry.out && best.out[kW] == s.axis[kW].geometry.out &&
        best.inner == s.inner.n)
        grow(s, best, best.planes, planes, kComfortable + together_scratch(s), elements);
    s.box = best;
}

void count_tasks(Schedule& s) {
    s.n_tasks = 1;
    // A last box of one lane would be taken for windows along the lanes.
    if (s.inner.n > 1) s.box.inner = share_without_one(s.inner.n, s.box.inner);
    for (int x = 0; x < kNumPhysical; ++x) {
        const std::int64_t out = s.axis[x].geometry.out;
        s.box.out[x] = even_share(out, s.box.out[x]);
        s.n_boxes[x] = parts(out, s.box.out[x]);
        s.n_tasks *= s.n_boxes[x];
    }
    s.inner_boxes = parts(s.inner.n, s.box.inner);
    s.n_tasks *= s.inner_boxes;
    for (int i = 0; i < s.n_batch; ++i)
        s.n_tasks *= i == s.n_batch - 1 ? parts(s.batch[i].n, s.box.planes) : s.batch[i].n;
    s.plane_boxes = s.n_batch > 0 ? parts(s.batch[s.n_batch - 1].n, s.box.planes) : 1;
    s.scratch_bytes = s.huge ? kScratchLimit
                             : std::min(most_scratch(*s.plan), box_scratch(s, s.box));
}

}  // namespace poolcore
