#include "poolcore/arg_box.hpp"

#include <algorithm>
#include <cstring>

#include "poolcore/arg_kind.hpp"
#include "poolcore/indices.hpp"

namespace poolcore {
namespace {

// ---- the windows of a box --------------------------------------------------------------------

// Windows along one axis that have the same taps.
struct Group {
    Range windows;
    TapRange taps;
};

template <class Body>
void each_group(const AxisGeometry& g, Range all, const Body& body) {
    const TapRange inside = g.interior();
    const std::int64_t first = std::clamp(inside.first, all.lo, all.hi);
    const std::int64_t last = std::clamp(inside.last, first, all.hi);
    for (std::int64_t o = all.lo; o < first; ++o) body(Group{{o, o + 1}, g.taps(o)});
    if (first < last) body(Group{{first, last}, {0, g.kernel}});
    for (std::int64_t o = last; o < all.hi; ++o) body(Group{{o, o + 1}, g.taps(o)});
}

// A loop over windows: how far the source, both results and the flat index of tap 0 move.
struct ArgLoop {
    std::int64_t n, src, dst, index, base;
};

struct ArgLoops {
    ArgLoop loop[kNumPhysical + 2];
    int n = 0;
};

struct TapTable {
    std::int64_t offset[kMaxArgTaps];
    std::int64_t code[kMaxArgTaps];
};

class ArgBox {
   public:
    ArgBox(const Schedule& s, const KernelTable& kernels, const Box& box, Scratch& scratch)
        : s_(s),
          spec_(s.plan->spec),
          type_(s.plan->in_dtype),
          size_(static_cast<std::int64_t>(item_size(type_))),
          box_(box),
          across_(s.inner.n > 1),
          context_{&kernels, spec_.op == Op::kMax ? Combine::kMax : Combine::kMin, s.work,
                   &scratch} {
        if (s.n_batch > 0) planes_ = s.batch[s.n_batch - 1];
        identity_ = identity_bits(type_, spec_.op);
        // Under "omit" the padding must not win against a NaN that stands for its whole window.
        padding_ = is_float(type_) && spec_.nan_policy == NanPolicy::kOmit
                       ? infinity_bits(type_) | (infinity_bits(type_) >> 1)
                       : identity_;
    }

    void run() {
        field_ = source();
        Group groups[kNumPhysical];
        const auto with_columns = [&](const Group& columns) {
            groups[kW] = columns;
            pool(groups);
        };
        const AxisGeometry& lanes = s_.axis[kW].geometry;
        each_group(s_.axis[kA].geometry, box_.windows[kA], [&](const Group& a) {
            groups[kA] = a;
            const auto with_rows = [&](const Group& b) {
                groups[kB] = b;
                if (!across_) return with_columns({box_.windows[kW], {0, lanes.kernel}});
                each_group(lanes, box_.windows[kW], with_columns);
            };
            const AxisGeometry& rows = s_.axis[kB].geometry;
            if (shares_rows() && !shares_three())
                return with_rows({box_.windows[kB], {0, rows.kernel}});
            each_group(rows, box_.windows[kB], with_rows);
        });
    }

   private:
    // x itself, or in scratch with all columns of the windows.
    Field source() const {
        const Source source = source_of(s_, box_);
        Range ranges[kNumPhysical];
        for (int x = 0; x < kNumPhysical; ++x) ranges[x] = positions(x);
        const Range inside = ranges[kW];
        const AxisGeometry& g = s_.axis[kW].geometry;
        if (!across_)
            ranges[kW] = {g.start(box_.windows[kW].lo),
                          g.start(box_.windows[kW].hi - 1) + g.effective()};
        const bool all_inside = inside.lo == ranges[kW].lo && inside.hi == ranges[kW].hi;
        if (s_.direct_in && all_inside) return field_on_source(source, box_, ranges);
        const Field field = make_field(context_, box_.planes, ranges, box_.inner);
        Source bits = source;
        if (is_half(type_)) bits.dtype = DType::kInt16;
        pack_field(context_, {context_.combine, s_.work, Change::kNone, false, 0}, bits, field);
        // pack_field fills with the least or greatest value of s_.work, in most types the padding.
        const bool packed = padding_ == identity_ && !is_half(type_) && type_ != DType::kBool;
        if (!all_inside && !packed) {
            fill_padding(field, ranges[kW].lo, std::min<std::int64_t>(0, ranges[kW].hi));
            fill_padding(field, std::max(g.in, ranges[kW].lo), ranges[kW].hi);
        }
        return field;
    }

