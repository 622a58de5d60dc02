// planes: the sum of each of many planes, small ones eight side by side. See PlanesArgs for the
// contract.
#pragma once

#include "kernels/extremes.inl.hpp"
#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"
#include "kernels/rows.inl.hpp"

namespace poolcore {
namespace {

inline constexpr int kPlaneLanes = 8;

template <class O>
using PlaneVec = Vec<typename O::T, kPlaneLanes>;

// Eight lanes may be wider than the target's vectors: functions that are not inlined pass them by
// reference, since Clang 19 fails to return them.

// The first n of eight elements; the others are the identity.
template <class O, class From>
void load_some(const std::byte* p, std::int64_t n, PlaneVec<O>& v) {
    using T = typename O::T;
    v = splat<T, kPlaneLanes>(O::identity());
    for (std::int64_t i = 0; i < n; ++i)
        v[i] = load_as<T, From, 1>(p + i * std::int64_t(sizeof(From)));
}

// Neighbours of a, then of b, combined two by two. An empty pair at the end stays the identity.
template <class O, int N>
[[gnu::always_inline]] inline Vec<typename O::T, N> pairs_of(Vec<typename O::T, N> a,
                                                             Vec<typename O::T, N> b) {
    using T = typename O::T;
    return O::combine(every_second<0, T, N>(a, b), every_second<1, T, N>(a, b));
}

// Lane i of the result is the combination of all lanes of v[i], halved three times: for sums that
// is the canonical tree, since the missing lanes of a line add nothing.
template <class O>
[[gnu::always_inline]] inline PlaneVec<O> across(const PlaneVec<O> (&v)[kPlaneLanes]) {
    PlaneVec<O> four[4];
    for (int i = 0; i < 4; ++i) four[i] = pairs_of<O, kPlaneLanes>(v[2 * i], v[2 * i + 1]);
    return pairs_of<O, kPlaneLanes>(pairs_of<O, kPlaneLanes>(four[0], four[1]),
                                    pairs_of<O, kPlaneLanes>(four[2], four[3]));
}

// Up to eight columns of a plane; eight elements may be read if `wide`.
struct PlaneColumns {
    std::int64_t n;
    std::int64_t row_stride;
    bool wide;
};

template <class O, class From, int K>
[[gnu::always_inline]] inline PlaneVec<O> few_lines(const std::byte* p, std::int64_t row_stride) {
    if constexpr (K == 1) {
        return load_as<typename O::T, From, kPlaneLanes>(p);
    } else {
        constexpr int half = largest_power_below(K);
        return O::combine(few_lines<O, From, half>(p, row_stride),
                          few_lines<O, From, K - half>(p + half * row_stride, row_stride));
    }
}

// T over `count` lines from p on.
template <class O, class From>
[[gnu::noinline]] void lines_of(const std::byte* p, std::int64_t count, const PlaneColumns& c,
                                PlaneVec<O>& v) {
    if (!c.wide && count == 1) return load_some<O, From>(p, c.n, v);
    switch (c.wide ? count : 0) {
        case 1: v = few_lines<O, From, 1>(p, c.row_stride); return;
        case 2: v = few_lines<O, From, 2>(p, c.row_stride); return;
        case 3: v = few_lines<O, From, 3>(p, c.row_stride); return;
        case 4: v = few_lines<O, From, 4>(p, c.row_stride); return;
        case 8: v = few_lines<O, From, 8>(p, c.row_stride); return;
        default: break;
    }
    std::int64_t half = c.wide ? 4 : 1;
    while (half < count - half) half *= 2;
    PlaneVec<O> rest;
    lines_of<O, From>(p, half, c, v);
    lines_of<O, From>(p + half * c.row_stride, count - half, c, rest);
    v = O::combine(v, rest);
}

template <class O>
[[gnu::always_inline]] inline PlaneVec<O> lanes_kept(std::int64_t n) {
    PlaneVec<O> keep{};
    for (int i = 0; i < kPlaneLanes; ++i) keep[i] = i < n ? 1 : 0;
    return keep;
}

template <class O>
[[gnu::always_inline]] inline PlaneVec<O> only(PlaneVec<O> keep, PlaneVec<O> v) {
    return keep != typename O::T(0) ? v : splat<typename O::T, kPlaneLanes>(O::identity());
}

// T over items that come one by one: finished subtrees wait, each of more items than the next.
template <class V>
struct Subtrees {
    V waiting[32];
    int n = 0;
    std::int64_t items = 0;

