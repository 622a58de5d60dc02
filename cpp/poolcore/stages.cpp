#include "poolcore/stages.hpp"

#include <algorithm>

#include "poolcore/flat.hpp"
#include "poolcore/moves.hpp"
#include "poolcore/totals.hpp"

namespace poolcore {
namespace {

// Loops over all axes; along `axis` there are `n` windows, `step` bytes apart in the source.
LoopNest window_loops(const StageContext& c, int axis, const Field& from, const Field& to,
                      std::int64_t n, std::int64_t step) {
    LoopNest nest(to.inner, c.source_element(), c.element());
    for (int x = kW; x >= kA; --x)
        nest.add(x == axis ? Loop{n, step, to.stride[x]}
                           : Loop{to.extent[x], from.stride[x], to.stride[x]});
    nest.add({to.planes, from.plane_stride, to.plane_stride});
    return nest;
}

// Windows of pixels on one line after the other: see picks_pixels.
void pool_pixels(const StageContext& c, const Field& from, const Field& to, const Ends& ends,
                 std::int64_t windows, std::int64_t stride, const Taps& taps) {
    const std::int64_t positions = (windows - 1) * stride + 1;
    const std::int64_t pixel = to.stride[kW];
    const std::int64_t mark = c.scratch->mark();
    std::byte* line = c.scratch->take(positions * pixel);
    const LoopNest nest(positions * to.inner, c.source_element(), c.element());
    for (std::int64_t p = 0; p < to.planes; ++p)
        for (std::int64_t a = 0; a < to.extent[kA]; ++a)
            for (std::int64_t b = 0; b < to.extent[kB]; ++b) {
                const std::int64_t at = p * from.plane_stride + a * from.stride[kA] +
                                        b * from.stride[kB];
                call_rows(c, nest, {ends.from + at, nullptr, line, nullptr}, taps);
                pick_pixels(*c.kernels, line,
                            ends.to + p * to.plane_stride + a * to.stride[kA] + b * to.stride[kB],
                            windows, pixel, stride * pixel);
            }
    c.scratch->release(mark);
}

}  // namespace

LoopNest loops_beside(const StageContext& c, int axis, const Field& from, const Field& to) {
    LoopNest nest(to.inner, c.source_element(), c.element());
    for (int x = kW; x >= kA; --x)
        if (x != axis) nest.add({to.extent[x], from.stride[x], to.stride[x]});
    nest.add({to.planes, from.plane_stride, to.plane_stride});
    return nest;
}

void pool_windows(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
                  const Field& to, Range windows, TapRange taps) {
    const std::int64_t stride = from.stride[axis];
    const std::int64_t at = g.start(windows.lo) + taps.first * g.dilation - from.origin[axis];
    const std::int64_t source = taps.count() > 0 ? at * stride : 0;
    const std::int64_t result = (windows.lo - to.origin[axis]) * to.stride[axis];
    const std::int64_t pixel = to.inner * c.element();
    if (axis == kW && taps.count() > 0 && !c.with_index() && to.stride[kW] == pixel &&
        stride == to.inner * c.source_element() && picks_pixels(pixel, windows.size(), g.stride))
        return pool_pixels(c, from, to,
                           {from.values + source, nullptr, to.values + result, nullptr},
                           windows.size(), g.stride,
                           {wrapped(g.dilation, stride), g.kernel, taps.first, taps.last});
    const LoopNest nest =
        window_loops(c, axis, from, to, windows.size(), wrapped(g.stride, stride));
    call_rows(c, nest,
              {moved(from.values, source), moved(from.index, source), moved(to.values, result),
               moved(to.index, result)},
              {wrapped(g.dilation, stride), g.kernel, taps.first, taps.last});
}

namespace {

void pool_across(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
                 const Field& to) {
    const Range all{to.origin[axis], to.origin[axis] + to.extent[axis]};
    const TapRange inside = g.interior();
    const std::int64_t first = std::clamp(inside.first, all.lo, all.hi);
    const std::int64_t last = std::clamp(inside.last, first, all.hi);
    for (std::int64_t o = all.lo; o < first; ++o)
        pool_windows(c, g, axis, from, to, {o, o + 1}, g.taps(o));
    if (first < last) pool_windows(c, g, axis, from, to, {first, last}, {0, g.kernel});
    for (std::int64_t o = last; o < all.hi; ++o)
        pool_windows(c, g, axis, from, to, {o, o + 1}, g.taps(o));
}

// Windows of `piece` taps at all `positions` of the axis, into `to`, which begins at the first of
// them; identity where the axis has no element.
void pool_pieces(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
                 Range positions, std::int64_t piece, Field to) {
    AxisGeometry each;
    each.kernel = piece;
    each.dilation = g.dilation;
    each.in = from.origin[axis] + from.extent[axis];
    each.pad_lo = -positions.lo;
    each.out = positions.size();
    to.origin[axis] = 0;
    to.extent[axis] = positions.size();
    pool_across(c, each, axis, from, to);
}

void double_across(const StageContext& with_source, const AxisGeometry& g, int axis,
                   const Field& from, const Field& to) {
    StageContext c = with_source;
    c.widens = false;
    const std::int64_t mark = c.scratch->mark();
    const std::int64_t lo = g.start(to.origin[axis]);
    const std::int64_t windows = (to.extent[axis] - 1) * g.stride + 1;
    const Range positions{lo, lo + windows + (g.kernel - kPiece) * g.dilation};
    Range ranges[kNumPhysical];
    for (int x = 0; x < kNumPhysical; ++x)
        ranges[x] = {from.origin[x], from.origin[x] + from.extent[x]};
    ranges[axis] = positions;
    const Field copy = make_field(c, from.planes, ranges, from.inner);
    pool_pieces(with_source, g, axis, from, positions, kPiece, copy);
    const std::int64_t unit = copy.stride[axis] / c.element() * g.dilation;
    Run run{copy.values, copy.index, copy.elements(), unit, nullptr};
    const std::int64_t taps = rest_taps(c, g.kernel);
    if (taps > 0) {
        Field rest = copy;
        run.rest = rest.values = c.scratch->take(copy.elements() * c.element());
        const std::int64_t at = lo + (g.kernel - taps) * g.dilation;
        pool_pieces(with_source, g, axis, from, {at, at + windows}, taps, rest);
    }
    const Doubled d = double_run(
        c, run, g.kernel, window_loops(c, axis, copy, copy, windows, copy.stride[axis]));
    const LoopNest nest =
        window_loops(c, axis, copy, to, to.extent[axis], wrapped(g.stride, copy.stride[axis]));
    call_rows(c, nest, {d.from, d.from_index, to.values, to.index}, d.taps);
    c.scratch->release(mark);
}

Field planes_of(const Field& f, std::int64_t first, std::int64_t n) {
    Field part = f;
    part.values = moved(f.values, first * f.plane_stride);
    part.index = moved(f.index, first * f.plane_stride);
    part.planes = n;
    return part;
}

Field columns_of(const Field& f, std::int64_t first, std::int64_t n) {
    Field part = f;
    part.values = moved(f.values, first * f.stride[kW]);
    part.index = moved(f.index, first * f.stride[kW]);
    part.extent[kW] = n;
    part.origin[kW] += first;
    return part;
}

RunningKernel running_kernel(const StageContext& c) {
    return c.kernels->running[static_cast<int>(c.combine)][static_cast<int>(c.work)];
}

// Orders of long windows, by running extrema.
void pool_across_running(const StageContext& c, const AxisGeometry& g, int axis,
                         const Field& from, const Field& to) {
    const std::int64_t mark = c.scratch->mark();
    RunningArgs a;
    a.taps = g.kernel;
    a.wide = running_scratch(g, true) <= kRunningBytes;
    a.scratch = c.scratch->take(running_scratch(g, a.wide));
    a.windows = to.extent[axis];
    a.stride = g.stride;
    a.tap_stride = from.stride[axis];
    a.dst_stride = to.stride[axis];
    const std::int64_t start = g.start(to.origin[axis]);
    const std::int64_t span = (a.windows - 1) * g.stride + g.kernel;
    a.first = std::clamp<std::int64_t>(-start, 0, span);
    a.last = std::clamp<std::int64_t>(g.in - start, a.first, span);
    const std::int64_t source = (start + a.first - from.origin[axis]) * a.tap_stride;
    const LoopNest nest = loops_beside(c, axis, from, to);
    a.n = nest.run();
    nest.all([&](std::int64_t from_offset, std::int64_t to_offset) {
        a.src = from.values + source + from_offset;
        a.dst = to.values + to_offset;
        running_kernel(c)(a);
    });
    c.scratch->release(mark);
}

// In parts whose pieces stay in the nearest cache: planes, and columns of one plane.
void pool_across_doubling(const StageContext& c, const AxisGeometry& g, int axis,
                          const Field& from, const Field& to) {
    const std::int64_t span = (to.extent[axis] - 1) * g.stride + g.effective();
    const std::int64_t position = to.elements() / to.planes / to.extent[axis] * c.element();
    const std::int64_t plane = times(position, span);
    const std::int64_t planes = std::clamp<std::int64_t>(kNearBytes / plane, 1, to.planes);
    const std::int64_t width = to.extent[kW];
    const std::int64_t narrowest = std::min(width, (kNarrowest - 1) / to.inner + 1);
    std::int64_t columns =
        axis == kW ? width : std::clamp(kNearBytes / (plane / width), narrowest, width);
    // An odd number of whole vectors: taps some rows apart are as aligned as the scratch is, but not
    // a power of two apart.
    const std::int64_t vector = kLargestVector / c.element();
    if (to.inner == 1 && columns > vector) columns = ((columns / vector - 1) | 1) * vector;
    for (std::int64_t p = 0; p < to.planes; p += planes)
        for (std::int64_t w = 0; w < width; w += columns) {
            const std::int64_t n = std::min(planes, to.planes - p);
            const std::int64_t m = std::min(columns, width - w);
            if (axis == kW) {
                double_across(c, g, axis, planes_of(from, p, n), planes_of(to, p, n));
            } else {
                double_across(c, g, axis, columns_of(planes_of(from, p, n), w, m),
                              columns_of(planes_of(to, p, n), w, m));
            }
        }
}

struct Lacking {
    std::int64_t first;  // taps of the first window before x, and
    std::int64_t last;   // of the last window behind it
};

Lacking lacking(const AxisGeometry& w, Range windows) {
    const std::int64_t end = w.start(windows.hi - 1) + w.effective();
    return {std::max<std::int64_t>(-w.start(windows.lo), 0),
            std::max<std::int64_t>(end - w.in, 0)};
}

void window_rows(const StageContext& c, const AxisGeometry& b, const AxisGeometry& w,
                 const Field& from, const Field& to, Range windows, TapRange taps,
                 const Means& means) {
    WindowArgs a;
    const double rows = means ? means.of_rows(windows.lo) : 0;
    a.divisor = rows * means.middle;
    a.first_divisor = rows * means.first;
    a.last_divisor = rows * means.last;
    const Range columns{to.origin[kW], to.origin[kW] + to.extent[kW]};
    const Lacking l = lacking(w, columns);
    const std::int64_t held = from.origin[kW] + from.extent[kW];
    a.lacks_first = l.first > 0 && from.origin[kW] >= 0;
    a.lacks_last = l.last > 0 && held <= w.in;
    a.src = from.values + (b.start(windows.lo) + taps.first - from.origin[kB]) * from.stride[kB] +
            (w.start(to.origin[kW]) - from.origin[kW]) * c.element();
    a.dst = to.values + (windows.lo - to.origin[kB]) * to.stride[kB];
    a.n1 = windows.size();
    a.n = to.extent[kW];
    a.src_stride1 = wrapped(b.stride, from.stride[kB]);
    a.dst_stride1 = to.stride[kB];
    a.row_stride = from.stride[kB];
    a.rows = taps.count();
    a.taps = w.kernel;
    a.stride = w.stride;
    // Planes or kA, whichever there are more of, is the kernel's outer loop.
    const Loop planes{to.planes, from.plane_stride, to.plane_stride};
    const Loop slices{to.extent[kA], from.stride[kA], to.stride[kA]};
    const Loop& outer = planes.n > slices.n ? slices : planes;
    const Loop& inner = planes.n > slices.n ? planes : slices;
    a.n0 = inner.n;
    a.src_stride0 = inner.from;
    a.dst_stride0 = inner.to;
    const WindowKernel kernel =
        c.kernels->window[static_cast<int>(c.combine)][static_cast<int>(c.work)];
    for (std::int64_t i = 0; i < outer.n; ++i) {
        kernel(a);
        a.src += outer.from;
        a.dst += outer.to;
    }
}

}  // namespace

bool uses_running(Combine combine, const AxisGeometry& g, std::int64_t windows) {
    const bool order = combine != Combine::kSum && combine != Combine::kArgMax;
    return order && uses_doubling(g) && g.dilation == 1 &&
           times(windows, g.stride) >= times(2, g.kernel) &&
           running_scratch(g, false) <= kRunningBytes;
}

std::int64_t running_scratch(const AxisGeometry& g, bool wide) {
    return times(g.kernel, kLargestVector * (wide ? kRunningVectors : 1));
}

bool pools_together(const Schedule& s, const AxisGeometry& b, const AxisGeometry& w) {
    const bool has_kernel = s.combine != Combine::kArgMax && s.work != Work::kI64 &&
                            s.work != Work::kU64;
    if (!has_kernel || b.dilation != 1 || w.dilation != 1) return false;
    return b.kernel <= 3 && (w.kernel == 2 || w.kernel == 3) && w.stride <= 2;
}

bool together_takes_edges(const AxisGeometry& w, Range windows) {
    const Lacking l = lacking(w, windows);
    if (l.first > 1 || l.last > 1) return false;
    return w.kernel == 3 || (w.stride == 1 && l.first + l.last <= 1);
}

void pool_together(const StageContext& c, const AxisGeometry& b, const AxisGeometry& w,
                   const Field& from, const Field& to, const Means& means) {
    if ((!means || means.common != 0) && pool_flat(c, b, w, from, to, means.common)) return;
    const Range all{to.origin[kB], to.origin[kB] + to.extent[kB]};
    const TapRange inside = b.interior();
    const std::int64_t first = std::clamp(inside.first, all.lo, all.hi);
    const std::int64_t last = std::clamp(inside.last, first, all.hi);
    for (std::int64_t o = all.lo; o < first; ++o)
        window_rows(c, b, w, from, to, {o, o + 1}, b.taps(o), means);
    if (first < last) window_rows(c, b, w, from, to, {first, last}, {0, b.kernel}, means);
    for (std::int64_t o = last; o < all.hi; ++o)
        window_rows(c, b, w, from, to, {o, o + 1}, b.taps(o), means);
}

Field make_field(const StageContext& c, std::int64_t planes, const Range ranges[kNumPhysical],
                 std::int64_t inner) {
    Field f;
    f.planes = planes;
    f.inner = inner;
    std::int64_t pitch = inner * c.element();
    for (int x = kW; x >= kA; --x) {
        f.origin[x] = ranges[x].lo;
        f.extent[x] = ranges[x].size();
        f.stride[x] = pitch;
        pitch *= f.extent[x];
    }
    f.plane_stride = pitch;
    f.values = c.scratch->take(pitch * planes);
    if (c.with_index()) f.index = c.scratch->take(pitch * planes);
    return f;
}

void pool_axis(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
               const Field& to) {
    if (axis == kW && to.inner == 1) {
        pool_along(c, g, from, to);
    } else if (uses_sliding(c.combine, c.work, g, axis, to.inner)) {
        pool_across_sliding(c, g, axis, from, to);
    } else if (uses_running(c.combine, g, to.extent[axis])) {
        pool_across_running(c, g, axis, from, to);
    } else if (uses_doubling(g) && to.extent[axis] > 1) {
        pool_across_doubling(c, g, axis, from, to);
    } else {
        pool_across(c, g, axis, from, to);
    }
}

void combine_fields(const StageContext& c, const Field& earlier, const Field& later) {
    combine_runs(c, {earlier.values, earlier.index, earlier.values, earlier.index},
                 earlier.elements(), later.values - earlier.values, 2);
}

void copy_field(const StageContext& c, const Field& from, const Field& to) {
    const LoopNest nest = window_loops(c, kW, from, to, to.extent[kW], from.stride[kW]);
    call_rows(c, nest, {from.values, from.index, to.values, to.index}, {0, 1, 0, 1});
}

void fill_identity(const StageContext& c, const Field& field, std::int64_t first,
                   std::int64_t last) {
    if (first >= last) return;
    Field columns = field;
    columns.extent[kW] = last - first;
    const std::int64_t offset = (first - field.origin[kW]) * field.stride[kW];
    const LoopNest nest = window_loops(c, kW, columns, columns, last - first, field.stride[kW]);
    std::byte* const values = moved(field.values, offset);
    std::byte* const index = moved(field.index, offset);
    // No tap is read; null would be wrong all the same, for a source is moved along.
    call_rows(c, nest, {values, index, values, index}, {0, 1, 0, 0});
}

}  // namespace poolcore
