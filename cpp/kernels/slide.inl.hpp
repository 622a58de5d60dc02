// slide: combine neighbours inside one run, with a stride. See SlideArgs for the contract.
// Stride 1 is rows with a tap stride of one element.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

// Taps 0, 1 and 2 of N windows at stride 2. Tap 2 is read as the odd elements one further on, so
// nothing past the last tap of the last window is touched.
template <class O, int K, int N>
[[gnu::always_inline]] inline Vec<typename O::T, N> pairs(const std::byte* p) {
    using T = typename O::T;
    using V = Vec<T, N>;
    if constexpr (N == 1) {
        V v = O::combine(load<V>(p), load<V>(p + sizeof(T)));
        if constexpr (K == 3) v = O::combine(v, load<V>(p + 2 * sizeof(T)));
        return v;
    } else {
        const V a = load<V>(p), b = load<V>(p + sizeof(V));
        V v = O::combine(every_second<0, T, N>(a, b), every_second<1, T, N>(a, b));
        if constexpr (K == 3) {
            const V c = load<V>(p + sizeof(T)), d = load<V>(p + sizeof(T) + sizeof(V));
            v = O::combine(v, every_second<1, T, N>(c, d));
        }
        return v;
    }
}

template <class O, int K, int N>
void slide_lines(const SlideArgs& a) {
    constexpr std::int64_t size = sizeof(typename O::T);
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q) {
            const std::byte* src = a.src + p * a.src_stride0 + q * a.src_stride1;
            std::byte* dst = a.dst + p * a.dst_stride0 + q * a.dst_stride1;
            for (std::int64_t i = 0; i < a.n; i += N) {
                if (i + N > a.n) i = a.n - N;
                store(dst + i * size, pairs<O, K, N>(src + 2 * i * size));
            }
        }
}

// The widest vector that a line fills.
template <class O, int K, int N>
void slide_width(const SlideArgs& a) {
    if constexpr (N == 1 || N * sizeof(typename O::T) < 8) {
        slide_lines<O, K, 1>(a);
    } else {
        if (a.n >= N) return slide_lines<O, K, N>(a);
        slide_width<O, K, N / 2>(a);
    }
}

template <class T>
void subsample_line(const std::byte* src, std::byte* dst, std::int64_t n, std::int64_t stride) {
    constexpr std::int64_t size = sizeof(T);
    for (std::int64_t i = 0; i < n; ++i) store(dst + i * size, load<T>(src + i * stride * size));
}

// N windows S apart from p on.
template <class O, int S, int N>
[[gnu::always_inline]] inline Vec<typename O::T, N> apart(const std::byte* p, std::int64_t taps) {
    using T = typename O::T;
    auto v = every_nth<S, T, N>(p);
    for (std::int64_t j = 1; j < taps; ++j)
        v = O::combine(v, every_nth<S, T, N>(p + j * std::int64_t(sizeof(T))));
    return v;
}

template <class O, int S>
void apart_line(const std::byte* src, std::byte* dst, std::int64_t n, std::int64_t taps) {
    using T = typename O::T;
    constexpr int lanes = kLanes<T>;
    constexpr std::int64_t size = sizeof(T);
    in_vectors<lanes>(n, [&]<int N>(std::int64_t i) {
        store(dst + i * size, apart<O, S, N>(src + i * S * size, taps));
    });
}

// Any stride, one window at a time.
template <class O>
void far_line(const std::byte* src, std::byte* dst, std::int64_t n, const SlideArgs& a) {
    using T = typename O::T;
    constexpr std::int64_t size = sizeof(T);
    if (a.taps == 1) return subsample_line<T>(src, dst, n, a.stride);
    for (std::int64_t i = 0; i < n; ++i) {
        T v = load<T>(src + i * a.stride * size);
        for (std::int64_t j = 1; j < a.taps; ++j)
            v = O::combine(v, load<T>(src + (i * a.stride + j) * size));
        store(dst + i * size, v);
    }
}

