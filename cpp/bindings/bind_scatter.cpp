// max_unpool, max_backward and unpool_backward: read the arguments, find the shape of the result,
// scatter or gather.
#include "bindings/bind_scatter.hpp"

#include <algorithm>
#include <string>

#include "bindings/arguments.hpp"
#include "bindings/outputs.hpp"
#include "bindings/planes.hpp"
#include "bindings/request.hpp"
#include "bindings/unlocked.hpp"
#include "poolcore/scatter.hpp"

namespace poolcore::bindings {
namespace {

// The arrays of one call. `shape` is that of the result.
struct Scatter {
    const PlaneFunction* function = nullptr;
    const char* values_name = "x";
    bool add = false;
    bool gather = false;  // the values are planes, of whose elements the indices tell
    py::object values, indices, out;
    StridedView view;
    StridedView index_view;
    PlaneAxes axes;
    bool squeezed = false;
    int threads = 0;
    std::int64_t shape[kMaxRank];
};

// Everything that may run Python code and is the same for both functions.
void read_arrays(PyObject* values, PyObject* indices, Scatter& s) {
    s.values = as_array(values, {s.function->name, s.values_name});
    s.indices = as_array(indices, {s.function->name, "indices"});
}

// Makes or checks the result and fills it.
PyObject* run_scatter(Scatter& s, PyObject* given) {
    const char* f = s.function->name;
    const ResultShape result(s.view.rank, s.shape,
                             checked_elements(f, s.shape, s.view.rank, s.view.dtype));
    const bool fresh = !s.out;
    if (fresh) {
        s.out = new_output(result, s.view, s.values.ptr(), proxy(s.values.ptr())->descr);
    } else {
        check_output(s.out.ptr(), s.view.dtype, result, {f, "out"});
        check_apart(s.out.ptr(), s.values.ptr(), s.values_name, {f, "out"});
        check_apart(s.out.ptr(), s.indices.ptr(), "indices", {f, "out"});
    }
    const MutableView out = view_output(s.out.ptr(), s.view.dtype);
    ScatterSpec spec;
    spec.function = f;
    spec.n_axes = s.axes.n;
    std::copy_n(s.axes.axes, s.axes.n, spec.axes);
    spec.squeezed = s.squeezed;
    spec.add = s.add;
    spec.fresh = fresh;
    if (s.gather) spec.holder = s.values_name;
    double work = static_cast<double>(result.elements);
    double read = 4;
    for (int i = 0; i < s.view.rank; ++i) read *= static_cast<double>(s.index_view.shape[i]);
    run_unlocked(work + read, s.threads, [&](const RunControl& control) {
        return (s.gather ? gather : scatter)(spec, s.view, s.index_view, out, control);
    });
    return fresh ? s.out.release().ptr() : Py_NewRef(given);
}

// ---- unpooling ----

enum UnpoolArg {
    kUnpoolFunction,
    kUnpoolX,
    kUnpoolIndices,
    kUnpoolKernel,
    kUnpoolStride,
    kUnpoolPadding,
    kUnpoolSize,
    kUnpoolLayout,
    kUnpoolOut,
    kUnpoolThreads,
    kNumUnpoolArgs,
};

// The windows that were pooled, as written by the caller.
struct Windows {
    std::int64_t kernel[kMaxPooledAxes];
    std::int64_t stride[kMaxPooledAxes];
    PoolSpec padding;
    bool listed = false;

