// Result arrays: made in the memory order of the input, or the caller's own, checked before a
// byte is written. Included by the bindings only.
#pragma once

#include "bindings/arrays.hpp"
#include "poolcore/plan.hpp"

namespace poolcore::bindings {

// A new array of the plan's out_shape whose axes lie in memory in the order of the input's
// (NumPy's 'K'). `descr` is borrowed.
py::object new_output(const PoolPlan& plan, const StridedView& in, PyObject* x, PyObject* descr);

// The dtype object of the plan's values, given x and the parsed `dtype=` (may be null).
py::object output_descr(const PoolPlan& plan, PyObject* x, const py::object& dtype);
py::object index_descr();

// `object` as an exact array on the same memory, or TypeError. May run Python code.
py::object as_output(PyObject* object, const ArgName& name);

// ValueError unless `array` is writeable, of this dtype and shape, and overlaps neither itself
// nor `other`.
void check_output(PyObject* array, DType dtype, const PoolPlan& plan, const ArgName& name);
void check_apart(PyObject* array, PyObject* other, const char* other_name, const ArgName& name);

}  // namespace poolcore::bindings
