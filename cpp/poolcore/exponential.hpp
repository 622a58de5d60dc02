// e**x for x <= 0, with the same bits on every CPU, compiler and C library: additions and products
// of double alone, in one order. Wrong by less than one unit of the last place.
#pragma once

#include <bit>
#include <cstdint>

namespace poolcore {

// 0 from -746 down, -infinity included; NaN for NaN; exactly 1 for 0. Rounding must be to nearest.
inline double exp_of_negative(double x) {
    constexpr double kLog2E = 0x1.71547652b82fep+0;
    // ln 2 in two parts; the first has 42 digits, so that its products with exponents are exact.
    constexpr double kLn2High = 0x1.62e42fefa38p-1, kLn2Low = 0x1.ef35793c7673p-45;
    constexpr double kShift = 0x1.8p52;  // where doubles are the integers
    constexpr double kLeast = -750;      // well in the range whose result is 0
    x = x < kLeast ? kLeast : x;
    const double shifted = x * kLog2E + kShift;
    const double k = shifted - kShift;
    // e**x = 2**k * e**(r + rest), with |r| <= ln(2) / 2 but for rounding.
    const double high = x - k * kLn2High, low = k * kLn2Low;
    const double r = high - low;
    const double rest = (high - r) - low;
    // Taylor's series: what is left out is below 2**-57.
    constexpr double kTerms[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                                 1.0 / 40320,     1.0 / 5040,     1.0 / 720,     1.0 / 120,
                                 1.0 / 24,        1.0 / 6,        1.0 / 2};
    double p = 1.0 / 6227020800;
    for (const double term : kTerms) p = p * r + term;
    const double mantissa = 1 + (r + (rest + r * r * p));
    // 2**k in two steps, the first of which is exact: k may be below the exponents of double. The
    // bits of `shifted` hold k, and for NaN some number that does not matter.
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(shifted);
    const std::int64_t exponent = static_cast<std::int64_t>(bits << 13) >> 13;
    const std::int64_t half = exponent / 2;
    const auto power = [](std::int64_t n) {
        return std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
    };
    return mantissa * power(half) * power(exponent - half);
}

}  // namespace poolcore
