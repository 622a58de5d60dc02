// Pooling as docs/numerics.md says it, one window at a time and one tap at a time, for arrays of any
// strides. Slow on purpose; shares no code with the core but its names of types and parameters.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "poolcore/plan.hpp"
#include "poolcore/types.hpp"
#include "poolcore/view.hpp"

namespace naive {

__extension__ typedef __int128 Wide;
using poolcore::DType;
using poolcore::Op;

// ---- one element, whatever its type ----

struct Number {
    double real = 0;  // floats
    Wide whole = 0;   // integers and bool
};

inline double power_of_two(int n) { return std::ldexp(1.0, n); }

// A float of 16 bits with so many mantissa bits.
inline double decode16(std::uint16_t bits, int mantissa) {
    const int exponent_bits = 15 - mantissa;
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = (bits & 0x7fff) >> mantissa;
    const int fraction = bits & ((1 << mantissa) - 1);
    const double sign = (bits & 0x8000) != 0 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) {
        if (fraction != 0) return std::numeric_limits<double>::quiet_NaN();
        return sign * std::numeric_limits<double>::infinity();
    }
    if (exponent == 0) return sign * fraction * power_of_two(1 - bias - mantissa);
    return sign * ((1 << mantissa) + fraction) * power_of_two(exponent - bias - mantissa);
}

// To nearest even; NaN becomes the positive quiet NaN without payload.
inline std::uint16_t encode16(double x, int mantissa) {
    const int exponent_bits = 15 - mantissa;
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int infinity = ((1 << exponent_bits) - 1) << mantissa;
    if (std::isnan(x)) return static_cast<std::uint16_t>(infinity | (1 << (mantissa - 1)));
    const int sign = std::signbit(x) ? 0x8000 : 0;
    const double size = std::fabs(x);
    if (size == 0) return static_cast<std::uint16_t>(sign);
    if (size >= power_of_two(bias + 1)) return static_cast<std::uint16_t>(sign | infinity);
    const int exponent = std::max(std::ilogb(size), 1 - bias);
    // In units of the last place; the number of units may round up into the next power of two,
    // and then the carry moves into the exponent by itself.
    const int units = static_cast<int>(std::nearbyint(std::ldexp(size, mantissa - exponent)));
    return static_cast<std::uint16_t>(sign | (units + ((exponent + bias - 1) << mantissa)));
}

