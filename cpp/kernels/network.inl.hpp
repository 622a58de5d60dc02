// keys, exchanges and rank: the middle of windows side by side. See KeysArgs, ExchangesArgs and
// RankArgs for the contracts. Lists of steps, not code of their own for every size, so that few
// templates serve all windows.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

// From elements to keys and, since it undoes itself, back.
template <class T, bool kReal, int N>
[[gnu::always_inline]] inline Vec<T, N> with_order(Vec<T, N> v, T flip) {
    using V = Vec<T, N>;
    if constexpr (kReal) {
        constexpr int sign = 8 * static_cast<int>(sizeof(T)) - 1;
        return static_cast<V>(v ^ ((v >> sign) & highest<T>()));
    } else {
        return static_cast<V>(v ^ flip);
    }
}

// Stores the keys of N neighbours; all ones where one is NaN.
template <class T, bool kReal, int N>
[[gnu::always_inline]] inline void put_keys(Vec<T, N> v, std::byte* dst, const KeyOrder& order,
                                            Vec<T, N>& nan) {
    using V = Vec<T, N>;
    const V key = with_order<T, kReal, N>(v, static_cast<T>(order.flip));
    store(dst, key);
    if constexpr (kReal) {
        const auto infinity = static_cast<T>(order.infinity);
        nan = static_cast<V>(nan | static_cast<V>((key > infinity) | (key < T(~infinity))));
    }
}

template <class T, int N>
[[gnu::always_inline]] inline bool any_of(Vec<T, N> v) {
    T each[N];
    __builtin_memcpy(each, &v, sizeof v);
    T all = 0;
    for (int i = 0; i < N; ++i) all = static_cast<T>(all | each[i]);
    return all != 0;
}

// Elements S apart; n >= N.
template <class T, bool kReal, int S, int N>
bool key_line_in(const std::byte* src, std::byte* dst, std::int64_t n, const KeyOrder& order) {
    constexpr std::int64_t size = sizeof(T);
    Vec<T, N> nan{};
    for (std::int64_t x = 0; x < n; x += N) {
        if (x + N > n) x = n - N;
        put_keys<T, kReal, N>(every_nth<S, T, N>(src + x * S * size), dst + x * size, order, nan);
    }
    if constexpr (kReal) return any_of<T, N>(nan);
    else return false;
}

template <class T, bool kReal>
bool key_line(const std::byte* src, std::byte* dst, const KeysArgs& a) {
    constexpr std::int64_t size = sizeof(T);
    constexpr int lanes = kLanes<T>, few = kShort<lanes>;
    if (lanes > 1 && a.n >= lanes) {
        if (a.src_step == size) return key_line_in<T, kReal, 1, lanes>(src, dst, a.n, a.order);
        if (a.src_step == 2 * size) return key_line_in<T, kReal, 2, lanes>(src, dst, a.n, a.order);
    } else if (few > 1 && a.n >= few && a.src_step == size) {
        return key_line_in<T, kReal, 1, few>(src, dst, a.n, a.order);
    }
    T nan = 0;
    for (std::int64_t x = 0; x < a.n; ++x)
        put_keys<T, kReal, 1>(load<T>(src + x * a.src_step), dst + x * size, a.order, nan);
    return nan != 0;
}

template <class T, bool kReal>
void keys(const KeysArgs& args) {
    const KeysArgs a = args;
    bool nan = false;
    std::byte* dst = a.dst;
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q, dst += a.dst_stride)
            nan = key_line<T, kReal>(a.src + p * a.src_stride0 + q * a.src_stride1, dst, a) || nan;
    if (nan) *a.nan = true;
}

// In whole vectors.
template <class T>
void exchanges(const ExchangesArgs& args) {
    using V = Vec<T, kLanes<T>>;
    constexpr std::int64_t bytes = sizeof(V);
    for (std::int64_t i = 0; i < args.steps; ++i) {
        const ExchangeStep s = args.step[i];
        const std::byte* a = args.scratch + s.a;
        const std::byte* b = args.scratch + s.b;
        std::byte* low = args.scratch + s.low;
        std::byte* high = args.scratch + s.high;
        const std::int64_t n = args.n + s.extra;
        if (s.low >= 0 && s.high >= 0) {
            for (std::int64_t x = 0; x < n; x += bytes) {
                const V u = load<V>(a + x), v = load<V>(b + x);
                store(low + x, MinOp<T>::combine(u, v));
                store(high + x, MaxOp<T>::combine(u, v));
            }
        } else if (s.low >= 0) {
            for (std::int64_t x = 0; x < n; x += bytes)
                store(low + x, MinOp<T>::combine(load<V>(a + x), load<V>(b + x)));
        } else {
            for (std::int64_t x = 0; x < n; x += bytes)
                store(high + x, MaxOp<T>::combine(load<V>(a + x), load<V>(b + x)));
        }
    }
}

// M vectors of the least of all terms.
template <class T, bool kReal, int M>
[[gnu::always_inline]] inline void rank_vectors(const RankArgs& a, std::int64_t x) {
    using V = Vec<T, kLanes<T>>;
    constexpr std::int64_t bytes = sizeof(V);
    V least[M];
    for (int i = 0; i < M; ++i) least[i] = splat<T, kLanes<T>>(highest<T>());
    for (std::int64_t t = 0; t < a.terms; ++t) {
        const std::byte* p = a.scratch + a.term[t].a + x;
        const std::byte* q = a.scratch + a.term[t].b + x;
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i)
            least[i] = MinOp<T>::combine(
                least[i], MaxOp<T>::combine(load<V>(p + i * bytes), load<V>(q + i * bytes)));
    }
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) {
        V v = least[i];
        if (a.decodes) {
            if constexpr (kReal) v = v == T(-1) ? V{} : v;  // no median is -0.0
            v = with_order<T, kReal, kLanes<T>>(v, static_cast<T>(a.order.flip));
        }
        store(a.dst + x + i * bytes, v);
    }
}

template <class T, bool kReal>
void rank(const RankArgs& args) {
    const RankArgs a = args;
    constexpr std::int64_t bytes = sizeof(Vec<T, kLanes<T>>);
    std::int64_t x = 0;
    for (; x + 4 * bytes <= a.n; x += 4 * bytes) rank_vectors<T, kReal, 4>(a, x);
    for (; x < a.n; x += bytes) rank_vectors<T, kReal, 1>(a, x);
}

}  // namespace
}  // namespace poolcore
