#include "poolcore/finish.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace poolcore {
namespace {

// What the windows along one axis are divided by, and how many elements of x they hold: the same
// for all, or a table.
struct Counts {
    double divisor = 1;
    double real = 1;
    const double* divisors = nullptr;
    const double* reals = nullptr;

    bool uniform() const { return divisors == nullptr; }
    double divisor_of(std::int64_t i) const { return divisors ? divisors[i] : divisor; }
    double real_of(std::int64_t i) const { return reals ? reals[i] : real; }
};

double divisor_count(const Schedule& s, const AxisGeometry& g, std::int64_t o) {
    const TapRange taps = s.plan->spec.count_include_pad ? g.padded_taps(o) : g.taps(o);
    return static_cast<double>(taps.count());
}

// Calls each(o) for the windows that reach over an edge of x, or may: those within all have as many
// taps.
template <class Each>
void for_edges(const AxisGeometry& g, Range windows, const Each& each) {
    const TapRange inside = g.interior();
    const std::int64_t first = std::clamp(inside.first, windows.lo, windows.hi);
    const std::int64_t last = std::clamp(inside.last, first, windows.hi);
    for (std::int64_t o = windows.lo; o < first; ++o) each(o);
    for (std::int64_t o = last; o < windows.hi; ++o) each(o);
}

// Adaptive windows have no padding.
void count_adaptive(const AxisGeometry& g, Range windows, double* lengths) {
    AdaptiveWindows window(g, windows.lo);
    for (std::int64_t i = 0; i < windows.size(); ++i, window.next())
        lengths[i] = static_cast<double>(window.length());
}

Counts count_taps(const Schedule& s, int axis, Range windows, Scratch& scratch) {
    const AxisGeometry& g = s.axis[axis].asked;
    const TapRange inside = g.interior();
    Counts c;
    if (g.period > 1) {
        double* lengths = reinterpret_cast<double*>(scratch.take(windows.size() * 8));
        count_adaptive(g, windows, lengths);
        c.divisors = c.reals = lengths;
        return c;
    }
    c.divisor = divisor_count(s, g, windows.lo);
    c.real = static_cast<double>(g.taps(windows.lo).count());
    const auto differs = [&](std::int64_t o) {
        return divisor_count(s, g, o) != c.divisor ||
               (s.has_aux && static_cast<double>(g.taps(o).count()) != c.real);
    };
    bool differ = false;
    for_edges(g, windows, [&](std::int64_t o) { differ = differ || differs(o); });
    const Range within{std::max(windows.lo, inside.first), std::min(windows.hi, inside.last)};
    if (!differ && (within.size() <= 0 || !differs(within.lo))) return c;
    double* divisors = reinterpret_cast<double*>(scratch.take(windows.size() * 8));
    double* reals = reinterpret_cast<double*>(scratch.take(windows.size() * 8));
    std::fill_n(divisors, windows.size(), static_cast<double>(g.kernel));
    std::fill_n(reals, windows.size(), static_cast<double>(g.kernel));
    for_edges(g, windows, [&](std::int64_t o) {
        reals[o - windows.lo] = static_cast<double>(g.taps(o).count());
        divisors[o - windows.lo] = divisor_count(s, g, o);
    });
    c.divisors = divisors;
    c.reals = reals;
    return c;
}

// Everything finish needs to know about the windows of a box.
struct Divisors {
    Counts axis[kNumPhysical];
    bool needed;
    bool uniform;
};

Divisors box_divisors(const Schedule& s, const Box& box, Scratch& scratch) {
    const bool mean = s.finish == Finish::kMean && !s.plan->spec.has_divisor;
    Divisors d;
    d.needed = mean || (s.has_aux && is_float(s.plan->in_dtype));
    d.uniform = true;
    for (int x = 0; d.needed && x < kNumPhysical; ++x) {
        d.axis[x] = count_taps(s, x, box.windows[x], scratch);
        d.uniform = d.uniform && d.axis[x].uniform();
    }
    return d;
}

constexpr double kExactCounts = 9007199254740992.0;  // 2^53: whole numbers a double holds

// Sets the divisor of windows that start at (a, b, w) of the box; a table where they differ or
// are too many for an exact integer.
void set_divisors(const Schedule& s, const Divisors& d, std::int64_t a, std::int64_t b,
                  std::int64_t w, bool per_column, FinishArgs& args) {
    const PoolSpec& spec = s.plan->spec;
    args.divisors = nullptr;
    args.divisor = spec.divisor;
    if (!d.needed) return;
    const Counts& columns = d.axis[kW];
    args.scale = d.axis[kA].divisor_of(a) * d.axis[kB].divisor_of(b);
    args.reals_scale = d.axis[kA].real_of(a) * d.axis[kB].real_of(b);
    args.reals = columns.reals ? columns.reals + w : &columns.real;
    if (columns.uniform()) args.count_step = 0;
    if (spec.has_divisor) return;
    const double product = args.scale * columns.divisor_of(w);
    if (per_column || product > kExactCounts) {
        args.divisors = columns.divisors ? columns.divisors + w : &columns.divisor;
    } else {
        args.divisor = static_cast<std::int64_t>(product);
    }
}

struct Finisher {
    const Schedule& s;
    std::int64_t element;
    const Box& box;
    const Field& values;
    const Field* aux;
    FinishKernel kernel;
    Divisors divisors;
    std::int64_t out_stride[kNumPhysical];
    std::int64_t plane_stride;
    std::int64_t inner_stride;

