#include "poolcore/stages.hpp"

#include <algorithm>

namespace poolcore {
namespace {

// One loop around a kernel: how often, and how far source and result move, in bytes.
struct Loop {
    std::int64_t n;
    std::int64_t from;
    std::int64_t to;
};

// Loops from the innermost outwards, neighbours that run on into each other merged.
class LoopNest {
   public:
    // `run` contiguous elements of `element` bytes are the innermost of all.
    LoopNest(std::int64_t run, std::int64_t element) : run_(run), element_(element) {}

    void add(Loop loop) {
        if (loop.n == 1) return;
        if (size_ == 0 && loop.from == run_ * element_ && loop.to == loop.from) {
            run_ *= loop.n;
            return;
        }
        if (size_ > 0) {
            Loop& inner = loops_[size_ - 1];
            if (loop.from == inner.n * inner.from && loop.to == inner.n * inner.to) {
                inner.n *= loop.n;
                return;
            }
        }
        loops_[size_++] = loop;
    }

    std::int64_t run() const { return run_; }
    int size() const { return size_; }
    Loop loop(int i) const { return i < size_ ? loops_[i] : Loop{1, 0, 0}; }

    // Calls body(from_offset, to_offset) for every turn of the loops beyond the two innermost.
    template <class Body>
    void outer(const Body& body) const {
        const Loop third = loop(2), fourth = loop(3);
        for (std::int64_t i = 0; i < fourth.n; ++i)
            for (std::int64_t j = 0; j < third.n; ++j)
                body(i * fourth.from + j * third.from, i * fourth.to + j * third.to);
    }

