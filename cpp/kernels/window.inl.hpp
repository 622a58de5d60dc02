// window: small windows over a row axis and the lanes at once, straight from the source. See
// WindowArgs for the contract.
#pragma once

#include <type_traits>

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"
#include "kernels/quotient.hpp"

namespace poolcore {
namespace {

// Windows of K neighbours, S apart, from p on: N of them. `at(offset)` loads N elements that start
// `offset` elements after p. Odd elements are read from one place before the even ones that
// follow, so nothing past the last tap of the last window is touched.
template <class O, int K, int S, int N, class At>
[[gnu::always_inline]] inline Vec<typename O::T, N> neighbours(const At& at) {
    using T = typename O::T;
    using V = Vec<T, N>;
    if constexpr (K == 1 && (S == 1 || N == 1)) {
        return at(0);
    } else if constexpr (S == 1 || N == 1) {
        V v = O::combine(at(0), at(1));
        if constexpr (K == 3) v = O::combine(v, at(2));
        return v;
    } else {
        const V a = at(0), b = at(N);
        V v = O::combine(every_second<0, T, N>(a, b), every_second<1, T, N>(a, b));
        if constexpr (K == 3) v = O::combine(v, every_second<1, T, N>(at(1), at(N + 1)));
        return v;
    }
}

// The rows of a window, `stride` bytes apart.
struct Lines {
    std::int64_t stride, count;
};

// `each` of row 0, 1, ... combined: H of them, or lines.count where H is 0.
template <class O, int H, class Each>
[[gnu::always_inline]] inline auto combined(Lines lines, const Each& each) {
    auto v = each(0);
    if constexpr (H == 0) {
        for (std::int64_t r = 1; r < lines.count; ++r) v = O::combine(v, each(r));
    } else {
        if constexpr (H >= 2) v = O::combine(v, each(1));
        if constexpr (H >= 3) v = O::combine(v, each(2));
    }
    return v;
}

// The windows from p on, with neighbours(at) for one row. Orders: the lanes of every row first,
// then the rows. Sums: the rows first.
template <class O, int H, int N, class Neighbours>
[[gnu::always_inline]] inline Vec<typename O::T, N> over_rows(const std::byte* p, Lines lines,
                                                              const Neighbours& neighbours_of) {
    using T = typename O::T;
    using V = Vec<T, N>;
    const auto value = [&](std::int64_t row, int offset) {
        return load<V>(p + row * lines.stride + offset * std::int64_t(sizeof(T)));
    };
    if constexpr (O::kRowsFirst) {
        return neighbours_of([&](int offset) {
            return combined<O, H>(lines, [&](std::int64_t r) { return value(r, offset); });
        });
    } else {
        return combined<O, H>(lines, [&](std::int64_t r) {
            return neighbours_of([&](int offset) { return value(r, offset); });
        });
    }
}

template <class O, int H, int K, int S, int N>
[[gnu::always_inline]] inline Vec<typename O::T, N> one_window(const std::byte* p, Lines lines) {
    return over_rows<O, H, N>(p, lines,
                              [](const auto& at) { return neighbours<O, K, S, N>(at); });
}

// Two rows of results from 3 + S rows of the source, for orders: what both need is made once.
template <class O, int K, int S, int N>
[[gnu::always_inline]] inline void two_windows(const std::byte* p, std::int64_t row_stride,
                                               std::byte* dst, std::int64_t dst_stride) {
    using T = typename O::T;
    using V = Vec<T, N>;
    const auto row = [&](int r) {
        return neighbours<O, K, S, N>([&](int offset) {
            return load<V>(p + r * row_stride + offset * std::int64_t(sizeof(T)));
        });
    };
    if constexpr (S == 1) {
        const V shared = O::combine(row(1), row(2));
        store(dst, O::combine(row(0), shared));
        store(dst + dst_stride, O::combine(shared, row(3)));
    } else {
        const V shared = row(2);
        store(dst, O::combine(O::combine(row(0), row(1)), shared));
        store(dst + dst_stride, O::combine(O::combine(shared, row(3)), row(4)));
    }
}

// As `neighbours` for windows of which the first lacks its first tap or the last its last: those
// are the identity, and what would hold them is not read.
template <class O, int K, int S, int N, class At>
[[gnu::always_inline]] inline Vec<typename O::T, N> edge_neighbours(const At& at, bool first,
                                                                   bool last) {
    using T = typename O::T;
    using V = Vec<T, N>;
    const T none = O::identity();
    if constexpr (N == 1) {
        V v = first ? none : at(0);
        if constexpr (K == 3) v = O::combine(v, at(1));
        return last ? v : O::combine(v, at(K - 1));
    } else if constexpr (S == 1 && K == 3) {
        const V middle = at(1);
        const V left = first ? after<T, N>(none, middle) : at(0);
        const V right = last ? before<T, N>(middle, none) : at(2);
        return O::combine(O::combine(left, middle), right);
    } else if constexpr (S == 1) {
        const V known = first ? at(1) : at(0);
        return first ? O::combine(after<T, N>(none, known), known)
                     : O::combine(known, before<T, N>(known, none));
    } else if (first) {
        const V a = at(1), b = at(N + 1);
        const V odd = every_second<1, T, N>(a, b);
        return O::combine(O::combine(after<T, N>(none, odd), every_second<0, T, N>(a, b)), odd);
    } else {
        const V a = at(0), b = at(N);
        const V even = every_second<0, T, N>(a, b);
        return O::combine(O::combine(even, every_second<1, T, N>(a, b)), before<T, N>(even, none));
    }
}

// As `one_window`, at an edge.
template <class O, int K, int S, int N>
Vec<typename O::T, N> edge_window(const std::byte* p, Lines lines, bool first, bool last) {
    return over_rows<O, 0, N>(p, lines, [&](const auto& at) {
        return edge_neighbours<O, K, S, N>(at, first, last);
    });
}

// Whether lines of n windows are long enough for vectors of N.
template <int K, int S, int N>
[[gnu::always_inline]] inline bool fits_line(const WindowArgs& a) {
    if (K == 2 && S == 2) return a.n >= N;
    return a.n > N || (a.n == N && (S == 1 || !(a.lacks_first && a.lacks_last)));
}

// What sums are divided by, if means are wanted: see finish.inl.hpp for the rule.
template <class O, bool Mean>
using Divider = std::conditional_t<Mean, Quotient<typename O::T>, Undivided>;

template <class V>
[[gnu::always_inline]] inline V canonical_mean(V mean) {
    return mean == mean ? mean : V{} + __builtin_nanf("");
}

template <class O, bool Mean, int N>
[[gnu::always_inline]] inline Vec<typename O::T, N> finished(Vec<typename O::T, N> sum,
                                                             const Divider<O, Mean>& divider) {
    using V = Vec<typename O::T, N>;
    if constexpr (Mean)
        return canonical_mean(divider.template of<N>(static_cast<V>(sum + V{})));
    else
        return sum;
}

// Of windows that begin or end a line.
template <class O, bool Mean, int N>
[[gnu::always_inline]] inline Vec<typename O::T, N> finished_edge(Vec<typename O::T, N> sum,
                                                                  const WindowArgs& a, bool first,
                                                                  bool last) {
    using T = typename O::T;
    using V = Vec<T, N>;
    if constexpr (Mean && N == 1) {
        return canonical_mean((sum + T(0)) / static_cast<T>(first ? a.first_divisor
                                                                  : a.last_divisor));
    } else if constexpr (Mean) {
        V divisors = V{} + static_cast<T>(a.divisor);
        if (first) divisors[0] = static_cast<T>(a.first_divisor);
        if (last) divisors[N - 1] = static_cast<T>(a.last_divisor);
        return canonical_mean(static_cast<V>((sum + V{}) / divisors));
    } else {
        return sum;
    }
}

// One line of results, or two (`Rows`), in vectors of N <= n elements, the last one overlapping.
template <class O, int H, int K, int S, int N, int Rows, bool Mean>
void window_line(const WindowArgs& args, const Divider<O, Mean>& divider, const std::byte* src,
                 std::byte* dst) {
    using T = typename O::T;
    constexpr std::int64_t size = sizeof(T);
    const std::int64_t n = args.n, row_stride = args.row_stride, below = args.dst_stride1;
    const Lines lines{row_stride, args.rows};
    const std::int64_t step = args.src_stride1;
    const auto whole = [&](std::int64_t x) {
        if constexpr (Rows == 2) {
            two_windows<O, K, S, N>(src + x * S * size, row_stride, dst + x * size, below);
        } else {
            store(dst + x * size,
                  finished<O, Mean, N>(one_window<O, H, K, S, N>(src + x * S * size, lines),
                                       divider));
        }
    };
    const auto edge = [&](std::int64_t x, bool first, bool last) {
        if constexpr (K == 3 || S == 1)
            for (int r = 0; r < Rows; ++r)
                store(dst + r * below + x * size,
                      finished_edge<O, Mean, N>(edge_window<O, K, S, N>(src + r * step + x * S * size,
                                                                    lines, first, last),
                                            args, first, last));
    };
    std::int64_t x = 0;
    if (args.lacks_first) {
        edge(0, true, args.lacks_last && n == N);
        x = N;
    }
    const bool lacks_last = args.lacks_last;
    for (; x + N < n; x += N) whole(x);
    if (x >= n) return;
    if (lacks_last) edge(n - N, false, true);
    else whole(n - N);
}

template <class O, int H, int K, int S, int N, bool Mean>
void window_lines(const WindowArgs& a) {
    const Divider<O, Mean> divider(a.divisor);
    const bool pairs = H == 3 && !O::kRowsFirst && a.src_stride1 == S * a.row_stride;
    for (std::int64_t p = 0; p < a.n0; ++p) {
        std::int64_t q = 0;
        const std::byte* src = a.src + p * a.src_stride0;
        std::byte* dst = a.dst + p * a.dst_stride0;
        if constexpr (H == 3 && !O::kRowsFirst)
            for (; pairs && q + 2 <= a.n1; q += 2)
                window_line<O, H, K, S, N, 2, Mean>(a, divider, src + q * a.src_stride1,
                                                    dst + q * a.dst_stride1);
        for (; q < a.n1; ++q)
            window_line<O, H, K, S, N, 1, Mean>(a, divider, src + q * a.src_stride1,
                                                dst + q * a.dst_stride1);
    }
}

// The widest vector that a line fills. Vectors narrower than 16 bytes are for bytes only.
template <class O, int H, int K, int S, int N>
void window_width(const WindowArgs& a) {
    using T = typename O::T;
    if constexpr (N == 1 || N * sizeof(T) < (sizeof(T) == 1 ? 8 : 16)) {
        if constexpr (N > 1) return window_width<O, H, K, S, 1>(a);
        if constexpr (O::kRowsFirst && kIsFloat<T>)
            if (a.divisor != 0) return window_lines<O, H, K, S, 1, true>(a);
        window_lines<O, H, K, S, 1, false>(a);
    } else {
        if (!fits_line<K, S, N>(a)) return window_width<O, H, K, S, N / 2>(a);
        if constexpr (O::kRowsFirst && kIsFloat<T>)
            if (a.divisor != 0) return window_lines<O, H, K, S, N, true>(a);
        window_lines<O, H, K, S, N, false>(a);
    }
}

// Square windows have code of their own.
template <class O, int K, int S>
void window_rows(const WindowArgs& a) {
    constexpr int lanes = kLanes<typename O::T>;
    if (a.rows == K) return window_width<O, K, K, S, lanes>(a);
    window_width<O, 0, K, S, lanes>(a);
}

template <class O>
void window(const WindowArgs& a) {
    if (a.stride == 1) return a.taps == 2 ? window_rows<O, 2, 1>(a) : window_rows<O, 3, 1>(a);
    return a.taps == 2 ? window_rows<O, 2, 2>(a) : window_rows<O, 3, 2>(a);
}

}  // namespace
}  // namespace poolcore
