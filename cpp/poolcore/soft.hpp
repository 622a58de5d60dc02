// SoftPool: soft_lanes.hpp for all windows of a plan. Part of select, which dispatches to it.
#pragma once

#include "poolcore/plan.hpp"
#include "poolcore/threads.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// As run_select.
bool run_soft(const PoolPlan& plan, const StridedView& in, const MutableView& out,
              const ParallelJob& how);

}  // namespace poolcore
