// Looks for NaN in x: in all of it for nan_policy="raise", before anything is computed, or for what
// is special in what one box reads.
#pragma once

#include "poolcore/box.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/threads.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// What x may not hold: NaN, or numbers that are no weights, below 0 or infinite.
enum class Unwanted { kNan, kNoWeight };

// `how` gives threads and poll. False when poll stopped the search.
// Throws PoolError(kValue) that names the first of them in row-major order.
bool refuse(const PoolPlan& plan, const StridedView& in, Unwanted what, const ParallelJob& how);

// Whether a box reads what takes a second accumulator: a NaN or, of 64-bit integers, a value so
// large that the sum of a window may not fit a double.
bool holds_special(const Schedule& s, const Box& box);

}  // namespace poolcore
