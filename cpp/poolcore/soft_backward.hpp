// The gradient of SoftPool.
#pragma once

#include "poolcore/plan.hpp"
#include "poolcore/run.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// `plan` is that of the forward call on x, which `grad` has the result's shape of; `out` has the
// shape of x and a float type. Views of any strides and alignment; `out` overlaps nothing.
RunStatus soft_backward(const PoolPlan& plan, const StridedView& grad, const StridedView& x,
                        const MutableView& out, const RunControl& control);

}  // namespace poolcore
