// Stochastic pooling (Zeiler and Fergus 2013): each window draws one of its taps, with the share of
// the window's sum that the tap has; or, in the test phase, takes the mean of what would be drawn.
#pragma once

#include "poolcore/plan.hpp"
#include "poolcore/run.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// As run(). For Op::kStochastic `samples` are float64 of the result's shape, in [0, 1), any strides
// and alignment; null for Op::kStochasticMean, which has no indices. Throws PoolError(kValue), before
// `out` is touched, when x holds a number below 0 or an infinity, or as nan_policy says.
RunStatus run_stochastic(const PoolPlan& plan, const StridedView& in, const StridedView* samples,
                         const MutableView& out, const MutableView* indices,
                         const RunControl& control);

}  // namespace poolcore
