// Every number a caller can name passes through here, so every sum and product is checked.
#include "poolcore/geometry.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "poolcore/error.hpp"

namespace poolcore {
namespace {

__extension__ typedef __int128 Wide;

// Rounds toward minus infinity; b > 0.
std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    return a / b - (a % b != 0 && a < 0 ? 1 : 0);
}

// Rounds toward plus infinity; b > 0.
std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
    return a / b + (a % b != 0 && a > 0 ? 1 : 0);
}

std::string argument(const AxisNames& names, const char* what, std::int64_t value) {
    std::string text = std::string(names.function) + ": " + what;
    if (names.index >= 0) text += "[" + std::to_string(names.index) + "]";
    return text + "=" + std::to_string(value);
}

[[noreturn]] void fail(const std::string& message) {
    throw PoolError(ErrorKind::kValue, message);
}

void require_elements(const AxisNames& names, std::int64_t in) {
    if (in < 1)
        fail(std::string(names.function) + ": x has length " + std::to_string(in) +
             " along pooled axis " + std::to_string(names.axis) + "; it must be at least 1");
}

void require_positive(const AxisNames& names, const char* what, std::int64_t value) {
    if (value < 1) fail(argument(names, what, value) + " must be at least 1");
}

void require_padding(const AxisNames& names, std::int64_t pad, std::int64_t effective) {
    if (pad < 0) fail(argument(names, "padding", pad) + " must not be negative");
    if (pad >= effective)
        fail(argument(names, "padding", pad) + " must be smaller than the effective kernel " +
             std::to_string(effective));
}

// "max_pool2d: kernel_size[1]=3", and the dilation where there is one.
std::string window_text(const AxisNames& names, std::int64_t kernel, std::int64_t dilation) {
    std::string text = argument(names, names.kernel, kernel);
    if (dilation == 1) return text;
    text += " with dilation";
    if (names.index >= 0) text += "[" + std::to_string(names.index) + "]";
    return text + "=" + std::to_string(dilation);
}

std::int64_t checked_effective(const AxisParams& p, const AxisNames& names) {
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(p.dilation, p.kernel - 1, &reach) ||
        __builtin_add_overflow(reach, 1, &reach))
        fail(window_text(names, p.kernel, p.dilation) + " spans more than 2**63-1 elements");
    return reach;
}

// The padded length minus the effective kernel; may be negative.
std::int64_t checked_slack(const AxisGeometry& g, const AxisNames& names) {
    std::int64_t padded = 0;
    if (__builtin_add_overflow(g.in, g.pad_lo, &padded) ||
        __builtin_add_overflow(padded, g.pad_hi, &padded))
        fail(argument(names, "padding", g.pad_lo) + " makes axis " + std::to_string(names.axis) +
             " longer than 2**63-1 elements");
    return padded - g.effective();
}

std::int64_t explicit_out(const AxisGeometry& g, bool ceil_mode, const AxisNames& names) {
    const std::int64_t slack = checked_slack(g, names);
    std::int64_t out = (ceil_mode ? ceil_div(slack, g.stride) : floor_div(slack, g.stride)) + 1;
    std::int64_t last_start = 0;
    // The last window must start inside the input or its left padding.
    if (ceil_mode && out > 0 &&
        (__builtin_mul_overflow(out - 1, g.stride, &last_start) || last_start >= g.in + g.pad_lo))
        --out;
    if (out < 1)
        fail(window_text(names, g.kernel, g.dilation) + " has the effective length " +
             std::to_string(g.effective()) + ", more than the padded length " +
             std::to_string(g.in + g.pad_lo + g.pad_hi) + " of axis " +
             std::to_string(names.axis));
    return out;
}

void set_same_padding(AxisGeometry& g, bool extra_low, const AxisNames& names) {
    g.out = ceil_div(g.in, g.stride);
    std::int64_t end = 0;  // (out-1)*stride < in, so only the sum can overflow
    if (__builtin_add_overflow((g.out - 1) * g.stride, g.effective(), &end))
        fail(window_text(names, g.kernel, g.dilation) + " spans more than 2**63-1 elements");
    const std::int64_t total = std::max<std::int64_t>(end - g.in, 0);
    (extra_low ? g.pad_hi : g.pad_lo) = total / 2;
    (extra_low ? g.pad_lo : g.pad_hi) = total - total / 2;
}

}  // namespace

