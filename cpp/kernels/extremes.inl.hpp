// planes, the maximum or minimum of each. See PlanesArgs for the contract.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

template <int Step, class V, int... I>
[[gnu::always_inline]] inline V rotated(V v, Indices<I...>) {
    constexpr int n = sizeof...(I);
    return __builtin_shufflevector(v, v, ((I + Step) % n)...);
}

// All lanes of v combined, by halves.
template <class O, int N, int Step = N / 2>
[[gnu::always_inline]] inline typename O::T across_lanes(Vec<typename O::T, N> v) {
    if constexpr (N == 1) {
        return v;
    } else if constexpr (Step == 0) {
        return v[0];
    } else {
        const auto other = rotated<Step>(v, typename CountTo<N>::type{});
        return across_lanes<O, N, Step / 2>(O::combine(v, other));
    }
}

// Of n >= N elements in any order, a few vectors at a time, the last overlapping those before.
template <class O, int N>
typename O::T extreme_in(const std::byte* p, std::int64_t n) {
    using T = typename O::T;
    using V = Vec<T, N>;
    constexpr std::int64_t size = sizeof(T);
    const V none = splat<T, N>(O::identity());
    V v[4] = {none, none, none, none};
    std::int64_t x = 0;
    for (; x + 4 * N <= n; x += 4 * N)
        for (int i = 0; i < 4; ++i) v[i] = O::combine(v[i], load<V>(p + (x + i * N) * size));
    for (; x < n; x += N) {
        if (x + N > n) x = n - N;
        v[0] = O::combine(v[0], load<V>(p + x * size));
    }
    return across_lanes<O, N>(O::combine(O::combine(v[0], v[1]), O::combine(v[2], v[3])));
}

template <class O>
typename O::T extreme_of(const std::byte* p, std::int64_t n) {
    constexpr int lanes = kLanes<typename O::T>, few = kShort<lanes>;
    if (lanes > 1 && n >= lanes) return extreme_in<O, lanes>(p, n);
    if (few > 1 && n >= few) return extreme_in<O, few>(p, n);
    return extreme_in<O, 1>(p, n);
}

// Of equal zeros the first: any of them was found so far.
template <class T>
T first_zero(const PlanesArgs& a, const std::byte* plane) {
    for (std::int64_t r = 0; r < a.rows; ++r)
        for (std::int64_t x = 0; x < a.n; ++x) {
            const T value = load<T>(plane + r * a.row_stride + x * std::int64_t(sizeof(T)));
            if (value == 0) return value;
        }
    return 0;
}

template <class O>
void extremes(const PlanesArgs& args) {
    using T = typename O::T;
    PlanesArgs a = args;
    if (a.row_stride == a.n * std::int64_t(sizeof(T))) {  // as one row
        a.n *= a.rows;
        a.rows = 1;
    }
    for (std::int64_t p = 0; p < a.planes; ++p) {
        const std::byte* plane = a.src + p * a.plane_stride;
        T best = O::identity();
        for (std::int64_t r = 0; r < a.rows; ++r)
            best = O::combine(best, extreme_of<O>(plane + r * a.row_stride, a.n));
        if constexpr (kIsFloat<T>)
            if (best == 0) best = first_zero<T>(a, plane);
        store(a.dst + p * std::int64_t(sizeof(T)), best);
    }
}

}  // namespace
}  // namespace poolcore
