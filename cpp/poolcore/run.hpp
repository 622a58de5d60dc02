// Carries out a plan on memory. Needs no Python and no lock.
#pragma once

#include "poolcore/plan.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// `poll`, if given, is called now and then on the calling thread only; returning true cancels.
struct RunControl {
    int threads = 0;  // 0: the process-wide setting
    bool (*poll)(void*) = nullptr;
    void* poll_context = nullptr;
};

enum class RunStatus { kDone, kCancelled };

// Preconditions: `in` has the plan's in_shape and in_dtype; `out` its out_shape and out_dtype;
// `indices` is null unless the plan returns indices, then int64 with out_shape; outputs overlap
// neither `in` nor each other nor themselves. Any strides, any alignment.
// After kCancelled, or an exception, the contents of `out` and `indices` are undefined.
// Throws PoolError: kValue when nan_policy is kRaise and `in` holds a NaN (before `out` is
// touched), kMemory when scratch cannot be had.
RunStatus run(const PoolPlan& plan, const StridedView& in, const MutableView& out,
              const MutableView* indices, const RunControl& control);

// `n` float64 side by side, of any alignment, become their magnitudes to a power in (0, 2^60]:
// with the bits that norms have on every CPU.
void raise_magnitudes(std::byte* values, std::int64_t n, double exponent);

}  // namespace poolcore
