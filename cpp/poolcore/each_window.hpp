// Adaptive windows so large that each is worth a plan of its own: one window of all planes, which
// the engine pools as it pools a whole array. Part of run.
#pragma once

#include "poolcore/run.hpp"

namespace poolcore {

// Preconditions: those of run, and plan.adaptive. NaN is not looked for under kRaise.
RunStatus run_each_window(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                          const MutableView* indices, const RunControl& control);

}  // namespace poolcore
