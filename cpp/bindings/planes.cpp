#include "bindings/planes.hpp"

#include <algorithm>
#include <string_view>

#include "bindings/arguments.hpp"
#include "bindings/outputs.hpp"

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
    return {rank - f.n_axes - (channels_last ? 1 : 0), f.n_axes};
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
