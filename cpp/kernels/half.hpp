// float16 and bfloat16 as 16-bit patterns: conversion to float and, rounding to nearest even, back.
// Written without branches so that loops over it vectorise. NaN arrives quiet.
#pragma once

#include <cstdint>

namespace poolcore {
namespace {

struct Float16 {
    std::uint16_t bits;
};
struct BFloat16 {
    std::uint16_t bits;
};

[[gnu::always_inline]] inline float from_bits(std::uint32_t u) {
    return __builtin_bit_cast(float, u);
}
[[gnu::always_inline]] inline std::uint32_t to_bits(float f) {
    return __builtin_bit_cast(std::uint32_t, f);
}

[[gnu::always_inline]] inline float to_float(Float16 h) {
    const std::uint32_t sign = (std::uint32_t(h.bits) & 0x8000u) << 16;
    const std::uint32_t magnitude = h.bits & 0x7fffu;
    const std::uint32_t tiny = to_bits(static_cast<float>(static_cast<std::int32_t>(magnitude)) *
                                       0x1p-24f);
    std::uint32_t wide = (magnitude << 13) + 0x38000000u;
    wide = magnitude >= 0x7c00u ? wide + 0x38000000u : wide;
    wide = magnitude > 0x7c00u ? wide | 0x00400000u : wide;
    return from_bits(sign | (magnitude < 0x0400u ? tiny : wide));
}

[[gnu::always_inline]] inline float to_float(BFloat16 b) {
    std::uint32_t u = std::uint32_t(b.bits) << 16;
    u = (u & 0x7fffffffu) > 0x7f800000u ? u | 0x00400000u : u;
    return from_bits(u);
}

[[gnu::always_inline]] inline Float16 to_float16(float f) {
    const std::uint32_t u = to_bits(f);
    const std::uint32_t sign = (u >> 16) & 0x8000u;
    const std::uint32_t magnitude = u & 0x7fffffffu;
    // Below 2^-14 adding 0.5 lets the adder round at the place of the last subnormal bit.
    const std::uint32_t tiny = to_bits(from_bits(magnitude) + 0.5f) - 0x3f000000u;
    const std::uint32_t odd = (magnitude >> 13) & 1u;
    std::uint32_t h = (magnitude - 0x38000000u + 0x0fffu + odd) >> 13;
    h = magnitude < 0x38800000u ? tiny : h;
    h = magnitude >= 0x47800000u ? 0x7c00u : h;
    h = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x01ffu) : h;
    return {static_cast<std::uint16_t>(sign | h)};
}

[[gnu::always_inline]] inline BFloat16 to_bfloat16(float f) {
    const std::uint32_t u = to_bits(f);
    const std::uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    return {static_cast<std::uint16_t>(nan ? (u >> 16) | 0x0040u : rounded)};
}

// A float that rounds to any 16-bit format as d itself would: what is cut off stays as a sticky
// last bit.
[[gnu::always_inline]] inline float sticky_float(double d) {
    constexpr std::uint64_t cut = (std::uint64_t(1) << 29) - 1;
    std::uint64_t u = __builtin_bit_cast(std::uint64_t, d);
    const bool finite = (u & 0x7fffffffffffffffu) < 0x7ff0000000000000u;
    const bool inexact = (u & cut) != 0;
    u = finite ? (u & ~cut) | (std::uint64_t(inexact) << 29) : u;
    return static_cast<float>(__builtin_bit_cast(double, u));
}

}  // namespace
}  // namespace poolcore
