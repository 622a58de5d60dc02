// How the bindings fail: a PoolError carries a message, a PythonError says that the interpreter
// already holds one. Both become Python exceptions in one place, set_python_error().
// Included by the bindings only.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "poolcore/error.hpp"

namespace poolcore::bindings {

namespace py = pybind11;

struct PythonError {};

// Takes over a new reference from the C API, or reports its failure.
inline py::object own(PyObject* reference) {
    if (!reference) throw PythonError{};
    return py::reinterpret_steal<py::object>(reference);
}

// Which argument is looked at: "max_pool2d: padding", or "max_pool2d: padding[1]".
struct ArgName {
    const char* function;
    const char* argument;
    Py_ssize_t index = -1;
};

std::string text(const ArgName& name);
// "float", "numpy.ndarray"; "None" for None.
std::string type_name(PyObject* object);
// What Python's repr() says, cut to a readable length; never fails.
std::string short_repr(PyObject* object);

[[noreturn]] void fail_type(const ArgName& name, const std::string& problem);
[[noreturn]] void fail_value(const ArgName& name, const std::string& problem);

// Rewrites the exception being handled as Python's error indicator. Call inside a catch block.
void set_python_error();

}  // namespace poolcore::bindings