template <class T>
T load(const std::byte* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

inline Number read(const std::byte* p, DType type) {
    switch (type) {
        case DType::kBool:
        case DType::kUInt8: return {0, load<std::uint8_t>(p)};
        case DType::kInt8: return {0, load<std::int8_t>(p)};
        case DType::kInt16: return {0, load<std::int16_t>(p)};
        case DType::kUInt16: return {0, load<std::uint16_t>(p)};
        case DType::kInt32: return {0, load<std::int32_t>(p)};
        case DType::kUInt32: return {0, load<std::uint32_t>(p)};
        case DType::kInt64: return {0, load<std::int64_t>(p)};
        case DType::kUInt64: return {0, load<std::uint64_t>(p)};
        case DType::kFloat16: return {decode16(load<std::uint16_t>(p), 10), 0};
        case DType::kBFloat16: return {decode16(load<std::uint16_t>(p), 7), 0};
        case DType::kFloat32: return {load<float>(p), 0};
        case DType::kFloat64: return {load<double>(p), 0};
    }
    return {};
}

// The bits of a number in `type`; integers wrap.
inline std::uint64_t bits_of(const Number& n, DType type) {
    const auto mask = [&](std::uint64_t v) {
        const auto bits = 8 * poolcore::item_size(type);
        return bits == 64 ? v : v & ((std::uint64_t{1} << bits) - 1);
    };
    switch (type) {
        case DType::kFloat16: return encode16(n.real, 10);
        case DType::kBFloat16: return encode16(n.real, 7);
        case DType::kFloat32: {
            const auto narrow = static_cast<float>(n.real);
            std::uint32_t bits = 0x7fc00000;
            if (!std::isnan(narrow)) std::memcpy(&bits, &narrow, sizeof bits);
            return bits;
        }
        case DType::kFloat64: {
            std::uint64_t bits = 0x7ff8000000000000;
            if (!std::isnan(n.real)) std::memcpy(&bits, &n.real, sizeof bits);
            return bits;
        }
        default: return mask(static_cast<std::uint64_t>(n.whole));
    }
}

inline Wide lowest(DType type) {
    if (type == DType::kBool || !poolcore::is_signed(type)) return 0;
    return -(Wide{1} << (8 * poolcore::item_size(type) - 1));
}

inline Wide highest(DType type) {
    if (type == DType::kBool) return 1;
    const auto bits = 8 * poolcore::item_size(type);
    return (Wide{1} << (poolcore::is_signed(type) ? bits - 1 : bits)) - 1;
}

// ---- one window ----

struct Question {
    poolcore::PoolSpec spec;
    DType in = DType::kFloat32;
    DType out = DType::kFloat32;
};

struct Tap {
    bool real = false;    // inside the input
    bool padded = false;  // inside the input or its padding
    Number value;
    std::int64_t index = 0;
};

// All taps of one window, row-major in the pooled axes; absent axes have one tap.
struct Window {
    std::int64_t kernel[3] = {1, 1, 1};
    std::vector<Tap> taps;
    const Tap& at(std::int64_t a, std::int64_t b, std::int64_t c) const {
        return taps[static_cast<std::size_t>((a * kernel[1] + b) * kernel[2] + c)];
    }
};

struct Result {
    Number value;
    std::int64_t index = -1;
};

inline Result extreme(const Window& w, const Question& q) {
    const bool is_max = q.spec.op == Op::kMax;
    const bool omit = q.spec.nan_policy == poolcore::NanPolicy::kOmit;
    const double inf = std::numeric_limits<double>::infinity();
    Result best;
    best.value.real = is_max ? -inf : inf;
    best.value.whole = is_max ? lowest(q.out) : highest(q.out);
    const Tap* chosen = nullptr;
    const Tap* first_real = nullptr;
    for (const Tap& tap : w.taps) {
        if (!tap.real) continue;
        if (first_real == nullptr) first_real = &tap;
        const bool nan = std::isnan(tap.value.real);
        if (nan && omit) continue;
        if (chosen == nullptr) {
            chosen = &tap;
        } else if (!std::isnan(chosen->value.real)) {
            const Number& a = tap.value;
            const Number& b = chosen->value;
            const bool more = a.real > b.real || a.whole > b.whole;
            const bool less = a.real < b.real || a.whole < b.whole;
            if (nan || (is_max ? more : less)) chosen = &tap;
        }
    }
    if (chosen != nullptr) return {chosen->value, chosen->index};
    if (first_real == nullptr) return best;
    return {{std::numeric_limits<double>::quiet_NaN(), 0}, first_real->index};
}

template <class Acc, class Term>
Acc tree(std::int64_t first, std::int64_t count, const Term& term) {
    if (count == 1) return term(first);
    std::int64_t half = 1;
    while (half * 2 < count) half *= 2;
    const Acc left = tree<Acc>(first, half, term);
    return left + tree<Acc>(first + half, count - half, term);
}

template <class Acc>
Acc float_sum(const Window& w, bool omit) {
    using Index = std::int64_t;
    return tree<Acc>(0, w.kernel[2], [&](Index c) {
        return tree<Acc>(0, w.kernel[1], [&](Index b) {
            return tree<Acc>(0, w.kernel[0], [&](Index a) {
                const Tap& tap = w.at(a, b, c);
                const bool counts = tap.real && !(omit && std::isnan(tap.value.real));
                return counts ? static_cast<Acc>(tap.value.real) : Acc{0};
            });
        });
    });
}

struct Counts {
    std::int64_t real = 0;
    std::int64_t nan = 0;
    std::int64_t divisor = 0;
};

inline Counts count(const Window& w, const poolcore::PoolSpec& spec) {
    Counts n;
    for (const Tap& tap : w.taps) {
        n.real += tap.real;
        n.nan += tap.real && std::isnan(tap.value.real);
        n.divisor += spec.count_include_pad ? tap.padded : tap.real;
    }
    const bool omit = spec.nan_policy == poolcore::NanPolicy::kOmit;
    if (!omit) n.nan = 0;
    n.divisor -= n.nan;
    if (spec.has_divisor) n.divisor = spec.divisor;
    return n;
}

template <class Acc>
Result float_total(const Window& w, const Question& q) {
    const bool omit = q.spec.nan_policy == poolcore::NanPolicy::kOmit;
    const Counts n = count(w, q.spec);
    const Acc sum = float_sum<Acc>(w, omit) + Acc{0};
    double value = static_cast<double>(sum);
    if (q.spec.op == Op::kAvg) {
        const bool small = std::abs(n.divisor) <= (1 << 24);
        value = small ? static_cast<double>(sum / static_cast<Acc>(n.divisor))
                      : value / static_cast<double>(n.divisor);
        if (n.real == 0) value = std::numeric_limits<double>::quiet_NaN();
    }
    if (n.real > 0 && n.nan == n.real) value = std::numeric_limits<double>::quiet_NaN();
    return {{value, 0}, -1};
}

inline Wide round_mean(Wide sum, Wide divisor, poolcore::Rounding rounding) {
    if (divisor < 0) sum = -sum, divisor = -divisor;
    Wide down = sum / divisor;
    if (down * divisor > sum) --down;
    const Wide twice = 2 * (sum - down * divisor);  // the fraction, doubled, in units of 1/divisor
    switch (rounding) {
        case poolcore::Rounding::kFloor: return down;
        case poolcore::Rounding::kTrunc: return sum / divisor;
        case poolcore::Rounding::kHalfUp: return twice >= divisor ? down + 1 : down;
        case poolcore::Rounding::kHalfEven:
            if (twice == divisor) return down % 2 == 0 ? down : down + 1;
            return twice > divisor ? down + 1 : down;
    }
    return 0;
}

inline Result integer_total(const Window& w, const Question& q) {
    Wide sum = 0;
    for (const Tap& tap : w.taps) sum += tap.real ? tap.value.whole : 0;
    const Counts n = count(w, q.spec);
    if (q.spec.op == Op::kSum) return {{static_cast<double>(sum), sum}, -1};
    if (poolcore::is_float(q.out)) {
        const double mean = static_cast<double>(sum) / static_cast<double>(n.divisor);
        return {{n.real > 0 ? mean : std::numeric_limits<double>::quiet_NaN(), 0}, -1};
    }
    const Wide mean = round_mean(sum, n.divisor, q.spec.rounding);
    return {{0, std::min(std::max(mean, lowest(q.out)), highest(q.out))}, -1};
}

// Means in integers keep their value exact; everything else goes by the accumulator's type.
inline Result pool_window(const Window& w, const Question& q) {
    if (q.spec.op == Op::kMax || q.spec.op == Op::kMin) return extreme(w, q);
    if (!poolcore::is_float(q.in)) return integer_total(w, q);
    const bool wide = q.in == DType::kFloat64 || q.out == DType::kFloat64 || w.taps.size() > 4096;
    return wide ? float_total<double>(w, q) : float_total<float>(w, q);
}

// ---- a whole array ----

inline std::int64_t out_length(std::int64_t in, const poolcore::AxisParams& p, bool ceil_mode) {
    const std::int64_t span = in + p.pad_lo + p.pad_hi - p.dilation * (p.kernel - 1) - 1;
    if (span < 0) return 0;
    std::int64_t out = span / p.stride + 1;
    if (ceil_mode && span % p.stride != 0 && out * p.stride < in + p.pad_lo) ++out;
    return out;
}

// The window of the output element at `place`, one entry per axis of the array.
inline Window window_at(const Question& q, const poolcore::StridedView& in,
                        const std::vector<std::int64_t>& place) {
    const poolcore::PoolSpec& spec = q.spec;
    std::ptrdiff_t base = 0;
    for (int i = 0; i < in.rank; ++i) {
        bool pooled = false;
        for (int a = 0; a < spec.n_axes; ++a) pooled |= spec.axes[a] == i;
        if (!pooled) base += place[static_cast<std::size_t>(i)] * in.strides[i];
    }
    Window w;
    for (int a = 0; a < spec.n_axes; ++a) w.kernel[a] = spec.params[a].kernel;
    const auto n = w.kernel[0] * w.kernel[1] * w.kernel[2];
    for (std::int64_t flat = 0; flat < n; ++flat) {
        const std::int64_t taps[3] = {flat / (w.kernel[1] * w.kernel[2]),
                                      flat / w.kernel[2] % w.kernel[1], flat % w.kernel[2]};
        Tap tap{true, true, {}, 0};
        std::ptrdiff_t offset = base;
        for (int a = 0; a < spec.n_axes; ++a) {
            const auto& p = spec.params[a];
            const int axis = spec.axes[a];
            const std::int64_t at = place[static_cast<std::size_t>(axis)] * p.stride - p.pad_lo +
                                    taps[a] * p.dilation;
            tap.real &= at >= 0 && at < in.shape[axis];
            tap.padded &= at >= -p.pad_lo && at < in.shape[axis] + p.pad_hi;
            tap.index = tap.index * in.shape[axis] + at;
            offset += at * in.strides[axis];
        }
        if (tap.real) tap.value = read(in.data + offset, q.in);
        w.taps.push_back(tap);
    }
    return w;
}

}  // namespace naive
