// The arguments of one call -> a PoolSpec with its axes resolved, and the arrays it works on.
// Included by the bindings only.
#pragma once

#include "bindings/planes.hpp"
#include "poolcore/plan.hpp"

namespace poolcore::bindings {

// Positions in the flat argument list that the Python functions pass on.
enum Arg {
    kArgFunction,
    kArgX,
    kArgKernel,
    kArgStride,
    kArgPadding,
    kArgDilation,
    kArgCeilMode,
    kArgCountIncludePad,
    kArgDivisor,
    kArgReturnIndices,
    kArgDType,
    kArgRounding,
    kArgLayout,
    kArgAxes,
    kArgOp,
    kArgNanPolicy,
    kArgOut,
    kArgThreads,
    kNumArgs,
};

// Everything that a call needs. Arrays are held as exact ndarrays; null where not given.
struct Request {
    PoolSpec spec;
    py::object x;
    py::object dtype;
    py::object out;      // the values' array
    py::object indices;  // the indices' array
    int threads = 0;
    StridedView view;
};

// Number of a layout among those of `n_axes` pooled axes, or among all six when it is 0: the odd
// ones have the channels last.
int parse_layout(PyObject* object, const ArgName& name, int n_axes);

// The axes that a function on whole planes pools, as given or by its rank; `shape` is the argument
// whose length `rank` is.
PlaneAxes whole_axes(const ArgName& shape, PyObject* layout, PyObject* axes, int rank);

// Reads `args[kNumArgs]`. Every conversion that may run Python code comes before the view of x.
Request read_request(PyObject* const* args);

}  // namespace poolcore::bindings
