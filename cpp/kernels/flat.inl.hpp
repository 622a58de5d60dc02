// flat, pick: planes with rows shorter than a few vectors, taken as one line. See FlatArgs and
// PickArgs for the contract.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"
#include "kernels/window.inl.hpp"

namespace poolcore {
namespace {

// The tap J - Anchor places from i on, or the identity where the place lies outside [0, size).
template <class O, int J, int Anchor, int N>
[[gnu::always_inline]] inline Vec<typename O::T, N> flat_tap(const std::byte* p,
                                                             std::int64_t step,
                                                             Vec<SameInt<typename O::T>, N> place,
                                                             SameInt<typename O::T> size) {
    using T = typename O::T;
    using I = SameInt<T>;
    using V = Vec<T, N>;
    const V v = load<V>(p + (J - Anchor) * step);
    const V none = splat<T, N>(O::identity());
    if constexpr (J < Anchor) return place > I(Anchor - J - 1) ? v : none;
    else if constexpr (J > Anchor) return place < static_cast<I>(size - I(J - Anchor)) ? v : none;
    else return v;
}

template <class O, int K, int Anchor, int N>
[[gnu::always_inline]] inline Vec<typename O::T, N> flat_window(
    const std::byte* p, std::int64_t step, Vec<SameInt<typename O::T>, N> place,
    SameInt<typename O::T> size) {
    auto v = O::combine(flat_tap<O, 0, Anchor, N>(p, step, place, size),
                        flat_tap<O, 1, Anchor, N>(p, step, place, size));
    if constexpr (K == 3) v = O::combine(v, flat_tap<O, 2, Anchor, N>(p, step, place, size));
    return v;
}

template <class O, int K, int Anchor, bool Mean>
void flat_line(const FlatArgs& args) {
    using T = typename O::T;
    using I = SameInt<T>;
    const FlatArgs a = args;
    constexpr std::int64_t wide = sizeof(T);
    const I size = static_cast<I>(a.size);
    const Divider<O, Mean> divider(a.divisor);
    std::int64_t at = 0;  // of element i among the places
    const auto windows = [&]<int N>(std::int64_t i) {
        const auto place = load<Vec<I, N>>(a.places + at * wide);
        const auto v = flat_window<O, K, Anchor, N>(a.src + i * wide, a.step, place, size);
        store(a.dst + i * wide, finished<O, Mean, N>(v, divider));
    };
    constexpr int lanes = kLanes<T>;
    std::int64_t i = 0;
    if (lanes > 1 && a.n >= lanes) {
        for (; i + lanes <= a.n; i += lanes) {
            windows.template operator()<lanes>(i);
            at += lanes;
            while (at >= a.period) at -= a.period;
        }
        if (i == a.n) return;
        i = a.n - lanes;
        at = i % a.period;
        windows.template operator()<lanes>(i);
        return;
    }
    for (; i < a.n; ++i) {
        windows.template operator()<1>(i);
        if (++at == a.period) at = 0;
    }
}

template <class O, int K, int Anchor>
void flat_mean(const FlatArgs& a) {
    if constexpr (O::kRowsFirst && kIsFloat<typename O::T>)
        if (a.divisor != 0) return flat_line<O, K, Anchor, true>(a);
    flat_line<O, K, Anchor, false>(a);
}

template <class O>
void flat(const FlatArgs& a) {
    if (a.taps == 2) return a.anchor == 0 ? flat_mean<O, 2, 0>(a) : flat_mean<O, 2, 1>(a);
    a.anchor == 0 ? flat_mean<O, 3, 0>(a) : flat_mean<O, 3, 1>(a);
}

template <class T, int Step>
void pick_lines(const PickArgs& args) {
    const PickArgs a = args;
    constexpr std::int64_t size = sizeof(T);
    constexpr int all = kLanes<T>;
    constexpr int lanes = all * size > 32 ? static_cast<int>(32 / size) : all;
    std::byte* dst = a.dst;
    const std::byte* end = dst + a.n0 * a.n1 * a.n * size;
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q) {
            const std::byte* src = a.src + p * a.src_stride0 + q * a.src_stride1;
            std::int64_t x = 0;
            for (; x < a.n && end - dst >= (x + lanes) * size; x += lanes) {
                using V = Vec<T, lanes>;
                const std::byte* from = src + x * Step * size;
                V v = load<V>(from);
                if constexpr (Step == 2)
                    v = every_second<0, T, lanes>(v, load<V>(from + lanes * size));
                store(dst + x * size, v);
            }
            for (; x < a.n; ++x) store(dst + x * size, load<T>(src + x * Step * size));
            dst += a.n * size;
        }
}

template <class V, int... I>
[[gnu::always_inline]] inline V every_second_three(V a, V b, Indices<I...>) {
    return __builtin_shufflevector(a, b, (I / 3 * 6 + I % 3)...);
}

// Vectors of whole groups of three, whose last lanes the next one replaces.
template <class T>
std::int64_t pick_threes_in_vectors(const std::byte* src, std::byte* dst, std::int64_t n) {
    constexpr std::int64_t size = sizeof(T);
#if defined(__AVX512BW__)
    constexpr int lanes = (size == 1 ? 16 : 32) / size;
#else
    constexpr int lanes = POOLCORE_VECTOR_BYTES == 0 ? 1 : 16 / size;
#endif
    std::int64_t x = 0;
    if constexpr (lanes > 3) {
        using V = Vec<T, lanes>;
        for (; x + lanes <= n; x += lanes / 3 * 3) {
            const std::byte* from = src + 2 * x * size;
            const V a = load<V>(from), b = load<V>(from + lanes * size);
            store(dst + x * size, every_second_three(a, b, typename CountTo<lanes>::type{}));
        }
    }
    return x;
}

template <class T>
void pick_threes(const PickArgs& args) {
    const PickArgs a = args;
    constexpr std::int64_t size = sizeof(T);
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q) {
            const std::byte* src = a.src + p * a.src_stride0 + q * a.src_stride1;
            std::byte* dst = a.dst + (p * a.n1 + q) * a.n * size;
            for (std::int64_t x = pick_threes_in_vectors<T>(src, dst, a.n); x < a.n; ++x)
                store(dst + x * size, load<T>(src + (x + x / 3 * 3) * size));
        }
}

template <class T>
void pick(const PickArgs& a) {
    if (a.threes) return pick_threes<T>(a);
    a.step == 1 ? pick_lines<T, 1>(a) : pick_lines<T, 2>(a);
}

}  // namespace
}  // namespace poolcore
