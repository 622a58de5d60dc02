// Gradients that need x: their arguments, checked and resolved as the forward call's. Those of norms
// are put together in Python (_norm_gradient.py), from powers that no library's pow may compute.
#include "bindings/bind_norm.hpp"

#include <algorithm>
#include <string>

#include "bindings/arguments.hpp"
#include "bindings/outputs.hpp"
#include "bindings/planes.hpp"
#include "bindings/request.hpp"
#include "bindings/unlocked.hpp"
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
    g.out = gradient_array(g.plan, g.request, g.grad, g.view.dtype);
    return g;
}

// (grad, x, out, exponent, least value, windows): arrays as such, of windows for each pooled axis
// in ascending order (axis, kernel, stride, dilation, padding before, how many).
PyObject* norm_windows(PyObject* const* args) {
    const Gradient found = read_gradient(args);
    const PoolPlan& plan = found.plan;
    const py::object windows = own(PyTuple_New(plan.spec.n_axes));
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        const AxisGeometry& g = plan.geometry[i];
        PyObject* const item = Py_BuildValue(
            "(iLLLLL)", plan.spec.axes[i], static_cast<long long>(g.kernel),
            static_cast<long long>(g.stride), static_cast<long long>(g.dilation),
            static_cast<long long>(g.pad_lo), static_cast<long long>(g.out));
        if (!item) throw PythonError{};
        PyTuple_SET_ITEM(windows.ptr(), i, item);
    }
    return Py_BuildValue("(OOOddO)", found.grad.ptr(), found.request.x.ptr(), found.out.ptr(),
                         plan.spec.power, plan.spec.floor, windows.ptr());
}

// Element operations: some for every element, and for every tap of every window.
double soft_work(const PoolPlan& plan) {
    double elements = 1, taps = 1;
    for (int i = 0; i < plan.rank; ++i) {
        elements *= static_cast<double>(plan.in_shape[i]);
        taps *= static_cast<double>(plan.out_shape[i]);
    }
    for (int i = 0; i < plan.spec.n_axes; ++i)
        taps *= static_cast<double>(std::min(plan.geometry[i].kernel, plan.geometry[i].in));
    return 16 * (elements + taps);
}

PyObject* soft_backward(PyObject* const* args) {
    const Gradient g = read_gradient(args);
    const DType dtype = is_float(g.view.dtype) ? g.view.dtype : DType::kFloat64;
    const MutableView out = view_output(g.out.ptr(), dtype);
    run_unlocked(soft_work(g.plan), g.request.threads, [&](const RunControl& control) {
        return poolcore::soft_backward(g.plan, g.view, g.request.view, out, control);
    });
    return Py_NewRef(args[kArgOut] == Py_None ? g.out.ptr() : args[kArgOut]);
}

// values = |values| to the power of `exponent`, above 0, in place.
PyObject* raise_magnitudes(PyObject* const* args) {
    constexpr int flags =
        py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
    PyObject* const values = args[0];
    const ArgName name{"poolcore", "values"};
    if (!is_exact_array(values) || (proxy(values)->flags & flags) != flags ||
        dtype_of(proxy(values)->descr) != DType::kFloat64)
        fail_type(name, "must be a contiguous array of float64");
    const double exponent = parse_float(args[1], {"poolcore", "exponent"});
    if (!(exponent > 0)) fail_value({"poolcore", "exponent"}, "must be above 0");
    const MutableView view = view_output(values, DType::kFloat64);
    std::int64_t n = 1;
    for (int i = 0; i < view.rank; ++i) n *= view.shape[i];
    run_unlocked(static_cast<double>(n), 1, [&](const RunControl&) {
        poolcore::raise_magnitudes(view.data, n, exponent);
        return RunStatus::kDone;
    });
    return Py_NewRef(Py_None);
}

PyMethodDef* norm_methods() {
    static PyMethodDef table[] = {
        {"norm_windows", fast_function_of<kNumNormArgs, norm_windows>(), METH_FASTCALL,
         "norm_windows(function, x, kernel_size, stride, padding, dilation, ceil_mode, "
         "count_include_pad, divisor_override, return_indices, dtype, rounding, layout, axes, op, "
         "nan_policy, out, threads, grad, keepdims, /)\n--\n\n"
         "Check the arguments of a gradient of norms; its arrays, exponents and windows."},
        {"soft_backward", fast_function_of<kNumNormArgs, soft_backward>(), METH_FASTCALL,
         "soft_backward(function, x, kernel_size, stride, padding, dilation, ceil_mode, "
         "count_include_pad, divisor_override, return_indices, dtype, rounding, layout, axes, op, "
         "nan_policy, out, threads, grad, keepdims, /)\n--\n\n"
         "Carry gradients back through SoftPool."},
        {"raise_magnitudes", fast_function_of<2, raise_magnitudes>(), METH_FASTCALL,
         "raise_magnitudes(values, exponent, /)\n--\n\n"
         "Raise the magnitudes of an array of float64 to a power above 0, in place."},
        {nullptr, nullptr, 0, nullptr}};
    return table;
}

}  // namespace

void bind_norm(py::module_& module) {
    if (PyModule_AddFunctions(module.ptr(), norm_methods()) != 0) throw py::error_already_set();
}

}  // namespace poolcore::bindings
