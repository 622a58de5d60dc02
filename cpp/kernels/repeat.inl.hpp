// repeat: every element of a line several times in a row. See RepeatArgs for the contract.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/vec.hpp"

namespace poolcore {
namespace {

// Vector J of the S that the elements of v, S times each, fill.
template <int J, int S, class V, int... I>
[[gnu::always_inline]] inline V repeated(V v, Indices<I...>) {
    constexpr int n = sizeof...(I);
    return __builtin_shufflevector(v, v, ((J * n + I) / S)...);
}

template <class T, int N, int S, int J = 0>
[[gnu::always_inline]] inline void put_repeated(std::byte* dst, Vec<T, N> v) {
    if constexpr (J < S) {
        std::byte* const to = dst + J * N * std::int64_t(sizeof(T));
        if constexpr (N == 1) store(to, v);
        else store(to, repeated<J, S>(v, typename CountTo<N>::type{}));
        put_repeated<T, N, S, J + 1>(dst, v);
    }
}

// Elements of a vector that is shuffled at once.
template <class T>
inline constexpr int kShuffled =
#if defined(__AVX512BW__)
    sizeof(T) == 1 ? 16 : POOLCORE_VECTOR_BYTES / int(sizeof(T));
#else
    POOLCORE_VECTOR_BYTES == 0 ? 1 : (sizeof(T) < 4 ? 16 : POOLCORE_VECTOR_BYTES) / int(sizeof(T));
#endif

template <class T>
[[gnu::always_inline]] inline void fill(std::byte* dst, std::int64_t n, T value) {
    in_vectors<kLanes<T>>(n, [&]<int N>(std::int64_t x) {
        store(dst + x * std::int64_t(sizeof(T)), splat<T, N>(value));
    });
}

// n elements `times` times each; S is that number, or 0 for any.
template <class T, int S>
[[gnu::always_inline]] inline void repeat_line(const std::byte* src, std::int64_t n,
                                               std::int64_t times, std::byte* dst) {
    constexpr std::int64_t size = sizeof(T);
    if constexpr (S > 0) {
        in_vectors<kShuffled<T>>(n, [&]<int N>(std::int64_t x) {
            put_repeated<T, N, S>(dst + x * S * size, load<Vec<T, N>>(src + x * size));
        });
    } else {
        for (std::int64_t x = 0; x < n; ++x)
            fill<T>(dst + x * times * size, times, load<T>(src + x * size));
    }
}

template <class T, int S>
void repeat_lines(const RepeatArgs& args) {
    const RepeatArgs a = args;
    constexpr std::int64_t size = sizeof(T);
    const std::int64_t width = a.n * a.times;
    for (std::int64_t p = 0; p < a.n0; ++p) {
        const std::byte* src = a.src + p * a.src_stride0;
        std::byte* dst = a.dst + p * a.dst_stride0;
        for (std::int64_t q = 0; q < a.n1; ++q, src += a.src_stride1)
            for (std::int64_t c = 0; c < a.copies; ++c, dst += a.dst_stride1) {
                repeat_line<T, S>(src, a.n, a.times, dst);
                if (a.rest > 0) fill<T>(dst + width * size, a.rest, T(0));
            }
        for (std::int64_t q = 0; q < a.rest_lines; ++q, dst += a.dst_stride1)
            fill<T>(dst, width + a.rest, T(0));
    }
}

template <class T>
void repeat(const RepeatArgs& a) {
    switch (a.times) {
        case 1: return repeat_lines<T, 1>(a);
        case 2: return repeat_lines<T, 2>(a);
        case 3: return repeat_lines<T, 3>(a);
        case 4: return repeat_lines<T, 4>(a);
        default: return repeat_lines<T, 0>(a);
    }
}

}  // namespace
}  // namespace poolcore
