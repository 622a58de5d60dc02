// pack: gather elements of any type and strides into contiguous runs of the work type.
#pragma once

#include "kernels/half.hpp"
#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

// N elements from p on, converted, without loss or modulo the range of W.
template <class W, class T, int N>
[[gnu::always_inline]] inline Vec<W, N> load_as(const std::byte* p) {
    if constexpr (__is_same(T, Float16) || __is_same(T, BFloat16)) {
        return converted<W, float, N>(load_floats<T, N>(p));
    } else if constexpr (sizeof(W) == 8 && sizeof(T) < 4) {
        return converted<W, std::int32_t, N>(load_as<std::int32_t, T, N>(p));
    } else if constexpr (sizeof(W) == 4 && sizeof(T) == 1) {
        return converted<W, std::int16_t, N>(load_as<std::int16_t, T, N>(p));
    } else {
        return converted<W, T, N>(load<Vec<T, N>>(p));
    }
}

template <class T, class W, Change C, bool Replace, int N>
[[gnu::always_inline]] inline Vec<W, N> load_changed(const std::byte* p, W nan_value) {
    using V = Vec<W, N>;
    if constexpr (C == Change::kLow32) {
        return load_as<W, T, N>(p) & W(0xffffffffu);
    } else if constexpr (C == Change::kHigh32) {
        return converted<W, T, N>(load<Vec<T, N>>(p) >> 32);
    } else {
        V w = load_as<W, T, N>(p);
        if constexpr (C == Change::kReverse && kIsFloat<W>) w = -w;
        if constexpr (C == Change::kReverse && !kIsFloat<W>) w = static_cast<V>(~w);
        if constexpr (C == Change::kIsNan) w = w != w ? V{} + W(1) : V{};
        if constexpr (Replace) w = w != w ? V{} + nan_value : w;
        return w;
    }
}

template <class T, class W, Change C, bool Replace>
void pack_line(const std::byte* src, std::byte* dst, std::int64_t n, std::int64_t stride,
               W nan_value) {
    constexpr std::int64_t size = sizeof(T);
    constexpr std::int64_t wide = sizeof(W);
    constexpr int lanes = kLanes<W>;
    if (stride == size) {
        in_vectors<lanes>(n, [&]<int N>(std::int64_t x) {
            store(dst + x * wide,
                  load_changed<T, W, C, Replace, N>(src + x * size, nan_value));
        });
    } else if (stride == -size) {
        in_vectors<lanes>(n, [&]<int N>(std::int64_t x) {
            const auto v =
                load_changed<T, W, C, Replace, N>(src - (x + N - 1) * size, nan_value);
            store(dst + x * wide, reversed<W, N>(v));
        });
    } else {
        for (std::int64_t x = 0; x < n; ++x)
            store(dst + x * wide, load_changed<T, W, C, Replace, 1>(src + x * stride, nan_value));
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
template <int N>
[[gnu::always_inline]] inline Vec<std::int16_t, N> keys_of(Vec<std::int16_t, N> x) {
    using V = Vec<std::int16_t, N>;
    return static_cast<V>(x ^ ((x >> 15) & std::int16_t(0x7fff)));
}

template <std::int16_t Infinity>
bool pack_key_line(const std::byte* src, std::byte* dst, std::int64_t n, std::int64_t stride) {
    bool special = false;
    const auto each = [&]<int N>(const std::byte* from, std::byte* to) {
        using V = Vec<std::int16_t, N>;
        const V x = load<V>(from);
        const auto magnitude = static_cast<V>(x & std::int16_t(0x7fff));
        store(to, keys_of<N>(x));
        return static_cast<V>((magnitude > Infinity) | (x == lowest<std::int16_t>()));
    };
    constexpr int lanes = kLanes<std::int16_t>;
    Vec<std::int16_t, lanes> met{};
    std::int64_t x = 0;
    if (stride == 2 && lanes > 1)
        for (; x + lanes <= n; x += lanes)
            met |= each.template operator()<lanes>(src + 2 * x, dst + 2 * x);
    std::int16_t found[lanes];
    __builtin_memcpy(found, &met, sizeof met);
    for (int i = 0; i < lanes; ++i) special = special || found[i] != 0;
    for (; x < n; ++x)
        special = each.template operator()<1>(src + x * stride, dst + 2 * x) != 0 || special;
    return special;
}

template <std::int16_t Infinity>
void pack_keys(const PackArgs& args) {
    const PackArgs a = args;
    bool special = false;
    for (std::int64_t p = 0; p < a.n0; ++p)
        for (std::int64_t q = 0; q < a.n1; ++q)
            special =
                pack_key_line<Infinity>(a.src + p * a.src_stride0 + q * a.src_stride1,
                                        a.dst + p * a.dst_stride0 + q * a.dst_stride1, a.n,
                                        a.src_stride) ||
                special;
    if (special) *a.special = true;
}

}  // namespace
}  // namespace poolcore
