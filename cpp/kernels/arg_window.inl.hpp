// arg_window: the best of every window and its flat index, straight from the source. See
// ArgWindowArgs for the contract.
// What is carried beside a value is no index from memory but the code of its tap, the same for all
// lanes: a flat offset from tap 0 of the window, or in 8 and 16 bits the number of the tap. It
// becomes an index when all taps are done.
#pragma once

#include "kernels/arg_put.inl.hpp"
#include "kernels/kernel_table.hpp"

namespace poolcore {
namespace {

// How the lanes lie in the source: side by side, every second element, or anywhere.
enum class ArgLanes { kUnit, kPairs, kAnywhere };

// The rows of taps: R of them, copied so that loops over them unroll, or (0) any number.
template <int R>
struct TapRows {
    std::int64_t offset[R];
    std::int64_t code[R];
    explicit TapRows(const ArgTaps& t) {
        for (int r = 0; r < R; ++r) {
            offset[r] = t.offset[r];
            code[r] = t.code[r];
        }
    }
};
template <>
struct TapRows<0> {
    const std::int64_t* offset;
    const std::int64_t* code;
    explicit TapRows(const ArgTaps& t) : offset(t.offset), code(t.code) {}
};

template <class T, int... I>
[[gnu::always_inline]] inline auto gathered(const std::byte* p, std::int64_t step, Indices<I...>) {
    return Vec<T, sizeof...(I)>{load<T>(p + I * step)...};
}

// Calls visit(row, neighbour, u, elements) for every tap in order and each of the U vectors of
// windows, from x[u] on. Reads nothing but the elements between the first and the last tap of
// these windows.
template <class T, int N, ArgLanes M, int R, int L, int U, class Visit>
[[gnu::always_inline]] inline void each_tap(const std::byte* src, const std::int64_t (&x)[U],
                                            const TapRows<R>& rows, const ArgTaps& taps,
                                            std::int64_t step, const Visit& visit) {
    using V = Vec<T, N>;
    constexpr std::int64_t size = sizeof(T);
    const std::int64_t count = R > 0 ? R : taps.rows;
    const std::int64_t row_taps = L > 0 ? L : taps.neighbours;
    const std::byte* p[U];
    for (int u = 0; u < U; ++u) p[u] = src + x[u] * step;
#pragma GCC unroll 9
    for (std::int64_t r = 0; r < count; ++r) {
        const std::int64_t row = rows.offset[r];
        if constexpr (N == 1) {
#pragma GCC unroll 1
            for (std::int64_t j = 0; j < row_taps; ++j)
                visit(r, j, 0, load<V>(p[0] + row + j * size));
        } else if constexpr (M == ArgLanes::kUnit) {
            for (int u = 0; u < U; ++u) visit(r, 0, u, load<V>(p[u] + row));
        } else if constexpr (M == ArgLanes::kAnywhere) {
            for (int u = 0; u < U; ++u)
                visit(r, 0, u, gathered<T>(p[u] + row, step, typename CountTo<N>::type{}));
        } else {
            const auto pair = [&](std::int64_t j) __attribute__((always_inline)) {
                for (int u = 0; u < U; ++u) {
                    const std::byte* at = p[u] + row + j * size;
                    const V a = load<V>(at), b = load<V>(at + N * size);
                    visit(r, j, u, every_second<0, T, N>(a, b));
                    visit(r, j + 1, u, every_second<1, T, N>(a, b));
                }
            };
            if constexpr (L > 0) {
                pair(0);
            } else {
#pragma GCC unroll 1
                for (std::int64_t j = 0; j + 2 <= row_taps; j += 2) pair(j);
            }
            if (row_taps % 2 != 0)
                for (int u = 0; u < U; ++u) {
                    const std::byte* at = p[u] + row + (row_taps - 2) * size;
                    visit(r, row_taps - 1, u,
                          every_second<1, T, N>(load<V>(at), load<V>(at + N * size)));
                }
        }
    }
}

// The best of the taps that `rows` and a.taps name, for U vectors of windows.
template <class P, int N, ArgLanes M, int R, int L, int U>
[[gnu::always_inline]] inline void best_taps(const ArgWindowArgs& a, const TapRows<R>& rows,
                                             const std::byte* src, const std::int64_t (&x)[U],
                                             Best<P, N> (&best)[U]) {
    using Bits = typename P::Bits;
    constexpr std::int64_t size = sizeof(Bits);
    const std::int64_t step =
        M == ArgLanes::kUnit ? size : M == ArgLanes::kPairs ? 2 * size : a.src_step;
    each_tap<Bits, N, M, R, L, U>(
        src, x, rows, a.taps, step,
        [&](std::int64_t r, std::int64_t j, int u, Vec<Bits, N> raw)
            __attribute__((always_inline)) {
                const auto key = P::template key<N>(raw, a.order);
                const auto code = static_cast<Bits>(rows.code[r] + j * a.taps.code_step);
                const Best<P, N> tap{key, splat<Bits, N>(code), raw, P::template opened<N>(key)};
                if (r == 0 && j == 0) {
                    best[u] = tap;
                } else {
                    P::template combine<N>(best[u], tap);
                }
            });
}

// The windows from x[0], x[1], ... on, U vectors of them: side by side their taps do not wait for
// each other.
template <class P, int N, ArgLanes M, int R, int L, int U>
[[gnu::always_inline]] inline void arg_vectors(const ArgWindowArgs& a, const TapRows<R>& rows,
                                               Vec<std::int64_t, kIndexLanes<N>> ramp,
                                               const ArgLine& line, const std::int64_t (&x)[U]) {
    Best<P, N> best[U]{};
    best_taps<P, N, M, R, L, U>(a, rows, line.src, x, best);
    for (int u = 0; u < U; ++u) put<P, N>(a, best[u], ramp, line, x[u]);
}

// A line in vectors of N <= n windows, the last ones overlapping. Loops over few taps overlap by
// themselves.
template <class P, int N, ArgLanes M, int R, int L>
[[gnu::always_inline]] inline void arg_line(const ArgWindowArgs& a, const TapRows<R>& rows,
                                            Vec<std::int64_t, kIndexLanes<N>> ramp,
                                            const ArgLine& line) {
    const std::int64_t last = a.n - N;
    if constexpr (R > 0 || N == 1 || M == ArgLanes::kAnywhere) {
        for (std::int64_t at = 0; at < a.n; at += N) {
            const std::int64_t x[] = {at < last ? at : last};
            arg_vectors<P, N, M, R, L, 1>(a, rows, ramp, line, x);
        }
    } else {
        for (std::int64_t at = 0; at < a.n; at += 2 * N) {
            const std::int64_t x[] = {at < last ? at : last, at + N < last ? at + N : last};
            arg_vectors<P, N, M, R, L, 2>(a, rows, ramp, line, x);
        }
    }
}

template <class P, int N, ArgLanes M, int R, int L>
void arg_lines(const ArgWindowArgs& args) {
    const ArgWindowArgs a = args;  // a copy: stores through byte pointers cannot change it
    const TapRows<R> rows(a.taps);
    const auto ramp = index_ramp<N>(a);
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q)
            arg_line<P, N, M, R, L>(a, rows, ramp,
                                    {a.src + p * a.src_stride0 + q * a.src_stride1,
                                     a.dst + p * a.dst_stride0 + q * a.dst_stride1,
                                     a.index + p * a.index_stride0 + q * a.index_stride1,
                                     a.base + p * a.base_stride0 + q * a.base_stride1});
}

template <class P, int N>
[[gnu::always_inline]] inline Best<P, N> lower(Best<P, N> best, std::int64_t code) {
    using Code = Unsigned<typename P::Bits>;  // numbers of taps above 127 wrap in signed bytes
    using Codes = Vec<Code, N>;
    const auto where = __builtin_bit_cast(Codes, best.where);
    best.where = __builtin_bit_cast(
        decltype(best.where), static_cast<Codes>(where + splat<Code, N>(static_cast<Code>(code))));
    return best;
}

[[gnu::always_inline]] inline ArgLine next_line(const ArgWindowArgs& a, const ArgLine& line) {
    return {line.src, line.dst + a.dst_stride1, line.index + a.index_stride1,
            line.base + a.base_stride1};
}

// Windows one below the other share rows: the best of each row is made once and kept while
// windows contain it. A column of N windows wide, windows [q, end) from the top down.
template <class P, int N, ArgLanes M, int R, int L>
[[gnu::always_inline]] inline void arg_column(const ArgWindowArgs& a, const TapRows<R>& rows,
                                              Vec<std::int64_t, kIndexLanes<N>> ramp,
                                              ArgLine line, std::int64_t at, std::int64_t q,
                                              std::int64_t end) {
    const ArgTaps& t = a.taps;
    const std::int64_t x[] = {at};
    Best<P, N> ring[kMaxArgHeight];  // row r at r % height
    std::int64_t made = 0;           // rows up to here
    for (; q < end; ++q, line = next_line(a, line)) {
        const std::int64_t start = t.row_first + q * t.row_step;
        const std::int64_t lo = start > 0 ? start : 0;
        const std::int64_t hi = start + t.height < t.row_count ? start + t.height : t.row_count;
        std::int64_t slot = made % t.height;
        if (made < lo) {
            made = lo;
            slot = lo % t.height;
        }
        for (; made < hi; ++made) {
            Best<P, N> best[1]{};
            best_taps<P, N, M, R, L, 1>(a, rows, line.src + made * t.row_stride, x, best);
            ring[slot] = best[0];
            slot = slot + 1 == t.height ? 0 : slot + 1;
        }
        slot = lo % t.height;
        Best<P, N> best = lower<P, N>(ring[slot], (lo - start) * t.row_code);
        for (std::int64_t r = lo + 1; r < hi; ++r) {
            slot = slot + 1 == t.height ? 0 : slot + 1;
            P::template combine<N>(best, lower<P, N>(ring[slot], (r - start) * t.row_code));
        }
        put<P, N>(a, best, ramp, line, at);
    }
}

// The same for windows of three whole rows S apart.
template <class P, int N, ArgLanes M, int R, int L, int S>
[[gnu::always_inline]] inline void arg_column3(const ArgWindowArgs& a, const TapRows<R>& rows,
                                               Vec<std::int64_t, kIndexLanes<N>> ramp,
                                               ArgLine line, std::int64_t at, std::int64_t q,
                                               std::int64_t end) {
    const ArgTaps& t = a.taps;
    const std::int64_t x[] = {at};
    const auto row = [&](std::int64_t r) __attribute__((always_inline)) {
        Best<P, N> best[1]{};
        best_taps<P, N, M, R, L, 1>(a, rows, line.src + r * t.row_stride, x, best);
        return best[0];
    };
    line.src += t.row_first * t.row_stride;
    Best<P, N> top = row(q * S), middle = top;
    if constexpr (S == 1) middle = row(q * S + 1);
    for (; q < end; ++q, line = next_line(a, line)) {
        if constexpr (S == 2) middle = row(q * S + 1);
        const Best<P, N> bottom = row(q * S + 2);
        Best<P, N> best = top;
        P::template combine<N>(best, lower<P, N>(middle, t.row_code));
        P::template combine<N>(best, lower<P, N>(bottom, 2 * t.row_code));
        put<P, N>(a, best, ramp, line, at);
        top = S == 1 ? middle : bottom;
        middle = bottom;
    }
}

// So many windows of a column one below the other, at least, before the next column.
constexpr std::int64_t kColumn = 16;

template <class P, int N, ArgLanes M, int R, int L>
void arg_columns(const ArgWindowArgs& args) {
    const ArgWindowArgs a = args;
    const TapRows<R> rows(a.taps);
    const auto ramp = index_ramp<N>(a);
    const std::int64_t column = 4 * a.taps.height > kColumn ? 4 * a.taps.height : kColumn;
    const std::int64_t last = a.n - N;
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; q += column) {
            const ArgLine line{a.src + p * a.src_stride0,
                               a.dst + p * a.dst_stride0 + q * a.dst_stride1,
                               a.index + p * a.index_stride0 + q * a.index_stride1,
                               a.base + p * a.base_stride0 + q * a.base_stride1};
            const std::int64_t end = q + column < a.n1 ? q + column : a.n1;
            for (std::int64_t at = 0; at < a.n; at += N) {
                const std::int64_t x = at < last ? at : last;
                if constexpr (R > 0) {
                    constexpr int step = M == ArgLanes::kUnit ? 1 : 2;
                    arg_column3<P, N, M, R, L, step>(a, rows, ramp, line, x, q, end);
                } else {
                    arg_column<P, N, M, R, L>(a, rows, ramp, line, x, q, end);
                }
            }
        }
}

