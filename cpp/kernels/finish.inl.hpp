// finish: from accumulators to results. See FinishArgs for the contract.
#pragma once

#include <type_traits>

#include "kernels/half.hpp"
#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"
#include "kernels/pack.inl.hpp"

namespace poolcore {
namespace {

// A result of 0 or 1 in a byte.
struct Bool {};

// Counts up to here are exact in float, so a float sum may be divided in float.
inline constexpr double kFloatCounts = 16777216.0;

template <class Out, class A>
[[gnu::always_inline]] inline Out convert(A x) {
    if constexpr (__is_same(Out, Float16)) {
        if constexpr (__is_same(A, float)) return to_float16(x);
        else return to_float16(sticky_float(static_cast<double>(x)));
    } else if constexpr (__is_same(Out, BFloat16)) {
        if constexpr (__is_same(A, float)) return to_bfloat16(x);
        else return to_bfloat16(sticky_float(static_cast<double>(x)));
    } else {
        return static_cast<Out>(x);
    }
}

// Every NaN becomes the canonical quiet one.
template <class A>
[[gnu::always_inline]] inline A canonical(A x) {
    return x == x ? x : static_cast<A>(__builtin_nan(""));
}

// And -0 becomes +0.
template <class A>
[[gnu::always_inline]] inline A settled(A x) {
    return canonical(x + A(0));
}

[[gnu::always_inline]] inline double divisor_at(const FinishArgs& a, std::int64_t x) {
    return a.divisors ? a.divisors[x * a.count_step] * a.scale : static_cast<double>(a.divisor);
}

// Without the NaN taps; NaN itself when every real tap was one.
[[gnu::always_inline]] inline double counted_divisor(const FinishArgs& a, std::int64_t x) {
    const double nans = load<double>(a.aux + x * 8);
    const double reals = a.reals[x * a.count_step] * a.reals_scale;
    if (nans == reals && reals > 0) return __builtin_nan("");
    return divisor_at(a, x) - (a.divisor_is_fixed ? 0 : nans);
}

template <class A>
[[gnu::always_inline]] inline A divided(A sum, double divisor) {
    if constexpr (sizeof(A) == 4) {
        if (__builtin_fabs(divisor) > kFloatCounts)
            return static_cast<A>(static_cast<double>(sum) / divisor);
    }
    return sum / static_cast<A>(divisor);
}

// Every finish copies its arguments: stores through byte pointers cannot change the copy, so the
// loops vectorise.
template <class A, class Out>
void finish_float_mean(const FinishArgs& args) {
    const FinishArgs a = args;
    constexpr std::int64_t wide = sizeof(A);
    const bool narrow = __builtin_fabs(static_cast<double>(a.divisor)) <= kFloatCounts;
    if (!a.aux && !a.divisors && (sizeof(A) == 8 || narrow)) {
        const A divisor = static_cast<A>(a.divisor);
        const auto each = [&](std::int64_t x, std::int64_t stride) {
            const A mean = (load<A>(a.src + x * wide) + A(0)) / divisor;
            store(a.dst + x * stride, convert<Out>(canonical(mean)));
        };
        if (a.dst_stride == sizeof(Out)) {
            for (std::int64_t x = 0; x < a.n; ++x) each(x, sizeof(Out));
        } else {
            for (std::int64_t x = 0; x < a.n; ++x) each(x, a.dst_stride);
        }
        return;
    }
    for (std::int64_t x = 0; x < a.n; ++x) {
        const double divisor = a.aux ? counted_divisor(a, x) : divisor_at(a, x);
        const A sum = load<A>(a.src + x * wide) + A(0);
        store(a.dst + x * a.dst_stride, convert<Out>(canonical(divided(sum, divisor))));
    }
}

// floor, trunc, half-up or half-even of sum / divisor, from whole numbers; divisor > 0.
template <class Int>
inline Int rounded_quotient(Int sum, Int divisor, Rounding rounding) {
    Int q = sum / divisor;
    Int r = sum % divisor;
    if (rounding == Rounding::kTrunc) return q;
    if (r < 0) {
        r += divisor;
        --q;
    }
    const bool half = r == divisor - r;
    const bool above = r > divisor - r;
    switch (rounding) {
        case Rounding::kHalfUp: return q + (above || half ? 1 : 0);
        case Rounding::kHalfEven: return q + (above || (half && q % 2 != 0) ? 1 : 0);
        default: return q;
    }
}

template <class Out, class Int>
[[gnu::always_inline]] inline Out saturated(Int x) {
    const Int low = static_cast<Int>(lowest<Out>());
    const Int high = static_cast<Int>(highest<Out>());
    return static_cast<Out>(x < low ? low : x > high ? high : x);
}

// The exact sum of an integer window.
template <class A, class Int>
[[gnu::always_inline]] inline Int exact_sum(const FinishArgs& a, std::int64_t x) {
    const Int sum = static_cast<Int>(load<A>(a.src + x * std::int64_t(sizeof(A))));
    if (a.aux) return sum * (Int(1) << 32) + static_cast<Int>(load<std::uint64_t>(a.aux + x * 8));
    return sum;
}

using Int128 = __int128;

template <class Out>
inline constexpr bool kFloatResult = __is_same(Out, float) || __is_same(Out, double) ||
                                     __is_same(Out, Float16) || __is_same(Out, BFloat16);

// Any sum and divisor, one at a time.
template <class A, class Out>
void finish_int_mean_exact(const FinishArgs& args) {
    const FinishArgs a = args;
    for (std::int64_t x = 0; x < a.n; ++x) {
        Int128 divisor = a.divisors ? static_cast<Int128>(divisor_at(a, x)) : a.divisor;
        Int128 sum = exact_sum<A, Int128>(a, x);
        if constexpr (kFloatResult<Out>) {
            const double mean = static_cast<double>(sum) / static_cast<double>(divisor);
            store(a.dst + x * a.dst_stride, convert<Out>(mean));
        } else {
            if (divisor < 0) {
                divisor = -divisor;
                sum = -sum;
            }
            store(a.dst + x * a.dst_stride,
                  saturated<Out>(rounded_quotient(sum, divisor, a.rounding)));
        }
    }
}

// sum / divisor to a whole number, in floating point that holds both exactly: the quotient lies
// at least 1/sum of itself from the next whole number, far more than its rounding.
template <Rounding R, class F>
[[gnu::always_inline]] inline F whole_quotient(F sum, F divisor) {
    const F floor = sizeof(F) == 4 ? static_cast<F>(__builtin_floorf(static_cast<float>(sum / divisor)))
                                   : static_cast<F>(__builtin_floor(sum / divisor));
    const F rest = sum - floor * divisor;
    const F twice = rest + rest;
    if constexpr (R == Rounding::kFloor) {
        return floor;
    } else if constexpr (R == Rounding::kTrunc) {
        return sum < 0 && rest > 0 ? floor + 1 : floor;
    } else if constexpr (R == Rounding::kHalfUp) {
        return twice >= divisor ? floor + 1 : floor;
    } else {
        const F half = floor * F(0.5);
        const F even = sizeof(F) == 4 ? static_cast<F>(__builtin_floorf(static_cast<float>(half)))
                                      : static_cast<F>(__builtin_floor(half));
        const bool odd = even != half;
        return (twice > divisor) | ((twice == divisor) & odd) ? floor + 1 : floor;
    }
}

template <class A, class Out, class F, Rounding R>
void finish_int_mean_rounded(const FinishArgs& args) {
    const FinishArgs a = args;
    constexpr F low = static_cast<F>(lowest<Out>());
    constexpr F high = static_cast<F>(highest<Out>());
    constexpr std::int64_t wide = sizeof(A);
    const auto each = [&](std::int64_t x, F divisor, std::int64_t stride) {
        const F mean = whole_quotient<R>(static_cast<F>(load<A>(a.src + x * wide)), divisor);
        const F kept = mean < low ? low : mean > high ? high : mean;
        store(a.dst + x * stride, static_cast<Out>(kept));
    };
    if (!a.divisors && a.dst_stride == sizeof(Out)) {
        const F divisor = static_cast<F>(a.divisor);
        for (std::int64_t x = 0; x < a.n; ++x) each(x, divisor, sizeof(Out));
    } else {
        for (std::int64_t x = 0; x < a.n; ++x)
            each(x, static_cast<F>(divisor_at(a, x)), a.dst_stride);
    }
}

template <class A, class Out>
void finish_int_mean_float(const FinishArgs& args) {
    const FinishArgs a = args;
    const auto each = [&](std::int64_t x, double divisor, std::int64_t stride) {
        const auto sum = static_cast<double>(load<A>(a.src + x * std::int64_t(sizeof(A))));
        store(a.dst + x * stride, convert<Out>(sum / divisor));
    };
    if (!a.divisors && a.dst_stride == sizeof(Out)) {
        const double divisor = static_cast<double>(a.divisor);
        for (std::int64_t x = 0; x < a.n; ++x) each(x, divisor, sizeof(Out));
    } else {
        for (std::int64_t x = 0; x < a.n; ++x) each(x, divisor_at(a, x), a.dst_stride);
    }
}

template <class A, class Out>
void finish_int_mean(const FinishArgs& args) {
    const FinishArgs a = args;
    // Sums of up to 32 bits and divisors that are counts; anything else goes the exact way.
    if constexpr (sizeof(A) <= 4) {
        using F = std::conditional_t<sizeof(A) <= 2 || kFloatResult<Out>, float, double>;
        const bool counts = a.divisors ? true : a.divisor > 0 && a.divisor <= (1 << 24);
        if (counts && !a.aux) {
            if constexpr (kFloatResult<Out>) {
                return finish_int_mean_float<A, Out>(a);
            } else {
                switch (a.rounding) {
                    case Rounding::kHalfEven:
                        return finish_int_mean_rounded<A, Out, F, Rounding::kHalfEven>(a);
                    case Rounding::kHalfUp:
                        return finish_int_mean_rounded<A, Out, F, Rounding::kHalfUp>(a);
                    case Rounding::kFloor:
                        return finish_int_mean_rounded<A, Out, F, Rounding::kFloor>(a);
                    case Rounding::kTrunc:
                        return finish_int_mean_rounded<A, Out, F, Rounding::kTrunc>(a);
                }
            }
        }
    }
    finish_int_mean_exact<A, Out>(a);
}

// Calls each(x, stride) for every result, with the stride a constant where they lie side by side.
template <class Out, class Each>
[[gnu::always_inline]] inline void for_results(const FinishArgs& a, const Each& each) {
    constexpr std::int64_t size = sizeof(Out);
    if (a.dst_stride == size) {
        for (std::int64_t x = 0; x < a.n; ++x) each(x, size);
    } else {
        for (std::int64_t x = 0; x < a.n; ++x) each(x, a.dst_stride);
    }
}

[[gnu::always_inline]] inline bool all_nan(const FinishArgs& a, std::int64_t x) {
    const double divisor = counted_divisor(a, x);
    return divisor != divisor;
}

template <class A, class Out>
void finish_sum(const FinishArgs& args) {
    const FinishArgs a = args;
    constexpr std::int64_t wide = sizeof(A);
    for_results<Out>(a, [&](std::int64_t x, std::int64_t stride) {
        if constexpr (kIsFloat<A>) {
            A sum = settled(load<A>(a.src + x * wide));
            if (a.aux && all_nan(a, x)) sum = static_cast<A>(__builtin_nan(""));
            store(a.dst + x * stride, convert<Out>(sum));
        } else if constexpr (kFloatResult<Out>) {
            const auto sum = a.aux ? static_cast<double>(exact_sum<A, Int128>(a, x))
                                   : static_cast<double>(load<A>(a.src + x * wide));
            store(a.dst + x * stride, convert<Out>(sum));
        } else {
            store(a.dst + x * stride, convert<Out>(load<A>(a.src + x * wide)));
        }
    });
}

template <class A, class Out, bool Reverse>
void finish_order(const FinishArgs& args) {
    const FinishArgs a = args;
    constexpr std::int64_t wide = sizeof(A);
    for_results<Out>(a, [&](std::int64_t x, std::int64_t stride) {
        A value = load<A>(a.src + x * wide);
        if constexpr (Reverse && kIsFloat<A>) value = -value;
        if constexpr (Reverse && !kIsFloat<A>) value = static_cast<A>(~value);
        // Only the identity of a window without elements is out of range: the type's own limit.
        if constexpr (__is_same(Out, Bool)) {
            store(a.dst + x * stride, std::uint8_t(value > A(0) ? 1 : 0));
        } else if constexpr (!kIsFloat<A>) {
            store(a.dst + x * stride, saturated<Out>(value));
        } else {
            if (a.aux && all_nan(a, x)) value = static_cast<A>(__builtin_nan(""));
            store(a.dst + x * stride, convert<Out>(value));
        }
    });
}

// Keys beyond those of the infinities are the identity of a window without elements.
template <std::uint16_t Infinity>
void finish_keys(const FinishArgs& args) {
    const FinishArgs a = args;
    constexpr auto high = static_cast<std::int16_t>(Infinity);
    constexpr auto low = static_cast<std::int16_t>(-high - 1);
    const auto each = [&](std::int64_t x, std::int64_t stride) {
        auto key = load<std::int16_t>(a.src + 2 * x);
        key = key < low ? low : key;
        key = key > high ? high : key;
        store(a.dst + x * stride, key_of(static_cast<std::uint16_t>(key)));
    };
    if (a.dst_stride == 2) {
        for (std::int64_t x = 0; x < a.n; ++x) each(x, 2);
    } else {
        for (std::int64_t x = 0; x < a.n; ++x) each(x, a.dst_stride);
    }
}

}  // namespace
}  // namespace poolcore