    template <class O>
    void add(const V& item) {
        V v = item;
        for (std::int64_t rest = items++; rest & 1; rest >>= 1)
            v = O::combine(waiting[--n], v);
        waiting[n++] = v;
    }
    template <class O>
    V& total() {
        for (; n > 1; --n) waiting[n - 2] = O::combine(waiting[n - 2], waiting[n - 1]);
        return waiting[0];
    }
};

// Columns [x, x + n), n <= 8, of `count` <= 8 planes from the first on: the sums of each. Behind
// the last plane nothing may be read.
template <class O, class From>
[[gnu::noinline]] void some_columns(const PlanesArgs& a, std::int64_t first, std::int64_t count,
                                    std::int64_t x, PlaneVec<O>& sums) {
    constexpr std::int64_t size = sizeof(From);
    const std::int64_t n = a.n - x < kPlaneLanes ? a.n - x : kPlaneLanes;
    const std::byte* src = a.src + first * a.plane_stride + x * size;
    const std::int64_t over = (kPlaneLanes - n) * size;
    PlaneVec<O> v[kPlaneLanes] = {};
#pragma GCC unroll 1
    for (std::int64_t i = 0; i < count; ++i) {
        // Whether eight elements of its last line still lie before the end of the last plane.
        const bool wide = (a.planes - 1 - first - i) * a.plane_stride >= over;
        const std::byte* plane = src + i * a.plane_stride;
        if (a.rows == 1 && wide) v[i] = load_as<typename O::T, From, kPlaneLanes>(plane);
        else lines_of<O, From>(plane, a.rows, {n, a.row_stride, wide}, v[i]);
    }
    if (n < kPlaneLanes) {
        const PlaneVec<O> keep = lanes_kept<O>(n);
        for (auto& sum : v) sum = only<O>(keep, sum);
    }
    sums = across<O>(v);
}

// The sums of `count` planes.
template <class O, class From>
void some_planes(const PlanesArgs& a, std::int64_t first, std::int64_t count) {
    using T = typename O::T;
    Subtrees<PlaneVec<O>> columns;
    PlaneVec<O> v;
    for (std::int64_t x = 0; x < a.n; x += kPlaneLanes) {
        some_columns<O, From>(a, first, count, x, v);
        columns.template add<O>(v);
    }
    const PlaneVec<O>& sums = columns.template total<O>();
    std::byte* dst = a.dst + first * std::int64_t(sizeof(T));
    for (int i = 0; i < count; ++i) store(dst + i * std::int64_t(sizeof(T)), T(sums[i]));
}

template <class O, class From>
void small_planes(const PlanesArgs& a, std::int64_t first) {
    for (; first < a.planes; first += kPlaneLanes)
        some_planes<O, From>(
            a, first, a.planes - first < kPlaneLanes ? a.planes - first : kPlaneLanes);
}

// Planes of Rows lines of up to eight elements.
template <class O, int Rows>
void tiny_planes(const PlanesArgs& args) {
    using T = typename O::T;
    const PlanesArgs a = args;
    const PlaneVec<O> keep = lanes_kept<O>(a.n);
    const std::int64_t over = (kPlaneLanes - a.n) * std::int64_t(sizeof(T));
    // Whether eight elements of the last line of a plane lie before the end of the last plane.
    const auto wide = [&](std::int64_t plane) {
        return plane < a.planes && (a.planes - 1 - plane) * a.plane_stride >= over;
    };
    std::int64_t first = 0;
    for (; wide(first + kPlaneLanes - 1); first += kPlaneLanes) {
        PlaneVec<O> v[kPlaneLanes];
        for (int i = 0; i < kPlaneLanes; ++i)
            v[i] = only<O>(keep, few_lines<O, T, Rows>(a.src + (first + i) * a.plane_stride,
                                                       a.row_stride));
        store(a.dst + first * std::int64_t(sizeof(T)), across<O>(v));
    }
    small_planes<O, T>(a, first);
}

// Columns of a large plane that are summed before they are combined, and room behind them.
inline constexpr int kPlaneStrip = 1024;

// dst[i] = T over elements 4*i to 4*i + 3 of src, for as many whole vectors as n has; returns how many
// elements those take. dst may be src.
template <class O, class From>
[[gnu::always_inline]] inline std::int64_t quarters(const std::byte* src, std::int64_t n,
                                                    std::byte* dst) {
    using T = typename O::T;
    constexpr int lanes = kLanes<T>;
    std::int64_t x = 0;
    for (; x + 4 * lanes <= n; x += 4 * lanes) {
        const auto vector = [&](int j) {
            return load_as<T, From, lanes>(src + (x + j * lanes) * std::int64_t(sizeof(From)));
        };
        store(dst + x / 4 * std::int64_t(sizeof(T)),
              pairs_of<O, lanes>(pairs_of<O, lanes>(vector(0), vector(1)),
                                 pairs_of<O, lanes>(vector(2), vector(3))));
    }
    return x;
}

// Fills n elements up to a whole number of four vectors, which is returned.
template <class O>
[[gnu::always_inline]] inline std::int64_t fill_up(std::byte* line, std::int64_t n) {
    constexpr std::int64_t step = 4 * kLanes<typename O::T>;
    const std::int64_t whole = (n + step - 1) / step * step;
    for (std::int64_t i = n; i < whole; ++i)
        store(line + i * std::int64_t(sizeof(typename O::T)), O::identity());
    return whole;
}

// T over n elements, followed by room for three vectors.
template <class O>
typename O::T line_total(std::byte* line, std::int64_t n) {
    using T = typename O::T;
    for (; n > 1; n = (n + 3) / 4) quarters<O, T>(line, fill_up<O>(line, n), line);
    return load<T>(line);
}

// Columns [x, x + rows.n) of the rows at `src`.
template <class O, class From>
typename O::T strip_total(const std::byte* src, const RowsArgs& rows, std::byte* line) {
    using T = typename O::T;
    constexpr std::int64_t size = sizeof(T);
    if (rows.taps > 1) {
        rows_line_any<O, From>(src, line, rows);
        return line_total<O>(line, rows.n);
    }
    const std::int64_t done = quarters<O, From>(src, rows.n, line);
    if (done == rows.n) return line_total<O>(line, done / 4);
    RowsArgs rest = rows;
    rest.n -= done;
    std::byte* const tail = line + done * size;
    rows_line_any<O, From>(src + done * std::int64_t(sizeof(From)), tail, rest);
    quarters<O, T>(tail, fill_up<O>(tail, rest.n), line + done / 4 * size);
    return line_total<O>(line, (rows.n + 3) / 4);
}

template <class O, class From>
void large_planes(const PlanesArgs& a) {
    using T = typename O::T;
    alignas(64) std::byte line[(kPlaneStrip + 3 * kLanes<T>) * sizeof(T)];
    RowsArgs rows{};
    rows.tap_stride = a.row_stride;
    rows.taps = rows.last = a.rows;
    for (std::int64_t p = 0; p < a.planes; ++p) {
        Subtrees<T> strips;
        for (std::int64_t x = 0; x < a.n; x += kPlaneStrip) {
            rows.n = a.n - x < kPlaneStrip ? a.n - x : kPlaneStrip;
            strips.template add<O>(strip_total<O, From>(
                a.src + p * a.plane_stride + x * std::int64_t(sizeof(From)), rows, line));
        }
        store(a.dst + p * std::int64_t(sizeof(T)), strips.template total<O>());
    }
}

// Of n elements in any order, a few vectors at a time.
template <class O, class From>
typename O::T sum_of_run(const std::byte* p, std::int64_t n) {
    using T = typename O::T;
    constexpr int lanes = kLanes<T>;
    constexpr std::int64_t size = sizeof(From);
    const auto none = splat<T, lanes>(O::identity());
    Vec<T, lanes> v[4] = {none, none, none, none};
    std::int64_t x = 0;
    for (; x + 4 * lanes <= n; x += 4 * lanes)
        for (int i = 0; i < 4; ++i)
            v[i] = O::combine(v[i], load_as<T, From, lanes>(p + (x + i * lanes) * size));
    for (; x + lanes <= n; x += lanes)
        v[0] = O::combine(v[0], load_as<T, From, lanes>(p + x * size));
    T sum = across_lanes<O, lanes>(O::combine(O::combine(v[0], v[1]), O::combine(v[2], v[3])));
    for (; x < n; ++x) sum = O::combine(sum, load_as<T, From, 1>(p + x * size));
    return sum;
}

// Integers do not mind the order.
template <class O, class From>
void integer_planes(const PlanesArgs& args) {
    PlanesArgs a = args;
    if (a.row_stride == a.n * std::int64_t(sizeof(From))) {  // as one row
        a.n *= a.rows;
        a.rows = 1;
    }
    for (std::int64_t p = 0; p < a.planes; ++p) {
        typename O::T sum = O::identity();
        for (std::int64_t r = 0; r < a.rows; ++r)
            sum = O::combine(sum, sum_of_run<O, From>(
                                      a.src + p * a.plane_stride + r * a.row_stride, a.n));
        store(a.dst + p * std::int64_t(sizeof(sum)), sum);
    }
}

// Of planes up to so many bytes eight fit the nearest cache; wider ones of so many rows fill vectors
// of their own.
inline constexpr std::int64_t kSmallPlaneBytes = 4096;
inline constexpr std::int64_t kSmallPlaneWidth = 32;
inline constexpr std::int64_t kFewRows = 8;

// Those of few rows have code of their own.
template <class O, class From>
void planes(const PlanesArgs& a) {
    if constexpr (!kIsFloat<typename O::T>) {
        integer_planes<O, From>(a);
    } else {
        const std::int64_t bytes = a.rows * a.n * std::int64_t(sizeof(From));
        const bool wide = a.n > kSmallPlaneWidth && a.rows >= kFewRows;
        if (bytes > kSmallPlaneBytes || wide || a.planes < kPlaneLanes / 2)
            return large_planes<O, From>(a);
        if constexpr (__is_same(typename O::T, From)) {
            switch (a.n <= kPlaneLanes ? a.rows : 0) {
                case 2: return tiny_planes<O, 2>(a);
                case 3: return tiny_planes<O, 3>(a);
                case 4: return tiny_planes<O, 4>(a);
                case 5: return tiny_planes<O, 5>(a);
                case 6: return tiny_planes<O, 6>(a);
                case 7: return tiny_planes<O, 7>(a);
                case 8: return tiny_planes<O, 8>(a);
                default: break;
            }
        }
        small_planes<O, From>(a, 0);
    }
}

}  // namespace
}  // namespace poolcore
