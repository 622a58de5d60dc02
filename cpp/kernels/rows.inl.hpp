// rows: combine several runs of memory element by element. See RowsArgs for the contract.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"
#include "kernels/pack.inl.hpp"

namespace poolcore {
namespace {

constexpr int largest_power_below(int k) {
    int p = 1;
    while (2 * p < k) p *= 2;
    return p;
}

// Where the taps of a window lie, in bytes from the first one.
struct TapSteps {
    std::int64_t stride;
    std::int64_t last;  // of the last one
};

// T over taps From to From + K of All, the first of which is at p: split at the largest power of two
// below K.
template <class O, int K, class V, int From = 0, int All = K>
[[gnu::always_inline]] inline V tree(const std::byte* p, TapSteps steps) {
    if constexpr (K == 1) {
        return load<V>(p + (From > 0 && From == All - 1 ? steps.last : From * steps.stride));
    } else {
        constexpr int half = largest_power_below(K);
        return O::combine(tree<O, half, V, From, All>(p, steps),
                          tree<O, K - half, V, From + half, All>(p, steps));
    }
}

// How the last elements of a line, fewer than a vector, are done: by a vector that overlaps the one
// before, or, where a result is also a source, by one that goes past the end.
enum class Tail { kOverlap, kSpill };

// A line in vectors of N elements; n >= N unless the tail may spill.
template <class O, int K, int N>
void rows_line(const std::byte* src, std::byte* dst, std::int64_t n, TapSteps steps, Tail tail) {
    using T = typename O::T;
    constexpr std::int64_t size = sizeof(T);
    using V = Vec<T, N>;
    std::int64_t x = 0;
    for (; x + 2 * N <= n; x += 2 * N) {
        const V a = tree<O, K, V>(src + x * size, steps);
        const V b = tree<O, K, V>(src + (x + N) * size, steps);
        store(dst + x * size, a);
        store(dst + (x + N) * size, b);
    }
    for (; x + N <= n; x += N)
        store(dst + x * size, tree<O, K, V>(src + x * size, steps));
    if (x == n) return;
    if (tail == Tail::kOverlap) x = n - N;
    store(dst + x * size, tree<O, K, V>(src + x * size, steps));
}

template <class O, int K, int N>
void rows_lines(const RowsArgs& a, Tail tail) {
    const TapSteps steps{a.tap_stride, a.tail != 0 ? a.tail : (K - 1) * a.tap_stride};
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q)
            rows_line<O, K, N>(a.src + p * a.src_stride0 + q * a.src_stride1,
                               a.dst + p * a.dst_stride0 + q * a.dst_stride1, a.n, steps, tail);
}

// How many of the lines may be done by a vector of N elements each, all but the last of which spill
// into lines that are done later; what the vectors read lies between the first and the last tap.
template <int N, class T>
std::int64_t spilling_lines(const RowsArgs& a) {
    constexpr std::int64_t size = sizeof(T);
    if (a.dst_stride1 != a.n * size || a.src_stride1 < a.n * size || a.tap_stride < 0) return 0;
    return a.n1 - (N - 1) / a.n;
}

// The widest vector that a line fills, or, in lines side by side, spills over. Vectors narrower
// than 16 bytes are for bytes only.
template <class O, int K, int N>
void rows_width(const RowsArgs& a, Tail tail) {
    using T = typename O::T;
    constexpr int narrowest = sizeof(T) == 1 ? 8 : int(16 / sizeof(T));
    if constexpr (N == 1 || N < narrowest) {
        rows_lines<O, K, 1>(a, tail);
    } else {
        if (a.n >= N || tail == Tail::kSpill) return rows_lines<O, K, N>(a, tail);
        const std::int64_t spilling = spilling_lines<N, T>(a);
        if (spilling <= 0 || (N > narrowest && a.n <= N / 2))
            return rows_width<O, K, N / 2>(a, tail);
        RowsArgs part = a;
        part.n1 = spilling;
        rows_lines<O, K, N>(part, Tail::kSpill);
        part.n1 = a.n1 - spilling;
        part.src += spilling * a.src_stride1;
        part.dst += spilling * a.dst_stride1;
        rows_lines<O, K, 1>(part, tail);
    }
}

// T over K taps, a power of two, each converted.
template <class O, class From, int N, int K>
[[gnu::always_inline]] inline Vec<typename O::T, N> tree_as(const std::byte* p,
                                                            std::int64_t stride) {
    if constexpr (K == 1) {
        return load_as<typename O::T, From, N>(p);
    } else {
        return O::combine(tree_as<O, From, N, K / 2>(p, stride),
                          tree_as<O, From, N, K / 2>(p + K / 2 * stride, stride));
    }
}

// Any number of taps. Finished subtrees wait on a stack, as in pairwise summation: entry after
// entry covers fewer taps. `first` and `last` clip the window; see RowsArgs.
// Elements of type From become the work type on their way.
template <class O, class From, int N, int U>
[[gnu::always_inline]] inline void rows_column(const std::byte* src, std::byte* dst,
                                               const RowsArgs& a) {
    using T = typename O::T;
    using V = Vec<T, N>;
    constexpr std::int64_t step = N * std::int64_t(sizeof(From));
    V stack[O::kTree ? 64 : 1][U];
    int top = 0;
    // The 2^level taps from tap j on, whose sum is `value`, close every subtree whose right half
    // ends with them.
    const auto push = [&](std::int64_t j, int level, V (&value)[U]) {
        for (; (j >> level) & 1 && a.first < (j >> level) << level; ++level) {
            --top;
            for (int u = 0; u < U; ++u) value[u] = O::combine(stack[top][u], value[u]);
        }
        for (int u = 0; u < U; ++u) stack[top][u] = value[u];
        ++top;
    };
    for (std::int64_t j = a.first; j < a.last; ++j) {
        V value[U];
        const std::byte* p = src + (j - a.first) * a.tap_stride;
        if constexpr (O::kTree) {
            const bool eight = j % 8 == 0 && j + 8 <= a.last;
            for (int u = 0; u < U; ++u)
                value[u] = eight ? tree_as<O, From, N, 8>(p + u * step, a.tap_stride)
                                 : load_as<T, From, N>(p + u * step);
            push(j, eight ? 3 : 0, value);
            if (eight) j += 7;
        } else {
            for (int u = 0; u < U; ++u) {
                value[u] = load_as<T, From, N>(p + u * step);
                stack[0][u] = top ? O::combine(stack[0][u], value[u]) : value[u];
            }
            top = 1;
        }
    }
    for (; top > 1; --top)
        for (int u = 0; u < U; ++u)
            stack[top - 2][u] = O::combine(stack[top - 2][u], stack[top - 1][u]);
    for (int u = 0; u < U; ++u)
        store(dst + u * std::int64_t(sizeof(V)),
              top ? stack[0][u] : splat<T, N>(O::identity()));
}

template <class O, class From>
void rows_line_any(const std::byte* src, std::byte* dst, const RowsArgs& a) {
    using T = typename O::T;
    constexpr int lanes = kLanes<T>;
    constexpr std::int64_t size = sizeof(T), from = sizeof(From);
    std::int64_t x = 0;
    for (; x + 4 * lanes <= a.n; x += 4 * lanes)
        rows_column<O, From, lanes, 4>(src + x * from, dst + x * size, a);
    for (; x + lanes <= a.n; x += lanes)
        rows_column<O, From, lanes, 1>(src + x * from, dst + x * size, a);
    if (x == a.n) return;
    if (lanes > 1 && a.n >= lanes) {
        x = a.n - lanes;
        rows_column<O, From, lanes, 1>(src + x * from, dst + x * size, a);
        return;
    }
    in_vectors<kShort<lanes>>(a.n, [&]<int N>(std::int64_t i) {
        rows_column<O, From, N, 1>(src + i * from, dst + i * size, a);
    });
}

template <class O, class From>
void rows_any(const RowsArgs& a) {
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q)
            rows_line_any<O, From>(a.src + p * a.src_stride0 + q * a.src_stride1,
                                   a.dst + p * a.dst_stride0 + q * a.dst_stride1, a);
}