    ArgName name(const char* f, const char* argument, int i) const {
        return {f, argument, listed ? i : -1};
    }
};

Windows read_windows(PyObject* const* args, const PlaneFunction& f) {
    Windows w;
    w.listed = parse_per_axis(args[kUnpoolKernel], {f.name, "kernel_size"}, f.n_axes, w.kernel);
    if (args[kUnpoolStride] == Py_None)
        std::copy_n(w.kernel, f.n_axes, w.stride);
    else
        w.listed |= parse_per_axis(args[kUnpoolStride], {f.name, "stride"}, f.n_axes, w.stride);
    w.listed |= parse_padding(args[kUnpoolPadding], {f.name, "padding"}, f.n_axes, w.padding);
    if (w.padding.pad_mode != PadMode::kExplicit)
        throw PoolError(ErrorKind::kValue, std::string(f.name) + ": padding=" +
                                               short_repr(args[kUnpoolPadding]) +
                                               " must be numbers: words need the length that is "
                                               "asked for here");
    return w;
}

[[noreturn]] void fail_number(const ArgName& name, std::int64_t value, const std::string& rule) {
    throw PoolError(ErrorKind::kValue, text(name) + "=" + std::to_string(value) + " " + rule);
}

// (n - 1) * stride - pads + kernel, as checked 64-bit numbers.
std::int64_t unpooled_length(std::int64_t n, const Windows& w, int i, const char* f) {
    const std::int64_t k = w.kernel[i], stride = w.stride[i];
    if (k < 1) fail_number(w.name(f, "kernel_size", i), k, "must be at least 1");
    if (stride < 1) fail_number(w.name(f, "stride", i), stride, "must be at least 1");
    const AxisParams& pads = w.padding.params[i];
    for (const std::int64_t pad : {pads.pad_lo, pads.pad_hi}) {
        if (pad < 0) fail_number(w.name(f, "padding", i), pad, "must not be negative");
        if (pad >= k)
            fail_number(w.name(f, "padding", i), pad,
                        "must be smaller than kernel_size " + std::to_string(k));
    }
    std::int64_t length = 0;
    if (__builtin_mul_overflow(n - 1, stride, &length) ||
        __builtin_add_overflow(length, k, &length))
        fail_number(w.name(f, "kernel_size", i), k,
                    "with stride=" + std::to_string(stride) +
                        " makes the result longer than 2**63-1 elements");
    return length - pads.pad_lo - pads.pad_hi;
}

// `output_size` as written: of the pooled axes, or of all.
struct SizeRequest {
    int n = 0;  // 0: not given
    std::int64_t lengths[kMaxPooledAxes + 2];
};

SizeRequest read_size(PyObject* object, const PlaneFunction& f) {
    SizeRequest size;
    if (object == Py_None) return size;
    const Py_ssize_t length = sequence_length(object);
    size.n = length == f.n_axes + 1 || length == f.n_axes + 2 ? static_cast<int>(length) : f.n_axes;
    parse_per_axis(object, {f.name, "output_size"}, size.n, size.lengths);
    return size;
}

// The lengths of the pooled axes that are asked for; null when none are.
const std::int64_t* wanted_lengths(const SizeRequest& size, const Scatter& s) {
    if (size.n == 0) return nullptr;
    if (size.n == s.axes.n) return size.lengths;
    const ArgName name{s.function->name, "output_size"};
    if (size.n != s.view.rank)
        fail_value(name, "must have " + std::to_string(s.axes.n) + " or " +
                             std::to_string(s.view.rank) + " ints, got " + std::to_string(size.n));
    check_same_outside(size.lengths, s.view, s.axes, name, "x");
    return size.lengths + s.axes.axes[0];
}

void set_unpooled_shape(const Windows& w, const std::int64_t* size, Scatter& s) {
    const char* f = s.function->name;
    const bool given = size != nullptr;
    std::copy_n(s.view.shape, s.view.rank, s.shape);
    for (int i = 0; i < s.axes.n; ++i) {
        const int axis = s.axes.axes[i];
        const std::int64_t n = s.view.shape[axis];
        if (n < 1)
            throw PoolError(ErrorKind::kValue, std::string(f) + ": x has length 0 along axis " +
                                                   std::to_string(axis) +
                                                   "; it must be at least 1");
        const std::int64_t length = unpooled_length(n, w, i, f);
        const std::int64_t wanted = given ? size[i] : length;
        std::int64_t off = 0;  // two lengths may lie more than 2**63-1 apart
        const bool near = wanted > 0 && !__builtin_sub_overflow(wanted, length, &off) &&
                          off < w.stride[i] && off > -w.stride[i];
        if (given && !near)
            fail_number({f, "output_size", i}, wanted,
                        "must be at least 1 and less than stride " + std::to_string(w.stride[i]) +
                            " away from " + std::to_string(length));
        if (wanted < 1)
            fail_number(w.name(f, "padding", i), w.padding.params[i].pad_lo,
                        "leaves nothing of axis " + std::to_string(axis));
        s.shape[axis] = wanted;
    }
}

PyObject* max_unpool(PyObject* const* args) {
    static constexpr std::initializer_list<PlaneFunction> kFunctions = {
        {"max_unpool1d", 1}, {"max_unpool2d", 2}, {"max_unpool3d", 3}};
    Scatter s;
    s.function = &find_function(args[kUnpoolFunction], kFunctions);
    const char* f = s.function->name;
    read_arrays(args[kUnpoolX], args[kUnpoolIndices], s);
    const bool channels_last =
        parse_layout(args[kUnpoolLayout], {f, "layout"}, s.function->n_axes) == 1;
    s.threads = parse_threads(args[kUnpoolThreads], {f, "threads"});
    const Windows windows = read_windows(args, *s.function);
    if (args[kUnpoolOut] != Py_None) s.out = as_output(args[kUnpoolOut], {f, "out"});
    const SizeRequest size = read_size(args[kUnpoolSize], *s.function);
    s.view = view_input(s.values.ptr(), {f, "x"});
    s.axes = plane_axes(*s.function, channels_last, s.view.rank, "x");
    s.index_view = view_indices(s.indices.ptr(), s.view, {f, "indices"}, "x");
    set_unpooled_shape(windows, wanted_lengths(size, s), s);
    return run_scatter(s, args[kUnpoolOut]);
}

// ---- the gradient of maxima and minima ----

enum BackwardArg {
    kBackFunction,
    kBackGrad,
    kBackIndices,
    kBackShape,
    kBackLayout,
    kBackAxes,
    kBackKeepDims,
    kBackOut,
    kBackThreads,
    kNumBackwardArgs,
};

PyObject* max_backward(PyObject* const* args) {
    static constexpr std::initializer_list<PlaneFunction> kFunctions = {
        {"max_pool1d_backward", 1}, {"max_pool2d_backward", 2}, {"max_pool3d_backward", 3},
        {"adaptive_max_pool1d_backward", 1}, {"adaptive_max_pool2d_backward", 2},
        {"adaptive_max_pool3d_backward", 3}, {"fractional_max_pool2d_backward", 2},
        {"fractional_max_pool3d_backward", 3}, {"global_max_pool_backward", 0},
        {"spatial_pyramid_pool_backward", 2}};
    Scatter s;
    s.function = &find_function(args[kBackFunction], kFunctions);
    s.values_name = "grad";
    s.add = true;
    const char* f = s.function->name;
    read_arrays(args[kBackGrad], args[kBackIndices], s);
    s.threads = parse_threads(args[kBackThreads], {f, "threads"});
    if (args[kBackOut] != Py_None) s.out = as_output(args[kBackOut], {f, "out"});
    const PooledInput input = read_pooled_input(
        *s.function,
        {args[kBackShape], args[kBackLayout], args[kBackAxes], args[kBackKeepDims]},
        s.values.ptr());
    std::copy_n(input.shape, input.rank, s.shape);
    s.axes = input.axes;
    s.squeezed = !input.keepdims;
    s.view = view_grad(*s.function, input, s.values.ptr());  // after the last Python code
    s.index_view = view_indices(s.indices.ptr(), view_input(s.values.ptr(), {f, "grad"}),
                                {f, "indices"}, "grad");
    if (s.squeezed) s.index_view = with_axes(s.index_view, s.axes);
    return run_scatter(s, args[kBackOut]);
}

// ---- the gradient of unpooling ----

enum UnpoolBackwardArg {
    kUnBackFunction,
    kUnBackGrad,
    kUnBackIndices,
    kUnBackShape,
    kUnBackLayout,
    kUnBackOut,
    kUnBackThreads,
    kNumUnpoolBackwardArgs,
};

PyObject* unpool_backward(PyObject* const* args) {
    static constexpr std::initializer_list<PlaneFunction> kFunctions = {
        {"max_unpool1d_backward", 1}, {"max_unpool2d_backward", 2}, {"max_unpool3d_backward", 3}};
    Scatter s;
    s.function = &find_function(args[kUnBackFunction], kFunctions);
    s.values_name = "grad";
    s.gather = true;
    const char* f = s.function->name;
    read_arrays(args[kUnBackGrad], args[kUnBackIndices], s);
    s.threads = parse_threads(args[kUnBackThreads], {f, "threads"});
    if (args[kUnBackOut] != Py_None) s.out = as_output(args[kUnBackOut], {f, "out"});
    const PooledInput input = read_pooled_input(
        *s.function, {args[kUnBackShape], args[kUnBackLayout], Py_None, Py_True}, s.values.ptr());
    std::copy_n(input.shape, input.rank, s.shape);
    s.axes = input.axes;
    s.view = view_grad(*s.function, input, s.values.ptr());  // after the last Python code
    StridedView values;
    values.rank = input.rank;
    std::copy_n(input.shape, input.rank, values.shape);
    s.index_view = view_indices(s.indices.ptr(), values, {f, "indices"}, "input_shape");
    return run_scatter(s, args[kUnBackOut]);
}

PyMethodDef* scatter_methods() {
    static PyMethodDef table[] = {
        {"max_unpool", fast_function_of<kNumUnpoolArgs, max_unpool>(), METH_FASTCALL,
         "max_unpool(function, x, indices, kernel_size, stride, padding, output_size, layout, "
         "out, threads, /)\n--\n\nUnpool x as the public function of that name says."},
        {"max_backward", fast_function_of<kNumBackwardArgs, max_backward>(), METH_FASTCALL,
         "max_backward(function, grad, indices, input_shape, layout, axes, "
         "keepdims, out, threads, /)\n--\n\n"
         "Add up gradients as the public function of that name says."},
        {"unpool_backward", fast_function_of<kNumUnpoolBackwardArgs, unpool_backward>(),
         METH_FASTCALL,
         "unpool_backward(function, grad, indices, input_shape, layout, out, threads, /)\n--\n\n"
         "Take gradients back as the public function of that name says."},
        {nullptr, nullptr, 0, nullptr}};
    return table;
}

}  // namespace

void bind_scatter(py::module_& module) {
    if (PyModule_AddFunctions(module.ptr(), scatter_methods()) != 0) throw py::error_already_set();
}

}  // namespace poolcore::bindings