    std::int64_t offset(std::int64_t p, std::int64_t a, std::int64_t b, std::int64_t w) const {
        return p * plane_stride + (box.windows[kA].lo + a) * out_stride[kA] +
               (box.windows[kB].lo + b) * out_stride[kB] +
               (box.windows[kW].lo + w) * out_stride[kW];
    }

    // `n` results from (p, a, b, w) on, `stride` bytes apart, neighbours in the fields.
    void call(std::int64_t p, std::int64_t a, std::int64_t b, std::int64_t w, std::int64_t n,
              std::int64_t stride, bool per_column) const {
        FinishArgs args{};
        const std::int64_t place = p * values.plane_stride + a * values.stride[kA] +
                                   b * values.stride[kB] + w * values.stride[kW];
        args.src = values.values + place;
        args.dst = box.out + offset(p, a, b, w);
        args.n = n;
        args.dst_stride = stride;
        args.divisor_is_fixed = s.plan->spec.has_divisor;
        args.rounding = s.plan->spec.rounding;
        args.count_step = box.inner == 1 ? 1 : 0;
        args.sums_fit_double = s.sums_fit_double;
        if (aux) args.aux = aux->values + place / element * 8;
        set_divisors(s, divisors, a, b, w, per_column, args);
        kernel(args);
    }

    void lines() const {
        const std::int64_t width = box.windows[kW].size();
        const bool columns_differ = divisors.needed && !divisors.axis[kW].uniform();
        for (std::int64_t p = 0; p < box.planes; ++p)
            for (std::int64_t a = 0; a < box.windows[kA].size(); ++a)
                for (std::int64_t b = 0; b < box.windows[kB].size(); ++b) {
                    if (box.inner == 1) {
                        call(p, a, b, 0, width, out_stride[kW], columns_differ);
                        continue;
                    }
                    pixels(p, a, b, width);
                }
    }

    // Lanes across: neighbours with the same counts, where they run on into each other, in one
    // call.
    void pixels(std::int64_t p, std::int64_t a, std::int64_t b, std::int64_t width) const {
        const Counts& counts = divisors.axis[kW];
        const bool dense = out_stride[kW] == box.inner * inner_stride;
        const auto alike = [&](std::int64_t v, std::int64_t w) {
            return counts.divisor_of(v) == counts.divisor_of(w) &&
                   counts.real_of(v) == counts.real_of(w);
        };
        for (std::int64_t w = 0, next = 0; w < width; w = next) {
            next = w + 1;
            while (dense && next < width && alike(w, next)) ++next;
            call(p, a, b, w, (next - w) * box.inner, inner_stride, false);
        }
    }

    // All windows alike and one behind the other in memory: one call for the box.
    bool at_once() const {
        if ((divisors.needed && !divisors.uniform) || aux) return false;
        const std::int64_t size = static_cast<std::int64_t>(item_size(s.plan->out_dtype));
        std::int64_t run = size;
        if (box.inner > 1 && inner_stride != size) return false;
        run *= box.inner;
        for (int x = kW; x >= kA; --x) {
            if (box.windows[x].size() > 1 && out_stride[x] != run) return false;
            run *= box.windows[x].size();
        }
        if (box.planes > 1 && plane_stride != run) return false;
        call(0, 0, 0, 0, values.elements(), size, false);
        return true;
    }
};

// The element of `size` bytes with these bits.
void store_low_bytes(std::byte* dst, std::uint64_t bits, std::size_t size) {
    const auto narrow = static_cast<std::uint16_t>(bits);
    const auto word = static_cast<std::uint32_t>(bits);
    if (size == 2) std::memcpy(dst, &narrow, 2);
    if (size == 4) std::memcpy(dst, &word, 4);
    if (size == 8) std::memcpy(dst, &bits, 8);
}

// What a window without elements gives, in a float type: a NaN mean, or the least of all values
// as its maximum. Minima have the sign bit cleared.
std::uint64_t empty_bits(const Schedule& s) {
    if (s.powers) return 0;
    const bool mean = s.finish == Finish::kMean;
    const std::uint64_t negative = s.combine == Combine::kMaxOmit ? 1 : 0;
    switch (s.plan->out_dtype) {
        case DType::kFloat16: return mean ? 0x7e00 : negative << 15 | 0x7c00;
        case DType::kBFloat16: return mean ? 0x7fc0 : negative << 15 | 0x7f80;
        case DType::kFloat32: return mean ? 0x7fc00000 : negative << 31 | 0x7f800000;
        default: return mean ? 0x7ff8000000000000 : negative << 63 | 0x7ff0000000000000;
    }
}

void fill_windows(const Schedule& s, const Box& box, const Range windows[kNumPhysical]) {
    const std::uint64_t bits = empty_bits(s);
    const std::size_t size = item_size(s.plan->out_dtype);
    const std::int64_t plane_stride = s.n_batch > 0 ? s.batch[s.n_batch - 1].out_stride : 0;
    for (std::int64_t p = 0; p < box.planes; ++p)
        for (std::int64_t a = windows[kA].lo; a < windows[kA].hi; ++a)
            for (std::int64_t b = windows[kB].lo; b < windows[kB].hi; ++b)
                for (std::int64_t w = windows[kW].lo; w < windows[kW].hi; ++w)
                    for (std::int64_t i = 0; i < box.inner; ++i) {
                        std::byte* dst = box.out + p * plane_stride + a * s.axis[kA].out_stride +
                                         b * s.axis[kB].out_stride + w * s.axis[kW].out_stride +
                                         i * s.inner.out_stride;
                        store_low_bytes(dst, bits, size);
                    }
}

}  // namespace

