// From x to fields: directly, or packed into scratch with padding and indices beside the values.
#include <algorithm>

#include "poolcore/box.hpp"
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
    PackArgs args;
    args.replace_nan = pass.replace_nan;
    args.nan_value = pass.nan_value;
    args.special = pass.special;
    const bool joined =
        to.inner == 1 || source.stride[kW] == to.inner * source.inner_stride;
    args.n = joined ? columns.size() * to.inner : to.inner;
    args.n1 = joined ? to.extent[kB] : columns.size();
    args.n0 = joined ? to.extent[kA] : to.extent[kB];
    args.src_stride = to.inner == 1 ? source.stride[kW] : source.inner_stride;
    args.src_stride1 = joined ? source.stride[kB] : source.stride[kW];
    args.src_stride0 = joined ? source.stride[kA] : source.stride[kB];
    args.dst_stride1 = joined ? to.stride[kB] : to.stride[kW];
    args.dst_stride0 = joined ? to.stride[kA] : to.stride[kB];
    const std::int64_t turns = joined ? 1 : to.extent[kA];
    for (std::int64_t p = 0; p < to.planes; ++p)
        for (std::int64_t a = 0; a < turns; ++a) {
            args.src = source.base + p * source.plane_stride +
                       (to.origin[kA] + a) * source.stride[kA] +
                       to.origin[kB] * source.stride[kB] + columns.lo * source.stride[kW];
            args.dst = line_at(to.values, to, p, a, 0, columns.lo - to.origin[kW]);
            kernel(args);
            if (pass.powers) raise_packed(c, pass, args);
        }
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
    fill_identity(c, to, to.origin[kW], columns.lo);
    fill_identity(c, to, columns.hi, end);
    pack_columns(c, pass, source, to, columns);
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
