#include "poolcore/plan.hpp"

#include <algorithm>
#include <cstdio>
#include <string>

#include "poolcore/error.hpp"

namespace poolcore {
namespace {

std::string number_text(double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", x);
    return text;
}

[[noreturn]] void fail(const PoolSpec& spec, ErrorKind kind, const std::string& text) {
    throw PoolError(kind, std::string(spec.function) + ": " + text);
}

// A median is the mean of two taps.
bool is_mean(const PoolSpec& spec) { return spec.op == Op::kAvg || spec.op == Op::kMedian; }
bool is_order(const PoolSpec& spec) { return spec.op == Op::kMax || spec.op == Op::kMin; }
bool is_power(const PoolSpec& spec) { return spec.op == Op::kLp || spec.op == Op::kGem; }
bool is_mode(const PoolSpec& spec) { return spec.op == Op::kMode; }
bool is_soft(const PoolSpec& spec) {
    return spec.op == Op::kSoft || spec.op == Op::kStochasticMean;
}

DType default_out_dtype(const PoolSpec& spec, DType in) {
    const bool copies = is_order(spec) || is_mode(spec) || spec.op == Op::kStochastic;
    if (copies || is_float(in)) return in;
    if (is_mean(spec) || is_power(spec) || is_soft(spec)) return DType::kFloat64;
    return in == DType::kBool || is_signed(in) ? DType::kInt64 : DType::kUInt64;
}

DType choose_out_dtype(const PoolSpec& spec, DType in) {
    if (is_mode(spec) && is_float(in))
        fail(spec, ErrorKind::kType,
             std::string("x has dtype ") + name(in) +
                 ", and a majority is of integer labels; convert them: x.astype('int32'), or "
                 "use median_pool2d for numbers");
    if (!spec.has_dtype) return default_out_dtype(spec, in);
    if (is_order(spec) || is_mode(spec))
        fail(spec, ErrorKind::kType, "dtype is for sums, averages and medians only");
    if (spec.dtype == DType::kBool)
        fail(spec, ErrorKind::kType, "dtype=bool cannot hold the result; use an integer or float");
    if (is_float(in) && !is_float(spec.dtype))
        fail(spec, ErrorKind::kType,
             std::string("dtype=") + name(spec.dtype) + " needs integer input, x is " + name(in) +
                 "; use a float dtype, or round the result");
    return spec.dtype;
}

// Some window of this axis has no tap inside the input. Only a dilation longer than the input can
// step over it, and only from the left padding: every other window holds its first position >= 0.
bool has_empty_window(const AxisGeometry& g) {
    if (g.in >= g.dilation) return false;
    constexpr std::int64_t kBudget = 1 << 16;  // beyond that many windows, assume there is one
    for (std::int64_t o = 0; o < g.out && g.start(o) < 0; ++o)
        if (o == kBudget || g.taps(o).count() == 0) return true;
    return false;
}

// Beyond this the root of the number of elements in any window is 1, in double.
constexpr double kMostPower = 0x1p60;

void check_power(PoolSpec& spec) {
    if (!is_power(spec)) return;
    const bool norm = spec.op == Op::kLp;
    if (!(spec.power > 0) || (!norm && spec.power > kMostPower))
        fail(spec, ErrorKind::kValue,
             std::string(spec.power_name) + "=" + number_text(spec.power) +
                 (norm ? " must be above 0; infinity gives the largest magnitude"
                       : " must be above 0 and at most 2**60"));
    if (norm && spec.power > kMostPower) spec.power = __builtin_inf();
    if (!norm && !(spec.floor >= 0 && spec.floor < __builtin_inf()))
        fail(spec, ErrorKind::kValue,
             "eps=" + number_text(spec.floor) + " must be a finite number of at least 0");
}

void check_divisor(const PoolSpec& spec) {
    if (!spec.has_divisor) return;
    const std::string text = "divisor_override=" + std::to_string(spec.divisor);
    if (spec.divisor == 0) fail(spec, ErrorKind::kValue, text + " must not be zero");
    if (spec.op != Op::kAvg) fail(spec, ErrorKind::kValue, text + " is for averages only");
}

// A window without elements has no mean or median: NaN, where the result can hold one.
void check_empty_windows(const PoolSpec& spec, PoolPlan& plan) {
    for (int i = 0; i < spec.n_axes; ++i) {
        if (!has_empty_window(plan.geometry[i])) continue;
        plan.empty_windows = true;
        if (is_mode(spec))
            fail(spec, ErrorKind::kValue,
                 "a window along axis " + std::to_string(spec.axes[i]) +
                     " covers no element of x, so it has no majority; use less padding");
        const std::string what = spec.op == Op::kAvg ? "mean" : "median";
        if (is_mean(spec) && !is_float(plan.out_dtype))
            fail(spec, ErrorKind::kValue,
                 "a window along axis " + std::to_string(spec.axes[i]) +
                     " covers no element of x, so its " + what +
                     " does not exist in dtype=" +
                     name(plan.out_dtype) + "; use a float dtype or less padding");
    }
}

AxisGeometry axis_geometry(const PoolSpec& spec, int i, std::int64_t in) {
    const AxisNames names{spec.function, spec.arg_index[i], spec.axes[i], spec.kernel_name};
    if (spec.windows == WindowKind::kAdaptive)
        return make_adaptive_geometry(in, spec.params[i].kernel, names);
    AxisParams params = spec.params[i];
    if (spec.windows == WindowKind::kWhole)
        params.kernel = params.stride = std::max<std::int64_t>(in, 1);
    return make_axis_geometry(in, params, spec.pad_mode, spec.ceil_mode, names);
}

void set_shapes(PoolPlan& plan, const StridedView& in) {
    const PoolSpec& spec = plan.spec;
    plan.rank = in.rank;
    for (int i = 0; i < in.rank; ++i) plan.in_shape[i] = plan.out_shape[i] = in.shape[i];
    for (int i = 0; i < spec.n_axes; ++i) {
        const int axis = spec.axes[i];
        plan.geometry[i] = axis_geometry(spec, i, in.shape[axis]);
        plan.adaptive = plan.adaptive || plan.geometry[i].period > 1;
        plan.out_shape[axis] = plan.geometry[i].out;
    }
}

// Elements, or an error: a product of sizes is the first thing to overflow.
std::int64_t count_elements(const PoolSpec& spec, const PoolPlan& plan) {
    for (int i = 0; i < plan.rank; ++i)
        if (plan.out_shape[i] == 0) return 0;
    const auto width = static_cast<std::int64_t>(
        std::max<std::size_t>(item_size(plan.out_dtype), spec.return_indices ? 8 : 1));
    std::int64_t bytes = width;
    for (int i = 0; i < plan.rank; ++i)
        if (__builtin_mul_overflow(bytes, plan.out_shape[i], &bytes))
            fail(spec, ErrorKind::kMemory, "the result would have more than 2**63-1 bytes");
    return bytes / width;
}

}  // namespace

PoolPlan make_plan(const PoolSpec& spec, const StridedView& in) {
    PoolPlan plan;
    plan.spec = spec;
    check_power(plan.spec);
    plan.in_dtype = in.dtype;
    plan.out_dtype = choose_out_dtype(spec, in.dtype);
    if (spec.return_indices && !is_order(spec) && spec.op != Op::kStochastic)
        fail(spec, ErrorKind::kValue, "return_indices is for max and min only");
    check_divisor(spec);
    set_shapes(plan, in);
    check_empty_windows(spec, plan);
    plan.out_elements = count_elements(spec, plan);
    return plan;
}

}  // namespace poolcore
