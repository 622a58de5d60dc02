// Four steps: read the arguments, plan, release the interpreter's lock and run, return.
#include "bindings/bind_pool.hpp"

#include <algorithm>
#include <string>

#include "bindings/outputs.hpp"
#include "bindings/planes.hpp"
#include "bindings/request.hpp"
#include "bindings/unlocked.hpp"
#include "poolcore/stochastic.hpp"
#include "poolcore/threads.hpp"

namespace poolcore::bindings {
namespace {

double estimate_work(const PoolPlan& plan) {
    double in = 1;
    double out = static_cast<double>(plan.out_elements);
    for (int i = 0; i < plan.rank; ++i) in *= static_cast<double>(plan.in_shape[i]);
    for (int i = 0; i < plan.spec.n_axes; ++i)
        out *= static_cast<double>(plan.geometry[i].kernel);
    return in + out;
}

void run_plan(const PoolPlan& plan, const StridedView& in, const MutableView& out,
              const MutableView* indices, int threads) {
    run_unlocked(estimate_work(plan), threads, [&](const RunControl& control) {
        return run(plan, in, out, indices, control);
    });
}

// Makes the result arrays, or checks the caller's.
void prepare_outputs(const PoolPlan& plan, Request& r) {
    const char* f = plan.spec.function;
    if (!r.out) {
        const py::object descr = output_descr(plan, r.x.ptr(), r.dtype);
        r.out = new_output(plan, r.view, r.x.ptr(), descr.ptr());
        if (plan.spec.return_indices)
            r.indices = new_output(plan, r.view, r.x.ptr(), index_descr().ptr());
        return;
    }
    const bool pair = plan.spec.return_indices;
    const ArgName values{f, "out", pair ? 0 : -1};
    check_output(r.out.ptr(), plan.out_dtype, plan, values);
    check_apart(r.out.ptr(), r.x.ptr(), "x", values);
    if (!pair) return;
    const ArgName indices{f, "out", 1};
    check_output(r.indices.ptr(), DType::kInt64, plan, indices);
    check_apart(r.indices.ptr(), r.x.ptr(), "x", indices);
    check_apart(r.indices.ptr(), r.out.ptr(), "out[0]", indices);
}

// Prepares the results, calls run(out, indices), where indices may be null, and gives what the
// caller gets back.
template <class Run>
PyObject* with_outputs(const PoolPlan& plan, Request& r, PyObject* given, const Run& run) {
    prepare_outputs(plan, r);
    const MutableView out = view_output(r.out.ptr(), plan.out_dtype);
    if (!plan.spec.return_indices) {
        run(out, nullptr);
        return given == Py_None ? r.out.release().ptr() : Py_NewRef(given);
    }
    const MutableView indices = view_output(r.indices.ptr(), DType::kInt64);
    run(out, &indices);
    return given == Py_None ? own(PyTuple_Pack(2, r.out.ptr(), r.indices.ptr())).release().ptr()
                            : Py_NewRef(given);
}

PyObject* pool(PyObject* const* args) {
    Request r = read_request(args);
    const PoolPlan plan = make_plan(r.spec, r.view);
    return with_outputs(plan, r, args[kArgOut],
                        [&](const MutableView& out, const MutableView* indices) {
                            run_plan(plan, r.view, out, indices, r.threads);
                        });
}

// An argument more: float64 samples of the result's shape, or None for the test phase.
PyObject* stochastic(PyObject* const* args) {
    PyObject* const given = args[kNumArgs];
    Request r = read_request(args);
    if (given == Py_None) r.spec.op = Op::kStochasticMean;
    const PoolPlan plan = make_plan(r.spec, r.view);
    const ArgName name{plan.spec.function, "random_samples"};
    StridedView samples;
    if (given != Py_None) {
        if (!is_exact_array(given)) fail_type(name, "must be an array, got " + type_name(given));
        samples = view_input(given, name);
        const bool same = samples.dtype == DType::kFloat64 && samples.rank == plan.rank &&
                          std::equal(samples.shape, samples.shape + plan.rank, plan.out_shape);
        if (!same) fail_value(name, "must be float64 and of the shape of the result");
    }
    return with_outputs(
        plan, r, args[kArgOut], [&](const MutableView& out, const MutableView* indices) {
            run_unlocked(2 * estimate_work(plan), r.threads, [&](const RunControl& control) {
                return run_stochastic(plan, r.view, given == Py_None ? nullptr : &samples, out,
                                      indices, control);
            });
        });
}

// The shape of the result; `out` is checked, too.
PyObject* pooled_shape(PyObject* const* args) {
    Request r = read_request(args);
    const PoolPlan plan = make_plan(r.spec, r.view);
    if (r.out) prepare_outputs(plan, r);
    py::tuple shape(plan.rank);
    for (int i = 0; i < plan.rank; ++i) shape[static_cast<std::size_t>(i)] = plan.out_shape[i];
    return shape.release().ptr();
}

PyObject* describe(PyObject* const* args) {
    Request r = read_request(args);
    const PoolPlan plan = make_plan(r.spec, r.view);
    prepare_outputs(plan, r);
    const MutableView out = view_output(r.out.ptr(), plan.out_dtype);
    const int threads = r.threads > 0 ? r.threads : get_num_threads();
    return py::str(poolcore::describe(plan, r.view, out, threads)).release().ptr();
}

#define POOLCORE_SIGNATURE                                                                    \
    "(function, x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, "    \
    "divisor_override, return_indices, dtype, rounding, layout, axes, op, nan_policy, out, "  \
    "threads, /)\n--\n\n"

// Plain C functions: pybind11's own dispatch would cost more than pooling a small array.
PyMethodDef* pool_methods() {
    static PyMethodDef table[] = {
        {"pool", fast_function_of<kNumArgs, pool>(), METH_FASTCALL,
         "pool" POOLCORE_SIGNATURE "Pool x as the public function of that name says."},
        {"describe", fast_function_of<kNumArgs, describe>(), METH_FASTCALL,
         "describe" POOLCORE_SIGNATURE "How the same call of pool would be carried out."},
        {"pooled_shape", fast_function_of<kNumArgs, pooled_shape>(), METH_FASTCALL,
         "pooled_shape" POOLCORE_SIGNATURE "The shape of what the same call of pool gives."},
        {"stochastic", fast_function_of<kNumArgs + 1, stochastic>(), METH_FASTCALL,
         "stochastic(function, x, kernel_size, stride, padding, dilation, ceil_mode, "
         "count_include_pad, divisor_override, return_indices, dtype, rounding, layout, axes, op, "
         "nan_policy, out, threads, random_samples, /)\n--\n\n"
         "Draw a tap of each window, or give the mean of what would be drawn."},
        {nullptr, nullptr, 0, nullptr}};
    return table;
}

}  // namespace

void bind_pool(py::module_& module) {
    if (PyModule_AddFunctions(module.ptr(), pool_methods()) != 0) throw py::error_already_set();
}

}  // namespace poolcore::bindings
