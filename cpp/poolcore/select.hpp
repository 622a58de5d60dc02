// Majorities, medians and SoftPool: operations that need all taps of a window at once, so they
// share no partial results between windows as the moves do. Plan, shapes, threads and errors are
// those of every other operation; run.cpp is the caller.
#pragma once

#include <string>

#include "poolcore/plan.hpp"
#include "poolcore/threads.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// `how` gives threads and poll. False when poll stopped the work. Preconditions as for run().
bool run_select(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                const ParallelJob& how);

// What run_select would do, for describe().
std::string describe_select(const PoolPlan& plan, const StridedView& in, const MutableView& out);

}  // namespace poolcore
