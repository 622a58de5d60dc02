#include "poolcore/adaptive.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "poolcore/finish.hpp"
#include "poolcore/indices.hpp"
#include "poolcore/moves.hpp"

namespace poolcore {
namespace {

// ---- the schedule ----------------------------------------------------------------------------

bool has_stage(const Schedule& s, int axis) {
    return std::find(s.order, s.order + s.n_stages, axis) != s.order + s.n_stages;
}

// Windows of one element that repeat elements look idle to make_schedule. Whenever they come, the
// bits are the same; last is cheapest.
void add_repeating_stages(Schedule& s) {
    for (int x = kA; x <= kW; ++x)
        if (s.axis[x].geometry.period > 1 && !has_stage(s, x)) s.order[s.n_stages++] = x;
}

// Windows along the lanes from here on are pooled by halving, shorter ones tap by tap.
constexpr std::int64_t kLongWindow = 16;

// A few channels side by side do not fill a vector either: each is a plane instead, unless sums
// begin with rows, which are long.
void put_channels_apart(Schedule& s) {
    constexpr std::int64_t kFewChannels = 8;
    if (s.inner.n == 1 || s.inner.n >= kFewChannels || s.order[0] != kW) return;
    s.batch[s.n_batch++] = s.inner;
    s.inner = {1, static_cast<std::int64_t>(item_size(s.plan->in_dtype)),
               static_cast<std::int64_t>(item_size(s.plan->out_dtype)), 8};
    s.direct_in = s.direct_out = false;
}

// Short windows along the contiguous axis do not fill a vector; as many planes do, side by side.
void put_lanes_over_planes(Schedule& s) {
    constexpr std::int64_t kFewPlanes = 8;
    if (s.inner.n > 1 || s.n_batch == 0 || !has_stage(s, kW)) return;
    const BatchAxis& planes = s.batch[s.n_batch - 1];
    // Sums pool rows first, as they lie, and have fewer left for windows along the lanes.
    const bool rows_first = s.combine == Combine::kSum && s.order[0] != kW;
    if (planes.n < kFewPlanes || (rows_first && s.axis[kW].geometry.kernel >= 4)) return;
    s.inner = planes;
    --s.n_batch;
    s.direct_in = s.direct_out = false;
}

// Positions that so many neighbouring windows reach at most.
std::int64_t reach(const AxisGeometry& g, std::int64_t windows) {
    return std::min(g.in, g.start(windows - 1) + 1 + g.kernel);
}

// Windows along the lines come before those across them, as for maxima, and there are many lines:
// they are turned, so that lanes lie across them, and turned back.
bool turns_lines(const Schedule& s) {
    constexpr std::int64_t kFewLines = 8;
    return s.inner.n == 1 && s.order[0] == kW && s.axis[kB].geometry.in >= kFewLines;
}

// Ordinary windows are never pooled tap by tap.
bool halves_lanes(const Schedule& s, int axis) {
    const AxisGeometry& g = s.axis[kW].geometry;
    return axis == kW && s.inner.n == 1 && (g.period == 1 || g.kernel >= kLongWindow) &&
           !turns_lines(s);
}

// Windows that are pooled at once from the taps of a few lines, where a call of a kernel for every
// window would not pay.
constexpr std::int64_t kGathered = 256;

bool gathers(const AxisGeometry& g, std::int64_t lines) {
    constexpr std::int64_t kFewLines = 8;
    return g.period > 1 && g.kernel < kLongWindow && lines < kFewLines;
}

// Scratch of one pass: the packed field, the result of every stage, lines turned and turned back,
// and, where windows along the lanes are halved, up to three times the source of that. Windows that
// overlap so little are never doubled.
std::int64_t pass_scratch(const Schedule& s, const BoxShape& box, std::int64_t size, bool packed) {
    std::int64_t extent[kNumPhysical];
    for (int x = 0; x < kNumPhysical; ++x) extent[x] = reach(s.axis[x].geometry, box.out[x]);
    const auto bytes = [&] {
        std::int64_t n = times(times(box.planes, box.inner), size);
        for (const std::int64_t e : extent) n = times(n, e);
        return n;
    };
    std::int64_t total = packed ? bytes() : 0;
    std::int64_t temporary = 0;
    if (turns_lines(s)) total = std::min(kMany, 3 * total);
    for (int i = 0; i < s.n_stages; ++i) {
        if (halves_lanes(s, s.order[i])) temporary = times(3, bytes());
        if (s.order[i] == kW && s.inner.n == 1 && !turns_lines(s))
            temporary = std::max(temporary, 2 * Scratch::footprint(kLongWindow * kGathered * size));
        extent[s.order[i]] = box.out[s.order[i]];
        total = std::min(kMany, total + bytes());
    }
    return std::min(kMany, total + temporary + 64 * kScratchSlack);
}

std::int64_t scratch_of(const Schedule& s, const BoxShape& box) {
    const std::int64_t size = s.element() * (s.with_index() ? 2 : 1);
    std::int64_t total = pass_scratch(s, box, size, !s.direct_in);
    if (s.has_aux) total += pass_scratch(s, box, work_size(s.aux_work), true);
    for (const std::int64_t out : box.out)  // the counts of taps that finish.cpp divides by
        total += 2 * Scratch::footprint(times(8, out));
    return std::min(kMany, total);
}

struct Limits {
    std::int64_t scratch;
    std::int64_t outputs;
};

bool fits(const Schedule& s, const BoxShape& box, const Limits& limits) {
    std::int64_t outputs = times(box.planes, box.inner);
    for (const std::int64_t out : box.out) outputs = times(outputs, out);
    return outputs <= limits.outputs && scratch_of(s, box) <= limits.scratch;
}

// Fewer lanes first, but enough of them for a few vectors; then windows, along the longest side.
bool shrink(BoxShape& box) {
    constexpr std::int64_t kEnoughLanes = 64;
    std::int64_t* side = std::max_element(box.out, box.out + kNumPhysical);
    if (box.inner > kEnoughLanes || *side == 1) side = &box.inner;
    if (*side == 1) return false;
    *side = (*side + 1) / 2;
    return true;
}

void choose_adaptive_box(Schedule& s, int threads) {
    constexpr std::int64_t kLeast = 1024;
    constexpr std::int64_t kMost = 64 * 1024;
    const std::int64_t share = s.plan->out_elements / (4 * static_cast<std::int64_t>(threads));
    const Limits limits{kScratchLimit / 2, std::clamp(share, kLeast, kMost)};
    BoxShape box;
    box.inner = s.inner.n;
    for (int x = 0; x < kNumPhysical; ++x) box.out[x] = s.axis[x].geometry.out;
    bool whole = true;
    while (!fits(s, box, limits) && shrink(box)) whole = false;
    const std::int64_t planes = s.n_batch > 0 ? s.batch[s.n_batch - 1].n : 1;
    while (whole && box.planes < planes) {
        BoxShape larger = box;
        larger.planes = std::min(planes, box.planes * 2);
        if (!fits(s, larger, limits)) break;
        box = larger;
    }
    s.box = box;
}

// ---- a box -----------------------------------------------------------------------------------

// Pools `n` windows from number `first` on, a period apart, as ordinary windows of a part of
// `from` into a part of `to`.
void pool_class(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
                const Field& to, Range windows) {
    const std::int64_t n = (windows.size() + g.period - 1) / g.period;
    AxisGeometry part;
    part.kernel = g.length(windows.lo);
    part.stride = g.stride;
    part.in = (n - 1) * g.stride + part.kernel;
    part.out = n;
    Field source = from;
    const std::int64_t skip = (g.start(windows.lo) - from.origin[axis]) * from.stride[axis];
    source.values += skip;
    if (source.index) source.index += skip;
    source.origin[axis] = 0;
    source.extent[axis] = part.in;
    Field target = to;
    const std::int64_t at = (windows.lo - to.origin[axis]) * to.stride[axis];
    target.values += at;
    if (target.index) target.index += at;
    target.origin[axis] = 0;
    target.extent[axis] = n;
    target.stride[axis] *= g.period;
    pool_axis(c, part, axis, source, target);
}

// Window `o` along the lanes, of every line, tap by tap.
void pool_short_window(const StageContext& c, const AxisGeometry& g, const Field& from,
                       const Field& to, std::int64_t o) {
    const std::int64_t source = (g.start(o) - from.origin[kW]) * c.element();
    const std::int64_t result = (o - to.origin[kW]) * to.stride[kW];
    LoopNest lines(1, c.element());
    for (const int x : {kB, kA}) lines.add({to.extent[x], from.stride[x], to.stride[x]});
    lines.add({to.planes, from.plane_stride, to.plane_stride});
    const std::int64_t k = g.length(o);
    call_rows(c, lines,
              {moved(from.values, source), moved(from.index, source), moved(to.values, result),
               moved(to.index, result)},
              {c.element(), k, 0, k});
}

// Copies tap j of n windows of a line, each from its own place, to line j of a block.
template <class Bits>
void gather(const std::byte* line, const AxisGeometry& g, std::int64_t first, std::int64_t n,
            std::int64_t origin, std::byte* block, std::int64_t pitch) {
    constexpr std::int64_t size = sizeof(Bits);
    AdaptiveWindows windows(g, first);
    for (std::int64_t w = 0; w < n; ++w, windows.next()) {
        const std::byte* src = line + (windows.start() - origin) * size;
        for (std::int64_t j = 0; j < windows.length(); ++j)
            std::memcpy(block + j * pitch + w * size, src + j * size, sizeof(Bits));
    }
}

// Short windows of a few lines, side by side: their taps make lines across which windows are
// pooled. Those that a window lacks, at its end, are the identity.
void pool_gathered(const StageContext& c, const AxisGeometry& g, const Field& from,
                   const Field& to) {
    constexpr decltype(&gather<std::uint8_t>) kinds[] = {
        gather<std::uint8_t>, gather<std::uint16_t>, gather<std::uint32_t>, gather<std::uint64_t>};
    const auto copy = kinds[std::countr_zero(static_cast<std::uint64_t>(c.element()))];
    AxisGeometry taps;
    taps.in = taps.kernel = taps.stride = g.kernel;
    for (std::int64_t w = 0; w < to.extent[kW]; w += kGathered) {
        const std::int64_t first = to.origin[kW] + w, n = std::min(kGathered, to.extent[kW] - w);
        for (std::int64_t line = 0; line < to.planes * to.extent[kA] * to.extent[kB]; ++line) {
            const std::int64_t b = line % to.extent[kB], rest = line / to.extent[kB];
            const std::int64_t a = rest % to.extent[kA], p = rest / to.extent[kA];
            const auto offset = [&](const Field& f) {
                return p * f.plane_stride + a * f.stride[kA] + b * f.stride[kB];
            };
            const std::int64_t mark = c.scratch->mark();
            const Range ranges[kNumPhysical] = {{0, 1}, {0, g.kernel}, {0, n}};
            const Field block = make_field(c, 1, ranges, 1);
            fill_identity(c, block, 0, n);
            const auto taken = [&](const std::byte* base, std::byte* values) {
                copy(base + offset(from), g, first, n, from.origin[kW], values, block.stride[kB]);
            };
            taken(from.values, block.values);
            if (from.index) taken(from.index, block.index);
            Field result = block;
            result.extent[kB] = 1;
            result.values = to.values + offset(to) + w * c.element();
            result.index = moved(to.index, offset(to) + w * c.element());
            pool_axis(c, taps, kB, block, result);
            c.scratch->release(mark);
        }
    }
}

// Pools one axis of `from` into the windows that `to` covers along it.
void pool_stage(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
                const Field& to) {
    const std::int64_t lo = to.origin[axis];
    const std::int64_t hi = lo + to.extent[axis];
    if (g.period == 1) return pool_axis(c, g, axis, from, to);
    // Along the lanes results lie side by side, so there every window is a class of its own.
    const bool alone = axis == kW && to.inner == 1;
    if (alone && gathers(g, to.planes * to.extent[kA] * to.extent[kB]))
        return pool_gathered(c, g, from, to);
    const std::int64_t classes = alone ? hi - lo : std::min(g.period, hi - lo);
    for (std::int64_t o = lo; o < lo + classes; ++o) {
        if (alone && g.kernel < kLongWindow)
            pool_short_window(c, g, from, to, o);
        else
            pool_class(c, g, axis, from, to, {o, alone ? o + 1 : hi});
    }
}

// One turn of the lines of a plane, values or indices: rows become columns.
struct Turn {
    const std::byte* from;
    std::byte* to;
    std::int64_t rows, columns;  // of `to`
};

void turn(const StageContext& c, const Turn& t) {
    const std::int64_t size = c.element();
    c.kernels->turn[std::countr_zero(static_cast<std::uint64_t>(size))](
        {t.from, t.to, t.columns, t.rows, t.rows * size, t.columns * size});
}

// Pools the axis along the lines of `from` into `to`, both tight fields in scratch, lane by line.
void pool_turned(const StageContext& c, const AxisGeometry& g, const Field& from,
                 const Field& to) {
    const std::int64_t mark = c.scratch->mark();
    const std::int64_t lines = from.extent[kB];
    const Range one{0, 1};
    const Range columns{from.origin[kW], from.origin[kW] + from.extent[kW]};
    const Range windows{to.origin[kW], to.origin[kW] + to.extent[kW]};
    const Range before[kNumPhysical] = {one, one, columns};
    const Range after[kNumPhysical] = {one, one, windows};
    const Field source = make_field(c, 1, before, lines);
    const Field result = make_field(c, 1, after, lines);
    for (std::int64_t p = 0; p < from.planes; ++p)
        for (std::int64_t a = 0; a < from.extent[kA]; ++a) {
            const std::int64_t there = p * from.plane_stride + a * from.stride[kA];
            const std::int64_t here = p * to.plane_stride + a * to.stride[kA];
            turn(c, {from.values + there, source.values, columns.size(), lines});
            if (from.index) turn(c, {from.index + there, source.index, columns.size(), lines});
            pool_stage(c, g, kW, source, result);
            turn(c, {result.values, to.values + here, lines, windows.size()});
            if (to.index) turn(c, {result.index, to.index + here, lines, windows.size()});
        }
    c.scratch->release(mark);
}

struct Access {
    bool read_x;
    bool write_result;
};

Field pool_pass(const Schedule& s, const StageContext& c, const Pass& pass, const Box& box,
                const Access& access) {
    const Source source = source_of(s, box);
    Range ranges[kNumPhysical];
    for (int x = 0; x < kNumPhysical; ++x) {
        const AxisGeometry& g = s.axis[x].geometry;
        const Range w = box.windows[x];
        ranges[x] = {g.start(w.lo), g.start(w.hi - 1) + g.length(w.hi - 1)};
    }
    Field field = access.read_x ? field_on_source(source, box, ranges)
                                : make_field(c, box.planes, ranges, box.inner);
    if (!access.read_x) pack_field(c, pass, source, field);
    for (int i = 0; i < s.n_stages; ++i) {
        const int axis = s.order[i];
        ranges[axis] = box.windows[axis];
        const bool result = access.write_result && i + 1 == s.n_stages;
        const Field to = result ? field_on_output(s, box)
                                : make_field(c, box.planes, ranges, box.inner);
        if (i == 0 && turns_lines(s) && field.extent[kB] > 1 && !result)
            pool_turned(c, s.axis[axis].geometry, field, to);
        else
            pool_stage(c, s.axis[axis].geometry, axis, field, to);
        field = to;
    }
    return field;
}

}  // namespace

bool has_small_windows(const PoolPlan& plan) {
    std::int64_t taps = 1;
    for (int i = 0; i < plan.spec.n_axes; ++i) taps = times(taps, plan.geometry[i].kernel);
    return taps <= kMaxAdaptiveTaps;
}

Schedule make_adaptive_schedule(const PoolPlan& plan, const StridedView& in,
                                const MutableView& out, const MutableView* indices,
                                int threads) {
    Schedule s = make_schedule(plan, in, out, indices, threads);
    // Ways for windows that are all alike.
    s.together = -1;
    s.whole_planes = s.huge = s.has_keys = s.widens = s.direct_mean = false;
    add_repeating_stages(s);
    put_channels_apart(s);
    put_lanes_over_planes(s);
    // Window after window goes through all lines, which may lie in each other's way in the cache.
    if (s.inner.n == 1 && s.order[0] == kW && !halves_lanes(s, kW)) s.direct_in = false;
    if (turns_lines(s) && s.n_stages == 1) s.direct_out = false;
    choose_adaptive_box(s, threads);
    count_tasks(s);
    s.scratch_bytes = scratch_of(s, s.box);
    return s;
}

void run_adaptive_box(const Schedule& s, const KernelTable& kernels, const Box& box,
                      Scratch& scratch) {
    const std::int64_t mark = scratch.mark();
    const bool omit = is_float(s.plan->in_dtype) && s.has_aux;
    const bool sum = s.combine == Combine::kSum;
    const Pass pass{s.combine, s.work, s.change, omit, sum ? 0.0 : -__builtin_inf()};
    const StageContext c{&kernels, s.combine, s.work, &scratch};
    const Field values = pool_pass(s, c, pass, box, {s.direct_in, s.direct_out});
    if (s.direct_out) return scratch.release(mark);
    Field aux;
    if (s.has_aux) {
        const StageContext second{&kernels, Combine::kSum, s.aux_work, &scratch};
        const Pass count{Combine::kSum, s.aux_work, s.aux_change, false, 0};
        aux = pool_pass(s, second, count, box, {false, false});
    }
    finish_box(s, c, s.finish, box, values, s.has_aux ? &aux : nullptr);
    if (s.with_index()) finish_indices(s, box, values);
    scratch.release(mark);
}

}  // namespace poolcore