template <class O>
void rows(const RowsArgs& a) {
    const std::int64_t count = a.last - a.first;
    const std::int64_t last = a.tail != 0 ? a.tail : (count - 1) * a.tap_stride;
    const bool in_place = a.dst == a.src || a.dst == a.src + last;
    const Tail tail = in_place && count > 1 ? Tail::kSpill : Tail::kOverlap;
    // A window that lost taps on its left is the tree of those left only up to three taps.
    if (count >= 1 && (!O::kTree || a.first == 0 || a.taps <= 3)) {
        switch (count) {
            case 1: return rows_width<O, 1, kLanes<typename O::T>>(a, tail);
            case 2: return rows_width<O, 2, kLanes<typename O::T>>(a, tail);
            case 3: return rows_width<O, 3, kLanes<typename O::T>>(a, tail);
            case 4: return rows_width<O, 4, kLanes<typename O::T>>(a, tail);
            case 5: return rows_width<O, 5, kLanes<typename O::T>>(a, tail);
            case 7: return rows_width<O, 7, kLanes<typename O::T>>(a, tail);
            default: break;
        }
    }
    rows_any<O, typename O::T>(a);
}

// The same with an index beside each value; ties and NaN go to the earlier tap. U vectors at once:
// their taps do not wait for each other.
template <class T, int N, int U>
[[gnu::always_inline]] inline void arg_vectors_of_rows(const RowsArgs& a, std::int64_t at,
                                                       std::int64_t dst_at) {
    using V = Vec<T, N>;
    using I = Vec<SameInt<T>, N>;
    constexpr std::int64_t size = sizeof(V);
    V best[U];
    I where[U];
    for (int u = 0; u < U; ++u) {
        best[u] = splat<T, N>(lowest<T>());
        where[u] = splat<SameInt<T>, N>(SameInt<T>(-1));
        if (a.first < a.last) best[u] = load<V>(a.src + at + u * size);
        if (a.first < a.last) where[u] = load<I>(a.src_index + at + u * size);
    }
    for (std::int64_t j = a.first + 1; j < a.last; ++j) {
        at += a.tap_stride;
        for (int u = 0; u < U; ++u)
            ArgMax::combine<T>(best[u], where[u], load<V>(a.src + at + u * size),
                               load<I>(a.src_index + at + u * size));
    }
    for (int u = 0; u < U; ++u) {
        store(a.dst + dst_at + u * size, best[u]);
        store(a.dst_index + dst_at + u * size, where[u]);
    }
}

