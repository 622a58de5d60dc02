// A vector of N elements as the compiler knows it: loads, stores, selects, de-interleaving.
// N = 1 is a plain scalar, so one kernel text serves every target. A target file defines
// POOLCORE_VECTOR_BYTES (0: scalar) before it includes this.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX512F__)
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

}  // namespace
}  // namespace poolcore
