// From the chosen keys of neighbouring windows to results in the caller's array. The mean of two
// middle values is exact before its one rounding. The run family only.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/kernel_table.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/select_job.hpp"
#include "poolcore/select_window.hpp"

namespace poolcore {

using Int128 = __int128;

// What the lanes of one row of windows chose.
template <class K>
struct ChosenRow {
    K lo[kSortLanes];
    K hi[kSortLanes];
    bool nan[kSortLanes];
};

struct OutputRow {
    std::byte* data;
    std::int64_t step;
    int n;
};

inline double half_value(std::uint16_t bits) {
    const int exponent = bits >> 10 & 31;
    const double fraction = bits & 1023;
    const double size = exponent == 0    ? std::ldexp(fraction, -24)
                        : exponent == 31 ? std::numeric_limits<double>::infinity()
                                         : std::ldexp(1024 + fraction, exponent - 25);
    return (bits & 0x8000) != 0 ? -size : size;
}

// Of a float that is not NaN, by its bits.
template <class K>
double float_value(K bits, DType t) {
    if constexpr (sizeof(K) == 2) {
        const auto u = static_cast<std::uint16_t>(bits);
        if (t == DType::kFloat16) return half_value(u);
        return std::bit_cast<float>(static_cast<std::uint32_t>(u) << 16);
    } else if constexpr (sizeof(K) == 4) {
        return std::bit_cast<float>(bits);
    } else {
        return std::bit_cast<double>(bits);
    }
}

inline double float_mean(double a, double b) {
    const double sum = a + b;
    return std::isinf(sum) ? a / 2 + b / 2 : sum / 2;  // halving what overflows is exact
}

// Of an integer, by its bits; sums of two fit.
template <class K>
using Wide = std::conditional_t<sizeof(K) < 8, std::int64_t, Int128>;

template <class K>
Wide<K> integer_value(K bits, bool is_signed_type) {
    if (is_signed_type) return static_cast<std::make_signed_t<K>>(bits);
    return static_cast<std::make_unsigned_t<K>>(bits);
}

struct Limits {
    Int128 lo;
    Int128 hi;
};

inline Limits limits_of(DType t) {
    const int bits = 8 * static_cast<int>(item_size(t));
    const Int128 one = 1;
    if (!is_signed(t)) return {0, (one << bits) - 1};
    return {-(one << (bits - 1)), (one << (bits - 1)) - 1};
}

template <class W>
W rounded_half(W sum, Rounding rounding) {
    const W floor = sum >> 1;
    if ((sum & 1) == 0) return floor;
    switch (rounding) {
        case Rounding::kHalfEven: return floor + (floor & 1);
        case Rounding::kHalfUp: return floor + 1;
        case Rounding::kTrunc: return floor + (sum < 0 ? 1 : 0);
        default: return floor;
    }
}

inline void store_bits(std::byte* dst, std::uint64_t bits, std::size_t size) {
    const auto byte = static_cast<std::uint8_t>(bits);
    const auto half = static_cast<std::uint16_t>(bits);
    const auto word = static_cast<std::uint32_t>(bits);
    switch (size) {
        case 1: std::memcpy(dst, &byte, 1); break;
        case 2: std::memcpy(dst, &half, 2); break;
        case 4: std::memcpy(dst, &word, 4); break;
        default: std::memcpy(dst, &bits, 8);
    }
}

// `convert` takes sums in double to the result's type: + 0, canonical NaN, one rounding.
inline void convert_row(FinishKernel convert, const double* values, const OutputRow& to) {
    FinishArgs args{};
    args.src = reinterpret_cast<const std::byte*>(values);
    args.dst = to.data;
    args.n = to.n;
    args.dst_stride = to.step;
    args.divisor = 1;
    convert(args);
}

// Means of two numbers each, of up to 32 bits, or of two floats.
template <class K, bool kFloat>
void means_of_two(PackKernel widen, const Coder<K, kFloat>& coder, const ChosenRow<K>& row, int n,
                  double* values) {
    K bits[2][kSortLanes];
    double wide[2][kSortLanes];
    for (int l = 0; l < n; ++l) {
        bits[0][l] = coder.decode(row.lo[l]);
        bits[1][l] = coder.decode(row.hi[l]);
    }
    PackArgs args{};
    args.src = reinterpret_cast<const std::byte*>(bits);
    args.dst = reinterpret_cast<std::byte*>(wide);
    args.n0 = 2;
    args.n1 = 1;
    args.n = n;
    args.src_stride = sizeof(K);
    args.src_stride0 = sizeof bits[0];
    args.dst_stride0 = sizeof wide[0];
    widen(args);
    for (int l = 0; l < n; ++l)
        values[l] = sizeof(K) < 8 ? (wide[0][l] + wide[1][l]) / 2
                                  : float_mean(wide[0][l], wide[1][l]);
}

template <class K, bool kFloat>
void emit_numbers(const SelectJob& job, const Coder<K, kFloat>& coder, const ChosenRow<K>& row,
                  const OutputRow& to) {
    double values[kSortLanes];
    if constexpr (kFloat || sizeof(K) < 8) {
        means_of_two(job.widen, coder, row, to.n, values);
    } else {
        const bool s = is_signed(job.plan->in_dtype);
        for (int l = 0; l < to.n; ++l)
            values[l] = static_cast<double>(integer_value(coder.decode(row.lo[l]), s) +
                                            integer_value(coder.decode(row.hi[l]), s)) /
                        2;
    }
    for (int l = 0; l < to.n; ++l)
        if (row.nan[l]) values[l] = std::numeric_limits<double>::quiet_NaN();
    convert_row(job.convert, values, to);
}

template <class K, bool kFloat>
void emit_medians(const SelectJob& job, const Coder<K, kFloat>& coder, const ChosenRow<K>& row,
                  const OutputRow& to) {
    const PoolPlan& plan = *job.plan;
    if (kFloat || is_float(plan.out_dtype)) return emit_numbers(job, coder, row, to);
    using W = Wide<K>;
    constexpr Int128 most = sizeof(W) == 8 ? std::numeric_limits<std::int64_t>::max()
                                           : std::numeric_limits<std::uint64_t>::max();
    const Limits limits = limits_of(plan.out_dtype);
    const auto lowest = static_cast<W>(limits.lo);
    const auto highest = static_cast<W>(limits.hi < most ? limits.hi : most);
    const bool s = is_signed(plan.in_dtype);
    W medians[kSortLanes];
    for (int l = 0; l < to.n; ++l) {
        const W median = rounded_half(integer_value(coder.decode(row.lo[l]), s) +
                                          integer_value(coder.decode(row.hi[l]), s),
                                      plan.spec.rounding);
        medians[l] = median < lowest ? lowest : median > highest ? highest : median;
    }
    const std::size_t size = item_size(plan.out_dtype);
    for (int l = 0; l < to.n; ++l)
        store_bits(to.data + l * to.step, static_cast<std::uint64_t>(medians[l]), size);
}

template <class K, bool kFloat>
void emit_modes(const Coder<K, kFloat>& coder, const ChosenRow<K>& row, const OutputRow& to) {
    for (int l = 0; l < to.n; ++l) {
        const K bits = coder.decode(row.nan[l] ? coder.skip : row.lo[l]);
        std::memcpy(to.data + l * to.step, &bits, sizeof bits);
    }
}

}  // namespace poolcore
