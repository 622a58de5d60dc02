// The axis along the lanes: windows on lines of contiguous elements.
#include <algorithm>

#include "poolcore/moves.hpp"
#include "poolcore/totals.hpp"

namespace poolcore {
namespace {

// Lines of contiguous elements and the windows on each.
struct Lanes {
    Ends ends;
    Loop lines[3];  // innermost first
    std::int64_t windows;
    std::int64_t kernel, stride, dilation;
    bool done = false;

    std::int64_t span() const { return (windows - 1) * stride + (kernel - 1) * dilation + 1; }
    std::int64_t count() const { return lines[0].n * lines[1].n * lines[2].n; }
};

LoopNest line_loops(const StageContext& c, const Lanes& l, std::int64_t run) {
    LoopNest nest(run, c.element());
    for (const Loop& loop : l.lines) nest.add(loop);
    return nest;
}

// A nest whose run is never merged with the lines: for kernels that read more than they write.
LoopNest separate_lines(const Lanes& l) {
    LoopNest nest(1, 0);
    for (const Loop& loop : l.lines) nest.add(loop);
    return nest;
}

// New scratch lines of `n` elements, set as the result of `l`; returns what comes next from them.
Lanes into_scratch(const StageContext& c, Lanes& l, std::int64_t n) {
    Lanes next = l;
    const std::int64_t bytes = l.count() * n * c.element();
    std::byte* values = c.scratch->take(bytes);
    std::byte* index = c.with_index() ? c.scratch->take(bytes) : nullptr;
    std::int64_t pitch = n * c.element();
    for (int i = 0; i < 3; ++i) {
        l.lines[i].to = next.lines[i].from = pitch;
        pitch *= l.lines[i].n;
    }
    l.ends.to = values;
    l.ends.to_index = index;
    next.ends.from = values;
    next.ends.from_index = index;
    return next;
}

// Windows that tile their lines, or have a line each, tile the run of all lines.
void merge_lines(const StageContext& c, Lanes& l) {
    for (int i = 0; i < 3; ++i) {
        Loop& line = l.lines[i];
        if (line.n == 1) continue;
        const std::int64_t pitch = line.from / c.element();
        if (pitch < 1 || line.from % c.element() || line.to != l.windows * c.element()) return;
        // What lies between lines far apart, as in a crop, is neither scratch's nor worth pooling.
        constexpr std::int64_t kNear = 8;
        if (l.windows == 1 && pitch > l.kernel + kNear) return;
        if (l.windows != 1 && l.stride * l.windows != pitch) return;
        if (l.windows == 1) l.stride = pitch;
        l.windows *= line.n;
        line = {1, 0, 0};
    }
}

// Even windows at even strides: neighbours are combined two by two, half as much is left.
Lanes halve(const StageContext& c, Lanes l) {
    const std::int64_t n = ((l.windows - 1) * l.stride + l.kernel) / 2;
    const bool last = l.kernel == 2 && l.stride == 2;
    Lanes next = l;
    if (!last) next = into_scratch(c, l, n);
    call_slide(c, separate_lines(l), l.ends, {n, 2, 2});
    next.kernel /= 2;
    next.stride /= 2;
    next.done = last;
    return next;
}

// One window of an odd number of taps: pairs, and the last tap as it is.
Lanes halve_odd(const StageContext& c, Lanes l) {
    Lanes next = into_scratch(c, l, (l.kernel + 1) / 2);
    call_slide(c, separate_lines(l), l.ends, {l.kernel / 2, 2, 2});
    const std::int64_t from = (l.kernel - 1) * c.element();
    const std::int64_t to = l.kernel / 2 * c.element();
    call_rows(c, line_loops(c, l, 1),
              {moved(l.ends.from, from), moved(l.ends.from_index, from), moved(l.ends.to, to),
               moved(l.ends.to_index, to)},
              {0, 1, 0, 1});
    next.kernel = (l.kernel + 1) / 2;
    return next;
}

// Windows at stride 1 of many taps, all lines at once.
void double_lines(const StageContext& c, Lanes l) {
    const std::int64_t mark = c.scratch->mark();
    const std::int64_t positions = l.span() - (kPiece - 1) * l.dilation;
    const std::int64_t tap = wrapped(l.dilation, c.element());
    Lanes first = l;
    Lanes next = into_scratch(c, first, positions);
    call_rows(c, line_loops(c, first, positions), first.ends, {tap, kPiece, 0, kPiece});
    Run run{first.ends.to, first.ends.to_index, l.count() * positions, l.dilation, nullptr};
    Lanes within = next;  // from the run to others like it
    for (Loop& line : within.lines) line.to = line.from;
    const std::int64_t taps = rest_taps(c, l.kernel);
    if (taps > 0) {
        Lanes last = first;
        last.ends.to = run.rest = c.scratch->take(run.elements * c.element());
        last.ends.from = moved(l.ends.from, (l.kernel - taps) * tap);
        call_rows(c, line_loops(c, last, l.windows), last.ends, {tap, taps, 0, taps});
    }
    const Doubled d = double_run(c, run, l.kernel, line_loops(c, within, l.windows));
    next.ends.from = d.from;
    next.ends.from_index = d.from_index;
    call_rows(c, line_loops(c, next, l.windows), next.ends, d.taps);
    c.scratch->release(mark);
}

// Lines [first, first + n) of loop d.
Lanes part_of(const Lanes& l, int d, std::int64_t first, std::int64_t n) {
    Lanes part = l;
    const std::int64_t from = first * l.lines[d].from, to = first * l.lines[d].to;
    part.lines[d].n = n;
    part.ends = {moved(l.ends.from, from), moved(l.ends.from_index, from), moved(l.ends.to, to),
                 moved(l.ends.to_index, to)};
    return part;
}

// The same, in groups of lines whose pieces stay in the nearest cache.
void double_groups(const StageContext& c, const Lanes& l, int d) {
    std::int64_t bytes = times(l.span(), c.element());
    for (int i = 0; i < d; ++i) bytes = times(bytes, l.lines[i].n);
    const std::int64_t all = l.lines[d].n;
    const std::int64_t group = std::clamp<std::int64_t>(kNearBytes / bytes, 1, all);
    for (std::int64_t first = 0; first < all; first += group) {
        const Lanes part = part_of(l, d, first, std::min(group, all - first));
        if (bytes > kNearBytes && d > 0) {
            double_groups(c, part, d - 1);
        } else {
            double_lines(c, part);
        }
    }
}

// Windows at stride 1.
void slide_one(const StageContext& c, Lanes l, bool doubling) {
    if (!doubling) {
        LoopNest nest = separate_lines(l);
        LoopNest lines(l.windows, c.element());
        for (int i = 0; i < nest.size(); ++i) lines.add(nest.loop(i));
        call_rows(c, lines, l.ends, {wrapped(l.dilation, c.element()), l.kernel, 0, l.kernel});
        return;
    }
    if (adds_integers(c.combine, c.work) && l.dilation == 1)
        return pool_spans(c, separate_lines(l), l.ends, l.windows, l.kernel);
    double_groups(c, l, 2);
}

void pool_lanes(const StageContext& c, Lanes l) {
    merge_lines(c, l);
    while (!l.done && l.dilation == 1) {
        if (l.windows == 1) l.stride = l.kernel;  // it moves nowhere
        if (l.kernel % 2 == 0 && l.stride % 2 == 0) {
            l = halve(c, l);
        } else if (l.windows == 1 && l.kernel > 3) {
            l = halve_odd(c, l);
        } else {
            break;
        }
    }
    if (l.done) return;
    AxisGeometry g;
    g.kernel = l.kernel;
    g.dilation = l.dilation;
    const bool doubling = uses_doubling(g) && l.windows > 1;
    if (l.stride == 1 || l.windows == 1) return slide_one(c, l, doubling);
    // What the kernel picks in vectors; elsewhere a pass of stride 1 goes before.
    const bool picks = l.stride == 2 || (l.stride <= 5 && c.element() >= 4 && !c.with_index());
    const bool few = picks && l.dilation == 1 && l.kernel <= 3;
    if (l.kernel == 1 || few)
        return call_slide(c, separate_lines(l), l.ends, {l.windows, l.kernel, l.stride});
    Lanes each = l;  // every position a window, then those asked for
    each.stride = 1;
    each.windows = (l.windows - 1) * l.stride + 1;
    const Lanes next = into_scratch(c, each, each.windows);
    slide_one(c, each, doubling);
    call_slide(c, separate_lines(next), next.ends, {l.windows, 1, l.stride});
}

}  // namespace

void pool_along(const StageContext& c, const AxisGeometry& g, const Field& from, const Field& to) {
    const std::int64_t mark = c.scratch->mark();
    const std::int64_t column = (g.start(to.origin[kW]) - from.origin[kW]) * c.element();
    Lanes l;
    l.ends = {moved(from.values, column), moved(from.index, column), to.values, to.index};
    l.lines[0] = {to.extent[kB], from.stride[kB], to.stride[kB]};
    l.lines[1] = {to.extent[kA], from.stride[kA], to.stride[kA]};
    l.lines[2] = {to.planes, from.plane_stride, to.plane_stride};
    l.windows = to.extent[kW];
    l.kernel = from.identity_tail ? from.extent[kW] : g.kernel;
    l.stride = g.stride;
    l.dilation = g.dilation;
    pool_lanes(c, l);
    c.scratch->release(mark);
}

}  // namespace poolcore