    bool shares_rows() const {
        return can_share_rows(s_) && box_.windows[kB].size() > 1 &&
               box_.windows[kW].size() >= kFewLanes;
    }

    // For three rows there is a faster way that takes whole windows only.
    bool shares_three() const {
        const AxisGeometry& h = s_.axis[kB].geometry;
        const AxisGeometry& w = s_.axis[kW].geometry;
        return h.kernel == 3 && w.kernel == 3 && h.stride == w.stride;
    }

    // Those of the windows of the box that lie in x.
    Range positions(int x) const {
        const AxisGeometry& g = s_.axis[x].geometry;
        const std::int64_t lo = std::max<std::int64_t>(g.start(box_.windows[x].lo), 0);
        const std::int64_t hi = g.start(box_.windows[x].hi - 1) + g.effective();
        return {lo, std::max(lo, std::min(hi, g.in))};
    }

    void fill_padding(const Field& f, std::int64_t lo, std::int64_t hi) const {
        for (std::int64_t p = 0; p < f.planes; ++p)
            for (std::int64_t a = 0; a < f.extent[kA]; ++a)
                for (std::int64_t b = 0; b < f.extent[kB]; ++b)
                    for (std::int64_t w = lo; w < hi; ++w)
                        std::memcpy(f.values + p * f.plane_stride + a * f.stride[kA] +
                                        b * f.stride[kB] + (w - f.origin[kW]) * f.stride[kW],
                                    &padding_, static_cast<std::size_t>(size_));
    }

    void pool(const Group groups[kNumPhysical]) const {
        for (int x = 0; x < kNumPhysical; ++x)
            if (groups[x].taps.count() == 0) return fill_empty(groups);
        const ArgLoops loops = loops_over(groups);
        TapTable table;
        ArgWindowArgs args;
        args.order = order_of(spec_, type_);
        args.taps = taps_of(groups, loops, table);
        args.src = field_.values;
        args.dst = box_.out;
        args.index = box_.index;
        args.base = 0;
        for (int x = 0; x < kNumPhysical; ++x) {
            const AxisGeometry& g = s_.axis[x].geometry;
            const std::int64_t lo = groups[x].windows.lo;
            const std::int64_t at = g.start(lo) + groups[x].taps.first * g.dilation;
            if (x != kB || args.taps.height == 1)
                args.src += (at - field_.origin[x]) * field_.stride[x];
            args.dst += lo * s_.axis[x].out_stride;
            args.index += lo * s_.axis[x].index_stride;
            args.base += at * s_.axis[x].plane_step;
        }
        call(args, loops);
        if (!across_) mend_edges(groups);
    }

    // The lanes first, then from the innermost to the outermost; loops of one turn are left out.
    ArgLoops loops_over(const Group groups[kNumPhysical]) const {
        ArgLoops l;
        if (across_)
            l.loop[l.n++] = {box_.inner, size_, s_.inner.out_stride, s_.inner.index_stride, 0};
        for (int x = kW; x >= kA; --x) {
            const PooledAxis& axis = s_.axis[x];
            const std::int64_t turns = groups[x].windows.size();
            if (l.n > 0 && turns == 1) continue;
            l.loop[l.n++] = {turns, wrapped(axis.geometry.stride, field_.stride[x]),
                             axis.out_stride, axis.index_stride,
                             wrapped(axis.geometry.stride, axis.plane_step)};
        }
        if (box_.planes > 1)
            l.loop[l.n++] = {box_.planes, field_.plane_stride, planes_.out_stride,
                             planes_.index_stride, 0};
        if (l.loop[0].n < kFewLanes) {
            const auto fewer = [](const ArgLoop& a, const ArgLoop& b) { return a.n < b.n; };
            std::swap(*std::max_element(l.loop, l.loop + l.n, fewer), l.loop[0]);
        }
        return l;
    }

