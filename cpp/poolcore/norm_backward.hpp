// The gradient of norms and generalised means.
#pragma once

#include <cstdint>

#include "poolcore/plan.hpp"
#include "poolcore/run.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// How the work is cut; nothing else depends on it.
struct NormLimits {
    std::int64_t elements = 16 * 1024;  // of a task, as doubles
    std::int64_t windows = 256 * 1024;  // that are remembered, if that is up to us
};

// `plan` is that of the forward call on x, kLp or kGem, which `grad` has the result's shape of; `out`
// has the shape of x and a float type. Views of any strides and alignment; `out` overlaps nothing.
// Throws PoolError(kMemory): before `out` is touched where one thread does the work.
RunStatus norm_backward(const PoolPlan& plan, const StridedView& grad, const StridedView& x,
                        const MutableView& out, const RunControl& control,
                        const NormLimits& limits = {});

}  // namespace poolcore
