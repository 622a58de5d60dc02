// turn: rows of elements become columns. See TurnArgs for the contract.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/vec.hpp"

namespace poolcore {
namespace {

// What lane i of one half of a and b, element by element in turns, takes.
template <class V, int... I>
[[gnu::always_inline]] inline V first_halves(V a, V b, Indices<I...>) {
    constexpr int n = sizeof...(I);
    return __builtin_shufflevector(a, b, (I % 2 * n + I / 2)...);
}
template <class V, int... I>
[[gnu::always_inline]] inline V last_halves(V a, V b, Indices<I...>) {
    constexpr int n = sizeof...(I);
    return __builtin_shufflevector(a, b, (I % 2 * n + (n + I) / 2)...);
}

// A square of N by N elements. Each step puts row i and row i + N/2 side by side, element by
// element; after log2 N of them rows are columns.
template <class T, int N>
[[gnu::always_inline]] inline void turn_square(const std::byte* src, std::int64_t src_stride,
                                               std::byte* dst, std::int64_t dst_stride) {
    using V = Vec<T, N>;
    if constexpr (N == 1) {
        store(dst, load<V>(src));
    } else {
        using Each = typename CountTo<N>::type;
        V row[N], next[N];
#pragma GCC unroll 64
        for (int i = 0; i < N; ++i) row[i] = load<V>(src + i * src_stride);
#pragma GCC unroll 8
        for (int step = 1; step < N; step *= 2) {
#pragma GCC unroll 32
            for (int i = 0; i < N / 2; ++i) {
                next[2 * i] = first_halves(row[i], row[i + N / 2], Each{});
                next[2 * i + 1] = last_halves(row[i], row[i + N / 2], Each{});
            }
#pragma GCC unroll 64
            for (int i = 0; i < N; ++i) row[i] = next[i];
        }
#pragma GCC unroll 64
        for (int i = 0; i < N; ++i) store(dst + i * dst_stride, row[i]);
    }
}

// In squares, the last overlapping those before.
template <class T, int N>
void turn_in(const TurnArgs& a) {
    constexpr std::int64_t size = sizeof(T);
    for (std::int64_t r = 0; r < a.rows; r += N) {
        if (r + N > a.rows) r = a.rows - N;
        for (std::int64_t x = 0; x < a.n; x += N) {
            if (x + N > a.n) x = a.n - N;
            turn_square<T, N>(a.src + r * a.src_stride + x * size, a.src_stride,
                              a.dst + x * a.dst_stride + r * size, a.dst_stride);
        }
    }
}

// Squares of the widest vector where their steps are single instructions, otherwise of 16 bytes.
template <class T>
inline constexpr int kSquare =
#if defined(__AVX512BW__)
    sizeof(T) == 1 ? 16 : sizeof(T) == 2 ? 16 : POOLCORE_VECTOR_BYTES / int(sizeof(T));
#else
    POOLCORE_VECTOR_BYTES == 0 ? 1 : 16 / static_cast<int>(sizeof(T));
#endif

template <class T>
void turn(const TurnArgs& args) {
    const TurnArgs a = args;
    constexpr int most = kSquare<T>, few = most >= 8 ? 4 : 1;
    const std::int64_t least = a.n < a.rows ? a.n : a.rows;
    if (most > 1 && least >= most) return turn_in<T, most>(a);
    if (few > 1 && least >= few) return turn_in<T, few>(a);
    turn_in<T, 1>(a);
}

}  // namespace
}  // namespace poolcore
