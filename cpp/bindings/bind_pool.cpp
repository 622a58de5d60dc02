// Four steps: read the arguments, plan, release the interpreter's lock and run, return.
#include "bindings/bind_pool.hpp"

#include <string>

#include "bindings/outputs.hpp"
#include "bindings/request.hpp"
#include "poolcore/run.hpp"
#include "poolcore/threads.hpp"

namespace poolcore::bindings {
namespace {

// Element operations below which giving the lock away and taking it back costs more than it
// gains anyone. Taking it back may have to wait for another thread's turn to end.
constexpr double kKeepLockBelow = 1 << 14;
// Element operations below which a call is too short to look for Ctrl-C in it.
constexpr double kPollFrom = 1 << 20;

double estimate_work(const PoolPlan& plan) {
    double in = 1;
    double out = static_cast<double>(plan.out_elements);
    for (int i = 0; i < plan.rank; ++i) in *= static_cast<double>(plan.in_shape[i]);
    for (int i = 0; i < plan.spec.n_axes; ++i)
        out *= static_cast<double>(plan.geometry[i].kernel);
    return in + out;
}

// Without the interpreter's lock until the end of the scope.
class Unlocked {
   public:
    Unlocked() : state_(PyEval_SaveThread()) {}
    ~Unlocked() { PyEval_RestoreThread(state_); }
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;

   private:
    PyThreadState* state_;
};

// Lets a signal handler run; true when it raised.
bool signal_raised(void*) {
    const PyGILState_STATE state = PyGILState_Ensure();
    const bool raised = PyErr_CheckSignals() != 0;
    PyGILState_Release(state);
    return raised;
}

// Signals are handled by the main thread only, so no other needs to take the lock to look.
bool on_main_thread() {
    const py::object threading = own(PyImport_ImportModule("threading"));
    const py::object main = own(PyObject_CallMethod(threading.ptr(), "main_thread", nullptr));
    const py::object ident = own(PyObject_GetAttrString(main.ptr(), "ident"));
    if (ident.is_none()) return false;
    const unsigned long number = PyLong_AsUnsignedLong(ident.ptr());
    if (PyErr_Occurred()) throw PythonError{};
    return number == PyThread_get_thread_ident();
}

void run_unlocked(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                  const MutableView* indices, int threads) {
    RunControl control;
    control.threads = threads;
    const double work = estimate_work(plan);
    if (work < kKeepLockBelow) {
        run(plan, in, out, indices, control);
        return;
    }
    if (work >= kPollFrom && on_main_thread()) control.poll = signal_raised;
    RunStatus status;
    {
        const Unlocked unlocked;
        status = run(plan, in, out, indices, control);
    }
    if (status == RunStatus::kCancelled) throw PythonError{};
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
        run_unlocked(plan, r.view, out, nullptr, r.threads);
        return given == Py_None ? r.out.release().ptr() : Py_NewRef(given);
    }
    const MutableView indices = view_output(r.indices.ptr(), DType::kInt64);
    run_unlocked(plan, r.view, out, &indices, r.threads);
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

template <PyObject* (*Function)(PyObject* const*)>
PyObject* guarded(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    try {
        if (n_args != kNumArgs)
            throw PoolError(ErrorKind::kType, "poolcore: expected " + std::to_string(kNumArgs) +
                                                  " arguments, got " + std::to_string(n_args));
        return Function(args);
    } catch (...) {
        set_python_error();
        return nullptr;
    }
}

#define POOLCORE_SIGNATURE                                                                    \
    "(function, x, kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, "    \
    "divisor_override, return_indices, dtype, rounding, layout, axes, op, nan_policy, out, "  \
    "threads, /)\n--\n\n"

template <PyObject* (*Function)(PyObject* const*)>
PyCFunction fast_function() {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&guarded<Function>));
}

// Plain C functions: pybind11's own dispatch would cost more than pooling a small array.
PyMethodDef* methods() {
    static PyMethodDef table[] = {
        {"pool", fast_function<pool>(), METH_FASTCALL,
         "pool" POOLCORE_SIGNATURE "Pool x as the public function of that name says."},
        {"describe", fast_function<describe>(), METH_FASTCALL,
         "describe" POOLCORE_SIGNATURE "How the same call of pool would be carried out."},
        {nullptr, nullptr, 0, nullptr}};
    return table;
}

}  // namespace

void bind_pool(py::module_& module) {
    if (PyModule_AddFunctions(module.ptr(), methods()) != 0) throw py::error_already_set();
}

}  // namespace poolcore::bindings
