// pack: gather elements of any type and strides into contiguous runs of the work type.
#pragma once

#include "kernels/half.hpp"
#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

template <class T>
[[gnu::always_inline]] inline auto widen(T x) {
    return x;
}
[[gnu::always_inline]] inline float widen(Float16 x) { return to_float(x); }
[[gnu::always_inline]] inline float widen(BFloat16 x) { return to_float(x); }

template <class W, Change C, class T>
[[gnu::always_inline]] inline W changed(T raw) {
    const auto x = widen(raw);
    if constexpr (C == Change::kIsNan) {
        return x != x ? W(1) : W(0);
    } else if constexpr (C == Change::kLow32) {
        return static_cast<W>(static_cast<std::uint64_t>(x) & 0xffffffffu);
    } else if constexpr (C == Change::kHigh32) {
        return static_cast<W>(x >> 32);
    } else if constexpr (C == Change::kReverse && kIsFloat<W>) {
        return -static_cast<W>(x);
    } else if constexpr (C == Change::kReverse) {
        return static_cast<W>(~static_cast<W>(x));
    } else {
        return static_cast<W>(x);
    }
}

// Elements that stay as they are, side by side.
template <class T>
void copy_line(const std::byte* src, std::byte* dst, std::int64_t n) {
    constexpr std::int64_t lanes = kLanes<T>;
    constexpr std::int64_t size = sizeof(T);
    using V = Vec<T, kLanes<T>>;
    std::int64_t x = 0;
    for (; x + lanes <= n; x += lanes) store(dst + x * size, load<V>(src + x * size));
    if (x < n && n >= lanes) {
        store(dst + (n - lanes) * size, load<V>(src + (n - lanes) * size));
        return;
    }
    for (; x < n; ++x) store(dst + x * size, load<T>(src + x * size));
}

template <class T, class W, Change C, bool Replace>
void pack_line(const std::byte* src, std::byte* dst, std::int64_t n, std::int64_t stride,
               W nan_value) {
    const auto value = [&](std::int64_t at) {
        const W w = changed<W, C>(load<T>(src + at));
        if constexpr (Replace) return w != w ? nan_value : w;
        return w;
    };
    constexpr std::int64_t size = sizeof(T);
    constexpr std::int64_t wide = sizeof(W);
    if (stride == size) {
        if constexpr (__is_same(T, W) && C == Change::kNone && !Replace)
            return copy_line<T>(src, dst, n);
        for (std::int64_t x = 0; x < n; ++x) store(dst + x * wide, value(x * size));
    } else if (stride == -size) {
        for (std::int64_t x = 0; x < n; ++x) store(dst + x * wide, value(-x * size));
    } else {
        for (std::int64_t x = 0; x < n; ++x) store(dst + x * wide, value(x * stride));
    }
}

template <class T, class W, Change C>
void pack(const PackArgs& args) {
    const PackArgs a = args;  // a copy: stores through byte pointers cannot change it
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q) {
            const std::byte* src = a.src + p * a.src_stride0 + q * a.src_stride1;
            std::byte* dst = a.dst + p * a.dst_stride0 + q * a.dst_stride1;
            if constexpr (kIsFloat<W>) {
                if (a.replace_nan) {
                    pack_line<T, W, C, true>(src, dst, a.n, a.src_stride, W(a.nan_value));
                    continue;
                }
            }
            pack_line<T, W, C, false>(src, dst, a.n, a.src_stride, W(0));
        }
}

// Sign and magnitude become two's complement, so that integers order as the floats do. Its own
// inverse.
[[gnu::always_inline]] inline std::int16_t key_of(std::uint16_t bits) {
    const auto x = static_cast<std::int16_t>(bits);
    return static_cast<std::int16_t>(x ^ ((x >> 15) & 0x7fff));
}

template <std::uint16_t Infinity>
std::uint16_t pack_key_line(const std::byte* src, std::byte* dst, std::int64_t n,
                            std::int64_t stride) {
    std::uint16_t special = 0;
    const auto each = [&special](const std::byte* from, std::byte* to) {
        const auto bits = load<std::uint16_t>(from);
        const auto magnitude = static_cast<std::uint16_t>(bits & 0x7fff);
        const auto nan = static_cast<std::uint16_t>(magnitude > Infinity ? 1 : 0);
        const auto zero = static_cast<std::uint16_t>(bits == 0x8000 ? 1 : 0);
        special = static_cast<std::uint16_t>(special | nan | zero);
        store(to, key_of(bits));
    };
    if (stride == 2) {
        for (std::int64_t x = 0; x < n; ++x) each(src + 2 * x, dst + 2 * x);
    } else {
        for (std::int64_t x = 0; x < n; ++x) each(src + x * stride, dst + 2 * x);
    }
    return special;
}

template <std::uint16_t Infinity>
void pack_keys(const PackArgs& args) {
    const PackArgs a = args;
    std::uint16_t special = 0;
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q)
            special = static_cast<std::uint16_t>(
                special |
                pack_key_line<Infinity>(a.src + p * a.src_stride0 + q * a.src_stride1,
                                        a.dst + p * a.dst_stride0 + q * a.dst_stride1, a.n,
                                        a.src_stride));
    if (special) *a.special = true;
}

}  // namespace
}  // namespace poolcore
