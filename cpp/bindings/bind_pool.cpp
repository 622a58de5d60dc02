// Four steps: read the arguments, plan, release the interpreter's lock and run, return.
#include "bindings/bind_pool.hpp"

#include <string>

#include "bindings/outputs.hpp"
#include "bindings/planes.hpp"
#include "bindings/request.hpp"
#include "bindings/unlocked.hpp"
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

PyObject* pool(PyObject* const* args) {
    Request r = read_request(args);
    const PoolPlan plan = make_plan(r.spec, r.view);
    prepare_outputs(plan, r);
    const MutableView out = view_output(r.out.ptr(), plan.out_dtype);
    PyObject* const given = args[kArgOut];
    if (!plan.spec.return_indices) {
        run_plan(plan, r.view, out, nullptr, r.threads);
        return given == Py_None ? r.out.release().ptr() : Py_NewRef(given);
    }
    const MutableView indices = view_output(r.indices.ptr(), DType::kInt64);
    run_plan(plan, r.view, out, &indices, r.threads);
    return given == Py_None ? own(PyTuple_Pack(2, r.out.ptr(), r.indices.ptr())).release().ptr()
                            : Py_NewRef(given);
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
        {nullptr, nullptr, 0, nullptr}};
    return table;
}

}  // namespace

void bind_pool(py::module_& module) {
    if (PyModule_AddFunctions(module.ptr(), pool_methods()) != 0) throw py::error_already_set();
}

}  // namespace poolcore::bindings
