// e**x for x <= 0, with the same bits on every CPU, compiler and C library: additions and products
// of double alone, in one order. Wrong by less than one unit of the last place.
#pragma once

#include <bit>
#include <cstdint>

namespace poolcore {

// Below this e**x is 0, and so it is here.
inline constexpr double kLeastExponent = -750;

// For kLeastExponent <= x <= 0; NaN for NaN; exactly 1 for 0, 0 from -746 down. Rounding must be to
// nearest. Without a branch or a number that is not a double, so that loops can be vectors.
inline double exp_of_bounded(double x) {
    constexpr double kLog2E = 0x1.71547652b82fep+0;
    // ln 2 in two parts; the first has 42 digits, so that its products with exponents are exact.
    constexpr double kLn2High = 0x1.62e42fefa38p-1, kLn2Low = 0x1.ef35793c7673p-45;
    constexpr double kShift = 0x1.8p52;  // where doubles are the integers
    const double k = x * kLog2E + kShift - kShift;
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
    // last bits of a shifted number are the integer, and for NaN some number that does not matter.
    const double half = k * 0.5 + kShift;
    const double other = k - (half - kShift) + kShift;
    const auto power = [](double n) {
        return std::bit_cast<double>((std::bit_cast<std::uint64_t>(n) + 1023) << 52);
    };
    return mantissa * power(half) * power(other);
}

// For any x <= 0, -infinity included, and NaN.
inline double exp_of_negative(double x) {
    return exp_of_bounded(x < kLeastExponent ? kLeastExponent : x);
}

}  // namespace poolcore
