// The module poolcore._core: pooling, threads, instruction-set targets, facts about the build.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <exception>
#include <string>

#include "bindings/arguments.hpp"
#include "bindings/bind_norm.hpp"
#include "bindings/bind_pool.hpp"
#include "bindings/bind_pyramid.hpp"
#include "bindings/bind_roi.hpp"
#include "bindings/bind_scatter.hpp"
#include "bindings/bind_spread.hpp"
#include "poolcore/cpu.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/threads.hpp"

namespace poolcore::bindings {
namespace {

constexpr Target kTargets[kNumTargets] = {Target::kScalar, Target::kV2, Target::kV3, Target::kV4,
                                          Target::kNeon};

py::list target_names(bool (*wanted)(Target)) {
    py::list names;
    for (const Target target : kTargets)
        if (wanted(target)) names.append(poolcore::name(target));
    return names;
}

std::string compiler() {
#if defined(__clang__)
    return std::string("Clang ") + __clang_version__;
#elif defined(__GNUC__)
    return std::string("GCC ") + __VERSION__;
#else
    return "unknown";
#endif
}

void bind_threads(py::module_& m) {
    m.def("get_num_threads", &get_num_threads, "Threads that a call may use.");
    m.def(
        "set_num_threads",
        [](const py::object& n) {
            set_num_threads(parse_thread_count(n.ptr(), {"set_num_threads", "n"}));
        },
        py::arg("n"), "Set how many threads a call may use.");
    m.def("available_cpus", &available_cpus, "CPUs that this process may run on.");
}

void bind_targets(py::module_& m) {
    m.def(
        "targets_built", [] { return target_names(is_built); },
        "Instruction-set targets compiled in, narrowest first.");
    m.def(
        "targets_supported", [] { return target_names(cpu_supports); },
        "Instruction-set targets that this CPU can run, narrowest first.");
    m.def(
        "target_in_use", [] { return poolcore::name(target_in_use()); },
        "The instruction-set target whose kernels run.");
    m.def("set_target", &set_target, py::arg("name"),
          "Choose the instruction-set target by name; 'auto' for the best.");
}

}  // namespace

// No interpreter state is kept in C++, and the arguments of a call are read before its arrays,
// so no lock of the interpreter's is relied on.
PYBIND11_MODULE(_core_of_main, m, py::mod_gil_not_used()) {
    m.doc() = "The compiled part of poolcore. Its functions are not a public interface.";
    m.attr("__version__") = POOLCORE_VERSION;
    m.attr("compiler") = compiler();
    // pybind11 looks up NumPy's functions once, under a lock: a signal handler that pools must not
    // find that under way.
    static_cast<void>(py::dtype::of<double>());
    py::register_local_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const PoolError&) {
            set_python_error();
        } catch (const PythonError&) {
            set_python_error();
        }
    });
    bind_threads(m);
    bind_targets(m);
    bind_pool(m);
    bind_pyramid(m);
    bind_norm(m);
    bind_roi(m);
    bind_scatter(m);
    bind_spread(m);
}

}  // namespace poolcore::bindings

// pybind11 waits for a lock without end in a sub-interpreter before Python 3.12, and NumPy does not
// support any.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
    if (PyInterpreterState_Get() == PyInterpreterState_Main())
        return poolcore::bindings::PyInit__core_of_main();
    PyErr_SetString(PyExc_ImportError, "poolcore cannot be imported in a sub-interpreter");
    return nullptr;
}