    // Taps in row-major order of the array, whatever the order of the axes in memory.
    ArgTaps taps_of(const Group groups[kNumPhysical], const ArgLoops& loops,
                    TapTable& table) const {
        int order[kNumPhysical] = {kA, kB, kW};
        const auto step = [&](int x) {  // axes of one tap go first, where they change nothing
            return groups[x].taps.count() == 1 ? INT64_MAX : s_.axis[x].plane_step;
        };
        std::stable_sort(order, order + kNumPhysical,
                         [&](int a, int b) { return step(a) > step(b); });
        std::int64_t count[kNumPhysical], bytes[kNumPhysical], flat[kNumPhysical];
        for (int i = 0; i < kNumPhysical; ++i) {
            const PooledAxis& axis = s_.axis[order[i]];
            count[i] = groups[order[i]].taps.count();
            bytes[i] = wrapped(axis.geometry.dilation, field_.stride[order[i]]);
            flat[i] = wrapped(axis.geometry.dilation, axis.plane_step);
        }
        const bool pairs = loops.loop[0].src == 2 * size_ && count[2] > 1 && bytes[2] == size_;
        const bool numbers = size_ <= 2;
        const Group& down = groups[kB];
        const bool shared = shares_rows() && down.windows.size() > 1;
        ArgTaps t;
        t.height = shared ? count[1] : 1;
        t.row_stride = field_.stride[kB];
        t.row_code = numbers ? count[2] : flat[1];
        t.row_step = s_.axis[kB].geometry.stride;
        t.row_first = s_.axis[kB].geometry.start(down.windows.lo) - field_.origin[kB];
        t.row_count = field_.extent[kB];
        t.rows = 0;
        for (std::int64_t i = 0; i < count[0]; ++i)
            for (std::int64_t j = 0; j < (shared ? 1 : count[1]); ++j)
                for (std::int64_t k = 0; k < (pairs ? 1 : count[2]); ++k, ++t.rows) {
                    table.offset[t.rows] = i * bytes[0] + j * bytes[1] + k * bytes[2];
                    table.code[t.rows] = numbers ? (i * count[1] + j) * count[2] + k
                                                 : i * flat[0] + j * flat[1] + k * flat[2];
                }
        t.offset = table.offset;
        t.code = table.code;
        t.neighbours = pairs ? count[2] : 1;
        t.code_step = numbers ? 1 : flat[2];
        t.reciprocal[0] = (65535 + count[2]) / count[2];
        t.reciprocal[1] = count[0] == 1 ? 0 : (65535 + count[2] * count[1]) / (count[2] * count[1]);
        t.step[0] = flat[2];
        t.step[1] = flat[1] - count[2] * flat[2];
        t.step[2] = flat[0] - count[1] * flat[1];
        return t;
    }

    void call(ArgWindowArgs& a, const ArgLoops& l) const {
        const ArgWindowKernel kernel =
            context_.kernels->arg_window[static_cast<int>(kind_of(spec_, type_))];
        const auto loop = [&l](int i) { return i < l.n ? l.loop[i] : ArgLoop{1, 0, 0, 0, 0}; };
        const ArgLoop lanes = loop(0), inner = loop(1), outer = loop(2);
        a.n = lanes.n;
        a.src_step = lanes.src;
        a.dst_step = lanes.dst;
        a.index_step = lanes.index;
        a.base_step = lanes.base;
        a.n1 = inner.n;
        a.src_stride1 = inner.src;
        a.dst_stride1 = inner.dst;
        a.index_stride1 = inner.index;
        a.base_stride1 = inner.base;
        a.n0 = outer.n;
        a.src_stride0 = outer.src;
        a.dst_stride0 = outer.dst;
        a.index_stride0 = outer.index;
        a.base_stride0 = outer.base;
        const ArgLoop third = loop(3), fourth = loop(4);
        for (std::int64_t i = 0; i < fourth.n; ++i)
            for (std::int64_t j = 0; j < third.n; ++j) {
                ArgWindowArgs part = a;
                part.src += i * fourth.src + j * third.src;
                part.dst += i * fourth.dst + j * third.dst;
                part.index += i * fourth.index + j * third.index;
                part.base += i * fourth.base + j * third.base;
                kernel(part);
            }
    }