template <class O>
void slide_line(const std::byte* src, std::byte* dst, const SlideArgs& a) {
    if constexpr (sizeof(typename O::T) >= 4) {  // narrower lanes are expensive to pick
        switch (a.stride) {
            case 3: return apart_line<O, 3>(src, dst, a.n, a.taps);
            case 4: return apart_line<O, 4>(src, dst, a.n, a.taps);
            case 5: return apart_line<O, 5>(src, dst, a.n, a.taps);
            default: break;
        }
    }
    far_line<O>(src, dst, a.n, a);
}

template <class O>
void slide(const SlideArgs& a) {
    using T = typename O::T;
    if (a.stride == 2 && a.taps == 2) return slide_width<O, 2, kLanes<T>>(a);
    if (a.stride == 2 && a.taps == 3) return slide_width<O, 3, kLanes<T>>(a);
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q)
            slide_line<O>(a.src + p * a.src_stride0 + q * a.src_stride1,
                          a.dst + p * a.dst_stride0 + q * a.dst_stride1, a);
}

template <class T, int N>
[[gnu::always_inline]] inline void arg_pairs(const SlideArgs& a, std::int64_t from,
                                             std::int64_t to, int taps) {
    using S = SameInt<T>;
    using V = Vec<T, N>;
    using I = Vec<S, N>;
    const std::byte* p = a.src + from;
    const std::byte* q = a.src_index + from;
    const V v0 = load<V>(p), v1 = load<V>(p + sizeof(V));
    const I i0 = load<I>(q), i1 = load<I>(q + sizeof(I));
    V best = every_second<0, T, N>(v0, v1);
    I where = every_second<0, S, N>(i0, i1);
    ArgMax::combine<T>(best, where, every_second<1, T, N>(v0, v1), every_second<1, S, N>(i0, i1));
    if (taps == 3) {
        const V v2 = load<V>(p + sizeof(T)), v3 = load<V>(p + sizeof(T) + sizeof(V));
        const I i2 = load<I>(q + sizeof(T)), i3 = load<I>(q + sizeof(T) + sizeof(I));
        ArgMax::combine<T>(best, where, every_second<1, T, N>(v2, v3),
                        every_second<1, S, N>(i2, i3));
    }
    store(a.dst + to, best);
    store(a.dst_index + to, where);
}

template <class T>
void arg_slide_line(const SlideArgs& a, std::int64_t from, std::int64_t to) {
    constexpr std::int64_t lanes = kLanes<T>;
    constexpr std::int64_t size = sizeof(T);
    if (a.taps == 1) {
        subsample_line<T>(a.src + from, a.dst + to, a.n, a.stride);
        subsample_line<T>(a.src_index + from, a.dst_index + to, a.n, a.stride);
        return;
    }
    const int taps = static_cast<int>(a.taps);
    std::int64_t i = 0;
    for (; i + lanes <= a.n && lanes > 1; i += lanes)
        arg_pairs<T, kLanes<T>>(a, from + 2 * i * size, to + i * size, taps);
    for (; i < a.n; ++i) {
        T best = load<T>(a.src + from + 2 * i * size);
        SameInt<T> where = load<SameInt<T>>(a.src_index + from + 2 * i * size);
        for (int j = 1; j < taps; ++j)
            ArgMax::combine<T>(best, where, load<T>(a.src + from + (2 * i + j) * size),
                            load<SameInt<T>>(a.src_index + from + (2 * i + j) * size));
        store(a.dst + to + i * size, best);
        store(a.dst_index + to + i * size, where);
    }
}

template <class T>
void arg_slide(const SlideArgs& a) {
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q)
            arg_slide_line<T>(a, p * a.src_stride0 + q * a.src_stride1,
                              p * a.dst_stride0 + q * a.dst_stride1);
}

}  // namespace
}  // namespace poolcore
