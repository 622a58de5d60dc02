#include "poolcore/box.hpp"

#include <algorithm>

#include "poolcore/arg_box.hpp"
#include "poolcore/finish.hpp"
#include "poolcore/flat.hpp"
#include "poolcore/indices.hpp"
#include "poolcore/moves.hpp"
#include "poolcore/narrow.hpp"
#include "poolcore/powers.hpp"

namespace poolcore {

Range clipped(const AxisGeometry& g, Range windows) {
    const std::int64_t lo = std::max<std::int64_t>(g.start(windows.lo), 0);
    std::int64_t hi = 0;
    if (__builtin_add_overflow(g.start(windows.hi - 1), g.effective(), &hi)) hi = g.in;
    return {lo, std::max(lo, std::min(hi, g.in))};
}

namespace {

Range whole(const AxisGeometry& g, Range windows) {
    return {g.start(windows.lo), g.start(windows.hi - 1) + g.effective()};
}

// One window along the lanes: its line may be filled up with the identity to a width that is
// easily halved.
bool fills_up(const AxisGeometry& g, Range windows) {
    return windows.size() == 1 && g.dilation == 1 && g.kernel >= 4;
}

// Stages that leave the lanes to a later one read x where it has columns; the columns of the
// padding become the identity.
Field with_margins(const StageContext& c, const Field& from, Range ranges[kNumPhysical],
                   Range columns, const AxisGeometry& g, int axis) {
    const Range held = ranges[kW];
    ranges[kW] = columns;
    const Field to = make_field(c, from.planes, ranges, from.inner);
    Field middle = to;
    middle.origin[kW] = held.lo;
    middle.extent[kW] = held.size();
    middle.values += (held.lo - columns.lo) * to.stride[kW];
    pool_axis(c, g, axis, from, middle);
    fill_identity(c, to, columns.lo, held.lo);
    fill_identity(c, to, held.hi, columns.hi);
    return to;
}

}  // namespace

Field field_on_output(const Schedule& s, const Box& box) {
    Field f;
    f.planes = box.planes;
    f.plane_stride = s.n_batch > 0 ? s.batch[s.n_batch - 1].out_stride : 0;
    f.inner = box.inner;
    std::int64_t offset = 0;
    for (int x = 0; x < kNumPhysical; ++x) {
        f.origin[x] = box.windows[x].lo;
        f.extent[x] = box.windows[x].size();
        f.stride[x] = s.axis[x].out_stride;
        offset += box.windows[x].lo * f.stride[x];
    }
    f.values = box.out + offset;
    return f;
}

namespace {

// How the main pass may touch the caller's arrays.
struct Access {
    bool read_x;
    bool write_result;
    Means means;  // where they are written at once
};

// What the first stage reads.
struct Start {
    Source source;
    Range ranges[kNumPhysical];
    Range columns;  // of kW that the windows need, the padding and a filled-up tail included
    std::int64_t end;  // of those without the tail
    bool tail;
    bool direct;  // x itself
    bool widens;  // in its own type
};

Start start_of(const Schedule& s, const Pass& pass, const Box& box, bool may_read_x) {
    const AxisGeometry& lanes = s.axis[kW].geometry;
    const bool across = s.inner.n > 1;
    Start start;
    start.source = source_of(s, box);
    for (int x = 0; x < kNumPhysical; ++x)
        start.ranges[x] = clipped(s.axis[x].geometry, box.windows[x]);
    Range& columns = start.columns;
    const bool edges = s.together == 0 && together_takes_edges(lanes, box.windows[kW]);
    columns = across || edges ? start.ranges[kW] : whole(lanes, box.windows[kW]);
    start.end = columns.hi;
    const bool inside =
        columns.lo == start.ranges[kW].lo && columns.hi == start.ranges[kW].hi;
    start.widens = s.widens && pass.combine == s.combine && pass.work == s.work;
    start.direct = start.widens || (may_read_x && (!s.lanes_first() || inside));
    start.tail = !across && fills_up(lanes, box.windows[kW]) && !s.whole_planes;
    if (start.tail && !(start.direct && s.lanes_first()))
        columns.hi = columns.lo + (columns.size() + 7) / 8 * 8;
    if (!start.direct) start.ranges[kW] = columns;
    return start;
}

// Rows of x as the stages need them, in scratch.
Field packed(const StageContext& c, const Pass& pass, const Box& box, const Start& start,
             Range rows) {
    Range ranges[kNumPhysical] = {start.ranges[kA], rows, start.ranges[kW]};
    Field field = make_field(c, box.planes, ranges, box.inner);
    pack_field(c, pass, start.source, field);
    fill_identity(c, field, start.end, start.columns.hi);
    field.identity_tail = start.tail;
    return field;
}

// The stage along the lanes, some rows at a time: a copy of all would take as much scratch again.
void pool_packed_rows(const Schedule& s, const StageContext& c, const Pass& pass, const Box& box,
                      const Start& start, const Field& to) {
    const std::int64_t row =
        box.planes * start.ranges[kA].size() * start.columns.size() * c.element();
    const std::int64_t group = std::max<std::int64_t>(1, kNearBytes / row);
    const Range all = start.ranges[kB];
    for (std::int64_t lo = all.lo; lo < all.hi; lo += group) {
        const std::int64_t mark = c.scratch->mark();
        const Range rows{lo, std::min(lo + group, all.hi)};
        Field part = to;
        part.values = moved(to.values, (lo - all.lo) * to.stride[kB]);
        part.index = moved(to.index, (lo - all.lo) * to.stride[kB]);
        part.origin[kB] += lo - all.lo;
        part.extent[kB] = rows.size();
        pool_axis(c, s.axis[kW].geometry, kW, packed(c, pass, box, start, rows), part);
        c.scratch->release(mark);
    }
}

// Planes of kB and kW, or lines, that are one window each.
void pool_planes(const StageContext& c, const Field& from, const Field& to) {
    const bool run_on = from.plane_stride == from.extent[kA] * from.stride[kA] &&
                        to.plane_stride == to.extent[kA] * to.stride[kA];
    const bool single = from.extent[kA] == 1;
    PlanesArgs a;
    a.planes = run_on ? from.planes * from.extent[kA] : single ? from.planes : from.extent[kA];
    a.plane_stride = single ? from.plane_stride : from.stride[kA];
    a.rows = from.extent[kB];
    a.n = from.extent[kW];
    a.row_stride = from.stride[kB];
    const std::int64_t calls = run_on || single ? 1 : from.planes;
    const int work = static_cast<int>(c.work);
    const PlanesKernel kernel = c.widens
                                    ? c.kernels->wide_planes[static_cast<int>(c.source)][work]
                                    : c.kernels->planes[static_cast<int>(c.combine)][work];
    for (std::int64_t p = 0; p < calls; ++p) {
        a.src = from.values + p * from.plane_stride;
        a.dst = to.values + p * to.plane_stride;
        kernel(a);
    }
}

// Pools the box in one pass, stage after stage.
Field pool_box(const Schedule& s, const StageContext& c, const Pass& pass, const Box& box,
               const Access& access) {
    const Start start = start_of(s, pass, box, access.read_x);
    const Range& columns = start.columns;
    Range ranges[kNumPhysical] = {start.ranges[kA], start.ranges[kB], start.ranges[kW]};
    const bool by_rows = !start.direct && packs_by_rows(s);
    Field field;
    if (start.direct) field = field_on_source(start.source, box, ranges);
    if (!start.direct && !by_rows) field = packed(c, pass, box, start, ranges[kB]);
    StageContext first = c;
    first.widens = start.widens;
    first.source = s.plan->in_dtype;
    for (int i = 0; i < s.n_stages; ++i) {
        const int axis = s.order[i];
        const AxisGeometry& g = s.axis[axis].geometry;
        const bool planes = s.whole_planes && axis != kA;
        const bool together = i == s.together || planes;
        const bool margins =
            i == 0 && start.direct && s.inner.n == 1 && !s.lanes_first() && !planes;
        ranges[axis] = box.windows[axis];
        const StageContext& stage = i == 0 ? first : c;
        if (together && i + 1 < s.n_stages) {
            ++i;
            ranges[s.order[i]] = box.windows[s.order[i]];
        }
        const bool last = i + 1 == s.n_stages;
        if (margins && !last &&
            (columns.lo != ranges[kW].lo || columns.hi != ranges[kW].hi)) {
            field = with_margins(first, field, ranges, columns, g, axis);
            field.identity_tail = start.tail;
            continue;
        }
        const Field to = last && access.write_result
                             ? field_on_output(s, box)
                             : make_field(c, box.planes, ranges, box.inner);
        if (by_rows && i == 0) {
            pool_packed_rows(s, c, pass, box, start, to);
        } else if (planes) {
            pool_planes(stage, field, to);
        } else if (together) {
            pool_together(c, s.axis[kB].geometry, s.axis[kW].geometry, field, to, access.means);
        } else {
            pool_axis(stage, g, axis, field, to);
        }
        const bool keeps_tail = field.identity_tail && axis != kW;
        field = to;
        field.identity_tail = keeps_tail;
    }
    return field;
}

Field pool_pass(const Schedule& s, const StageContext& c, const Pass& pass, const Box& box,
                const Access& access) {
    if (!s.huge) return pool_box(s, c, pass, box, access);
    const Field to = access.write_result ? field_on_output(s, box)
                                         : make_field(c, 1, box.windows, box.inner);
    pool_huge_window(s, c, pass, box, to);
    return to;
}

// 16-bit floats by their keys; false when x holds a value that has none.
bool pool_keys(const Schedule& s, const KernelTable& kernels, const Box& box, Scratch& scratch) {
    const StageContext c{&kernels, s.combine, Work::kI16, &scratch};
    bool special = false;
    const Pass pass{s.combine, c.work, Change::kKey, false, 0, &special};
    const Field values = pool_pass(s, c, pass, box, {false, false, {}});
    if (!special) finish_box(s, c, Finish::kOrderKey, box, values, nullptr);
    return !special;
}

// Narrower than this, the columns at the edges are not worth a box of their own.
constexpr std::int64_t kWideEnough = 128;

// A box whose lanes hang over an edge of x, but mostly do not, is done in up to three: only the
// columns at the edges are packed.
bool split_at_edges(const Schedule& s, const KernelTable& kernels, const Box& box,
                    Scratch& scratch) {
    if (!s.direct_in || !s.lanes_first() || s.huge || s.has_aux) return false;
    const Range all = box.windows[kW];
    if (s.together == 0 && together_takes_edges(s.axis[kW].geometry, all)) return false;
    const TapRange inside = s.axis[kW].geometry.interior();
    const std::int64_t first = std::max(inside.first, all.lo);
    const std::int64_t last = std::min(inside.last, all.hi);
    if (last - first < kWideEnough || (first == all.lo && last == all.hi)) return false;
    const Range pieces[] = {{first, last}, {all.lo, first}, {last, all.hi}};
    for (const Range& piece : pieces) {
        if (piece.size() == 0) continue;
        Box part = box;
        part.windows[kW] = piece;
        run_box(s, kernels, part, scratch);
    }
    return true;
}

// The box in one piece.
void pool_whole_box(const Schedule& s, const KernelTable& kernels, const Box& box,
                    Scratch& scratch) {
    const std::int64_t mark = scratch.mark();
    if (s.has_keys && pool_keys(s, kernels, box, scratch)) return;
    scratch.release(mark);
    const bool omit = is_float(s.plan->in_dtype) && s.has_aux;
    const bool sum = s.combine == Combine::kSum;
    Pass pass{s.combine, s.work, s.change, omit, sum ? 0.0 : -__builtin_inf()};
    bool special = false;
    if (s.powers) pass = power_pass(s, &special);
    const StageContext c{&kernels, s.combine, s.work, &scratch};
    const Means means = means_at_once(s, box);
    const bool direct = s.direct_out || means;
    const Field values = pool_pass(s, c, pass, box, {s.direct_in, direct, means});
    if (direct) return scratch.release(mark);
    Field aux;
    if (s.has_aux) {
        const StageContext second{&kernels, Combine::kSum, s.aux_work, &scratch};
        const Pass count{Combine::kSum, s.aux_work, s.aux_change, false, 0};
        aux = pool_pass(s, second, count, box, {false, false, {}});
    }
    if (s.powers) take_roots(s, c, box, values, s.has_aux ? &aux : nullptr, special);
    finish_box(s, c, s.finish, box, values, s.has_aux ? &aux : nullptr);
    if (s.with_index()) finish_indices(s, box, values);
    scratch.release(mark);
}

// Whether planes that could be pooled in their own narrow type are better widened, or made keys, in
// one run and pooled as one line.
bool prefers_flat(const Schedule& s, const KernelTable& kernels, const Box& box) {
    if (s.together != 0) return false;
    Range ranges[kNumPhysical];
    for (int x = 0; x < kNumPhysical; ++x)
        ranges[x] = clipped(s.axis[x].geometry, box.windows[x]);
    const Field from = field_on_source(source_of(s, box), box, ranges);
    const std::int64_t item = static_cast<std::int64_t>(item_size(s.plan->in_dtype));
    const std::int64_t element = s.has_keys ? item : s.element();
    return is_dense(from, item) && pays_flat(kernels, s.combine, element,
                                             s.axis[kB].geometry, s.axis[kW].geometry, from,
                                             field_on_output(s, box));
}

}  // namespace

void run_box(const Schedule& s, const KernelTable& kernels, const Box& box, Scratch& scratch) {
    const std::int64_t mark = scratch.mark();
    if (pools_narrow(s) && !prefers_flat(s, kernels, box) &&
        pool_narrow(s, kernels, box, scratch))
        return scratch.release(mark);
    scratch.release(mark);
    if (split_at_edges(s, kernels, box, scratch)) return;
    if (s.arg_window) return run_arg_box(s, kernels, box, scratch);
    pool_whole_box(s, kernels, box, scratch);
    const bool omit = s.combine == Combine::kMaxOmit || s.combine == Combine::kMinOmit;
    if (s.plan->empty_windows && (omit || s.finish == Finish::kMean))
        finish_empty_windows(s, box);
}

}  // namespace poolcore
