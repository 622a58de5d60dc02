// nan_policy="raise": looks for a NaN before anything is computed.
#pragma once

#include "poolcore/plan.hpp"
#include "poolcore/threads.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// `how` gives threads and poll. False when poll stopped the search.
// Throws PoolError(kValue) that names the first position of a NaN in row-major order.
bool refuse_nan(const PoolPlan& plan, const StridedView& in, const ParallelJob& how);

}  // namespace poolcore
