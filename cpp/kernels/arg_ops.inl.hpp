// How arg_window compares taps, for every kind of element. Each kind maps the bits of an element
// to a key and keeps the first greatest key: min is max over keys turned around, so one kernel
// serves both, and signed and unsigned integers too.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

// Integers to wider ones: int32 to int64, narrower unsigned ones to uint32.
template <class To, int N, class V>
[[gnu::always_inline]] inline Vec<To, N> converted(V v) {
#if defined(__AVX512F__)
    // GCC 12 makes several instructions of what is one (and warns of the forms without a mask).
    using R = Vec<To, N>;
    if constexpr (sizeof(R) == 64 && sizeof(V) == 32 && sizeof(To) == 8) {
        return (R)_mm512_maskz_cvtepi32_epi64(0xff, (__m256i)v);
    } else if constexpr (sizeof(R) == 64 && sizeof(V) == 16 && sizeof(To) == 4) {
        return (R)_mm512_maskz_cvtepu8_epi32(0xffff, (__m128i)v);
    } else if constexpr (sizeof(R) == 64 && sizeof(V) == 32 && sizeof(To) == 4) {
        return (R)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)v);
    }
#endif
    if constexpr (N == 1) {
        return static_cast<To>(v);
    } else {
        return __builtin_convertvector(v, Vec<To, N>);
    }
}

struct Nothing {};

// A tap, or the best of several: its key, its code, where the key does not tell its bits, and
// what else the kind needs to know.
template <class P, int N>
struct Best {
    Vec<typename P::Key, N> key;
    Vec<typename P::Bits, N> where;
    Vec<typename P::Bits, N> raw;
    typename P::template Open<N> open;
};

template <class P, int N, class Mask>
[[gnu::always_inline]] inline void take(Best<P, N>& best, const Best<P, N>& next, Mask mask) {
    best.key = mask ? next.key : best.key;
    best.where = mask ? next.where : best.where;
    if constexpr (P::kKeepsRaw) best.raw = mask ? next.raw : best.raw;
}

// Bits are the signed integer as wide as the element; order.flip turns unsigned into signed and
// min into max.
template <class Bits_>
struct ArgInt {
    using Bits = Bits_;
    using Key = Bits_;
    template <int N>
    using Open = Nothing;
    static constexpr bool kKeepsRaw = false;
    static constexpr bool kCommon = true;
    template <int N>
    [[gnu::always_inline]] static Vec<Key, N> key(Vec<Bits, N> raw, const ArgOrder& order) {
        return static_cast<Vec<Key, N>>(raw ^ splat<Bits, N>(static_cast<Bits>(order.flip)));
    }
    template <int N>
    [[gnu::always_inline]] static Open<N> opened(Vec<Key, N>) {
        return {};
    }
    template <int N>
    [[gnu::always_inline]] static void combine(Best<ArgInt, N>& best, const Best<ArgInt, N>& next) {
        take(best, next, next.key > best.key);
    }
    template <int N>
    [[gnu::always_inline]] static Vec<Bits, N> value(const Best<ArgInt, N>& best,
                                                     const ArgOrder& order) {
        return key<N>(best.key, order);
    }
};

// Lanes whose best is a number, as the target's comparisons give them.
template <class T, int N>
struct NumbersOf {
    using type = decltype(Vec<T, N>{} == Vec<T, N>{});
};
#if defined(__AVX512F__)
template <>
struct NumbersOf<float, 16> {
    using type = __mmask16;
};
template <>
struct NumbersOf<double, 8> {
    using type = __mmask8;
};
#endif

