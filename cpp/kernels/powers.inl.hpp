// power: magnitudes to a real power, in place. The general power is exp2(p * log2 x) in double with
// the logarithm in two doubles, from additions, multiplications and divisions in one fixed order:
// no library's variant of pow decides about a bit.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

// A number as the sum of two, the second far below the first.
template <class V>
struct Pair {
    V high, low;
};

// The exact product, by splitting the factors in halves (Dekker). Factors below 2^900.
template <class V>
[[gnu::always_inline]] inline Pair<V> exact_product(V a, V b) {
    const V big_a = a * 134217729.0, big_b = b * 134217729.0;  // 2^27 + 1
    const V a1 = big_a - (big_a - a), b1 = big_b - (big_b - b);
    const V a2 = a - a1, b2 = b - b1;
    const V product = a * b;
    return {product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2};
}

inline constexpr double kWhole = 6755399441055744.0;  // 1.5 * 2^52: integers in the low bits
inline constexpr std::int64_t kWholeBits = 0x4338000000000000;

// log2 of positive finite x, with some 58 bits: e + log2 m, m within a factor sqrt 2 of 1, from
// the series of 2 atanh((m - 1) / (m + 1)).
template <int N>
[[gnu::always_inline]] inline Pair<Vec<double, N>> log2_of(Vec<double, N> x) {
    using V = Vec<double, N>;
    using I = Vec<std::int64_t, N>;
    using U = Vec<std::uint64_t, N>;
    const auto tiny = x < 0x1p-1022;
    const V normal = tiny ? x * 0x1p54 : x;
    const U bits = __builtin_bit_cast(U, normal);  // unsigned: those of -0, which comes too, wrap
    const I exponent = __builtin_bit_cast(I, bits - std::uint64_t{0x3fe6a09e667f3bcd}) >> 52;
    const V m = __builtin_bit_cast(V, bits - __builtin_bit_cast(U, exponent << 52));
    V e = __builtin_bit_cast(V, exponent + kWholeBits) - kWhole;
    e = tiny ? e - 54.0 : e;
    const V f = m - 1.0;
    const V sum = f + 2.0;
    const V s = f / sum;
    const Pair<V> back = exact_product(s, sum);
    const V rest = (((f - back.high) - back.low) - s * (f - (sum - 2.0))) / sum;
    const V q = s * s;
    V series = q * (1.0 / 25) + 1.0 / 23;
    series = series * q + 1.0 / 21;
    series = series * q + 1.0 / 19;
    series = series * q + 1.0 / 17;
    series = series * q + 1.0 / 15;
    series = series * q + 1.0 / 13;
    series = series * q + 1.0 / 11;
    series = series * q + 1.0 / 9;
    series = series * q + 1.0 / 7;
    series = series * q + 1.0 / 5;
    series = series * q + 1.0 / 3;
    const V tail = s * q * series;
    const V high = s + tail;
    const V low = ((s - high) + tail) + rest;
    constexpr double two_over_ln2 = 0x1.71547652b82fep+1, its_rest = 0x1.777d0ffda0d24p-55;
    const Pair<V> scaled = exact_product(high, V{} + two_over_ln2);
    const V total = e + scaled.high;
    const V lost = scaled.high - (total - e);
    return {total, lost + (scaled.low + high * its_rest + low * two_over_ln2)};
}

// 2 to the power of y: 2^n times the series of exp.
template <int N>
[[gnu::always_inline]] inline Vec<double, N> exp2_of(Pair<Vec<double, N>> y) {
    using V = Vec<double, N>;
    using I = Vec<std::int64_t, N>;
    V whole = y.high < -1100.0 ? V{} - 1100.0 : y.high;
    whole = whole > 1100.0 ? V{} + 1100.0 : whole;
    const V low = whole == y.high ? y.low : V{};
    const V placed = whole + kWhole;
    const V n = placed - kWhole;
    const V z = ((whole - n) + low) * 0x1.62e42fefa39efp-1;  // ln 2
    V series = z * (1.0 / 6227020800) + 1.0 / 479001600;
    series = series * z + 1.0 / 39916800;
    series = series * z + 1.0 / 3628800;
    series = series * z + 1.0 / 362880;
    series = series * z + 1.0 / 40320;
    series = series * z + 1.0 / 5040;
    series = series * z + 1.0 / 720;
    series = series * z + 1.0 / 120;
    series = series * z + 1.0 / 24;
    series = series * z + 1.0 / 6;
    series = series * z + 0.5;
    const V value = (z * z * series + z) + 1.0;
    const I exponent = __builtin_bit_cast(I, placed) - kWholeBits;
    const I half = exponent >> 1;  // in two steps, for results that are subnormal
    const V first = __builtin_bit_cast(V, (half + 1023) << 52);
    const V second = __builtin_bit_cast(V, (exponent - half + 1023) << 52);
    return value * first * second;
}

// x^p for x >= 0 and p in (0, 2^60].
template <int N>
[[gnu::always_inline]] inline Vec<double, N> power_of(Vec<double, N> x, Pair<double> p) {
    using V = Vec<double, N>;
    const Pair<V> log = log2_of<N>(x);
    const Pair<V> y = exact_product(log.high, V{} + p.high);
    const V low = log.low * p.high + log.high * p.low;
    const V value = exp2_of<N>({y.high, y.low + low});
    return ((x > V{}) & (x < __builtin_inf())) ? value : x;  // 0, infinity and NaN stay
}

