// window_backward: the forward call's arguments, with the shape of its input in place of the input.
#include "bindings/bind_spread.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include "bindings/arguments.hpp"
#include "bindings/outputs.hpp"
#include "bindings/planes.hpp"
#include "bindings/request.hpp"
#include "bindings/unlocked.hpp"
#include "poolcore/spread.hpp"

namespace poolcore::bindings {
namespace {

enum SpreadArg {
    kSpreadFunction,
    kSpreadGrad,
    kSpreadShape,
    kSpreadKernel,
    kSpreadStride,
    kSpreadPadding,
    kSpreadDilation,
    kSpreadCeilMode,
    kSpreadCountIncludePad,
    kSpreadDivisor,
    kSpreadLayout,
    kSpreadAxes,
    kSpreadKeepDims,
    kSpreadOut,
    kSpreadThreads,
    kNumSpreadArgs,
};

// Reads the windows as the forward function does; how many adaptive ones there are is for the
// shape of the gradient to say.
void read_windows(PyObject* const* args, const PlaneFunction& f, PoolSpec& spec) {
    const int n = f.n_axes;
    const std::string_view name(f.name);
    if (n == 0 || name.starts_with("adaptive") || name.starts_with("spatial")) {
        spec.windows = WindowKind::kAdaptive;
        return;
    }
    std::int64_t kernel[kMaxPooledAxes], stride[kMaxPooledAxes], dilation[kMaxPooledAxes];
    bool listed = parse_per_axis(args[kSpreadKernel], {f.name, "kernel_size"}, n, kernel);
    if (args[kSpreadStride] == Py_None)
        std::copy_n(kernel, n, stride);
    else
        listed |= parse_per_axis(args[kSpreadStride], {f.name, "stride"}, n, stride);
    listed |= parse_per_axis(args[kSpreadDilation], {f.name, "dilation"}, n, dilation);
    listed |= parse_padding(args[kSpreadPadding], {f.name, "padding"}, n, spec);
    for (int i = 0; i < n; ++i) {
        spec.params[i].kernel = kernel[i];
        spec.params[i].stride = stride[i];
        spec.params[i].dilation = dilation[i];
        spec.arg_index[i] = listed ? i : -1;
    }
}

PoolSpec read_spec(PyObject* const* args, const PlaneFunction& f) {
    PoolSpec spec;
    spec.function = f.name;
    spec.op = std::string_view(f.name).find("sum") == std::string_view::npos ? Op::kAvg : Op::kSum;
    spec.ceil_mode = parse_bool(args[kSpreadCeilMode], {f.name, "ceil_mode"});
    spec.count_include_pad =
        parse_bool(args[kSpreadCountIncludePad], {f.name, "count_include_pad"});
    if (args[kSpreadDivisor] != Py_None) {
        spec.has_divisor = true;
        spec.divisor = parse_int(args[kSpreadDivisor], {f.name, "divisor_override"});
    }
    read_windows(args, f, spec);
    return spec;
}

// The plan of the forward pass over an input of that shape and of grad's dtype, checked against
// the shape that grad has.
PoolPlan plan_forward(const PoolSpec& spec, const std::int64_t* shape, const StridedView& grad) {
    StridedView input = grad;
    std::copy_n(shape, grad.rank, input.shape);
    const PoolPlan plan = make_plan(spec, input);
    check_grad(spec.function, grad, plan.out_shape, plan.rank, {}, true);
    return plan;
}

double estimate_work(const PoolPlan& plan, std::int64_t elements) {
    double work = static_cast<double>(elements);
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        const AxisGeometry& g = plan.geometry[i];
        // Of the windows over an element: `period` of them lie on every `stride` elements.
        work *= 1 + static_cast<double>(g.kernel) * static_cast<double>(g.period) /
                        static_cast<double>(g.stride);
    }
    return 2 * work;
}

PyObject* window_backward(PyObject* const* args) {
    static constexpr std::initializer_list<PlaneFunction> kFunctions = {
        {"avg_pool1d_backward", 1}, {"avg_pool2d_backward", 2}, {"avg_pool3d_backward", 3},
        {"sum_pool1d_backward", 1}, {"sum_pool2d_backward", 2}, {"sum_pool3d_backward", 3},
        {"adaptive_avg_pool1d_backward", 1}, {"adaptive_avg_pool2d_backward", 2},
        {"adaptive_avg_pool3d_backward", 3}, {"global_avg_pool_backward", 0},
        {"global_sum_pool_backward", 0}, {"spatial_pyramid_pool_backward", 2},
        {"spatial_pyramid_pool_backward of sums", 2}};
    const PlaneFunction& f = find_function(args[kSpreadFunction], kFunctions);
    const ArgName grad_name{f.name, "grad"}, out_name{f.name, "out"};
    const py::object grad = as_array(args[kSpreadGrad], grad_name);
    const int threads = parse_threads(args[kSpreadThreads], {f.name, "threads"});
    PoolSpec spec = read_spec(args, f);
    py::object out;
    if (args[kSpreadOut] != Py_None) out = as_output(args[kSpreadOut], out_name);
    const PooledInput input = read_pooled_input(
        f, {args[kSpreadShape], args[kSpreadLayout], args[kSpreadAxes], args[kSpreadKeepDims]},
        grad.ptr());
    const StridedView view = view_grad(f, input, grad.ptr());  // after the last Python code
    spec.n_axes = input.axes.n;
    for (int i = 0; i < spec.n_axes; ++i) {
        spec.axes[i] = input.axes.axes[i];
        if (spec.windows == WindowKind::kAdaptive)
            spec.params[i].kernel = view.shape[spec.axes[i]];
    }
    const PoolPlan plan = plan_forward(spec, input.shape, view);
    const ResultShape result(
        input.rank, input.shape,
        checked_elements(f.name, input.shape, input.rank, plan.out_dtype));
    if (out) {
        check_output(out.ptr(), plan.out_dtype, result, out_name);
        check_apart(out.ptr(), grad.ptr(), "grad", out_name);
    } else {
        out = new_output(result, view, grad.ptr(), output_descr(plan, grad.ptr(), {}).ptr());
    }
    const MutableView target = view_output(out.ptr(), plan.out_dtype);
    run_unlocked(estimate_work(plan, result.elements), threads, [&](const RunControl& control) {
        return spread(plan, view, target, control);
    });
    return args[kSpreadOut] == Py_None ? out.release().ptr() : Py_NewRef(args[kSpreadOut]);
}

PyMethodDef* spread_methods() {
    static PyMethodDef table[] = {
        {"window_backward", fast_function_of<kNumSpreadArgs, window_backward>(), METH_FASTCALL,
         "window_backward(function, grad, input_shape, kernel_size, stride, padding, dilation, "
         "ceil_mode, count_include_pad, divisor_override, layout, axes, keepdims, out, threads, "
         "/)\n--\n\n"
         "Spread gradients as the public function of that name says."},
        {nullptr, nullptr, 0, nullptr}};
    return table;
}

}  // namespace

void bind_spread(py::module_& module) {
    if (PyModule_AddFunctions(module.ptr(), spread_methods()) != 0) throw py::error_already_set();
}

}  // namespace poolcore::bindings
