// The gradient of sums and means: every element of the input gathers what the windows over it have
// been given, so that tasks share nothing and no order depends on them. One axis after the other,
// with the kernels of the forward pass.
#pragma once

#include "poolcore/run.hpp"

namespace poolcore {

// `plan` is that of the forward pass, on an input of the gradient's dtype. Preconditions: `grad`
// has the plan's out_shape and in_dtype, not bool; `out` its in_shape and out_dtype; they do not
// overlap. Any strides, any alignment. Throws PoolError(kMemory) for scratch.
RunStatus spread(const PoolPlan& plan, const StridedView& grad, const MutableView& out,
                 const RunControl& control);

}  // namespace poolcore