// float and double. A lane is open while its best is a number: the first NaN wins and closes it.
// With `Omit` every number wins against NaN.
template <class T, bool Omit>
struct ArgFloat {
    using Bits = SameInt<T>;
    using Key = T;
    template <int N>
    using Open = typename NumbersOf<T, N>::type;
    static constexpr bool kKeepsRaw = false;
    static constexpr bool kCommon = !Omit;  // worth loops of its own for common windows
    template <int N>
    [[gnu::always_inline]] static Vec<Key, N> key(Vec<Bits, N> raw, const ArgOrder& order) {
        using K = Vec<Key, N>;
        return __builtin_bit_cast(K, raw ^ splat<Bits, N>(static_cast<Bits>(order.flip)));
    }
    template <int N>
    [[gnu::always_inline]] static Open<N> opened(Vec<T, N> v) {
#if defined(__AVX512F__)
        if constexpr (N == 16 && sizeof(T) == 4) {
            return _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_ORD_Q);
        } else if constexpr (N == 8 && sizeof(T) == 8) {
            return _mm512_cmp_pd_mask((__m512d)v, (__m512d)v, _CMP_ORD_Q);
        } else {
            return v == v;
        }
#else
        return v == v;
#endif
    }
    template <int N>
    [[gnu::always_inline]] static void combine(Best<ArgFloat, N>& best,
                                               const Best<ArgFloat, N>& next) {
        const Open<N> may = Omit ? next.open : best.open;
        best.open = static_cast<Open<N>>(Omit ? best.open | next.open : best.open & next.open);
#if defined(__AVX512F__)
        // "Not less or equal" is "greater, or one of the two is NaN".
        if constexpr (N == 16 && sizeof(T) == 4) {
            const __m512 a = (__m512)best.key, b = (__m512)next.key;
            const __mmask16 m = _mm512_mask_cmp_ps_mask(may, b, a, _CMP_NLE_UQ);
            best.key = (decltype(best.key))_mm512_mask_mov_ps(a, m, b);
            best.where = (decltype(best.where))_mm512_mask_mov_epi32((__m512i)best.where, m,
                                                                     (__m512i)next.where);
            return;
        } else if constexpr (N == 8 && sizeof(T) == 8) {
            const __m512d a = (__m512d)best.key, b = (__m512d)next.key;
            const __mmask8 m = _mm512_mask_cmp_pd_mask(may, b, a, _CMP_NLE_UQ);
            best.key = (decltype(best.key))_mm512_mask_mov_pd(a, m, b);
            best.where = (decltype(best.where))_mm512_mask_mov_epi64((__m512i)best.where, m,
                                                                     (__m512i)next.where);
            return;
        }
#endif
        const auto nan = Omit ? best.key != best.key : next.key != next.key;
        take(best, next, ((next.key > best.key) | nan) & may);
    }
    template <int N>
    [[gnu::always_inline]] static Vec<Bits, N> value(const Best<ArgFloat, N>& best,
                                                     const ArgOrder& order) {
        using B = Vec<Bits, N>;
        return __builtin_bit_cast(B, best.key) ^
               splat<Bits, N>(static_cast<Bits>(order.flip));
    }
};

// float16 and bfloat16 by integers of the same order, in which the two zeros are one and so are
// all NaN: the greatest of all, or the least to be omitted.
struct ArgHalf {
    using Bits = std::int16_t;
    using Key = std::int16_t;
    template <int N>
    using Open = Nothing;
    static constexpr bool kKeepsRaw = true;
    static constexpr bool kCommon = true;
    template <int N>
    [[gnu::always_inline]] static Vec<Key, N> key(Vec<Bits, N> raw, const ArgOrder& order) {
        using V = Vec<Key, N>;
        const V low = splat<Key, N>(0x7fff);
        const V flip = splat<Key, N>(static_cast<Key>(order.flip));
        const V magnitude = static_cast<V>(raw & low);
        const V turned = static_cast<V>(raw ^ (static_cast<V>(raw >> 15) & low) ^ flip);
        const V signed_key = magnitude == splat<Key, N>(0) ? flip : turned;
        return magnitude > splat<Key, N>(order.infinity) ? splat<Key, N>(order.nan_key)
                                                         : signed_key;
    }
    template <int N>
    [[gnu::always_inline]] static Open<N> opened(Vec<Key, N>) {
        return {};
    }
    template <int N>
    [[gnu::always_inline]] static void combine(Best<ArgHalf, N>& best,
                                               const Best<ArgHalf, N>& next) {
        take(best, next, next.key > best.key);
    }
    template <int N>
    [[gnu::always_inline]] static Vec<Bits, N> value(const Best<ArgHalf, N>& best,
                                                     const ArgOrder&) {
        return best.raw;
    }
};

}  // namespace
}  // namespace poolcore