   private:
    Loop loops_[5];
    int size_ = 0;
    std::int64_t run_;
    std::int64_t element_;
};

// Where taps come from and results go; index pointers are null without indices.
struct Ends {
    const std::byte* from;
    const std::byte* from_index;
    std::byte* to;
    std::byte* to_index;
};

const std::byte* moved(const std::byte* p, std::int64_t by) { return p ? p + by : nullptr; }
std::byte* moved(std::byte* p, std::int64_t by) { return p ? p + by : nullptr; }

struct Taps {
    std::int64_t stride;  // bytes
    std::int64_t all, first, last;
};

void call_rows(const StageContext& c, const LoopNest& nest, const Ends& ends, const Taps& taps) {
    const RowsKernel kernel =
        c.kernels->rows[static_cast<int>(c.combine)][static_cast<int>(c.work)];
    nest.outer([&](std::int64_t from, std::int64_t to) {
        RowsArgs a;
        a.src = moved(ends.from, from);
        a.dst = moved(ends.to, to);
        a.src_index = moved(ends.from_index, from);
        a.dst_index = moved(ends.to_index, to);
        a.n0 = nest.loop(1).n;
        a.n1 = nest.loop(0).n;
        a.n = nest.run();
        a.src_stride0 = nest.loop(1).from;
        a.src_stride1 = nest.loop(0).from;
        a.dst_stride0 = nest.loop(1).to;
        a.dst_stride1 = nest.loop(0).to;
        a.tap_stride = taps.stride;
        a.taps = taps.all;
        a.first = taps.first;
        a.last = taps.last;
        kernel(a);
    });
}

void call_slide(const StageContext& c, const LoopNest& nest, const Ends& ends, std::int64_t n,
                std::int64_t taps, std::int64_t stride) {
    const SlideKernel kernel =
        c.kernels->slide[static_cast<int>(c.combine)][static_cast<int>(c.work)];
    nest.outer([&](std::int64_t from, std::int64_t to) {
        SlideArgs a;
        a.src = moved(ends.from, from);
        a.dst = moved(ends.to, to);
        a.src_index = moved(ends.from_index, from);
        a.dst_index = moved(ends.to_index, to);
        a.n0 = nest.loop(1).n;
        a.n1 = nest.loop(0).n;
        a.n = n;
        a.src_stride0 = nest.loop(1).from;
        a.src_stride1 = nest.loop(0).from;
        a.dst_stride0 = nest.loop(1).to;
        a.dst_stride1 = nest.loop(0).to;
        a.taps = taps;
        a.stride = stride;
        kernel(a);
    });
}

// ---- doubling ----------------------------------------------------------------------------

// What is left to do after doubling: one last combination, per position of the run.
struct Doubled {
    const std::byte* from;
    const std::byte* from_index;
    Taps taps;
};

struct Run {
    std::byte* values;
    std::byte* index;
    std::int64_t elements;
    std::int64_t unit;  // elements between neighbouring taps
};

void combine_runs(const StageContext& c, const Ends& ends, std::int64_t n, std::int64_t tap_bytes,
                  std::int64_t taps) {
    call_rows(c, LoopNest(n, c.element()), ends, {tap_bytes, taps, 0, taps});
}

// Every position of the run becomes the combination of itself and the one `reach` further on.
void double_once(const StageContext& c, const Run& run, std::int64_t reach) {
    combine_runs(c, {run.values, run.index, run.values, run.index}, run.elements - reach,
                 reach * c.element(), 2);
}

// Orders: two pieces of the largest power of two may overlap.
Doubled double_order(const StageContext& c, Run run, std::int64_t k) {
    std::int64_t covered = 1;
    for (; 2 * covered <= k; covered *= 2) {
        double_once(c, run, covered * run.unit);
        run.elements -= covered * run.unit;
    }
    const std::int64_t taps = covered == k ? 1 : 2;
    return {run.values, run.index, {(k - covered) * run.unit * c.element(), taps, 0, taps}};
}

// Sums: one piece for every set bit of k, the largest first in the window, joined from the last
// one backwards: the canonical tree.
Doubled double_sum(const StageContext& c, Run run, std::int64_t k) {
    const std::int64_t results = run.elements - (k - 1) * run.unit;
    std::byte* rest = nullptr;
    for (std::int64_t piece = 1;; piece *= 2) {
        const std::int64_t before = k & ~(2 * piece - 1);
        std::byte* at = run.values + before * run.unit * c.element();
        if ((k & piece) && before == 0) {
            if (!rest) return {at, nullptr, {0, 1, 0, 1}};
            return {at, nullptr, {rest - at, 2, 0, 2}};
        }
        if ((k & piece) && !rest) {
            rest = c.scratch->take(results * c.element());
            combine_runs(c, {at, nullptr, rest, nullptr}, results, 0, 1);
        } else if (k & piece) {
            combine_runs(c, {at, nullptr, rest, nullptr}, results, rest - at, 2);
        }
        double_once(c, run, piece * run.unit);
        run.elements -= piece * run.unit;
    }
}

Doubled double_run(const StageContext& c, const Run& run, std::int64_t k) {
    return c.combine == Combine::kSum ? double_sum(c, run, k) : double_order(c, run, k);
}

// ---- an axis across the lanes --------------------------------------------------------------

// Loops over all axes; along `axis` there are `n` windows, `step` bytes apart in the source.
LoopNest window_loops(const StageContext& c, int axis, const Field& from, const Field& to,
                      std::int64_t n, std::int64_t step) {
    LoopNest nest(to.inner, c.element());
    for (int x = kW; x >= kA; --x)
        nest.add(x == axis ? Loop{n, step, to.stride[x]}
                           : Loop{to.extent[x], from.stride[x], to.stride[x]});
    nest.add({to.planes, from.plane_stride, to.plane_stride});
    return nest;
}

void pool_windows(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
                  const Field& to, Range windows, TapRange taps) {
    const std::int64_t stride = from.stride[axis];
    const std::int64_t at = g.start(windows.lo) + taps.first * g.dilation - from.origin[axis];
    const std::int64_t source = taps.count() > 0 ? at * stride : 0;
    const std::int64_t result = (windows.lo - to.origin[axis]) * to.stride[axis];
    const LoopNest nest =
        window_loops(c, axis, from, to, windows.size(), g.stride * stride);
    call_rows(c, nest,
              {moved(from.values, source), moved(from.index, source), moved(to.values, result),
               moved(to.index, result)},
              {g.dilation * stride, g.kernel, taps.first, taps.last});
}

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

// Copies `from` into scratch with `axis` outermost but for the planes, from position `first` on,
// identity where the axis has no element.
Field padded_copy(const StageContext& c, int axis, const Field& from, Range positions) {
    Range ranges[kNumPhysical];
    for (int x = 0; x < kNumPhysical; ++x)
        ranges[x] = {from.origin[x], from.origin[x] + from.extent[x]};
    ranges[axis] = positions;
    Field copy = make_field(c, from.planes, ranges, from.inner);
    AxisGeometry each;  // a window of one tap at every position
    each.in = from.origin[axis] + from.extent[axis];
    each.pad_lo = -positions.lo;
    each.out = positions.size();
    Field target = copy;
    target.origin[axis] = 0;
    pool_across(c, each, axis, from, target);
    return copy;
}

void pool_across_doubling(const StageContext& c, const AxisGeometry& g, int axis,
                          const Field& from, const Field& to) {
    const std::int64_t mark = c.scratch->mark();
    const std::int64_t lo = g.start(to.origin[axis]);
    const std::int64_t hi =
        g.start(to.origin[axis] + to.extent[axis] - 1) + g.effective();
    const Field copy = padded_copy(c, axis, from, {lo, hi});
    const std::int64_t unit = copy.stride[axis] / c.element() * g.dilation;
    const Doubled d = double_run(c, {copy.values, copy.index, copy.elements(), unit}, g.kernel);
    const LoopNest nest =
        window_loops(c, axis, copy, to, to.extent[axis], g.stride * copy.stride[axis]);
    call_rows(c, nest, {d.from, d.from_index, to.values, to.index}, d.taps);
    c.scratch->release(mark);
}

// ---- the axis along the lanes --------------------------------------------------------------

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
    call_slide(c, separate_lines(l), l.ends, n, 2, 2);
    next.kernel /= 2;
    next.stride /= 2;
    next.done = last;
    return next;
}

// One window of an odd number of taps: pairs, and the last tap as it is.
Lanes halve_odd(const StageContext& c, Lanes l) {
    Lanes next = into_scratch(c, l, (l.kernel + 1) / 2);
    call_slide(c, separate_lines(l), l.ends, l.kernel / 2, 2, 2);
    const std::int64_t from = (l.kernel - 1) * c.element();
    const std::int64_t to = l.kernel / 2 * c.element();
    call_rows(c, line_loops(c, l, 1),
              {moved(l.ends.from, from), moved(l.ends.from_index, from), moved(l.ends.to, to),
               moved(l.ends.to_index, to)},
              {0, 1, 0, 1});
    next.kernel = (l.kernel + 1) / 2;
    return next;
}

// Windows at stride 1.
void slide_one(const StageContext& c, Lanes l, bool doubling) {
    if (!doubling) {
        LoopNest nest = separate_lines(l);
        LoopNest lines(l.windows, c.element());
        for (int i = 0; i < nest.size(); ++i) lines.add(nest.loop(i));
        call_rows(c, lines, l.ends, {l.dilation * c.element(), l.kernel, 0, l.kernel});
        return;
    }
    const std::int64_t span = l.span();
    Lanes copy = l;
    copy.windows = span;
    Lanes next = into_scratch(c, copy, span);
    call_rows(c, line_loops(c, copy, span), copy.ends, {0, 1, 0, 1});
    const Run run{copy.ends.to, copy.ends.to_index, l.count() * span, l.dilation};
    const Doubled d = double_run(c, run, l.kernel);
    next.ends.from = d.from;
    next.ends.from_index = d.from_index;
    call_rows(c, line_loops(c, next, l.windows), next.ends, d.taps);
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
    if (l.kernel == 1 || (l.stride == 2 && l.kernel == 3 && l.dilation == 1))
        return call_slide(c, separate_lines(l), l.ends, l.windows, l.kernel, l.stride);
    Lanes each = l;  // every position a window, then those asked for
    each.stride = 1;
    each.windows = (l.windows - 1) * l.stride + 1;
    const Lanes next = into_scratch(c, each, each.windows);
    slide_one(c, each, doubling);
    call_slide(c, separate_lines(next), next.ends, l.windows, 1, l.stride);
}

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

// ---- both at once ----------------------------------------------------------------------------

void window_rows(const StageContext& c, const AxisGeometry& b, const AxisGeometry& w,
                 const Field& from, const Field& to, Range windows, TapRange taps,
                 double divisor) {
    WindowArgs a;
    a.divisor = divisor;
    a.src = from.values + (b.start(windows.lo) + taps.first - from.origin[kB]) * from.stride[kB] +
            (w.start(to.origin[kW]) - from.origin[kW]) * c.element();
    a.dst = to.values + (windows.lo - to.origin[kB]) * to.stride[kB];
    a.n1 = windows.size();
    a.n = to.extent[kW];
    a.src_stride1 = b.stride * from.stride[kB];
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

bool pools_together(Combine combine, const AxisGeometry& b, const AxisGeometry& w) {
    if (combine == Combine::kArgMax || b.dilation != 1 || w.dilation != 1) return false;
    return b.kernel <= 3 && (w.kernel == 2 || w.kernel == 3) && w.stride <= 2;
}

void pool_together(const StageContext& c, const AxisGeometry& b, const AxisGeometry& w,
                   const Field& from, const Field& to, double divisor) {
    const Range all{to.origin[kB], to.origin[kB] + to.extent[kB]};
    const TapRange inside = b.interior();
    const std::int64_t first = std::clamp(inside.first, all.lo, all.hi);
    const std::int64_t last = std::clamp(inside.last, first, all.hi);
    for (std::int64_t o = all.lo; o < first; ++o)
        window_rows(c, b, w, from, to, {o, o + 1}, b.taps(o), divisor);
    if (first < last) window_rows(c, b, w, from, to, {first, last}, {0, b.kernel}, divisor);
    for (std::int64_t o = last; o < all.hi; ++o)
        window_rows(c, b, w, from, to, {o, o + 1}, b.taps(o), divisor);
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

void fill_identity(const StageContext& c, const Field& field, std::int64_t first,
                   std::int64_t last) {
    if (first >= last) return;
    Field columns = field;
    columns.extent[kW] = last - first;
    const std::int64_t offset = (first - field.origin[kW]) * field.stride[kW];
    const LoopNest nest = window_loops(c, kW, columns, columns, last - first, field.stride[kW]);
    call_rows(c, nest,
              {nullptr, nullptr, moved(field.values, offset), moved(field.index, offset)},
              {0, 1, 0, 0});
}

}  // namespace poolcore
