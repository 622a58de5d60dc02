// What the functions on planes of a layout share: unpooling and gradients. Included by the
// bindings only.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>

#include "bindings/arrays.hpp"

namespace poolcore::bindings {

// A public function and how many axes it pools; 0: the arguments say which, and all of them.
struct PlaneFunction {
    const char* name;
    int n_axes;
};

// The entry of that name, whose strings outlive every call.
const PlaneFunction& find_function(PyObject* name, std::initializer_list<PlaneFunction> table);

// The pooled axes, ascending.
struct PlaneAxes {
    int n = 0;
    int axes[kMaxPooledAxes] = {0, 0, 0};
    bool holds(int axis) const { return std::find(axes, axes + n, axis) != axes + n; }
};
// `channels_last` as parse_layout says; ValueError unless `rank` is that of planes with channels
// and perhaps a batch.
PlaneAxes plane_axes(const PlaneFunction& f, bool channels_last, int rank, const char* array_name);

// A sequence of `n` lengths of at least 0, for an array of `n` dimensions.
void parse_shape(PyObject* object, const ArgName& name, int n, std::int64_t* shape);

// What a gradient belongs to: the array that was pooled, and where.
struct PooledInput {
    int rank = 0;
    std::int64_t shape[kMaxRank];
    PlaneAxes axes;
    bool keepdims = true;
};
// The arguments that say so; `axes` and `keepdims` of functions on whole planes alone.
struct PooledInputArgs {
    PyObject *shape, *layout, *axes, *keepdims;
};
// Reads them, for a gradient `grad`, an exact array. May run Python code.
PooledInput read_pooled_input(const PlaneFunction& f, const PooledInputArgs& args, PyObject* grad);

// The view of a gradient, with the axes that keepdims=False leaves out; checked but for the number
// of windows. Runs no Python code unless it fails.
StridedView view_grad(const PlaneFunction& f, const PooledInput& input, PyObject* grad);

// ValueError unless `grad` is no bool and has the shape of the results, with or without `axes`;
// `of` says to what they belong.
void check_grad(const char* function, const StridedView& grad, const std::int64_t* results,
                int rank, const PlaneAxes& axes, bool keepdims, const char* of = "");

// A view with axes of length 1 put in.
StridedView with_axes(const StridedView& view, const PlaneAxes& axes);

// Elements of that shape; MemoryError when they have more than 2**63 - 1 bytes.
std::int64_t checked_elements(const char* function, const std::int64_t* shape, int rank,
                              DType dtype);

// ValueError unless the lengths outside the pooled axes are those of `view`.
void check_same_outside(const std::int64_t* shape, const StridedView& view, const PlaneAxes& axes,
                        const ArgName& name, const char* array_name);

// The view of an array of integers, with the shape of `like`.
StridedView view_indices(PyObject* array, const StridedView& like, const ArgName& name,
                         const char* like_name);

// The wrapper of a plain C function of `N` arguments.
template <Py_ssize_t N, PyObject* (*Function)(PyObject* const*)>
PyObject* guarded_call(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    try {
        if (n_args != N)
            throw PoolError(ErrorKind::kType, "poolcore: expected " + std::to_string(N) +
                                                  " arguments, got " + std::to_string(n_args));
        return Function(args);
    } catch (...) {
        set_python_error();
        return nullptr;
    }
}
template <Py_ssize_t N, PyObject* (*Function)(PyObject* const*)>
PyCFunction fast_function_of() {
    return reinterpret_cast<PyCFunction>(
        reinterpret_cast<void (*)()>(&guarded_call<N, Function>));
}

}  // namespace poolcore::bindings
