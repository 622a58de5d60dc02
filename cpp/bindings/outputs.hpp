// Result arrays: made in the memory order of the input, or the caller's own, checked before a
// byte is written. Included by the bindings only.
#pragma once

#include <string>

#include "bindings/arrays.hpp"
#include "poolcore/plan.hpp"

namespace poolcore::bindings {

// Borrowed from whoever computed it.
struct ResultShape {
    int rank;
    const std::int64_t* shape;
    std::int64_t elements;

    ResultShape(const PoolPlan& plan)
        : rank(plan.rank), shape(plan.out_shape), elements(plan.out_elements) {}
    ResultShape(int n, const std::int64_t* lengths, std::int64_t count)
        : rank(n), shape(lengths), elements(count) {}
};

// A new array of that shape whose axes lie in memory in the order of the input's (NumPy's 'K').
// `descr` is borrowed.
py::object new_output(const ResultShape& result, const StridedView& in, PyObject* x,
                      PyObject* descr);

// The dtype object of the plan's values, given x and the parsed `dtype=` (may be null).
py::object output_descr(const PoolPlan& plan, PyObject* x, const py::object& dtype);
py::object index_descr();
// "(2, 3)" and, of one entry, "(2,)".
std::string shape_text(const std::int64_t* shape, int rank);

// `object` as an exact array on the same memory, or TypeError. May run Python code.
py::object as_output(PyObject* object, const ArgName& name);

// ValueError unless `array` is writeable, of this dtype and shape, and overlaps neither itself
// nor `other`.
void check_output(PyObject* array, DType dtype, const ResultShape& result, const ArgName& name);
void check_apart(PyObject* array, PyObject* other, const char* other_name, const ArgName& name);

}  // namespace poolcore::bindings