template <int N>
[[gnu::always_inline]] inline Vec<double, N> root_of(Vec<double, N> x) {
    if constexpr (N == 1) return __builtin_sqrt(x);
#if defined(__AVX512F__)
    else if constexpr (N == 8) return (Vec<double, N>)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#endif
#if defined(__AVX__)
    else if constexpr (N == 4) return (Vec<double, N>)_mm256_sqrt_pd((__m256d)x);
#endif
#if defined(__SSE2__)
    else if constexpr (N == 2) return (Vec<double, N>)_mm_sqrt_pd((__m128d)x);
#endif
    else {
        Vec<double, N> y{};
        for (int i = 0; i < N; ++i) y[i] = __builtin_sqrt(x[i]);
        return y;
    }
}

template <class T, int N>
[[gnu::always_inline]] inline Vec<T, N> magnitude_of(Vec<T, N> x) {
    using I = Vec<SameInt<T>, N>;
    const I sign = I{} + lowest<SameInt<T>>();
    return __builtin_bit_cast(Vec<T, N>, static_cast<I>(__builtin_bit_cast(I, x) & ~sign));
}

// What becomes of magnitudes.
struct Kept {
    template <int N>
    [[gnu::always_inline]] static Vec<double, N> of(Vec<double, N> x, Pair<double>) {
        return x;
    }
};
struct Root {
    template <int N>
    [[gnu::always_inline]] static Vec<double, N> of(Vec<double, N> x, Pair<double>) {
        return root_of<N>(x);
    }
};
struct Square {
    template <int N>
    [[gnu::always_inline]] static Vec<double, N> of(Vec<double, N> x, Pair<double>) {
        return x * x;
    }
};
struct Cube {
    template <int N>
    [[gnu::always_inline]] static Vec<double, N> of(Vec<double, N> x, Pair<double>) {
        return x * x * x;
    }
};
struct Real {
    template <int N>
    [[gnu::always_inline]] static Vec<double, N> of(Vec<double, N> x, Pair<double> p) {
        return power_of<N>(x, p);
    }
};

// The first n numbers from p on, filled up with ones.
template <int N>
[[gnu::always_inline]] inline Vec<double, N> load_some(const std::byte* p, std::int64_t n) {
    std::byte each[8 * N];
    for (std::int64_t i = 0; i < N; ++i)
        store(each + 8 * i, i < n ? load<double>(p + 8 * i) : 1.0);
    return load<Vec<double, N>>(each);
}

template <int N>
[[gnu::always_inline]] inline void store_some(std::byte* p, Vec<double, N> v, std::int64_t n) {
    std::byte each[8 * N];
    store(each, v);
    for (std::int64_t i = 0; i < n; ++i) store(p + 8 * i, load<double>(each + 8 * i));
}

// N values; lanes of `outside` are set where a power left the range of kTinyPower to kHugePower.
template <class How, int N>
[[gnu::always_inline]] inline Vec<double, N> raised(const PowerArgs& a, Vec<double, N> x,
                                                    Vec<double, N> missing,
                                                    Vec<std::int64_t, N>& outside) {
    using V = Vec<double, N>;
    if (a.missing || a.divisor != 1) x = x / (a.divisor - missing);
    x = a.clamps ? (x < a.floor ? V{} + a.floor : x) : magnitude_of<double, N>(x);
    const V y = How::template of<N>(x, {a.exponent, a.exponent_low});
    outside |= (y > kHugePower) | ((y < kTinyPower) & (x > V{}));
    return a.drop_nan ? (y == y ? y : V{}) : y;
}

template <class How>
void power_all(const PowerArgs& args) {
    const PowerArgs a = args;
    constexpr int N = kLanes<double>;
    using V = Vec<double, N>;
    Vec<std::int64_t, N> outside{};
    std::int64_t i = 0;
    for (; i + N <= a.n; i += N) {
        const V missing = a.missing ? load<V>(a.missing + 8 * i) : V{};
        store(a.values + 8 * i, raised<How, N>(a, load<V>(a.values + 8 * i), missing, outside));
    }
    if (const std::int64_t rest = a.n - i; rest > 0) {
        const V missing = a.missing ? load_some<N>(a.missing + 8 * i, rest) : V{};
        const V x = load_some<N>(a.values + 8 * i, rest);
        store_some<N>(a.values + 8 * i, raised<How, N>(a, x, missing, outside), rest);
    }
    if (!a.special) return;
    std::byte each[8 * N];
    store(each, outside);
    for (int lane = 0; lane < N; ++lane)
        if (load<std::int64_t>(each + 8 * lane) != 0) *a.special = true;
}

inline void power(const PowerArgs& a) {
    if (a.exponent_low != 0) return power_all<Real>(a);
    if (a.exponent == 1) return power_all<Kept>(a);
    if (a.exponent == 2) return power_all<Square>(a);
    if (a.exponent == 3) return power_all<Cube>(a);
    if (a.exponent == 0.5) return power_all<Root>(a);
    power_all<Real>(a);
}

// Magnitudes of floats, nothing else.
inline void magnitudes(const PowerArgs& args) {
    const PowerArgs a = args;
    constexpr int N = kLanes<float>;
    std::int64_t i = 0;
    for (; i + N <= a.n; i += N)
        store(a.values + 4 * i, magnitude_of<float, N>(load<Vec<float, N>>(a.values + 4 * i)));
    for (; i < a.n; ++i)
        store(a.values + 4 * i, magnitude_of<float, 1>(load<float>(a.values + 4 * i)));
}

}  // namespace
}  // namespace poolcore