// The widest vector that a line fills. Only the widest are worth loops unrolled for R and L.
template <class P, ArgLanes M, bool Columns, int R, int L, int N>
void arg_width(const ArgWindowArgs& a) {
    constexpr int size = sizeof(typename P::Bits);
    if constexpr (N == 1 || N * size < (size < 2 ? 8 : 16)) {
        if constexpr (Columns) return arg_columns<P, 1, ArgLanes::kAnywhere, 0, 0>(a);
        arg_lines<P, 1, ArgLanes::kAnywhere, 0, 0>(a);
    } else if constexpr (R > 0 && N * size < 32 && N < kLanes<typename P::Bits>) {
        arg_width<P, M, Columns, 0, 0, N>(a);
    } else {
        if (a.n < N) return arg_width<P, M, Columns, R, L, N / 2>(a);
        if constexpr (Columns) return arg_columns<P, N, M, R, L>(a);
        arg_lines<P, N, M, R, L>(a);
    }
}

template <class P>
void arg_window(const ArgWindowArgs& a) {
    using Bits = typename P::Bits;
    constexpr int lanes = kLanes<Bits>;
    const std::int64_t rows = a.taps.rows, neighbours = a.taps.neighbours;
    if (a.taps.height > 1) {
        if constexpr (P::kCommon) {
            const bool three = a.taps.height == 3 && a.taps.row_first >= 0 &&
                               a.taps.row_first + (a.n1 - 1) * a.taps.row_step + 3 <=
                                   a.taps.row_count;
            if (three && neighbours == 3 && a.taps.row_step == 2)
                return arg_width<P, ArgLanes::kPairs, true, 1, 3, lanes>(a);
            if (three && neighbours == 1 && rows == 3 && a.taps.row_step == 1)
                return arg_width<P, ArgLanes::kUnit, true, 3, 1, lanes>(a);
        }
        if (neighbours > 1) return arg_width<P, ArgLanes::kPairs, true, 0, 0, lanes>(a);
        return arg_width<P, ArgLanes::kUnit, true, 0, 0, lanes>(a);
    }
    if constexpr (P::kCommon)
        if (neighbours == 2 && rows == 2)
            return arg_width<P, ArgLanes::kPairs, false, 2, 2, lanes>(a);
    if (neighbours > 1) return arg_width<P, ArgLanes::kPairs, false, 0, 0, lanes>(a);
    if (a.src_step != sizeof(Bits))
        return arg_width<P, ArgLanes::kAnywhere, false, 0, 0, (lanes < 16 ? lanes : 16)>(a);
    if constexpr (P::kCommon)
        if (rows == 9) return arg_width<P, ArgLanes::kUnit, false, 9, 1, lanes>(a);
    arg_width<P, ArgLanes::kUnit, false, 0, 0, lanes>(a);
}

}  // namespace
}  // namespace poolcore
