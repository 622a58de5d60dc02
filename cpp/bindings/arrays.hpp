// NumPy arrays -> views, or the error that names the argument. No function here copies data.
// Included by the bindings only.
#pragma once

#include <pybind11/numpy.h>

#include <optional>

#include "bindings/errors.hpp"
#include "poolcore/view.hpp"

namespace poolcore::bindings {

using ArrayProxy = py::detail::PyArray_Proxy;

inline const ArrayProxy* proxy(PyObject* array) { return py::detail::array_proxy(array); }
inline bool is_exact_array(PyObject* object) {
    return Py_TYPE(object) == py::detail::npy_api::get().PyArray_Type_;
}

// The element type of a NumPy dtype in native byte order; nothing for any other.
std::optional<DType> dtype_of(PyObject* descr);

// `dtype=`: a NumPy dtype object made from anything np.dtype accepts, and its element type.
struct ParsedDType {
    py::object descr;
    DType dtype;
};
ParsedDType parse_dtype(PyObject* object, const ArgName& name);

// x as an exact numpy.ndarray on the same memory. May run Python code.
py::object as_array(PyObject* object, const ArgName& name);

// The view of an exact array. Runs no Python code unless it fails.
StridedView view_input(PyObject* array, const ArgName& name);

// The view of memory that will be written.
MutableView view_output(PyObject* array, DType dtype);

// Calls poolcore._adapters.<function>(first, second, function name, argument name): the rare
// paths that are clearer in Python.
py::object call_adapter(const char* function, PyObject* first, PyObject* second,
                        const ArgName& name);

}  // namespace poolcore::bindings
