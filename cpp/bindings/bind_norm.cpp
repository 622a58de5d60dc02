// Gradients that need x: their arguments, checked and resolved as the forward call's.
#include "bindings/bind_norm.hpp"

#include <algorithm>
#include <string>

#include "bindings/arguments.hpp"
#include "bindings/outputs.hpp"
#include "bindings/planes.hpp"
#include "bindings/request.hpp"
#include "bindings/unlocked.hpp"
#include "poolcore/norm_backward.hpp"
#include "poolcore/soft_backward.hpp"

namespace poolcore::bindings {
namespace {

enum NormArg { kNormGrad = kNumArgs, kNormKeepDims, kNumNormArgs };

// The caller's array, checked, or a new one; of the shape of x and the type of floats in grad.
py::object gradient_array(const PoolPlan& plan, const Request& r, const py::object& grad,
                          DType dtype) {
    const char* f = plan.spec.function;
    PoolPlan of_grad;
    of_grad.in_dtype = dtype;
    of_grad.out_dtype = is_float(dtype) ? dtype : DType::kFloat64;
    const ResultShape shape(plan.rank, plan.in_shape,
                            checked_elements(f, plan.in_shape, plan.rank, of_grad.out_dtype));
    if (!r.out)
        return new_output(shape, r.view, r.x.ptr(), output_descr(of_grad, grad.ptr(), {}).ptr());
    const ArgName name{f, "out"};
    check_output(r.out.ptr(), of_grad.out_dtype, shape, name);
    check_apart(r.out.ptr(), grad.ptr(), "grad", name);
    check_apart(r.out.ptr(), r.x.ptr(), "x", name);
    return r.out;
}

// The arguments of a gradient that needs x, checked as those of the forward call.
struct Gradient {
    py::object grad;
    Request request;
    PoolPlan plan;
    StridedView view;  // of grad
    py::object out;
};

Gradient read_gradient(PyObject* const* args) {
    const py::object name = own(PyObject_Str(args[kArgFunction]));
    const char* const f = PyUnicode_AsUTF8(name.ptr());
    if (!f) throw PythonError{};
    Gradient g;
    g.grad = as_array(args[kNormGrad], {f, "grad"});
    view_input(g.grad.ptr(), {f, "grad"});  // what is wrong with it is told first
    const bool keepdims = parse_bool(args[kNormKeepDims], {f, "keepdims"});
    g.request = read_request(args);
    g.plan = make_plan(g.request.spec, g.request.view);
    g.view = view_input(g.grad.ptr(), {f, "grad"});
    PlaneAxes axes{g.plan.spec.n_axes};
    std::copy_n(g.plan.spec.axes, axes.n, axes.axes);
    check_grad(f, g.view, g.plan.out_shape, g.plan.rank, axes, keepdims);
    if (!keepdims) g.view = with_axes(g.view, axes);
    g.out = gradient_array(g.plan, g.request, g.grad, g.view.dtype);
    return g;
}

double elements_of(const std::int64_t* shape, int rank) {
    double n = 1;
    for (int i = 0; i < rank; ++i) n *= static_cast<double>(shape[i]);
    return n;
}

// Element operations: some for every element, and for every tap of every window.
double soft_work(const PoolPlan& plan) {
    double taps = elements_of(plan.out_shape, plan.rank);
    for (int i = 0; i < plan.spec.n_axes; ++i)
        taps *= static_cast<double>(std::min(plan.geometry[i].kernel, plan.geometry[i].in));
    return 16 * (elements_of(plan.in_shape, plan.rank) + taps);
}

// Some for every element and for every window.
double norm_work(const PoolPlan& plan) {
    return 16 * (elements_of(plan.in_shape, plan.rank) + elements_of(plan.out_shape, plan.rank));
}

using Backward = RunStatus (*)(const PoolPlan&, const StridedView&, const StridedView&,
                               const MutableView&, const RunControl&);

PyObject* backward(PyObject* const* args, double (*work)(const PoolPlan&), Backward function) {
    const Gradient g = read_gradient(args);
    const DType dtype = is_float(g.view.dtype) ? g.view.dtype : DType::kFloat64;
    const MutableView out = view_output(g.out.ptr(), dtype);
    run_unlocked(work(g.plan), g.request.threads, [&](const RunControl& control) {
        return function(g.plan, g.view, g.request.view, out, control);
    });
    return Py_NewRef(args[kArgOut] == Py_None ? g.out.ptr() : args[kArgOut]);
}

PyObject* soft_backward(PyObject* const* args) {
    return backward(args, soft_work, poolcore::soft_backward);
}

PyObject* norm_backward(PyObject* const* args) {
    return backward(args, norm_work,
                    [](const PoolPlan& plan, const StridedView& grad, const StridedView& x,
                       const MutableView& out, const RunControl& control) {
                        return poolcore::norm_backward(plan, grad, x, out, control);
                    });
}

PyMethodDef* norm_methods() {
    static PyMethodDef table[] = {
        {"norm_backward", fast_function_of<kNumNormArgs, norm_backward>(), METH_FASTCALL,
         "norm_backward(function, x, kernel_size, stride, padding, dilation, ceil_mode, "
         "count_include_pad, divisor_override, return_indices, dtype, rounding, layout, axes, op, "
         "nan_policy, out, threads, grad, keepdims, /)\n--\n\n"
         "Carry gradients back through norms and generalised means."},
        {"soft_backward", fast_function_of<kNumNormArgs, soft_backward>(), METH_FASTCALL,
         "soft_backward(function, x, kernel_size, stride, padding, dilation, ceil_mode, "
         "count_include_pad, divisor_override, return_indices, dtype, rounding, layout, axes, op, "
         "nan_policy, out, threads, grad, keepdims, /)\n--\n\n"
         "Carry gradients back through SoftPool."},
        {nullptr, nullptr, 0, nullptr}};
    return table;
}

}  // namespace

void bind_norm(py::module_& module) {
    if (PyModule_AddFunctions(module.ptr(), norm_methods()) != 0) throw py::error_already_set();
}

}  // namespace poolcore::bindings
