// From what was asked to what will be done. Every decision and every error is made here,
// before the interpreter's lock is released.
#pragma once

#include <cstdint>
#include <string>

#include "poolcore/geometry.hpp"
#include "poolcore/types.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

// What a caller gives of the windows: their kernel, nothing (a window is the axis), or how many.
enum class WindowKind : std::uint8_t { kKernel, kWhole, kAdaptive };

// What a caller asked for. `axes` are array axes in ascending order; params[i] belongs to axes[i].
struct PoolSpec {
    const char* function = "pool";
    const char* kernel_name = "kernel_size";
    Op op = Op::kMax;
    int n_axes = 0;
    int axes[kMaxPooledAxes] = {0, 0, 0};
    // Position of axes[i] in the caller's sequences, for messages; -1 when a scalar was given.
    int arg_index[kMaxPooledAxes] = {-1, -1, -1};
    WindowKind windows = WindowKind::kKernel;
    AxisParams params[kMaxPooledAxes];  // kernel: with kAdaptive the number of windows, or kKeepSize
    PadMode pad_mode = PadMode::kExplicit;
    bool ceil_mode = false;
    bool count_include_pad = true;
    bool has_divisor = false;
    std::int64_t divisor = 0;
    bool has_skip = false;  // kMode: a label, by its bits, that has no vote
    std::int64_t skip = 0;
    const char* power_name = "norm_type";
    double power = 1;  // kLp and kGem: the exponent, above 0; kLp: perhaps infinity
    double floor = 0;  // kGem: the least that an element counts as
    bool return_indices = false;
    bool has_dtype = false;
    DType dtype = DType::kFloat64;
    Rounding rounding = Rounding::kHalfEven;
    NanPolicy nan_policy = NanPolicy::kPropagate;
};

// What will be done, in the caller's axis order. Immutable once made.
struct PoolPlan {
    PoolSpec spec;
    DType in_dtype = DType::kFloat32;
    DType out_dtype = DType::kFloat32;
    int rank = 0;
    std::int64_t in_shape[kMaxRank];
    std::int64_t out_shape[kMaxRank];
    AxisGeometry geometry[kMaxPooledAxes];
    std::int64_t out_elements = 0;
    bool adaptive = false;  // some axis has windows with a period: see AxisGeometry
    bool small_sums = false;  // known of 64-bit integers: every sum fits a double
    bool empty_windows = false;  // some window may have no tap inside the input
    bool within_call = false;  // of another operation, which has memory of its own
};

// Throws PoolError: kValue for values, kType for dtypes that the operation does not take.
PoolPlan make_plan(const PoolSpec& spec, const StridedView& in);

// Which path, kernels, tasks and scratch run() would use for these views; for people and tests.
std::string describe(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                     int threads);

}  // namespace poolcore