// floor(o * stride / period): the product may need more than 64 bits, the result never does.
std::int64_t AxisGeometry::adaptive_start(std::int64_t o) const {
    const std::int64_t rest = o % period;
    std::int64_t product = 0;
    if (!__builtin_mul_overflow(rest, stride, &product))
        return o / period * stride + product / period;
    return o / period * stride +
           static_cast<std::int64_t>(static_cast<Wide>(rest) * stride / period);
}

// ceil((o + 1) * stride / period), which is the start of the next window or one more.
std::int64_t AxisGeometry::adaptive_end(std::int64_t o) const {
    const std::int64_t at = adaptive_start(o + 1);
    return (o + 1) % period == 0 ? at : at + 1;
}

AdaptiveWindows::AdaptiveWindows(const AxisGeometry& g, std::int64_t o)
    : period_(g.period),
      whole_(g.stride / g.period),
      part_(g.stride % g.period),
      start_(g.start(o)),
      rest_(static_cast<std::int64_t>(static_cast<Wide>(o % g.period) * part_ % g.period)) {}

TapRange AxisGeometry::taps_within(std::int64_t o, std::int64_t lo, std::int64_t hi) const {
    const std::int64_t at = start(o);
    const std::int64_t first = at < lo ? ceil_div(lo - at, dilation) : 0;
    const std::int64_t last = at < hi ? std::min(length(o), ceil_div(hi - at, dilation)) : 0;
    return {first, std::max(first, last)};
}

TapRange AxisGeometry::interior() const {
    if (period != 1) return {0, 0};  // no two neighbours need be alike
    const std::int64_t e = effective();
    if (in < e) return {0, 0};
    const std::int64_t first = ceil_div(pad_lo, stride);
    const std::int64_t last = std::min(out, floor_div(in - e + pad_lo, stride) + 1);
    return {first, std::max(first, last)};
}

AxisGeometry AxisGeometry::trimmed(Trim how) const {
    if (period != 1 || out == 0) return *this;
    const TapRange first = taps(0);
    std::int64_t lo = std::max<std::int64_t>(-start(out - 1), 0) / dilation;
    std::int64_t hi = std::min(kernel, std::max(first.last, first.first + 1));
    if (how == Trim::kWholeBlocks) {
        std::int64_t block = 1;
        while (block < hi - lo && block <= kernel / 2) block *= 2;
        if (block > kernel / 2) return *this;
        lo -= lo % block;
        hi = lo + std::min(kernel - lo, 2 * block);
    }
    AxisGeometry g = *this;
    g.kernel = hi - lo;
    g.pad_lo -= lo * dilation;
    g.pad_hi = std::clamp<std::int64_t>(pad_hi - (kernel - hi) * dilation, 0, g.effective() - 1);
    return g;
}

AxisGeometry make_axis_geometry(std::int64_t in, const AxisParams& params, PadMode mode,
                                bool ceil_mode, const AxisNames& names) {
    require_positive(names, names.kernel, params.kernel);
    require_positive(names, "stride", params.stride);
    require_positive(names, "dilation", params.dilation);
    require_elements(names, in);
    const std::int64_t effective = checked_effective(params, names);

    AxisGeometry g;
    g.in = in;
    g.kernel = params.kernel;
    g.stride = params.stride;
    g.dilation = params.dilation;
    if (mode == PadMode::kSame || mode == PadMode::kSameLower) {
        set_same_padding(g, mode == PadMode::kSameLower, names);
        checked_slack(g, names);
        return g;
    }
    if (mode == PadMode::kExplicit) {
        require_padding(names, params.pad_lo, effective);
        require_padding(names, params.pad_hi, effective);
        g.pad_lo = params.pad_lo;
        g.pad_hi = params.pad_hi;
    }
    g.out = explicit_out(g, ceil_mode, names);
    return g;
}

AxisGeometry make_adaptive_geometry(std::int64_t in, std::int64_t size, const AxisNames& names) {
    if (size < 0 && size != kKeepSize)
        fail(argument(names, names.kernel, size) + " must not be negative");
    require_elements(names, in);
    AxisGeometry g;
    g.in = in;
    g.out = size == kKeepSize ? in : size;
    if (g.out == 0) return g;
    // Reduced, n/o = stride/period, and the starts are floor(i * stride / period).
    const std::int64_t common = std::gcd(in, g.out);
    g.stride = in / common;
    g.period = g.out / common;
    const std::int64_t rest = g.stride % g.period;
    // A window reaches over a whole element more on both sides where the remainder is 2 or more.
    g.kernel = g.stride / g.period + std::min<std::int64_t>(rest, 2);
    return g;
}

}  // namespace poolcore
