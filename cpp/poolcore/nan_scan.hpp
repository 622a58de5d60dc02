// nan_policy="raise": looks for a NaN before anything is computed.
#pragma once

#include "poolcore/plan.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// Throws PoolError(kValue) that names the first position of a NaN in row-major order.
void refuse_nan(const PoolPlan& plan, const StridedView& in);

}  // namespace poolcore
