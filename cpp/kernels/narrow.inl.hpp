// narrow: small windows over types that are narrower than what they are added in, straight from
// the source: elements are widened in registers. See NarrowArgs for the contract.
#pragma once

#include <type_traits>

#include "kernels/half.hpp"
#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"
#include "kernels/quotient.hpp"

namespace poolcore {
namespace {

static_assert(POOLCORE_VECTOR_BYTES == 0 || __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "vectors of pairs are split as words");

// What elements are added or compared as, and a word of two elements.
template <class E>
struct Widened {
    static constexpr bool is_unsigned = static_cast<E>(-1) > E(0);
    using Signed = SameInt<std::conditional_t<sizeof(E) == 1, std::int16_t,
                           std::conditional_t<sizeof(E) == 2, std::int32_t, std::int64_t>>>;
    using Word = std::conditional_t<is_unsigned, std::make_unsigned_t<Signed>, Signed>;
    using Sum = std::conditional_t<sizeof(E) == 1, Word, Signed>;
};
template <>
struct Widened<Float16> {
    using Sum = float;
};
template <>
struct Widened<BFloat16> {
    using Sum = float;
};

template <class E>
inline constexpr bool kIsHalf = __is_same(E, Float16) || __is_same(E, BFloat16);

// Neighbours 0, 1, 2, ... from p on.
template <class E, int N>
[[gnu::always_inline]] inline Vec<typename Widened<E>::Sum, N> load_wide(const std::byte* p) {
    using A = typename Widened<E>::Sum;
    if constexpr (__is_same(E, BFloat16)) {
        const auto bits = converted<std::uint32_t, std::uint16_t, N>(load<Patterns<N>>(p));
        return __builtin_bit_cast(Vec<A, N>, bits << 16);
    } else if constexpr (__is_same(E, Float16)) {
        return load_floats<E, N>(p);
    } else {
        return converted<A, E, N>(load<Vec<E, N>>(p));
    }
}

// Neighbours 0, 2, 4, ... (First = 0) or 1, 3, 5, ... (First = 1) from p on: 2 * N are read.
template <int First, class E, int N>
[[gnu::always_inline]] inline Vec<typename Widened<E>::Sum, N> load_pairs(const std::byte* p) {
    using A = typename Widened<E>::Sum;
    if constexpr (N == 1) {
        return load_wide<E, 1>(p + First * sizeof(E));
    } else if constexpr (__is_same(E, BFloat16)) {
        const auto words = load<Words<N>>(p);
        return __builtin_bit_cast(Vec<A, N>, First ? words & 0xffff0000u : words << 16);
    } else if constexpr (__is_same(E, Float16)) {
        return every_second<First, A, N>(load_wide<E, N>(p), load_wide<E, N>(p + 2 * N));
    } else {
        using W = Vec<typename Widened<E>::Word, N>;
        constexpr int half = sizeof(E) * 8;
        const W words = load<W>(p);
        if constexpr (First == 0 && Widened<E>::is_unsigned)
            return __builtin_bit_cast(Vec<A, N>, words & (((W{} + 1) << half) - 1));
        else
            return __builtin_bit_cast(Vec<A, N>, (First ? words : words << half) >> half);
    }
}

// The K taps of N windows on one row: neighbours at stride 2 (Pairs), or `tap_stride` bytes apart.
template <class E, int K, bool Pairs, int N>
struct TapsOf {
    using V = Vec<typename Widened<E>::Sum, N>;
    V tap[3];

    [[gnu::always_inline]] TapsOf(const std::byte* p, std::int64_t tap_stride) {
        if constexpr (Pairs) {
            tap[0] = load_pairs<0, E, N>(p);
            tap[1] = load_pairs<1, E, N>(p);
            if constexpr (K == 3) tap[2] = load_pairs<1, E, N>(p + sizeof(E));
        } else {
            tap[0] = load_wide<E, N>(p);
            if constexpr (K >= 2) tap[1] = load_wide<E, N>(p + tap_stride);
            if constexpr (K >= 3) tap[2] = load_wide<E, N>(p + 2 * tap_stride);
        }
    }