    void put(std::byte* value, std::byte* index, std::int64_t flat) const {
        if (flat < 0) std::memcpy(value, &identity_, static_cast<std::size_t>(size_));
        std::memcpy(index, &flat, 8);
    }

    // Windows without a single element of x.
    void fill_empty(const Group groups[kNumPhysical]) const {
        const ArgLoops l = loops_over(groups);
        std::byte* value = box_.out;
        std::byte* index = box_.index;
        for (int x = 0; x < kNumPhysical; ++x) {
            value += groups[x].windows.lo * s_.axis[x].out_stride;
            index += groups[x].windows.lo * s_.axis[x].index_stride;
        }
        fill_loops(l.loop, l.n, value, index);
    }

    void fill_loops(const ArgLoop* loops, int n, std::byte* value, std::byte* index) const {
        if (n == 0) return put(value, index, -1);
        const ArgLoop& loop = loops[n - 1];
        for (std::int64_t i = 0; i < loop.n; ++i)
            fill_loops(loops, n - 1, value + i * loop.dst, index + i * loop.index);
    }

    // A result that equals the padding may have its place: then all elements of the window equal
    // it, and the first of them is the answer.
    void mend_edges(const Group groups[kNumPhysical]) const {
        const TapRange inside = s_.axis[kW].geometry.interior();
        const Range all = groups[kW].windows;
        const std::int64_t first = std::clamp(inside.first, all.lo, all.hi);
        const std::int64_t last = std::clamp(inside.last, first, all.hi);
        for (const Range columns : {Range{all.lo, first}, Range{last, all.hi}})
            for (std::int64_t w = columns.lo; w < columns.hi; ++w) {
                switch (size_) {
                    case 1: mend_column<std::uint8_t>(groups, w); break;
                    case 2: mend_column<std::uint16_t>(groups, w); break;
                    case 4: mend_column<std::uint32_t>(groups, w); break;
                    default: mend_column<std::uint64_t>(groups, w); break;
                }
            }
    }

    template <class Bits>
    void mend_column(const Group groups[kNumPhysical], std::int64_t w) const {
        const Range ra = groups[kA].windows, rb = groups[kB].windows;
        const Bits identity = static_cast<Bits>(identity_);
        const Bits magnitude = static_cast<Bits>(~sign_bit(type_));
        const Bits infinity = static_cast<Bits>(infinity_bits(type_));
        const bool nan = padding_ != identity_;
        const std::int64_t stride = s_.axis[kB].out_stride;
        for (std::int64_t p = 0; p < box_.planes; ++p)
            for (std::int64_t a = ra.lo; a < ra.hi; ++a) {
                const std::byte* at = box_.out + p * planes_.out_stride +
                                      a * s_.axis[kA].out_stride + w * s_.axis[kW].out_stride +
                                      rb.lo * stride;
                for (std::int64_t b = rb.lo; b < rb.hi; ++b, at += stride) {
                    Bits bits;
                    std::memcpy(&bits, at, sizeof bits);
                    if (nan ? (bits & magnitude) > infinity : bits == identity)
                        mend(p, a, b, w);
                }
            }
    }

    void mend(std::int64_t p, std::int64_t a, std::int64_t b, std::int64_t w) const {
        const std::int64_t window[kNumPhysical] = {a, b, w};
        std::byte* value = box_.out + p * planes_.out_stride;
        std::byte* index = box_.index + p * planes_.index_stride;
        for (int x = 0; x < kNumPhysical; ++x) {
            value += window[x] * s_.axis[x].out_stride;
            index += window[x] * s_.axis[x].index_stride;
        }
        put(value, index, first_index(s_, window));
    }

    const Schedule& s_;
    const PoolSpec& spec_;
    DType type_;
    std::int64_t size_;
    const Box& box_;
    bool across_;
    StageContext context_;
    BatchAxis planes_{1, 0, 0, 0};
    Field field_;
    std::uint64_t identity_;  // little end first
    std::uint64_t padding_;
};

}  // namespace

void run_arg_box(const Schedule& s, const KernelTable& kernels, const Box& box,
                 Scratch& scratch) {
    const std::int64_t mark = scratch.mark();
    ArgBox(s, kernels, box, scratch).run();
    scratch.release(mark);
}

}  // namespace poolcore
