// planes: the sum of each of many small planes, eight planes side by side. See PlanesArgs for the
// contract.
#pragma once

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
template <class O>
void load_some(const std::byte* p, std::int64_t n, PlaneVec<O>& v) {
    using T = typename O::T;
    v = splat<T, kPlaneLanes>(O::identity());
    for (std::int64_t i = 0; i < n; ++i) v[i] = load<T>(p + i * std::int64_t(sizeof(T)));
}

// Neighbours of a, then of b, combined two by two. An empty pair at the end stays the identity.
template <class O>
[[gnu::always_inline]] inline PlaneVec<O> pairs_of(PlaneVec<O> a, PlaneVec<O> b) {
    using T = typename O::T;
    return O::combine(every_second<0, T, kPlaneLanes>(a, b), every_second<1, T, kPlaneLanes>(a, b));
}

// Lane i of the result is the combination of all lanes of v[i], halved three times: for sums that
// is the canonical tree, since the missing lanes of a line add nothing.
template <class O>
[[gnu::always_inline]] inline PlaneVec<O> across(const PlaneVec<O> (&v)[kPlaneLanes]) {
    PlaneVec<O> four[4];
    for (int i = 0; i < 4; ++i) four[i] = pairs_of<O>(v[2 * i], v[2 * i + 1]);
    return pairs_of<O>(pairs_of<O>(four[0], four[1]), pairs_of<O>(four[2], four[3]));
}

// The line at p; eight elements may be read if `wide`.
template <class O>
[[gnu::always_inline]] inline PlaneVec<O> line_of(const std::byte* p, const PlanesArgs& a,
                                                  bool wide) {
    if (wide) return load<PlaneVec<O>>(p);
    PlaneVec<O> v;
    load_some<O>(p, a.n, v);
    return v;
}

template <class O, int K>
[[gnu::always_inline]] inline PlaneVec<O> few_lines(const std::byte* p, const PlanesArgs& a,
                                                    bool wide) {
    if constexpr (K == 1) {
        return line_of<O>(p, a, wide);
    } else {
        constexpr int half = largest_power_below(K);
        return O::combine(few_lines<O, half>(p, a, wide),
                          few_lines<O, K - half>(p + half * a.row_stride, a, wide));
    }
}

// T over `count` lines from p on.
template <class O>
void lines_of(const std::byte* p, std::int64_t count, const PlanesArgs& a, bool wide,
              PlaneVec<O>& v) {
    switch (count) {
        case 1: v = few_lines<O, 1>(p, a, wide); return;
        case 2: v = few_lines<O, 2>(p, a, wide); return;
        case 3: v = few_lines<O, 3>(p, a, wide); return;
        case 4: v = few_lines<O, 4>(p, a, wide); return;
        case 5: v = few_lines<O, 5>(p, a, wide); return;
        case 6: v = few_lines<O, 6>(p, a, wide); return;
        case 7: v = few_lines<O, 7>(p, a, wide); return;
        case 8: v = few_lines<O, 8>(p, a, wide); return;
        default: break;
    }
    std::int64_t half = 8;
    while (half < count - half) half *= 2;
    PlaneVec<O> rest;
    lines_of<O>(p, half, a, wide, v);
    lines_of<O>(p + half * a.row_stride, count - half, a, wide, rest);
    v = O::combine(v, rest);
}

// One plane as eight lanes whose combination is the result; Rows are its rows, or 0 for any number.
template <class O, int Rows>
[[gnu::always_inline]] inline PlaneVec<O> plane_lanes(const std::byte* p, const PlanesArgs& a,
                                                      PlaneVec<O> keep, bool wide) {
    PlaneVec<O> lines;
    if constexpr (Rows > 0) {
        lines = few_lines<O, Rows>(p, a, wide);
    } else {
        lines_of<O>(p, a.rows, a, wide, lines);
    }
    return keep != typename O::T(0) ? lines : splat<typename O::T, kPlaneLanes>(O::identity());
}

template <class O>
[[gnu::always_inline]] inline PlaneVec<O> lanes_kept(std::int64_t n) {
    PlaneVec<O> keep{};
    for (int i = 0; i < kPlaneLanes; ++i) keep[i] = i < n ? 1 : 0;
    return keep;
}

// Eight planes or, at the end, `count`: those may be followed by nothing that may be read.
template <class O, int Rows, bool Last>
[[gnu::always_inline]] inline void some_planes(const PlanesArgs& a, std::int64_t first,
                                               std::int64_t count, PlaneVec<O> keep) {
    using T = typename O::T;
    constexpr std::int64_t size = sizeof(T);
    const std::byte* end = a.src + (a.planes - 1) * a.plane_stride +
                           (a.rows - 1) * a.row_stride + a.n * size;
    PlaneVec<O> v[kPlaneLanes];
    for (int i = 0; i < kPlaneLanes; ++i) {
        const std::byte* p = a.src + (first + (!Last || i < count ? i : 0)) * a.plane_stride;
        // Whether eight elements of its last line still lie before the end of the last plane.
        const bool wide = !Last || a.n == kPlaneLanes ||
                          end - (p + (a.rows - 1) * a.row_stride) >= kPlaneLanes * size;
        v[i] = plane_lanes<O, Rows>(p, a, keep, wide);
    }
    const PlaneVec<O> result = across<O>(v);
    if (!Last || count == kPlaneLanes) {
        store(a.dst + first * size, result);
    } else {
        for (int i = 0; i < count; ++i) store(a.dst + (first + i) * size, T(result[i]));
    }
}

template <class O, int Rows>
void planes_of(const PlanesArgs& args) {
    const PlanesArgs a = args;
    const PlaneVec<O> keep = lanes_kept<O>(a.n);
    // Whether eight elements of the last line of a plane lie before the end of the last plane.
    const auto wide = [&](std::int64_t plane) {
        return plane < a.planes && (a.planes - 1 - plane) * a.plane_stride >=
                                       (kPlaneLanes - a.n) * std::int64_t(sizeof(typename O::T));
    };
    std::int64_t first = 0;
    for (; wide(first + kPlaneLanes - 1); first += kPlaneLanes)
        some_planes<O, Rows, false>(a, first, kPlaneLanes, keep);
    for (; first < a.planes; first += kPlaneLanes)
        some_planes<O, 0, true>(
            a, first, a.planes - first < kPlaneLanes ? a.planes - first : kPlaneLanes, keep);
}

// Planes of few rows have code of their own, in floats.
template <class O>
void planes(const PlanesArgs& a) {
    if constexpr (kIsFloat<typename O::T>) {
        switch (a.rows) {
            case 2: return planes_of<O, 2>(a);
            case 3: return planes_of<O, 3>(a);
            case 4: return planes_of<O, 4>(a);
            case 5: return planes_of<O, 5>(a);
            case 6: return planes_of<O, 6>(a);
            case 7: return planes_of<O, 7>(a);
            case 8: return planes_of<O, 8>(a);
            default: break;
        }
    }
    planes_of<O, 0>(a);
}

}  // namespace
}  // namespace poolcore
