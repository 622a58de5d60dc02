// How two taps become one: identity and combine of each operation, scalar and vector alike.
// combine(earlier, later) keeps the earlier on a tie, so -0.0 and +0.0 stay in the order of taps.
#pragma once

#include "kernels/vec.hpp"

namespace poolcore {
namespace {

template <class T>
struct IsFloat {
    static constexpr bool value = false;
};
template <>
struct IsFloat<float> {
    static constexpr bool value = true;
};
template <>
struct IsFloat<double> {
    static constexpr bool value = true;
};
template <class T>
inline constexpr bool kIsFloat = IsFloat<T>::value;

// The signed integer as wide as T.
template <int Bytes>
struct IntOf;
template <>
struct IntOf<1> {
    using type = std::int8_t;
};
template <>
struct IntOf<2> {
    using type = std::int16_t;
};
template <>
struct IntOf<4> {
    using type = std::int32_t;
};
template <>
struct IntOf<8> {
    using type = std::int64_t;
};
template <class T>
using SameInt = typename IntOf<static_cast<int>(sizeof(T))>::type;

// The unsigned integer as wide as T.
template <int Bytes>
struct UnsignedOf;
template <>
struct UnsignedOf<1> {
    using type = std::uint8_t;
};
template <>
struct UnsignedOf<2> {
    using type = std::uint16_t;
};
template <>
struct UnsignedOf<4> {
    using type = std::uint32_t;
};
template <>
struct UnsignedOf<8> {
    using type = std::uint64_t;
};
template <class T>
using Unsigned = typename UnsignedOf<static_cast<int>(sizeof(T))>::type;

template <class T>
constexpr T lowest() {
    if constexpr (kIsFloat<T>) {
        return -static_cast<T>(__builtin_inf());
    } else if constexpr (static_cast<T>(-1) > T(0)) {
        return T(0);
    } else {
        return static_cast<T>(static_cast<T>(1) << (sizeof(T) * 8 - 1));
    }
}

template <class T>
constexpr T highest() {
    if constexpr (kIsFloat<T>) {
        return static_cast<T>(__builtin_inf());
    } else {
        return static_cast<T>(~lowest<T>());
    }
}

// A NaN that arrives replaces what was there; a NaN that is there loses no comparison.
template <class T_, bool Max>
struct OrderOp {
    using T = T_;
    static constexpr bool kTree = false;
    static constexpr bool kRowsFirst = false;
    static constexpr T identity() { return Max ? lowest<T>() : highest<T>(); }
    template <class V>
    [[gnu::always_inline]] static V combine(V acc, V x) {
#if defined(__AVX512F__)
        if constexpr (sizeof(V) == 64 && sizeof(T) == 4 && kIsFloat<T>) {
            const __m512 a = (__m512)acc, b = (__m512)x;
            const __mmask16 number = _mm512_cmp_ps_mask(b, b, _CMP_ORD_Q);
            return (V)(Max ? _mm512_mask_max_ps(b, number, b, a)
                           : _mm512_mask_min_ps(b, number, b, a));
        } else if constexpr (sizeof(V) == 64 && sizeof(T) == 8 && kIsFloat<T>) {
            const __m512d a = (__m512d)acc, b = (__m512d)x;
            const __mmask8 number = _mm512_cmp_pd_mask(b, b, _CMP_ORD_Q);
            return (V)(Max ? _mm512_mask_max_pd(b, number, b, a)
                           : _mm512_mask_min_pd(b, number, b, a));
        }
#endif
        if constexpr (kIsFloat<T> && Max) {
            return ((x > acc) | (x != x)) ? x : acc;
        } else if constexpr (kIsFloat<T>) {
            return ((x < acc) | (x != x)) ? x : acc;
        } else if constexpr (Max) {
            return x > acc ? x : acc;
        } else {
            return x < acc ? x : acc;
        }
    }
};
template <class T>
using MaxOp = OrderOp<T, true>;
template <class T>
using MinOp = OrderOp<T, false>;

// NaN is the identity: any number that arrives replaces it, and it replaces nothing.
template <class T_, bool Max>
struct OmitOp {
    using T = T_;
    static constexpr bool kTree = false;
    static constexpr bool kRowsFirst = false;
    static constexpr T identity() { return static_cast<T>(__builtin_nan("")); }
    template <class V>
    [[gnu::always_inline]] static V combine(V acc, V x) {
#if defined(__AVX512F__)
        if constexpr (sizeof(V) == 64 && sizeof(T) == 4) {
            const __m512 a = (__m512)acc, b = (__m512)x;
            const __mmask16 number = _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q);
            return (V)(Max ? _mm512_mask_max_ps(b, number, b, a)
                           : _mm512_mask_min_ps(b, number, b, a));
        } else if constexpr (sizeof(V) == 64) {
            const __m512d a = (__m512d)acc, b = (__m512d)x;
            const __mmask8 number = _mm512_cmp_pd_mask(a, a, _CMP_ORD_Q);
            return (V)(Max ? _mm512_mask_max_pd(b, number, b, a)
                           : _mm512_mask_min_pd(b, number, b, a));
        }
#endif
        if constexpr (Max) {
            return ((x > acc) | (acc != acc)) ? x : acc;
        } else {
            return ((x < acc) | (acc != acc)) ? x : acc;
        }
    }
};

// Integers wrap, so they are added as unsigned.
template <class T_>
struct SumOp {
    using T = T_;
    static constexpr bool kTree = kIsFloat<T>;
    static constexpr bool kRowsFirst = true;
    static constexpr T identity() { return T(0); }
    template <class V>
    [[gnu::always_inline]] static V combine(V acc, V x) {
        if constexpr (kIsFloat<T>) {
            return acc + x;
        } else {
            using U = Vec<Unsigned<T>, static_cast<int>(sizeof(V) / sizeof(T))>;
            return __builtin_bit_cast(
                V, static_cast<U>(__builtin_bit_cast(U, acc) + __builtin_bit_cast(U, x)));
        }
    }
};

// A value and where it came from. The first NaN wins over all that follow.
struct ArgMax {
    template <class T, class V, class I>
    [[gnu::always_inline]] static void combine(V& acc, I& at, V x, I x_at) {
#if defined(__AVX512F__)
        if constexpr (sizeof(V) == 64 && sizeof(T) == 4 && kIsFloat<T>) {
            const __m512 a = (__m512)acc, b = (__m512)x;
            const __mmask16 m = _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), b,
                                                        a, _CMP_NLE_UQ);
            acc = (V)_mm512_mask_mov_ps(a, m, b);
            at = (I)_mm512_mask_mov_epi32((__m512i)at, m, (__m512i)x_at);
            return;
        }
#endif
        const auto take = (x > acc) | ((x != x) & (acc == acc));
        at = take ? x_at : at;
        acc = take ? x : acc;
    }
};

}  // namespace
}  // namespace poolcore
