// float16 and bfloat16 as 16-bit patterns: conversion to float and, rounding to nearest even, back.
// One text for single numbers and vectors, without branches. NaN arrives quiet.
#pragma once

#include <cstdint>

#include "kernels/vec.hpp"

namespace poolcore {
namespace {

struct Float16 {
    std::uint16_t bits;
};
struct BFloat16 {
    std::uint16_t bits;
};

#if defined(__AVX512F__)
// GCC 12 warns of its own intrinsics without a mask.
inline constexpr __mmask16 kAll = 0xffff;
#endif
#if defined(__F16C__)
inline constexpr int kToNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
#endif

template <int N>
using Words = Vec<std::uint32_t, N>;
template <int N>
using Patterns = Vec<std::uint16_t, N>;

// The same formulas for one and for many. (N == 1: plain numbers.)
template <int N>
[[gnu::always_inline]] inline Vec<float, N> floats_of_halves(Patterns<N> h) {
    const auto bits = converted<std::uint32_t, std::uint16_t, N>(h);
    const Words<N> sign = (bits & 0x8000u) << 16;
    const Words<N> magnitude = bits & 0x7fffu;
    const auto whole = converted<float, std::int32_t, N>(
        __builtin_bit_cast(Vec<std::int32_t, N>, magnitude));
    const auto tiny = __builtin_bit_cast(Words<N>, whole * 0x1p-24f);
    Words<N> wide = (magnitude << 13) + 0x38000000u;
    wide = magnitude >= 0x7c00u ? wide + 0x38000000u : wide;
    wide = magnitude > 0x7c00u ? wide | 0x00400000u : wide;
    const Words<N> value = magnitude < 0x0400u ? tiny : wide;
    return __builtin_bit_cast(Vec<float, N>, sign | value);
}

template <int N>
[[gnu::always_inline]] inline Vec<float, N> floats_of_bhalves(Patterns<N> b) {
    Words<N> u = converted<std::uint32_t, std::uint16_t, N>(b) << 16;
    u = (u & 0x7fffffffu) > 0x7f800000u ? u | 0x00400000u : u;
    return __builtin_bit_cast(Vec<float, N>, u);
}

template <int N>
[[gnu::always_inline]] inline Patterns<N> halves_of_floats(Vec<float, N> f) {
    const auto u = __builtin_bit_cast(Words<N>, f);
    const Words<N> sign = (u >> 16) & 0x8000u;
    const Words<N> magnitude = u & 0x7fffffffu;
    // Below 2^-14 adding 0.5 lets the adder round at the place of the last subnormal bit.
    const Vec<float, N> shifted = __builtin_bit_cast(Vec<float, N>, magnitude) + 0.5f;
    const Words<N> tiny = __builtin_bit_cast(Words<N>, shifted) - 0x3f000000u;
    const Words<N> odd = (magnitude >> 13) & 1u;
    const Words<N> infinity = Words<N>{} + 0x7c00u;
    Words<N> h = (magnitude - 0x38000000u + 0x0fffu + odd) >> 13;
    h = magnitude < 0x38800000u ? tiny : h;
    h = magnitude >= 0x47800000u ? infinity : h;
    h = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x01ffu) : h;
    return converted<std::uint16_t, std::uint32_t, N>(sign | h);
}

template <int N>
[[gnu::always_inline]] inline Patterns<N> bhalves_of_floats(Vec<float, N> f) {
    const auto u = __builtin_bit_cast(Words<N>, f);
    const Words<N> rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    const Words<N> b = (u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x0040u : rounded;
    return converted<std::uint16_t, std::uint32_t, N>(b);
}

[[gnu::always_inline]] inline float to_float(Float16 h) { return floats_of_halves<1>(h.bits); }
[[gnu::always_inline]] inline float to_float(BFloat16 b) { return floats_of_bhalves<1>(b.bits); }
[[gnu::always_inline]] inline Float16 to_float16(float f) { return {halves_of_floats<1>(f)}; }
[[gnu::always_inline]] inline BFloat16 to_bfloat16(float f) { return {bhalves_of_floats<1>(f)}; }

// N neighbours from p on as floats; the target's own instruction where it has one.
template <class H, int N>
[[gnu::always_inline]] inline Vec<float, N> load_floats(const std::byte* p) {
    if constexpr (__is_same(H, BFloat16)) {
        return floats_of_bhalves<N>(load<Patterns<N>>(p));
    } else {
#if defined(__AVX512F__)
        if constexpr (N == 16) return (Vec<float, N>)_mm512_maskz_cvtph_ps(kAll, load<__m256i>(p));
#endif
#if defined(__F16C__)
        if constexpr (N == 8) return (Vec<float, N>)_mm256_cvtph_ps(load<__m128i>(p));
        if constexpr (N == 4)
            return (Vec<float, N>)_mm_cvtph_ps(_mm_cvtsi64_si128(load<long long>(p)));
        if constexpr (N == 1)
            return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(load<std::uint16_t>(p))));
#endif
        return floats_of_halves<N>(load<Patterns<N>>(p));
    }
}

// Rounds N floats to nearest even and stores them side by side.
template <class H, int N>
[[gnu::always_inline]] inline void store_floats(std::byte* p, Vec<float, N> v) {
    if constexpr (__is_same(H, BFloat16)) {
        store(p, bhalves_of_floats<N>(v));
    } else {
#if defined(__AVX512F__)
        if constexpr (N == 16) return store(p, _mm512_maskz_cvtps_ph(kAll, (__m512)v, kToNearest));
#endif
#if defined(__F16C__)
        if constexpr (N == 8) return store(p, _mm256_cvtps_ph((__m256)v, kToNearest));
        if constexpr (N == 4)
            return store(p, _mm_cvtsi128_si64(_mm_cvtps_ph((__m128)v, kToNearest)));
        if constexpr (N == 1) {
            const int bits = _mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(v), kToNearest));
            return store(p, static_cast<std::uint16_t>(bits));
        }
#endif
        store(p, halves_of_floats<N>(v));
    }
}

// Floats that round to any 16-bit format as the doubles themselves would: of the two next to a
// double the one whose last bit is set. That holds among subnormal floats too.
template <int N>
[[gnu::always_inline]] inline Vec<float, N> sticky_floats(Vec<double, N> d) {
    using L = Vec<std::int64_t, N>;
    using I = Vec<std::int32_t, N>;
    const Vec<float, N> nearest = converted<float, double, N>(d);
    const auto size = [](Vec<double, N> x) {
        const auto bits = __builtin_bit_cast(L, x) & std::int64_t(0x7fffffffffffffff);
        return __builtin_bit_cast(Vec<double, N>, bits);
    };
    const Vec<double, N> back = size(converted<double, float, N>(nearest));
    const L up = size(d) > back ? L{} + std::int64_t(1) : L{};
    const L down = size(d) < back ? L{} + std::int64_t(1) : L{};
    const I step = converted<std::int32_t, std::int64_t, N>(up - down);
    const I bits = __builtin_bit_cast(I, nearest);
    const I odd = (bits & 1) == 0 ? bits + step : bits;
    return __builtin_bit_cast(Vec<float, N>, odd);
}

}  // namespace
}  // namespace poolcore
