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

// Every S-th element, as it is.
template <class T, int S>
void pick_line(const std::byte* src, std::byte* dst, std::int64_t n) {
    constexpr std::int64_t size = sizeof(T);
    in_vectors<kLanes<T>>(n, [&]<int N>(std::int64_t x) {
        store(dst + x * size, every_nth<S, T, N>(src + x * S * size));
    });
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
        if constexpr (__is_same(T, W) && C == Change::kNone && !Replace && sizeof(T) >= 4) {
            if (stride == 2 * size) return pick_line<T, 2>(src, dst, n);
            if (stride == 3 * size) return pick_line<T, 3>(src, dst, n);
            if (stride == 4 * size) return pick_line<T, 4>(src, dst, n);
        }
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

// A key of a value that has none is met: NaN or -0.
template <std::int16_t Infinity, int N>
[[gnu::always_inline]] inline Vec<std::int16_t, N> store_keys(const std::byte* src,
                                                              std::byte* dst) {
    using V = Vec<std::int16_t, N>;
    const V x = load<V>(src);
    const auto magnitude = static_cast<V>(x & std::int16_t(0x7fff));
    store(dst, keys_of<N>(x));
    return static_cast<V>((magnitude > Infinity) | (x == lowest<std::int16_t>()));
}

template <int N>
[[gnu::always_inline]] inline bool any(Vec<std::int16_t, N> met) {
    std::int16_t each[N];
    __builtin_memcpy(each, &met, sizeof met);
    std::int16_t all = 0;
    for (int i = 0; i < N; ++i) all = static_cast<std::int16_t>(all | each[i]);
    return all != 0;
}

// In vectors of N, the last overlapping the one before; n >= N.
template <std::int16_t Infinity, int N>
bool pack_keys_in(const std::byte* src, std::byte* dst, std::int64_t n) {
    Vec<std::int16_t, N> met{};
    for (std::int64_t x = 0; x < n; x += N) {
        if (x + N > n) x = n - N;
        met |= store_keys<Infinity, N>(src + 2 * x, dst + 2 * x);
    }
    return any<N>(met);
}

template <std::int16_t Infinity>
bool pack_key_line(const std::byte* src, std::byte* dst, std::int64_t n, std::int64_t stride) {
    constexpr int lanes = kLanes<std::int16_t>, few = kShort<lanes>;
    if (stride == 2 && lanes > 1 && n >= lanes) return pack_keys_in<Infinity, lanes>(src, dst, n);
    if (stride == 2 && few > 1 && n >= few) return pack_keys_in<Infinity, few>(src, dst, n);
    bool special = false;
    for (std::int64_t x = 0; x < n; ++x)
        special = store_keys<Infinity, 1>(src + x * stride, dst + 2 * x) != 0 || special;
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
