// Looks for NaN in x: in all of it for nan_policy="raise", before anything is computed, or for what
// is special in what one box reads.
#pragma once

#include "poolcore/box.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/threads.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// `how` gives threads and poll. False when poll stopped the search.
// Throws PoolError(kValue) that names the first position of a NaN in row-major order.
bool refuse_nan(const PoolPlan& plan, const StridedView& in, const ParallelJob& how);

// Whether a box reads what takes a second accumulator: a NaN or, of 64-bit integers, a value so
// large that the sum of a window may not fit a double.
bool holds_special(const Schedule& s, const Box& box);

}  // namespace poolcore
