// Looks for NaN in x: all of it for nan_policy="raise", before anything is computed, or what one
// box reads.
#pragma once

#include "poolcore/box.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/threads.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// `how` gives threads and poll. False when poll stopped the search.
// Throws PoolError(kValue) that names the first position of a NaN in row-major order.
bool refuse_nan(const PoolPlan& plan, const StridedView& in, const ParallelJob& how);

// Whether a box of floats reads a NaN.
bool holds_nan(const Schedule& s, const Box& box);

}  // namespace poolcore
