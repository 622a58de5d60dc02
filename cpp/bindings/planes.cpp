#include "bindings/planes.hpp"

#include <algorithm>
#include <string_view>

#include "bindings/arguments.hpp"
#include "bindings/outputs.hpp"
#include "bindings/request.hpp"

namespace poolcore::bindings {

const PlaneFunction& find_function(PyObject* name, std::initializer_list<PlaneFunction> table) {
    Py_ssize_t size = 0;
    const char* utf8 = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, &size) : nullptr;
    const std::string_view wanted(utf8 ? utf8 : "", static_cast<std::size_t>(size));
    for (const PlaneFunction& f : table)
        if (wanted == f.name) return f;
    PyErr_Clear();
    throw PoolError(ErrorKind::kValue, "poolcore: unknown function " + short_repr(name));
}

PlaneAxes plane_axes(const PlaneFunction& f, bool channels_last, int rank,
                     const char* array_name) {
    if (rank != f.n_axes + 1 && rank != f.n_axes + 2)
        fail_value({f.name, array_name},
                   "must have " + std::to_string(f.n_axes + 1) + " or " +
                       std::to_string(f.n_axes + 2) + " dimensions, got " + std::to_string(rank));
    PlaneAxes axes{f.n_axes};
    for (int i = 0; i < axes.n; ++i) axes.axes[i] = rank - axes.n - (channels_last ? 1 : 0) + i;
    return axes;
}

void parse_shape(PyObject* object, const ArgName& name, int n, std::int64_t* shape) {
    const Py_ssize_t length = sequence_length(object);
    const std::string wanted = "must be a sequence of " + std::to_string(n) + " ints";
    if (length < 0) fail_type(name, wanted + ", got " + type_name(object));
    if (length != n) fail_value(name, wanted + ", got " + std::to_string(length));
    parse_per_axis(object, name, n, shape);
    for (int i = 0; i < n; ++i)
        if (shape[i] < 0)
            throw PoolError(ErrorKind::kValue,
                            text({name.function, name.argument, i}) + "=" +
                                std::to_string(shape[i]) + " must not be negative");
}

PooledInput read_pooled_input(const PlaneFunction& f, const PooledInputArgs& args,
                              PyObject* grad) {
    PooledInput input;
    const ArgName name{f.name, "input_shape"};
    input.rank = view_input(grad, {f.name, "grad"}).rank;
    if (f.n_axes > 0) {
        const bool last = parse_layout(args.layout, {f.name, "layout"}, f.n_axes) == 1;
        input.axes = plane_axes(f, last, input.rank, "grad");
    } else {
        input.keepdims = parse_bool(args.keepdims, {f.name, "keepdims"});
        const Py_ssize_t length = sequence_length(args.shape);
        if (length < 0) fail_type(name, "must be a sequence of ints, got " + type_name(args.shape));
        if (length > kMaxRank)
            fail_value(name, "must have at most " + std::to_string(kMaxRank) + " ints, got " +
                                 std::to_string(length));
        input.rank = static_cast<int>(length);
        input.axes = whole_axes(name, args.layout, args.axes, input.rank);
    }
    parse_shape(args.shape, name, input.rank, input.shape);
    for (int i = 0; i < input.axes.n; ++i) {
        const int axis = input.axes.axes[i];
        if (input.shape[axis] < 1)
            throw PoolError(ErrorKind::kValue, text({f.name, "input_shape", axis}) + "=" +
                                                   std::to_string(input.shape[axis]) +
                                                   " must be at least 1");
    }
    return input;
}

StridedView with_axes(const StridedView& view, const PlaneAxes& axes) {
    StridedView wide = view;
    wide.rank = view.rank + axes.n;
    for (int i = 0, from = 0; i < wide.rank; ++i) {
        const bool put_in = axes.holds(i);
        wide.shape[i] = put_in ? 1 : view.shape[from];
        wide.strides[i] = put_in ? 0 : view.strides[from];
        from += put_in ? 0 : 1;
    }
    return wide;
}

void check_grad(const char* function, const StridedView& grad, const std::int64_t* results,
                int rank, const PlaneAxes& axes, bool keepdims, const char* of) {
    const ArgName name{function, "grad"};
    if (grad.dtype == DType::kBool)
        fail_type(name, "has dtype bool, which cannot be added up; convert it");
    std::int64_t shape[kMaxRank];
    int n = 0;
    for (int i = 0; i < rank; ++i)
        if (keepdims || !axes.holds(i)) shape[n++] = results[i];
    if (grad.rank != n || !std::equal(shape, shape + n, grad.shape))
        fail_value(name, "must have shape " + shape_text(shape, n) +
                             ", that of the results" + of + ", got " + shape_text(grad.shape, grad.rank));
}

StridedView view_grad(const PlaneFunction& f, const PooledInput& input, PyObject* grad) {
    const ArgName name{f.name, "grad"};
    const StridedView view = view_input(grad, name);
    if (f.n_axes == 0) {
        std::int64_t results[kMaxRank];
        for (int i = 0; i < input.rank; ++i)
            results[i] = input.axes.holds(i) ? 1 : input.shape[i];
        check_grad(f.name, view, results, input.rank, input.axes, input.keepdims,
                   " for this input_shape");
        return input.keepdims ? view : with_axes(view, input.axes);
    }
    if (view.dtype == DType::kBool)
        fail_type(name, "has dtype bool, which cannot be added up; convert it");
    if (view.rank != input.rank) fail_value(name, "changed while it was read");
    check_same_outside(input.shape, view, input.axes, {f.name, "input_shape"}, "grad");
    return view;
}

std::int64_t checked_elements(const char* function, const std::int64_t* shape, int rank,
                              DType dtype) {
    if (std::find(shape, shape + rank, 0) != shape + rank) return 0;
    const auto size = static_cast<std::int64_t>(item_size(dtype));
    std::int64_t bytes = size;
    for (int i = 0; i < rank; ++i)
        if (__builtin_mul_overflow(bytes, shape[i], &bytes))
            throw PoolError(ErrorKind::kMemory, std::string(function) +
                                                    ": the result would have more than 2**63-1 "
                                                    "bytes");
    return bytes / size;
}

void check_same_outside(const std::int64_t* shape, const StridedView& view, const PlaneAxes& axes,
                        const ArgName& name, const char* array_name) {
    for (int i = 0; i < view.rank; ++i) {
        if (axes.holds(i) || shape[i] == view.shape[i]) continue;
        throw PoolError(ErrorKind::kValue,
                        text({name.function, name.argument, i}) + "=" + std::to_string(shape[i]) +
                            " must be " + std::to_string(view.shape[i]) + ", as in " +
                            array_name + " of shape " + shape_text(view.shape, view.rank));
    }
}

StridedView view_indices(PyObject* array, const StridedView& like, const ArgName& name,
                         const char* like_name) {
    const ArrayProxy* a = proxy(array);
    const std::optional<DType> dtype = dtype_of(a->descr);
    if (!dtype || is_float(*dtype) || *dtype == DType::kBool)
        fail_type(name, "must be integers in native byte order, such as int64, got dtype " +
                            py::str(py::handle(a->descr)).cast<std::string>());
    const StridedView view = view_input(array, name);
    if (view.rank != like.rank || !std::equal(view.shape, view.shape + view.rank, like.shape))
        fail_value(name, "must have the shape of " + std::string(like_name) + ", " +
                             shape_text(like.shape, like.rank) + ", got " +
                             shape_text(view.shape, view.rank));
    return view;
}

}  // namespace poolcore::bindings
