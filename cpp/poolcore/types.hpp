// Element types and the small enumerations every layer speaks.
// Includes nothing but the standard library; anyone may include it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace poolcore {

enum class DType : std::uint8_t {
    kBool,
    kInt8,
    kUInt8,
    kInt16,
    kUInt16,
    kInt32,
    kUInt32,
    kInt64,
    kUInt64,
    kFloat16,
    kBFloat16,
    kFloat32,
    kFloat64,
};
inline constexpr int kNumDTypes = 13;

enum class Op : std::uint8_t {
    kMax, kMin, kSum, kAvg, kMode, kMedian, kLp, kGem, kSoft,
    kStochastic,      // a tap drawn by its share of the sum, by samples: stochastic.hpp
    kStochasticMean,  // the mean of what would be drawn
};
// These need all taps of a window at once: select.hpp.
constexpr bool is_select(Op op) {
    return op == Op::kMode || op == Op::kMedian || op == Op::kSoft;
}
constexpr bool is_stochastic(Op op) { return op == Op::kStochastic || op == Op::kStochasticMean; }
enum class NanPolicy : std::uint8_t { kPropagate, kOmit, kRaise };
enum class Rounding : std::uint8_t { kHalfEven, kHalfUp, kFloor, kTrunc };

// NumPy's own limit on the number of axes.
inline constexpr int kMaxRank = 64;
inline constexpr int kMaxPooledAxes = 3;

constexpr std::size_t item_size(DType t) {
    constexpr std::array<std::size_t, kNumDTypes> sizes{1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8};
    return sizes[static_cast<std::size_t>(t)];
}

constexpr const char* name(DType t) {
    constexpr std::array<const char*, kNumDTypes> names{
        "bool",  "int8",   "uint8",   "int16",    "uint16",  "int32",  "uint32",
        "int64", "uint64", "float16", "bfloat16", "float32", "float64"};
    return names[static_cast<std::size_t>(t)];
}

constexpr bool is_float(DType t) { return t >= DType::kFloat16; }
constexpr bool is_signed(DType t) {
    return is_float(t) || t == DType::kInt8 || t == DType::kInt16 || t == DType::kInt32 ||
           t == DType::kInt64;
}

}  // namespace poolcore
