// finish: from accumulators to results. See FinishArgs for the contract.
#pragma once

#include <type_traits>

#include "kernels/half.hpp"
#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"
#include "kernels/pack.inl.hpp"
#include "kernels/quotient.hpp"

namespace poolcore {
namespace {

// A result of 0 or 1 in a byte.
struct Bool {};

// Whole numbers of up to 51 bits, added to this, stand in the low bits of a double.
inline constexpr double kPlaced = 6755399441055744.0;  // 1.5 * 2^52
inline constexpr std::int64_t kPlacedBits = 0x4338000000000000;

// Counts up to here are exact in float, so a float sum may be divided in float.
inline constexpr double kFloatCounts = 16777216.0;

// Stores N values as results.
template <class Out, class A, int N>
[[gnu::always_inline]] inline void put(std::byte* dst, Vec<A, N> x) {
    if constexpr (!__is_same(Out, Float16) && !__is_same(Out, BFloat16)) {
        store(dst, converted<Out, A, N>(x));
    } else if constexpr (__is_same(A, float)) {
        store_floats<Out, N>(dst, x);
    } else {
        store_floats<Out, N>(dst, sticky_floats<N>(converted<double, A, N>(x)));
    }
}

template <class V>
[[gnu::always_inline]] inline V canonical(V x) {
    return x == x ? x : V{} + __builtin_nanf("");
}

// -0 becomes +0 and every NaN the canonical quiet one.
template <class V>
[[gnu::always_inline]] inline V settled(V x) {
    return canonical(static_cast<V>(x + V{}));
}

// Counts of taps, the same for all or from a table.
template <int N>
[[gnu::always_inline]] inline Vec<double, N> counts_at(const double* counts, std::int64_t step,
                                                       std::int64_t x) {
    if (step == 0) return Vec<double, N>{} + counts[0];
    return load<Vec<double, N>>(reinterpret_cast<const std::byte*>(counts + x));
}

template <class F, int N>
[[gnu::always_inline]] inline Vec<F, N> divisors_at(const FinishArgs& a, std::int64_t x) {
    if (!a.divisors) return Vec<F, N>{} + static_cast<F>(a.divisor);
    return converted<F, double, N>(counts_at<N>(a.divisors, a.count_step, x) * a.scale);
}

// Without the NaN taps; NaN itself where every real tap was one.
template <int N>
[[gnu::always_inline]] inline Vec<double, N> counted_divisors(const FinishArgs& a,
                                                              std::int64_t x) {
    using V = Vec<double, N>;
    const V nans = load<V>(a.aux + x * 8);
    const V reals = counts_at<N>(a.reals, a.count_step, x) * a.reals_scale;
    const V left = divisors_at<double, N>(a, x) - (a.divisor_is_fixed ? V{} : nans);
    const V kept = reals > V{} ? V{} + __builtin_nan("") : left;
    return nans == reals ? kept : left;
}

// NaN for windows whose real taps were all NaN and were left out.
template <class A, int N>
[[gnu::always_inline]] inline Vec<A, N> unless_missing(const FinishArgs& a, std::int64_t x,
                                                       Vec<A, N> value) {
    const auto divisor = converted<A, double, N>(counted_divisors<N>(a, x));
    return divisor == divisor ? value : Vec<A, N>{} + static_cast<A>(__builtin_nan(""));
}

template <class A>
[[gnu::always_inline]] inline A divided(A sum, double divisor) {
    if constexpr (sizeof(A) == 4) {
        if (__builtin_fabs(divisor) > kFloatCounts)
            return static_cast<A>(static_cast<double>(sum) / divisor);
    }
    return sum / static_cast<A>(divisor);
}

// Lanes of vectors of either type; integers become halves by way of double.
template <class A, class Out>
inline constexpr int kCommonLanes =
    kLanes<std::conditional_t<(sizeof(A) > sizeof(Out)), A,
                              std::conditional_t<sizeof(Out) == 1, std::uint8_t, Out>>>;
template <class A>
inline constexpr int kCommonLanes<A, Float16> = kIsFloat<A> ? kLanes<A> : kLanes<double>;
template <class A>
inline constexpr int kCommonLanes<A, BFloat16> = kCommonLanes<A, Float16>;

// Calls each<N>(x, stride) for all results: vectors where they lie side by side.
template <class Out, int Lanes, class Each>
[[gnu::always_inline]] inline void for_results(const FinishArgs& a, const Each& each) {
    if (Lanes > 1 && a.dst_stride == sizeof(Out) && a.n >= Lanes) {
        for (std::int64_t x = 0; x < a.n; x += Lanes) {
            if (x + Lanes > a.n) x = a.n - Lanes;
            each.template operator()<Lanes>(x, std::int64_t(sizeof(Out)));
        }
        return;
    }
    for (std::int64_t x = 0; x < a.n; ++x) each.template operator()<1>(x, a.dst_stride);
}

// Every finish copies its arguments: stores through byte pointers cannot change the copy, so the
// loops vectorise.
template <class A, class Out>
void finish_float_mean(const FinishArgs& args) {
    const FinishArgs a = args;
    constexpr std::int64_t wide = sizeof(A);
    // Sums in float are of 4096 taps at most: only a divisor that was given can be larger.
    const bool narrow = __builtin_fabs(static_cast<double>(a.divisor)) <= kFloatCounts;
    if (sizeof(A) == 4 && !narrow) {
        for (std::int64_t x = 0; x < a.n; ++x) {
            const double divisor = a.aux ? counted_divisors<1>(a, x) : divisors_at<double, 1>(a, x);
            const A sum = load<A>(a.src + x * wide) + A(0);
            put<Out, A, 1>(a.dst + x * a.dst_stride, canonical(divided(sum, divisor)));
        }
    } else if (a.aux || a.divisors) {
        constexpr int lanes = kCommonLanes<double, Out>;
        for_results<Out, lanes>(a, [&]<int N>(std::int64_t x, std::int64_t stride) {
            const auto divisor = a.aux ? counted_divisors<N>(a, x) : divisors_at<double, N>(a, x);
            const auto sum = load<Vec<A, N>>(a.src + x * wide) + A(0);
            const Vec<A, N> mean = sum / converted<A, double, N>(divisor);
            put<Out, A, N>(a.dst + x * stride, canonical(mean));
        });
    } else {
        const Quotient<A> quotient(static_cast<double>(a.divisor));
        for_results<Out, kCommonLanes<A, Out>>(a, [&]<int N>(std::int64_t x, std::int64_t stride) {
            const Vec<A, N> sum = load<Vec<A, N>>(a.src + x * wide) + A(0);
            put<Out, A, N>(a.dst + x * stride, canonical(quotient.template of<N>(sum)));
        });
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
        Int128 divisor = a.divisors ? static_cast<Int128>(divisors_at<double, 1>(a, x)) : a.divisor;
        Int128 sum = exact_sum<A, Int128>(a, x);
        if constexpr (kFloatResult<Out>) {
            const double mean = static_cast<double>(sum) / static_cast<double>(divisor);
            put<Out, double, 1>(a.dst + x * a.dst_stride, canonical(mean));
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

// Sums as floating-point numbers that hold them exactly: double holds up to 2^51 here.
template <class A, class F, int N>
[[gnu::always_inline]] inline Vec<F, N> whole_sums(const FinishArgs& a, std::int64_t x) {
    const auto sum = load<Vec<A, N>>(a.src + x * std::int64_t(sizeof(A)));
    if constexpr (sizeof(A) == 8) {
        const auto placed = __builtin_bit_cast(Vec<double, N>, sum + kPlacedBits);
        return placed - kPlaced;
    } else {
        return converted<F, std::int32_t, N>(converted<std::int32_t, A, N>(sum));
    }
}

// The greatest whole number that is no greater, and the same as an integer.
template <class F, int N>
struct Floor {
    using I = Vec<SameInt<F>, N>;
    Vec<F, N> value;
    [[gnu::always_inline]] explicit Floor(Vec<F, N> x) {
        using V = Vec<F, N>;
        if constexpr (sizeof(F) == 4) {
            value = converted<F, std::int32_t, N>(converted<std::int32_t, F, N>(x));
        } else {
            value = (x + kPlaced) - kPlaced;
        }
        value = value > x ? value - (V{} + F(1)) : value;
    }
    [[gnu::always_inline]] I integer() const {
        if constexpr (sizeof(F) == 4) return converted<std::int32_t, F, N>(value);
        else return __builtin_bit_cast(I, value + kPlaced) - kPlacedBits;
    }
};

// All four roundings of sum / divisor, for divisors > 0. With n = sum + before the quotient is
// floor((n + 1/2) / divisor), less one where half_even meets a tie with an odd quotient. n + 1/2
// is exact and its quotient at least 1/2 / divisor from every whole number. Computed, it is off by
// two roundings at most, 2^-23 of itself in float (n < 2^18) and 2^-52 in double (n < 2^51): less.
template <class F>
struct Rule {
    bool half, even, trunc;
    explicit Rule(Rounding r)
        : half(r == Rounding::kHalfUp || r == Rounding::kHalfEven),
          even(r == Rounding::kHalfEven),
          trunc(r == Rounding::kTrunc) {}

    template <class Out, int N>
    [[gnu::always_inline]] Vec<Out, N> mean(Vec<F, N> sum, Vec<F, N> divisor,
                                            Vec<F, N> reciprocal) const {
        using V = Vec<F, N>;
        using I = Vec<SameInt<F>, N>;
        const V middle = Floor<F, N>(divisor * F(0.5)).value;
        const V up = sum < V{} ? divisor - F(1) : V{};
        const V n = sum + (half ? middle : trunc ? up : V{});
        const Floor<F, N> quotient((n + F(0.5)) * reciprocal);
        I mean = quotient.integer();
        const I tie = middle + middle == divisor ? mean & SameInt<F>(even ? 1 : 0) : I{};
        mean = mean - (quotient.value * divisor == n ? tie : I{});
        mean = mean < kLeast<Out> ? I{} + kLeast<Out> : mean;
        mean = mean > kMost<Out> ? I{} + kMost<Out> : mean;
        return converted<Out, SameInt<F>, N>(mean);
    }

    // The limits of Out that a quotient can pass.
    template <class Out>
    static constexpr SameInt<F> kLeast =
        lowest<Out>() == 0 ? SameInt<F>(0)
        : sizeof(Out) < sizeof(F) ? static_cast<SameInt<F>>(lowest<Out>())
                                  : lowest<SameInt<F>>();
    template <class Out>
    static constexpr SameInt<F> kMost = sizeof(Out) < sizeof(F)
                                            ? static_cast<SameInt<F>>(highest<Out>())
                                            : highest<SameInt<F>>();
};

template <class A, class Out, class F>
void finish_int_mean_rounded(const FinishArgs& args) {
    const FinishArgs a = args;
    const Rule<F> rule(a.rounding);
    const F divisor = static_cast<F>(a.divisor);
    const F reciprocal = F(1) / divisor;
    for_results<Out, kCommonLanes<F, Out>>(a, [&]<int N>(std::int64_t x, std::int64_t stride) {
        using V = Vec<F, N>;
        const V sum = whole_sums<A, F, N>(a, x);
        V by = V{} + divisor, times = V{} + reciprocal;
        if (a.divisors) {
            by = divisors_at<F, N>(a, x);
            times = F(1) / by;
        }
        store(a.dst + x * stride, rule.template mean<Out, N>(sum, by, times));
    });
}

template <class A, class Out>
void finish_int_mean_shifted(const FinishArgs& args) {
    const FinishArgs a = args;
    const Shifted<A> by(a.divisor, a.rounding);
    for_results<Out, kCommonLanes<A, Out>>(a, [&]<int N>(std::int64_t x, std::int64_t stride) {
        const auto sum = load<Vec<A, N>>(a.src + x * std::int64_t(sizeof(A)));
        store(a.dst + x * stride, by.template mean<Out, N>(sum));
    });
}

template <class A, class Out>
void finish_int_mean_float(const FinishArgs& args) {
    const FinishArgs a = args;
    const Quotient<double> quotient(a.divisors ? 0.0 : static_cast<double>(a.divisor));
    for_results<Out, kLanes<double>>(a, [&]<int N>(std::int64_t x, std::int64_t stride) {
        using V = Vec<double, N>;
        const V sum = whole_sums<A, double, N>(a, x);
        const V mean = a.divisors ? static_cast<V>(sum / divisors_at<double, N>(a, x))
                                  : quotient.template of_whole<N>(sum);
        put<Out, double, N>(a.dst + x * stride, canonical(mean));
    });
}

// Divisors that Rule allows: tables hold counts of taps, those of 16-bit sums at most 256.
template <class F>
inline constexpr std::int64_t kMostDivisor = std::int64_t(1) << (sizeof(F) == 4 ? 16 : 50);

template <class A, class Out>
void finish_int_mean(const FinishArgs& a) {
    using F = std::conditional_t<sizeof(A) <= 2, float, double>;
    const bool exact = !a.aux && (sizeof(A) < 8 || a.sums_fit_double);
    if constexpr (kFloatResult<Out>) {
        if (exact) return finish_int_mean_float<A, Out>(a);
    } else {
        if (!a.aux && !a.divisors && Shifted<A>::takes(a.divisor))
            return finish_int_mean_shifted<A, Out>(a);
        const bool counts = a.divisors || (a.divisor > 0 && a.divisor <= kMostDivisor<F>);
        if (exact && counts) return finish_int_mean_rounded<A, Out, F>(a);
    }
    finish_int_mean_exact<A, Out>(a);
}

template <class A, class Out>
void finish_sum(const FinishArgs& args) {
    const FinishArgs a = args;
    constexpr std::int64_t wide = sizeof(A);
    if constexpr (kFloatResult<Out> && !kIsFloat<A> && sizeof(A) == 8) {
        if (a.aux) {  // sums beyond 64 bits
            for (std::int64_t x = 0; x < a.n; ++x)
                put<Out, double, 1>(a.dst + x * a.dst_stride,
                                    static_cast<double>(exact_sum<A, Int128>(a, x)));
            return;
        }
    }
    if constexpr (kIsFloat<A>) {
        if (a.aux) {
            constexpr int lanes = kCommonLanes<double, Out>;
            for_results<Out, lanes>(a, [&]<int N>(std::int64_t x, std::int64_t stride) {
                const auto sum = settled(load<Vec<A, N>>(a.src + x * wide));
                put<Out, A, N>(a.dst + x * stride, unless_missing<A, N>(a, x, sum));
            });
            return;
        }
    }
    for_results<Out, kCommonLanes<A, Out>>(a, [&]<int N>(std::int64_t x, std::int64_t stride) {
        auto sum = load<Vec<A, N>>(a.src + x * wide);
        if constexpr (kIsFloat<A>) sum = settled(sum);
        put<Out, A, N>(a.dst + x * stride, sum);
    });
}

template <class A, class Out, bool Reverse>
void finish_order(const FinishArgs& args) {
    const FinishArgs a = args;
    constexpr std::int64_t wide = sizeof(A);
    using Stored = std::conditional_t<__is_same(Out, Bool), std::uint8_t, Out>;
    constexpr int lanes = kIsFloat<A> ? kLanes<double> : kLanes<A>;
    for_results<Stored, lanes>(a, [&]<int N>(std::int64_t x, std::int64_t stride) {
        using V = Vec<A, N>;
        V value = load<V>(a.src + x * wide);
        if constexpr (Reverse && kIsFloat<A>) value = -value;
        if constexpr (Reverse && !kIsFloat<A>) value = static_cast<V>(~value);
        // Only the identity of a window without elements is out of range: the type's own limit.
        if constexpr (__is_same(Out, Bool)) {
            value = value > V{} ? V{} + A(1) : V{};
        } else if constexpr (!kIsFloat<A>) {
            const V low = splat<A, N>(static_cast<A>(lowest<Out>()));
            const V high = splat<A, N>(static_cast<A>(highest<Out>()));
            value = value < low ? low : value > high ? high : value;
        } else {
            if (a.aux) value = unless_missing<A, N>(a, x, value);
        }
        put<Stored, A, N>(a.dst + x * stride, value);
    });
}

// Keys beyond those of the infinities are the identity of a window without elements.
template <std::int16_t Infinity>
void finish_keys(const FinishArgs& args) {
    const FinishArgs a = args;
    constexpr int lanes = kLanes<std::int16_t>;
    for_results<std::int16_t, lanes>(a, [&]<int N>(std::int64_t x, std::int64_t stride) {
        using V = Vec<std::int16_t, N>;
        const V low = splat<std::int16_t, N>(static_cast<std::int16_t>(-Infinity - 1));
        const V high = splat<std::int16_t, N>(Infinity);
        V key = load<V>(a.src + 2 * x);
        key = key < low ? low : key;
        key = key > high ? high : key;
        store(a.dst + x * stride, keys_of<N>(key));
    });
}

}  // namespace
}  // namespace poolcore
