// The last step of a box: accumulators become results in the caller's array.
#pragma once

#include "poolcore/box.hpp"

namespace poolcore {

// Whole numbers up to here are exact in float32; larger divisors take float64.
inline constexpr double kFloatCounts = 16777216.0;

// `values` and `aux` are tight scratch fields over the windows of the box; `c.work` and
// `finish` say what the values are.
void finish_box(const Schedule& s, const StageContext& c, Finish finish, const Box& box,
                const Field& values, const Field* aux);

// How the kernel that pools the box makes means of its sums; null where it cannot.
Means means_at_once(const Schedule& s, const Box& box);

// Windows of the box without a tap inside the input, where stages give something else: means
// become NaN, maxima that omit NaN -inf, minima +inf.
void finish_empty_windows(const Schedule& s, const Box& box);

}  // namespace poolcore