void finish_empty_windows(const Schedule& s, const Box& box) {
    for (int x = 0; x < kNumPhysical; ++x) {
        Range windows[kNumPhysical] = {box.windows[kA], box.windows[kB], box.windows[kW]};
        for (std::int64_t o = box.windows[x].lo; o < box.windows[x].hi; ++o) {
            if (s.axis[x].asked.taps(o).count() > 0) continue;
            windows[x] = {o, o + 1};
            fill_windows(s, box, windows);
        }
    }
}

namespace {

// The count all these windows have in common, or 0.
double shared_count(const Schedule& s, const AxisGeometry& g, Range windows) {
    const TapRange inside = g.interior();
    const bool some = std::max(windows.lo, inside.first) < std::min(windows.hi, inside.last);
    const double count = some ? static_cast<double>(g.kernel) : divisor_count(s, g, windows.lo);
    bool alike = true;
    for_edges(g, windows,
              [&](std::int64_t o) { alike = alike && divisor_count(s, g, o) == count; });
    return alike ? count : 0;
}

// Counts along the lanes; false where other windows than those at the ends differ, or the kernel
// would find all their taps in place.
bool count_lanes(const Schedule& s, Range windows, Means& means) {
    const AxisGeometry& w = s.axis[kW].asked;
    means.first = divisor_count(s, w, windows.lo);
    means.last = divisor_count(s, w, windows.hi - 1);
    const Range others{windows.lo + 1, windows.hi - 1};
    means.middle = others.size() > 0 ? shared_count(s, w, others) : means.first;
    if (means.middle == 0) return false;
    if (means.first == means.middle && means.last == means.middle) return true;
    const auto lacks = [&](std::int64_t o) { return w.taps(o).count() < w.kernel; };
    return s.together == 0 && together_takes_edges(w, windows) &&
           (means.first == means.middle || lacks(windows.lo)) &&
           (means.last == means.middle || lacks(windows.hi - 1));
}

}  // namespace

double Means::of_rows(std::int64_t window) const {
    return fixed ? rest : rest * divisor_count(*schedule, schedule->axis[kB].asked, window);
}

Means means_at_once(const Schedule& s, const Box& box) {
    const PoolSpec& spec = s.plan->spec;
    Means means;
    if (!s.direct_mean || s.huge) return {};
    means.schedule = &s;
    means.fixed = spec.has_divisor;
    means.rest = means.fixed ? static_cast<double>(spec.divisor)
                             : shared_count(s, s.axis[kA].asked, box.windows[kA]);
    if (means.rest == 0) return {};
    const double limit = s.work == Work::kF32 ? kFloatCounts : kExactCounts;
    double most = std::fabs(means.rest);
    if (means.fixed) {
        means.common = means.rest;
    } else {
        if (!count_lanes(s, box.windows[kW], means)) return {};
        const double rows = shared_count(s, s.axis[kB].asked, box.windows[kB]);
        const bool alike = means.first == means.middle && means.last == means.middle;
        means.common = alike ? means.rest * rows * means.middle : 0;
        most *= static_cast<double>(s.axis[kB].asked.kernel) *
                static_cast<double>(s.axis[kW].asked.kernel);
    }
    return most <= limit ? means : Means{};
}

void finish_box(const Schedule& s, const StageContext& c, Finish finish, const Box& box,
                const Field& values, const Field* aux) {
    Finisher f{s,
               c.element(),
               box,
               values,
               aux,
               c.kernels->finish[static_cast<int>(finish)][static_cast<int>(c.work)]
                                [static_cast<int>(s.plan->out_dtype)],
               box_divisors(s, box, *c.scratch),
               {s.axis[kA].out_stride, s.axis[kB].out_stride, s.axis[kW].out_stride},
               s.n_batch > 0 ? s.batch[s.n_batch - 1].out_stride : 0,
               s.inner.out_stride};
    if (!f.at_once()) f.lines();
}

}  // namespace poolcore