    template <class O>
    [[gnu::always_inline]] V joined() const {
        V v = tap[0];
        if constexpr (K >= 2) v = O::combine(v, tap[1]);
        if constexpr (K >= 3) v = O::combine(v, tap[2]);
        return v;
    }
};

// Sums: the rows first. Orders: the taps of every row first.
template <class O, class E, int K, bool Pairs, int N>
[[gnu::always_inline]] inline Vec<typename O::T, N> narrow_window(const std::byte* p,
                                                                  const NarrowArgs& a) {
    using Taps = TapsOf<E, K, Pairs, N>;
    Taps all(p, a.tap_stride);
    if constexpr (O::kRowsFirst) {
        const auto add = [&](int row) {
            const Taps more(p + row * a.row_stride, a.tap_stride);
            for (int j = 0; j < K; ++j) all.tap[j] = O::combine(all.tap[j], more.tap[j]);
        };
        if (a.rows >= 2) add(1);
        if (a.rows >= 3) add(2);
        return all.template joined<O>();
    } else {
        auto v = all.template joined<O>();
        const auto add = [&](int row) {
            const Taps more(p + row * a.row_stride, a.tap_stride);
            v = O::combine(v, more.template joined<O>());
        };
        if (a.rows >= 2) add(1);
        if (a.rows >= 3) add(2);
        return v;
    }
}

// ---- from sums to what is stored -------------------------------------------------------------

// The sums themselves.
template <class E>
struct KeepSum {
    using A = typename Widened<E>::Sum;
    using Stored = A;
    explicit KeepSum(const NarrowArgs&) {}
    template <int N>
    [[gnu::always_inline]] void put(std::byte* dst, Vec<A, N> sum) const {
        store(dst, sum);
    }
};

// Orders of halves, which are halves already.
template <class H>
struct KeepHalf {
    using Stored = H;
    explicit KeepHalf(const NarrowArgs&) {}
    template <int N>
    [[gnu::always_inline]] void put(std::byte* dst, Vec<float, N> v) const {
        if constexpr (__is_same(H, BFloat16)) {
            const auto words = __builtin_bit_cast(Words<N>, v) >> 16;
            store(dst, converted<std::uint16_t, std::uint32_t, N>(words));
        } else {
            store_floats<H, N>(dst, v);
        }
    }
};

// Sums or means of halves: see finish.inl.hpp for the rule.
template <class H>
struct FinishHalf {
    using Stored = H;
    Quotient<float> quotient;
    explicit FinishHalf(const NarrowArgs& a) : quotient(a.divisor == 0 ? 1.0 : a.divisor) {}
    template <int N>
    [[gnu::always_inline]] void put(std::byte* dst, Vec<float, N> sum) const {
        using V = Vec<float, N>;
        const V mean = quotient.template of<N>(static_cast<V>(sum + 0.0f));
        const V settled = mean == mean ? mean : V{} + __builtin_nanf("");
        if constexpr (__is_same(H, BFloat16)) {  // a canonical NaN needs no care
            const auto u = __builtin_bit_cast(Words<N>, settled);
            const Words<N> rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
            store(dst, converted<std::uint16_t, std::uint32_t, N>(rounded));
        } else {
            store_floats<H, N>(dst, settled);
        }
    }
};

inline constexpr int kMostNarrowTaps = 9;

// What the four roundings of sum / divisor, 1 <= divisor <= 9, have in common, for sums of up to
// nine elements of E. With n = sum + before >= 0 the quotient is floor(n / divisor) - after, but
// for two cases: half_even takes one off an odd quotient without a rest, where that was a tie
// (even divisors only), and trunc adds divisor - 1 to negative sums first.
template <class E>
struct Rounder {
    std::int32_t before, after, negative, tie;
    Rounder(std::int32_t divisor, Rounding rounding) {
        const std::int32_t least = -kMostNarrowTaps * static_cast<std::int32_t>(lowest<E>());
        after = (least / divisor + 2) / 2 * 2;  // even, so that odd stays odd
        if (lowest<E>() == 0) after = 0;
        before = after * divisor;
        if (rounding == Rounding::kHalfUp || rounding == Rounding::kHalfEven)
            before += divisor / 2;
        tie = rounding == Rounding::kHalfEven && divisor % 2 == 0 ? 1 : 0;
        negative = rounding == Rounding::kTrunc ? divisor - 1 : 0;
    }
};

// Means by a power of two, 2^shift, in signed integers wide enough: floor((sum + half) / 2^shift),
// where half_even is half_up for an odd floor(sum / 2^shift), and otherwise rounds halves down.
struct Shift {
    int shift = -1;  // -1: another divisor
    std::int32_t before = 0, odd = 0, negative = 0;
    Shift(std::int32_t divisor, Rounding rounding) {
        if ((divisor & (divisor - 1)) != 0) return;
        shift = __builtin_ctz(static_cast<unsigned>(divisor));
        const bool rounds = divisor > 1;
        if (rounding == Rounding::kHalfUp) before = divisor / 2;
        if (rounding == Rounding::kHalfEven && rounds) before = divisor / 2 - 1;
        if (rounding == Rounding::kHalfEven && rounds) odd = 1;
        if (rounding == Rounding::kTrunc) negative = divisor - 1;
    }
    template <class E, class T, int N>
    [[gnu::always_inline]] Vec<T, N> mean(Vec<T, N> sum) const {
        using V = Vec<T, N>;
        const V raised = sum + splat<T, N>(static_cast<T>(before));
        const V odds = static_cast<V>(sum >> shift) & splat<T, N>(static_cast<T>(odd));
        V n = raised + odds;
        if constexpr (lowest<E>() < 0)
            n = static_cast<V>(n + (sum < V{} ? splat<T, N>(static_cast<T>(negative)) : V{}));
        return static_cast<V>(n >> shift);
    }
};

template <class E, class T, int N>
[[gnu::always_inline]] inline void put_saturated(std::byte* dst, Vec<T, N> mean) {
    const Vec<T, N> low = splat<T, N>(static_cast<T>(lowest<E>()));
    const Vec<T, N> high = splat<T, N>(static_cast<T>(highest<E>()));
    mean = mean > high ? high : mean;
    if constexpr (lowest<E>() < 0) mean = mean < low ? low : mean;
    store(dst, converted<E, T, N>(mean));
}

// Of bytes, in 16-bit lanes. n <= 2 * 1152 + 3 * 9, so n * divisor < 2^15, and with m =
// ceil(2^15 / divisor) = (2^15 + e) / divisor, e < divisor:  n * m / 2^15 exceeds n / divisor by
// n * e / divisor / 2^15 < 1 / divisor: it reaches no other whole number.
template <class E>
struct ByteMean {
    using A = typename Widened<E>::Sum;
    using Stored = E;
    Rounder<E> rule;
    Shift power;
    std::uint16_t divisor, factor;
    explicit ByteMean(const NarrowArgs& a)
        : rule(static_cast<std::int32_t>(a.divisor), a.rounding),
          power(static_cast<std::int32_t>(a.divisor), a.rounding),
          divisor(static_cast<std::uint16_t>(a.divisor)),
          factor(static_cast<std::uint16_t>((32767 + divisor) / divisor)) {}
    template <int N>
    [[gnu::always_inline]] void put(std::byte* dst, Vec<A, N> sum) const {
        using U = Vec<std::uint16_t, N>;
        using I = Vec<std::int16_t, N>;
        const auto signed_sum = __builtin_bit_cast(I, sum);
        if (power.shift >= 0)
            return put_saturated<E, std::int16_t, N>(
                dst, power.mean<E, std::int16_t, N>(signed_sum));
        U n = __builtin_bit_cast(U, sum) + splat<std::uint16_t, N>(
                                               static_cast<std::uint16_t>(rule.before));
        if constexpr (lowest<E>() < 0) {
            const U extra = splat<std::uint16_t, N>(static_cast<std::uint16_t>(rule.negative));
            n = static_cast<U>(n + (signed_sum < 0 ? extra : U{}));
        }
        const U twice = n + n;
        U q = high_product<N>(twice, splat<std::uint16_t, N>(factor));
        const U odd = q & splat<std::uint16_t, N>(static_cast<std::uint16_t>(rule.tie));
        const U product = q * splat<std::uint16_t, N>(divisor);
        q = static_cast<U>(q - (product == n ? odd : U{}));
        const I after = splat<std::int16_t, N>(static_cast<std::int16_t>(rule.after));
        put_saturated<E, std::int16_t, N>(dst,
                                          static_cast<I>(__builtin_bit_cast(I, q) - after));
    }
};

// Of 16-bit numbers, through float. n < 2^20, so n + 1/2 is exact, (n + 1/2) / divisor is
// 1/2 / divisor or more from every whole number, and the two roundings of its product with the
// reciprocal, together less than 2^-22 of it, do not reach one.
template <class E>
struct ShortMean {
    using A = std::int32_t;
    using Stored = E;
    Rounder<E> rule;
    Shift power;
    float divisor, reciprocal;
    explicit ShortMean(const NarrowArgs& a)
        : rule(static_cast<std::int32_t>(a.divisor), a.rounding),
          power(static_cast<std::int32_t>(a.divisor), a.rounding),
          divisor(static_cast<float>(a.divisor)),
          reciprocal(1.0f / divisor) {}
    template <int N>
    [[gnu::always_inline]] void put(std::byte* dst, Vec<A, N> sum) const {
        using I = Vec<std::int32_t, N>;
        using F = Vec<float, N>;
        if (power.shift >= 0)
            return put_saturated<E, std::int32_t, N>(dst, power.mean<E, std::int32_t, N>(sum));
        I n = sum + rule.before;
        if constexpr (lowest<E>() < 0) n = n + (sum < 0 ? I{} + rule.negative : I{});
        const F whole = converted<float, std::int32_t, N>(n);
        I q = converted<std::int32_t, float, N>((whole + 0.5f) * reciprocal);
        const I odd = q & rule.tie;
        q = q - (converted<float, std::int32_t, N>(q) * divisor == whole ? odd : I{});
        put_saturated<E, std::int32_t, N>(dst, static_cast<I>(q - rule.after));
    }
};

// ---- lines ---------------------------------------------------------------------------------

// Two lines of sums from four rows that follow each other: what both need is widened once.
template <class O, class E, class Put, int N>
[[gnu::always_inline]] inline void two_sums(const std::byte* src, std::byte* dst,
                                            const NarrowArgs& a, const Put& put) {
    using Taps = TapsOf<E, 3, false, N>;
    const auto row = [&](int r) { return Taps(src + r * a.row_stride, a.tap_stride); };
    Taps upper = row(0), lower = row(1);
    const Taps third = row(2), fourth = row(3);
    for (int j = 0; j < 3; ++j) {
        upper.tap[j] = O::combine(O::combine(upper.tap[j], lower.tap[j]), third.tap[j]);
        lower.tap[j] = O::combine(O::combine(lower.tap[j], third.tap[j]), fourth.tap[j]);
    }
    put.template put<N>(dst, upper.template joined<O>());
    put.template put<N>(dst + a.dst_stride1, lower.template joined<O>());
}

template <class O, class E, class Put, int K, bool Pairs, int N>
void narrow_lines(const NarrowArgs& args) {
    const NarrowArgs a = args;
    const Put put(a);
    constexpr std::int64_t step = (Pairs ? 2 : 1) * sizeof(E);
    constexpr std::int64_t size = sizeof(typename Put::Stored);
    constexpr bool shares = O::kRowsFirst && K == 3 && !Pairs && N >= 8;
    const bool by_two = shares && a.rows == 3 && a.src_stride1 == a.row_stride;
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q) {
            const std::byte* src = a.src + p * a.src_stride0 + q * a.src_stride1;
            std::byte* dst = a.dst + p * a.dst_stride0 + q * a.dst_stride1;
            const bool two = by_two && q + 1 < a.n1;
            for (std::int64_t x = 0; x < a.n; x += N) {
                if (x + N > a.n) x = a.n - N;
                if constexpr (shares) {
                    if (two) {
                        two_sums<O, E, Put, N>(src + x * step, dst + x * size, a, put);
                        continue;
                    }
                }
                put.template put<N>(dst + x * size,
                                    narrow_window<O, E, K, Pairs, N>(src + x * step, a));
            }
            q += two ? 1 : 0;
        }
}

// The next narrower vector worth a loop of its own.
constexpr int fewer_lanes(int n) { return n >= 16 ? n / 4 : n >= 8 ? n / 2 : 1; }

// The widest vector that a line fills.
template <class O, class E, class Put, int K, bool Pairs, int N>
void narrow_width(const NarrowArgs& a) {
    if constexpr (N > 1) {
        if (a.n < N)
            return narrow_width<O, E, Put, K, Pairs, fewer_lanes(N)>(a);
    }
    narrow_lines<O, E, Put, K, Pairs, N>(a);
}

template <class O, class E, class Put>
void narrow(const NarrowArgs& a) {
    constexpr int lanes = kLanes<typename O::T>;
    if (a.pairs) {
        if (a.taps == 2) return narrow_width<O, E, Put, 2, true, lanes>(a);
        return narrow_width<O, E, Put, 3, true, lanes>(a);
    }
    switch (a.taps) {
        case 1: return narrow_width<O, E, Put, 1, false, lanes>(a);
        case 2: return narrow_width<O, E, Put, 2, false, lanes>(a);
        default: return narrow_width<O, E, Put, 3, false, lanes>(a);
    }
}

}  // namespace
}  // namespace poolcore
