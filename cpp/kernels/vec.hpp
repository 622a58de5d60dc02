// A vector of N elements as the compiler knows it: loads, stores, selects, de-interleaving.
// N = 1 is a plain scalar, so one kernel text serves every target. A target file defines
// POOLCORE_VECTOR_BYTES (0: scalar) before it includes this.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace poolcore {
namespace {

template <class T, int N>
struct RawOf {
    typedef T type __attribute__((vector_size(sizeof(T) * N)));
};
template <class T>
struct RawOf<T, 1> {
    typedef T type;
};
template <class T, int N>
using Vec = typename RawOf<T, N>::type;

// Elements in the target's widest vector.
template <class T>
inline constexpr int kLanes =
    POOLCORE_VECTOR_BYTES == 0 ? 1 : POOLCORE_VECTOR_BYTES / static_cast<int>(sizeof(T));

template <class V>
[[gnu::always_inline]] inline V load(const std::byte* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class V>
[[gnu::always_inline]] inline void store(std::byte* p, V v) {
    __builtin_memcpy(p, &v, sizeof v);
}

template <class T, int N>
[[gnu::always_inline]] inline Vec<T, N> splat(T x) {
    if constexpr (N == 1) {
        return x;
    } else {
        return x - Vec<T, N>{};  // x - 0 is x, whatever x is
    }
}

// Integers of twice the width, where the target has an instruction: GCC 12 does them in halves.
template <class To, class From, int N>
inline constexpr bool kWidensAtOnce =
    sizeof(To) == 2 * sizeof(From) && static_cast<To>(0.5) == 0 && N > 1 &&
#if defined(__AVX512BW__)
    (N * sizeof(To) == 64 || N * sizeof(To) == 32);
#elif defined(__AVX2__)
    N * sizeof(To) == 32;
#else
    false;
#endif

#if defined(__AVX2__)
template <class From>
[[gnu::always_inline]] inline __m256i widened_at_once(__m128i v) {
    if constexpr (static_cast<From>(-1) < From(0)) {
        if constexpr (sizeof(From) == 1) return _mm256_cvtepi8_epi16(v);
        else if constexpr (sizeof(From) == 2) return _mm256_cvtepi16_epi32(v);
        else return _mm256_cvtepi32_epi64(v);
    } else {
        if constexpr (sizeof(From) == 1) return _mm256_cvtepu8_epi16(v);
        else if constexpr (sizeof(From) == 2) return _mm256_cvtepu16_epi32(v);
        else return _mm256_cvtepu32_epi64(v);
    }
}
#endif
#if defined(__AVX512BW__)
// With masks of ones: GCC 12 warns of its own intrinsics without a mask.
template <class From>
[[gnu::always_inline]] inline __m512i widened_at_once(__m256i v) {
    if constexpr (static_cast<From>(-1) < From(0)) {
        if constexpr (sizeof(From) == 1) return _mm512_maskz_cvtepi8_epi16(0xffffffff, v);
        else if constexpr (sizeof(From) == 2) return _mm512_maskz_cvtepi16_epi32(0xffff, v);
        else return _mm512_maskz_cvtepi32_epi64(0xff, v);
    } else {
        if constexpr (sizeof(From) == 1) return _mm512_maskz_cvtepu8_epi16(0xffffffff, v);
        else if constexpr (sizeof(From) == 2) return _mm512_maskz_cvtepu16_epi32(0xffff, v);
        else return _mm512_maskz_cvtepu32_epi64(0xff, v);
    }
}
#endif

// Floats and integers of 32 bits to doubles, and doubles to floats, as many as the wider vector has:
// as above.
template <class To, class From, int N>
inline constexpr bool kConvertsAtOnce =
    ((__is_same(To, double) && (sizeof(From) == 4)) ||
     (__is_same(To, float) && __is_same(From, double))) &&
#if defined(__AVX512F__)
    N == 8;
#elif defined(__AVX__)
    N == 4 && !__is_same(From, std::uint32_t);
#else
    false;
#endif

#if defined(__AVX512F__)
template <class To, class From>
[[gnu::always_inline]] inline Vec<To, 8> converted_at_once(Vec<From, 8> v) {
    if constexpr (__is_same(From, double)) {
        return (Vec<To, 8>)_mm512_maskz_cvtpd_ps(0xff, (__m512d)v);
    } else if constexpr (__is_same(From, float)) {
        return (Vec<To, 8>)_mm512_maskz_cvtps_pd(0xff, (__m256)v);
    } else if constexpr (static_cast<From>(-1) < From(0)) {
        return (Vec<To, 8>)_mm512_maskz_cvtepi32_pd(0xff, (__m256i)v);
    } else {
        return (Vec<To, 8>)_mm512_maskz_cvtepu32_pd(0xff, (__m256i)v);
    }
}
#elif defined(__AVX__)
template <class To, class From>
[[gnu::always_inline]] inline Vec<To, 4> converted_at_once(Vec<From, 4> v) {
    if constexpr (__is_same(From, double)) return (Vec<To, 4>)_mm256_cvtpd_ps((__m256d)v);
    else if constexpr (__is_same(From, float)) return (Vec<To, 4>)_mm256_cvtps_pd((__m128)v);
    else return (Vec<To, 4>)_mm256_cvtepi32_pd((__m128i)v);
}
#endif

// Element by element to another type.
template <class To, class From, int N>
[[gnu::always_inline]] inline Vec<To, N> converted(Vec<From, N> v) {
    if constexpr (N == 1) {
        return static_cast<To>(v);
    } else if constexpr (__is_same(To, From)) {
        return v;
    } else if constexpr (kConvertsAtOnce<To, From, N>) {
#if defined(__AVX__)
        return converted_at_once<To, From>(v);
#endif
    } else if constexpr (kWidensAtOnce<To, From, N>) {
#if defined(__AVX512BW__)
        if constexpr (N * sizeof(To) == 64)
            return (Vec<To, N>)widened_at_once<From>((__m256i)v);
        else
#endif
#if defined(__AVX2__)
            return (Vec<To, N>)widened_at_once<From>((__m128i)v);
#endif
    } else {
        return __builtin_convertvector(v, Vec<To, N>);
    }
}

// The high half of each product of 16-bit numbers.
template <int N>
[[gnu::always_inline]] inline Vec<std::uint16_t, N> high_product(Vec<std::uint16_t, N> a,
                                                                 Vec<std::uint16_t, N> b) {
#if defined(__AVX512BW__)
    if constexpr (N == 32) return (Vec<std::uint16_t, N>)_mm512_mulhi_epu16((__m512i)a, (__m512i)b);
    else
#endif
#if defined(__AVX2__)
    if constexpr (N == 16) return (Vec<std::uint16_t, N>)_mm256_mulhi_epu16((__m256i)a, (__m256i)b);
    else
#endif
#if defined(__SSE2__)
    if constexpr (N == 8) return (Vec<std::uint16_t, N>)_mm_mulhi_epu16((__m128i)a, (__m128i)b);
    else
#endif
    {
        const auto wide = converted<std::uint32_t, std::uint16_t, N>(a) *
                          converted<std::uint32_t, std::uint16_t, N>(b);
        return converted<std::uint16_t, std::uint32_t, N>(wide >> 16);
    }
}

template <int... I>
struct Indices {};
template <int N, int... I>
struct CountTo : CountTo<N - 1, N - 1, I...> {};
template <int... I>
struct CountTo<0, I...> {
    using type = Indices<I...>;
};

template <int First, class V, int... I>
[[gnu::always_inline]] inline V pick_every_second(V a, V b, Indices<I...>) {
    return __builtin_shufflevector(a, b, (2 * I + First)...);
}

template <class V, int... I>
[[gnu::always_inline]] inline V turned_around(V v, Indices<I...>) {
    return __builtin_shufflevector(v, v, (static_cast<int>(sizeof...(I)) - 1 - I)...);
}

// The elements from the last to the first.
template <class T, int N>
[[gnu::always_inline]] inline Vec<T, N> reversed(Vec<T, N> v) {
    if constexpr (N == 1) return v;
    else return turned_around(v, typename CountTo<N>::type{});
}

// Elements 0, 2, 4, ... (First = 0) or 1, 3, 5, ... (First = 1) of a followed by b.
template <int First, class T, int N>
[[gnu::always_inline]] inline Vec<T, N> every_second(Vec<T, N> a, Vec<T, N> b) {
    if constexpr (N == 1) {
        return First == 0 ? a : b;
    } else {
        return pick_every_second<First>(a, b, typename CountTo<N>::type{});
    }
}

template <class V, int... I>
[[gnu::always_inline]] inline V pick_after(V first, V rest, Indices<I...>) {
    constexpr int n = sizeof...(I);
    return __builtin_shufflevector(first, rest, (I == 0 ? 0 : n + I - 1)...);
}

template <class V, int... I>
[[gnu::always_inline]] inline V pick_before(V rest, V last, Indices<I...>) {
    return __builtin_shufflevector(rest, last, (I + 1)...);
}

// What lane i of every_nth takes, where `next` is vector number J of S: what came before, or what
// the lane asks for, element i*S.
template <int J, int S, int N>
constexpr int nth_lane(int i) {
    const int from = i * S / N;
    const int start = J == S - 1 ? (N - 1) * S + 1 - N : J * N;
    if (J == 1 && from == 0) return i * S;
    return from == J ? N + i * S - start : i;
}

template <int J, int S, class T, int N, int... I>
[[gnu::always_inline]] inline Vec<T, N> nth_from(const std::byte* p, Vec<T, N> before,
                                                 Indices<I...> lanes) {
    if constexpr (J == S) {
        return before;
    } else {
        constexpr int start = J == S - 1 ? (N - 1) * S + 1 - N : J * N;
        const auto next = load<Vec<T, N>>(p + start * std::int64_t(sizeof(T)));
        return nth_from<J + 1, S, T, N>(
            p, __builtin_shufflevector(before, next, nth_lane<J, S, N>(I)...), lanes);
    }
}

// Elements 0, S, 2*S, ... (N-1)*S of those at p; nothing beyond the last is read.
template <int S, class T, int N>
[[gnu::always_inline]] inline Vec<T, N> every_nth(const std::byte* p) {
    if constexpr (N == 1) {
        return load<T>(p);
    } else if constexpr (S > N + 1) {  // the last but one of S vectors would end too late
        Vec<T, N> v{};
        for (int i = 0; i < N; ++i) v[i] = load<T>(p + i * S * std::int64_t(sizeof(T)));
        return v;
    } else {
        return nth_from<1, S, T, N>(p, load<Vec<T, N>>(p), typename CountTo<N>::type{});
    }
}

// x, then all elements of v but the last.
template <class T, int N>
[[gnu::always_inline]] inline Vec<T, N> after(T x, Vec<T, N> v) {
    if constexpr (N == 1) return x;
    else return pick_after(splat<T, N>(x), v, typename CountTo<N>::type{});
}

// All elements of v but the first, then x.
template <class T, int N>
[[gnu::always_inline]] inline Vec<T, N> before(Vec<T, N> v, T x) {
    if constexpr (N == 1) return x;
    else return pick_before(v, splat<T, N>(x), typename CountTo<N>::type{});
}

// Elements in the vectors of lines that are too short for N: one shorter width, for the sake of
// build time. 1 where there is none.
template <int N>
inline constexpr int kShort = N >= 16 ? N / 4 : N == 8 ? 4 : 1;

// Calls each<V>(x) for vectors that cover [0, n), the last overlapping the one before: V is N, or
// kShort<N> in a line of fewer than N elements, or 1 in one of fewer still.
template <int N, class Each>
[[gnu::always_inline]] inline void in_vectors(std::int64_t n, const Each& each) {
    if (N > 1 && n >= N) {
        for (std::int64_t x = 0; x < n; x += N) {
            if (x + N > n) x = n - N;
            each.template operator()<N>(x);
        }
        return;
    }
    constexpr int few = kShort<N>;
    if (few > 1 && n >= few) {
        for (std::int64_t x = 0; x < n; x += few) {
            if (x + few > n) x = n - few;
            each.template operator()<few>(x);
        }
        return;
    }
    for (std::int64_t x = 0; x < n; ++x) each.template operator()<1>(x);
}

}  // namespace
}  // namespace poolcore