template <class T>
void arg_rows(const RowsArgs& a) {
    constexpr int lanes = kLanes<T>;
    constexpr std::int64_t size = sizeof(T);
    const bool in_place = a.dst == a.src && a.last - a.first > 1;
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q) {
            const std::int64_t from = p * a.src_stride0 + q * a.src_stride1;
            const std::int64_t to = p * a.dst_stride0 + q * a.dst_stride1;
            std::int64_t x = 0;
            for (; x + 2 * lanes <= a.n; x += 2 * lanes)
                arg_vectors_of_rows<T, lanes, 2>(a, from + x * size, to + x * size);
            for (; x + lanes <= a.n; x += lanes)
                arg_vectors_of_rows<T, lanes, 1>(a, from + x * size, to + x * size);
            if (x < a.n && a.n >= lanes && lanes > 1 && !in_place) {
                x = a.n - lanes;
                arg_vectors_of_rows<T, lanes, 1>(a, from + x * size, to + x * size);
                x = a.n;
            }
            constexpr int few = kShort<lanes>;
            for (; x + few <= a.n && few > 1; x += few)
                arg_vectors_of_rows<T, few, 1>(a, from + x * size, to + x * size);
            for (; x < a.n; ++x)
                arg_vectors_of_rows<T, 1, 1>(a, from + x * size, to + x * size);
        }
}

}  // namespace
}  // namespace poolcore
