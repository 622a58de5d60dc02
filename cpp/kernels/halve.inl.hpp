// halve and quarter: the first levels of a pyramid in one reading. See HalveArgs and QuarterArgs.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/narrow.inl.hpp"
#include "kernels/ops.hpp"
#include "kernels/quotient.hpp"

namespace poolcore {
namespace {

template <class E, int N>
[[gnu::always_inline]] inline void halve_line(const std::byte* src, std::byte* sums,
                                              std::byte* means, const HalveArgs& a,
                                              const Shifted<typename Widened<E>::Sum>& quarter) {
    using A = typename Widened<E>::Sum;
    for (std::int64_t x = 0; x < a.n; x += N) {
        if (x + N > a.n) x = a.n - N;
        const std::byte* upper = src + 2 * x * std::int64_t(sizeof(E));
        const std::byte* lower = upper + a.src_stride;
        const Vec<A, N> left = load_pairs<0, E, N>(upper) + load_pairs<0, E, N>(lower);
        const Vec<A, N> right = load_pairs<1, E, N>(upper) + load_pairs<1, E, N>(lower);
        const Vec<A, N> sum = left + right;
        store(sums + x * std::int64_t(sizeof(A)), sum);
        store(means + x * std::int64_t(sizeof(E)), quarter.template mean<E, N>(sum));
    }
}

template <class E>
void halve(const HalveArgs& args) {
    using A = typename Widened<E>::Sum;
    const HalveArgs a = args;
    const Shifted<A> quarter(4, a.rounding);
    for (std::int64_t r = 0; r < a.rows; ++r) {
        const std::byte* src = a.src + 2 * r * a.src_stride;
        std::byte* sums = a.sums + r * a.sums_stride;
        std::byte* means = a.means + r * a.means_stride;
        if (a.n >= kLanes<A>) halve_line<E, kLanes<A>>(src, sums, means, a, quarter);
        else halve_line<E, 1>(src, sums, means, a, quarter);
    }
}

template <class V, int... I>
[[gnu::always_inline]] inline auto pick_pairs(V even_of, V odd_of, Indices<I...>) {
    return __builtin_shufflevector(even_of, even_of, (2 * I)...) +
           __builtin_shufflevector(odd_of, odd_of, (2 * I + 1)...);
}

// The sums of neighbours in a followed by b, and in one vector.
template <class T, int N>
[[gnu::always_inline]] inline Vec<T, N> paired(Vec<T, N> a, Vec<T, N> b) {
    return every_second<0, T, N>(a, b) + every_second<1, T, N>(a, b);
}
template <class T, int N>
[[gnu::always_inline]] inline Vec<T, N / 2> paired(Vec<T, N> a) {
    if constexpr (N == 2) return a[0] + a[1];
    else return pick_pairs(a, a, typename CountTo<N / 2>::type{});
}

// +0 added, divided, and every NaN the canonical one: see finish.inl.hpp.
template <class T, int N>
[[gnu::always_inline]] inline Vec<T, N> scaled(Vec<T, N> sum, T factor) {
    using V = Vec<T, N>;
    const V mean = static_cast<V>((sum + V{}) * factor);
    return mean == mean ? mean : V{} + static_cast<T>(__builtin_nan(""));
}

// Four rows, N columns from `column` on, added in double.
template <class E, int N>
[[gnu::always_inline]] inline Vec<double, N> four_rows(const std::byte* p, std::int64_t stride) {
    const auto row = [&](int r) {
        return converted<double, E, N>(load<Vec<E, N>>(p + r * stride));
    };
    return (row(0) + row(1)) + (row(2) + row(3));
}

// What one line of windows is read from and written to.
struct QuarterLine {
    const std::byte* src;
    std::byte* upper;  // level 1
    std::byte* lower;
    std::byte* second;
    std::byte* sums;
};

// H windows of level 2: 4*H columns of x, and 2*H elements of two rows of level 1.
template <class E, int H>
[[gnu::always_inline]] inline void quarter_windows(const QuarterLine& line, std::int64_t stride,
                                                   E first, E second) {
    constexpr int N = 2 * H;
    using V = Vec<E, N>;
    const std::byte* right = line.src + sizeof(V);
    const auto two = [&](const std::byte* p, int r) {
        return static_cast<V>(load<V>(p + r * stride) + load<V>(p + (r + 1) * stride));
    };
    const V a = two(line.src, 0), b = two(right, 0), c = two(line.src, 2), d = two(right, 2);
    store(line.upper, scaled<E, N>(paired<E, N>(a, b), first));
    store(line.lower, scaled<E, N>(paired<E, N>(c, d), first));
    const Vec<E, H> four = paired<E, N>(paired<E, N>(a + c, b + d));
    store(line.second, scaled<E, H>(four, second));
    if (!line.sums) return;
    if constexpr (sizeof(E) == sizeof(double)) {
        store(line.sums, four);
    } else {
        constexpr std::int64_t step = H * sizeof(E);
        const auto at = [&](int i) { return four_rows<E, H>(line.src + i * step, stride); };
        if constexpr (H == 1) store(line.sums, (at(0) + at(1)) + (at(2) + at(3)));
        else store(line.sums, paired<double, H>(paired<double, H>(at(0), at(1)),
                                                paired<double, H>(at(2), at(3))));
    }
}

template <class E, int H>
[[gnu::always_inline]] inline void quarter_line(const QuarterLine& line, const QuarterArgs& a,
                                                E first, E second) {
    constexpr std::int64_t size = sizeof(E);
    for (std::int64_t x = 0; x < a.n; x += H) {
        if (x + H > a.n) x = a.n - H;
        const QuarterLine part{line.src + 4 * x * size, line.upper + 2 * x * size,
                               line.lower + 2 * x * size, line.second + x * size,
                               line.sums ? line.sums + x * 8 : nullptr};
        quarter_windows<E, H>(part, a.src_stride, first, second);
    }
}

template <class E>
void quarter(const QuarterArgs& args) {
    const QuarterArgs a = args;
    const E first = a.means ? E(0.25) : E(1), second = a.means ? E(0.0625) : E(1);
    constexpr int lanes = kLanes<E> >= 4 ? kLanes<E> / 2 : 1;
    for (std::int64_t r = 0; r < a.rows; ++r) {
        const QuarterLine line{a.src + 4 * r * a.src_stride, a.first + 2 * r * a.first_stride,
                               a.first + (2 * r + 1) * a.first_stride,
                               a.second + r * a.second_stride,
                               a.sums ? a.sums + r * a.sums_stride : nullptr};
        if (a.n >= lanes) quarter_line<E, lanes>(line, a, first, second);
        else quarter_line<E, 1>(line, a, first, second);
    }
}

}  // namespace
}  // namespace poolcore
