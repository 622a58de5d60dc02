// Adaptive windows of at most kMaxAdaptiveTaps: a schedule of their own and the pooling of a box.
// Windows of one axis that lie a multiple of the period apart are ordinary windows, so every stage
// is as many ordinary stages on parts of its fields as the period says. Part of run.
#pragma once

#include "poolcore/box.hpp"

namespace poolcore {

// Larger windows are worth a plan each: see each_window.hpp. It is also where float32 sums end, so
// that all windows of one schedule are added in the same type.
inline constexpr std::int64_t kMaxAdaptiveTaps = 4096;

bool has_small_windows(const PoolPlan& plan);

// Preconditions: those of make_schedule, plan.adaptive, has_small_windows(plan).
Schedule make_adaptive_schedule(const PoolPlan& plan, const StridedView& in,
                                const MutableView& out, const MutableView* indices, int threads);

// Throws PoolError(kMemory).
void run_adaptive_box(const Schedule& s, const KernelTable& kernels, const Box& box,
                      Scratch& scratch);

}  // namespace poolcore
