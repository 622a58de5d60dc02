// From x to fields: directly, or packed into scratch with padding and indices beside the values.
#include <algorithm>

#include "poolcore/box.hpp"
#include "poolcore/moves.hpp"
#include "poolcore/powers.hpp"

namespace poolcore {
namespace {

// The line of `to` that starts at column `first`: values or indices, by pointer.
std::byte* line_at(std::byte* base, const Field& to, std::int64_t plane, std::int64_t a,
                   std::int64_t b, std::int64_t column) {
    return base + plane * to.plane_stride + a * to.stride[kA] + b * to.stride[kB] +
           column * to.stride[kW];
}

template <class Int>
void fill_line(std::byte* dst, std::int64_t at, std::int64_t step, std::int64_t columns,
               std::int64_t inner) {
    Int* index = reinterpret_cast<Int*>(dst);  // scratch: aligned
    for (std::int64_t x = 0; x < columns; ++x)
        for (std::int64_t i = 0; i < inner; ++i)
            index[x * inner + i] = static_cast<Int>(at + x * step);
}

void fill_indices(const StageContext& c, const Source& source, const Field& to, Range columns) {
    const auto fill = c.element() == 4 ? fill_line<std::int32_t> : fill_line<std::int64_t>;
    for (std::int64_t p = 0; p < to.planes; ++p)
        for (std::int64_t a = 0; a < to.extent[kA]; ++a)
            for (std::int64_t b = 0; b < to.extent[kB]; ++b) {
                const std::int64_t at = source.index_base +
                                        (to.origin[kA] + a) * source.plane_step[kA] +
                                        (to.origin[kB] + b) * source.plane_step[kB] +
                                        columns.lo * source.plane_step[kW];
                fill(line_at(to.index, to, p, a, b, columns.lo - to.origin[kW]), at,
                     source.plane_step[kW], columns.size(), to.inner);
            }
}

void pack_columns(const StageContext& c, const Pass& pass, const Source& source, const Field& to,
                  Range columns) {
    const PackKernel kernel =
        c.kernels->pack[static_cast<int>(pass.change)][static_cast<int>(source.dtype)]
                       [static_cast<int>(c.work)];
    PackArgs args{};
    args.replace_nan = pass.replace_nan;
    args.nan_value = pass.nan_value;
    args.special = pass.special;
    const std::byte* const src = source.base + to.origin[kA] * source.stride[kA] +
                                 to.origin[kB] * source.stride[kB] +
                                 columns.lo * source.stride[kW];
    std::byte* const dst = line_at(to.values, to, 0, 0, 0, columns.lo - to.origin[kW]);
    const bool pixels = to.inner > 1;
    const std::int64_t n = pixels ? to.inner : columns.size();
    args.src_stride = pixels ? source.inner_stride : source.stride[kW];
    LoopNest nest(n, args.src_stride, c.element());
    if (pixels) nest.add({columns.size(), source.stride[kW], to.stride[kW]});
    nest.add({to.extent[kB], source.stride[kB], to.stride[kB]});
    nest.add({to.extent[kA], source.stride[kA], to.stride[kA]});
    nest.add({to.planes, source.plane_stride, to.plane_stride});
    args.n = nest.run();
    args.n0 = nest.loop(1).n;
    args.n1 = nest.loop(0).n;
    args.src_stride0 = nest.loop(1).from;
    args.src_stride1 = nest.loop(0).from;
    args.dst_stride0 = nest.loop(1).to;
    args.dst_stride1 = nest.loop(0).to;
    nest.outer([&](std::int64_t from, std::int64_t at) {
        args.src = src + from;
        args.dst = dst + at;
        kernel(args);
    });
}

}  // namespace

Source source_of(const Schedule& s, const Box& box) {
    Source source;
    source.base = box.in;
    for (int x = 0; x < kNumPhysical; ++x) {
        source.stride[x] = s.axis[x].in_stride;
        source.in[x] = s.axis[x].geometry.in;
        source.plane_step[x] = s.axis[x].plane_step;
    }
    source.plane_stride = s.n_batch > 0 ? s.batch[s.n_batch - 1].in_stride : 0;
    source.inner_stride = s.inner.in_stride;
    source.index_base = 0;
    source.dtype = s.plan->in_dtype;
    return source;
}

void pack_field(const StageContext& c, const Pass& pass, const Source& source, const Field& to) {
    const Range columns{std::max<std::int64_t>(to.origin[kW], 0),
                        std::min(to.origin[kW] + to.extent[kW], source.in[kW])};
    const std::int64_t end = to.origin[kW] + to.extent[kW];
    if (columns.size() <= 0) return fill_identity(c, to, to.origin[kW], end);
    const auto fill_margins = [&] {
        fill_identity(c, to, to.origin[kW], columns.lo);
        fill_identity(c, to, columns.hi, end);
    };
    fill_margins();
    pack_columns(c, pass, source, to, columns);
    if (pass.powers) {
        raise_packed(c, pass, to);
        fill_margins();
    }
    if (c.with_index()) fill_indices(c, source, to, columns);
}

Field field_on_source(const Source& source, const Box& box, const Range ranges[kNumPhysical]) {
    Field f;
    std::int64_t offset = 0;
    for (int x = 0; x < kNumPhysical; ++x) {
        f.origin[x] = ranges[x].lo;
        f.extent[x] = ranges[x].size();
        f.stride[x] = source.stride[x];
        offset += ranges[x].lo * source.stride[x];
    }
    // Stages take fields, and write only to the field they are told to fill.
    f.values = const_cast<std::byte*>(source.base + offset);
    f.planes = box.planes;
    f.plane_stride = source.plane_stride;
    f.inner = box.inner;
    return f;
}

}  // namespace poolcore
