// roi and roi_backward: arrays, boxes as arrays of float64, and the options of all modes.
#include "bindings/bind_roi.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/arguments.hpp"
#include "bindings/outputs.hpp"
#include "bindings/planes.hpp"
#include "bindings/request.hpp"
#include "bindings/unlocked.hpp"
#include "poolcore/roi.hpp"

namespace poolcore::bindings {
namespace {

enum RoiArg {
    kRoiFunction,
    kRoiX,
    kRoiBoxes,
    kRoiSize,
    kRoiScale,
    kRoiSampling,
    kRoiAligned,
    kRoiModeName,
    kRoiReturnIndices,
    kRoiLayout,
    kRoiNanPolicy,
    kRoiOut,
    kRoiThreads,
    kNumRoiArgs,
};

double read_scale(PyObject* object, const char* f) {
    const double scale = parse_float(object, {f, "spatial_scale"});
    if (!(scale > 0) || std::isinf(scale))
        throw PoolError(ErrorKind::kValue, text({f, "spatial_scale"}) + "=" + short_repr(object) +
                                               " must be finite and above 0");
    return scale;
}

RoiSpec read_roi(PyObject* const* args, const char* f) {
    RoiSpec spec;
    spec.function = f;
    parse_per_axis(args[kRoiSize], {f, "output_size"}, 2, spec.size);
    const bool listed = sequence_length(args[kRoiSize]) >= 0;
    for (int i = 0; i < 2; ++i)
        if (spec.size[i] < 0)
            throw PoolError(ErrorKind::kValue, text({f, "output_size", listed ? i : -1}) + "=" +
                                                   std::to_string(spec.size[i]) +
                                                   " must not be negative");
    spec.scale = read_scale(args[kRoiScale], f);
    spec.sampling = parse_int(args[kRoiSampling], {f, "sampling_ratio"});
    spec.aligned = parse_bool(args[kRoiAligned], {f, "aligned"});
    spec.mode = RoiMode::kPool;
    if (std::string_view(f) != "roi_pool")
        spec.mode = parse_choice(args[kRoiModeName], {f, "mode"}, {"avg", "max"}) == 0
                        ? RoiMode::kAlignMean
                        : RoiMode::kAlignMax;
    spec.channels_last = parse_layout(args[kRoiLayout], {f, "layout"}, 2) == 1;
    spec.nan_policy = static_cast<NanPolicy>(
        parse_choice(args[kRoiNanPolicy], {f, "nan_policy"}, {"propagate", "omit", "raise"}));
    return spec;
}

// One array of boxes, or that of one image, for messages: "boxes" or "boxes[2]".
struct BoxArray {
    PyObject* array;
    std::string name;
};

[[noreturn]] void fail_box(ErrorKind kind, const BoxArray& a, std::int64_t row, int column,
                           double value, const std::string& problem) {
    const py::object number = own(PyFloat_FromDouble(value));
    throw PoolError(kind, a.name + "[" + std::to_string(row) + "][" + std::to_string(column) +
                              "]=" + short_repr(number.ptr()) + problem);
}

// Appends rows of `columns` numbers, behind the number of the image where the array has none.
void append_boxes(const BoxArray& a, int columns, double image, std::vector<double>& boxes) {
    if (!is_exact_array(a.array) || dtype_of(proxy(a.array)->descr) != DType::kFloat64)
        throw PoolError(ErrorKind::kType, a.name + " must be an array of float64");
    const StridedView view = view_input(a.array, {"", ""});
    if (view.rank != 2 || view.shape[1] != columns)
        throw PoolError(ErrorKind::kValue,
                        a.name + " must have shape " +
                            (columns == 4 ? "(L, 4)" : "(K, 5), or be a list of arrays (L, 4)") +
                            ", got " + shape_text(view.shape, view.rank));
    boxes.reserve(boxes.size() + 5 * static_cast<std::size_t>(view.shape[0]));
    for (std::int64_t row = 0; row < view.shape[0]; ++row) {
        if (columns == 4) boxes.push_back(image);
        for (int column = 0; column < columns; ++column) {
            double value;
            std::memcpy(&value, view.data + row * view.strides[0] + column * view.strides[1],
                        sizeof value);
            if (!std::isfinite(value))
                fail_box(ErrorKind::kValue, a, row, column, value, " must be finite");
            boxes.push_back(value);
        }
    }
}

// Boxes of their own, checked; `images` is what argument `of` has.
void read_roi_boxes(PyObject* given, std::int64_t images, const char* of, RoiSpec& spec,
                    std::vector<double>& boxes) {
    const BoxArray all{given, text({spec.function, "boxes"})};
    if (PyTuple_Check(given)) {
        const Py_ssize_t n = PyTuple_GET_SIZE(given);
        if (n != images)
            throw PoolError(ErrorKind::kValue,
                            all.name + " must be an array (K, 5) or a list of one array (L, 4) for "
                                       "each of the " + std::to_string(images) + " images of " +
                                of + ", got a list of " + std::to_string(n));
        for (Py_ssize_t i = 0; i < n; ++i)
            append_boxes({PyTuple_GET_ITEM(given, i), all.name + "[" + std::to_string(i) + "]"}, 4,
                         static_cast<double>(i), boxes);
    } else {
        append_boxes(all, 5, 0, boxes);
    }
    spec.boxes = boxes.data();
    spec.n_boxes = static_cast<std::int64_t>(boxes.size() / 5);
    for (std::int64_t i = 0; i < spec.n_boxes; ++i) {
        const double image = spec.boxes[5 * i];
        if (image != std::floor(image))
            fail_box(ErrorKind::kValue, all, i, 0, image,
                     ", the number of an image, must be whole");
        if (image < 0 || image >= static_cast<double>(images))
            fail_box(ErrorKind::kIndex, all, i, 0, image,
                     std::string(" is the number of no image; ") + of + " has " +
                         std::to_string(images));
    }
}

struct RoiOutputs {
    py::object values, indices;
};

RoiOutputs given_outputs(PyObject* object, const char* f, bool pair) {
    if (object == Py_None) return {};
    if (!pair) return {as_output(object, {f, "out"}), {}};
    const Py_ssize_t length = PyTuple_Check(object) ? PyTuple_GET_SIZE(object) : -1;
    if (length != 2)
        fail_type({f, "out"}, "must be a tuple (values, indices) when return_indices is true, got " +
                                  (length < 0 ? type_name(object)
                                              : "a tuple of " + std::to_string(length)));
    RoiOutputs outputs;
    outputs.values = as_output(PyTuple_GET_ITEM(object, 0), {f, "out", 0});
    outputs.indices = as_output(PyTuple_GET_ITEM(object, 1), {f, "out", 1});
    return outputs;
}

// Makes the results, or checks the caller's.
void prepare_roi(const RoiSpec& spec, const StridedView& view, PyObject* x, bool pair,
                 RoiOutputs& outputs) {
    const char* const f = spec.function;
    PoolPlan types;
    types.in_dtype = view.dtype;
    types.out_dtype = roi_dtype(spec.mode, view.dtype);
    std::int64_t shape[4] = {spec.n_boxes};
    shape[spec.channel_axis()] = view.shape[spec.channel_axis()];
    for (int i = 0; i < 2; ++i) shape[spec.plane_axis(i)] = spec.size[i];
    const ResultShape result(
        4, shape, checked_elements(f, shape, 4, pair ? DType::kInt64 : types.out_dtype));
    if (!outputs.values) {
        outputs.values = new_output(result, view, x, output_descr(types, x, {}).ptr());
        if (pair) outputs.indices = new_output(result, view, x, index_descr().ptr());
        return;
    }
    const ArgName values{f, "out", pair ? 0 : -1}, indices{f, "out", 1};
    check_output(outputs.values.ptr(), types.out_dtype, result, values);
    check_apart(outputs.values.ptr(), x, "x", values);
    if (!pair) return;
    check_output(outputs.indices.ptr(), DType::kInt64, result, indices);
    check_apart(outputs.indices.ptr(), x, "x", indices);
    check_apart(outputs.indices.ptr(), outputs.values.ptr(), "out[0]", indices);
}

PyObject* roi(PyObject* const* args) {
    static constexpr std::initializer_list<PlaneFunction> kFunctions = {{"roi_pool", 2},
                                                                        {"roi_align", 2}};
    const char* const f = find_function(args[kRoiFunction], kFunctions).name;
    const py::object x = as_array(args[kRoiX], {f, "x"});
    RoiSpec spec = read_roi(args, f);
    const bool pair = parse_bool(args[kRoiReturnIndices], {f, "return_indices"});
    const int threads = parse_threads(args[kRoiThreads], {f, "threads"});
    RoiOutputs outputs = given_outputs(args[kRoiOut], f, pair);
    const StridedView view = view_input(x.ptr(), {f, "x"});  // after the last Python code
    if (view.rank != 4)
        fail_value({f, "x"}, "must have 4 dimensions, got " + std::to_string(view.rank));
    for (int i = 0; i < 2; ++i)
        if (view.shape[spec.plane_axis(i)] == 0)
            fail_value({f, "x"}, "of shape " + shape_text(view.shape, 4) + " has empty planes");
    std::vector<double> boxes;
    read_roi_boxes(args[kRoiBoxes], view.shape[0], "x", spec, boxes);
    prepare_roi(spec, view, x.ptr(), pair, outputs);
    const MutableView out = view_output(outputs.values.ptr(), roi_dtype(spec.mode, view.dtype));
    MutableView indices;
    if (pair) indices = view_output(outputs.indices.ptr(), DType::kInt64);
    run_unlocked(roi_work(spec, view), threads, [&](const RunControl& control) {
        return run_roi(spec, view, out, pair ? &indices : nullptr, control);
    });
    if (args[kRoiOut] != Py_None) return Py_NewRef(args[kRoiOut]);
    if (!pair) return outputs.values.release().ptr();
    return own(PyTuple_Pack(2, outputs.values.ptr(), outputs.indices.ptr())).release().ptr();
}

// ---- gradients ----

enum RoiBackArg {
    kRoiBackFunction,
    kRoiBackGrad,
    kRoiBackIndices,
    kRoiBackBoxes,
    kRoiBackShape,
    kRoiBackScale,
    kRoiBackSampling,
    kRoiBackAligned,
    kRoiBackMode,
    kRoiBackX,
    kRoiBackLayout,
    kRoiBackOut,
    kRoiBackThreads,
    kNumRoiBackArgs,
};

RoiSpec read_roi_back(PyObject* const* args, const char* f) {
    RoiSpec spec;
    spec.function = f;
    if (std::string_view(f) != "roi_pool_backward")
        spec.mode = parse_choice(args[kRoiBackMode], {f, "mode"}, {"avg", "max"}) == 0
                        ? RoiMode::kAlignMean
                        : RoiMode::kAlignMax;
    spec.scale = read_scale(args[kRoiBackScale], f);
    spec.sampling = parse_int(args[kRoiBackSampling], {f, "sampling_ratio"});
    spec.aligned = parse_bool(args[kRoiBackAligned], {f, "aligned"});
    spec.channels_last = parse_layout(args[kRoiBackLayout], {f, "layout"}, 2) == 1;
    return spec;
}

void read_input_shape(PyObject* object, const RoiSpec& spec, std::int64_t* shape) {
    const ArgName name{spec.function, "input_shape"};
    parse_shape(object, name, 4, shape);
    for (int i = 0; i < 2; ++i) {
        const int axis = spec.plane_axis(i);
        if (shape[axis] < 1)
            throw PoolError(ErrorKind::kValue, text({spec.function, "input_shape", axis}) + "=" +
                                                   std::to_string(shape[axis]) +
                                                   " must be at least 1");
    }
}

// One image of the gradient a box, and the channels of the input.
void check_roi_grad(const StridedView& grad, const std::int64_t* shape, RoiSpec& spec) {
    const ArgName name{spec.function, "grad"};
    if (grad.dtype == DType::kBool)
        fail_type(name, "has dtype bool, which cannot be added up; convert it");
    if (grad.shape[0] != spec.n_boxes)
        fail_value(name, "of shape " + shape_text(grad.shape, 4) + " must have length " +
                             std::to_string(spec.n_boxes) + ", the number of boxes, along axis 0");
    const int channel = spec.channel_axis();
    if (grad.shape[channel] != shape[channel])
        throw PoolError(ErrorKind::kValue, text({spec.function, "input_shape", channel}) + "=" +
                                               std::to_string(shape[channel]) + " must be " +
                                               std::to_string(grad.shape[channel]) +
                                               ", as in grad of shape " +
                                               shape_text(grad.shape, 4));
    for (int i = 0; i < 2; ++i) {
        spec.size[i] = grad.shape[spec.plane_axis(i)];
        if (spec.size[i] == 0) spec.n_boxes = 0;
    }
}

StridedView view_pooled(PyObject* x, const std::int64_t* shape, const char* f) {
    const StridedView view = view_input(x, {f, "x"});
    if (view.rank != 4 || !std::equal(shape, shape + 4, view.shape))
        fail_value({f, "x"}, "must have the shape input_shape, " + shape_text(shape, 4) + ", got " +
                                 shape_text(view.shape, view.rank));
    return view;
}

PyObject* roi_backward(PyObject* const* args) {
    static constexpr std::initializer_list<PlaneFunction> kFunctions = {
        {"roi_pool_backward", 2}, {"roi_align_backward", 2}};
    const char* const f = find_function(args[kRoiBackFunction], kFunctions).name;
    const ArgName grad_name{f, "grad"}, out_name{f, "out"}, index_name{f, "indices"};
    const py::object grad = as_array(args[kRoiBackGrad], grad_name);
    RoiSpec spec = read_roi_back(args, f);
    py::object index, x;
    if (spec.mode == RoiMode::kPool) index = as_array(args[kRoiBackIndices], index_name);
    if (args[kRoiBackX] != Py_None) x = as_array(args[kRoiBackX], {f, "x"});
    if (spec.mode == RoiMode::kAlignMax && !x)
        fail_value({f, "x"}, "must be given with mode='max'");
    const int threads = parse_threads(args[kRoiBackThreads], {f, "threads"});
    py::object out;
    if (args[kRoiBackOut] != Py_None) out = as_output(args[kRoiBackOut], out_name);
    std::int64_t shape[4];
    read_input_shape(args[kRoiBackShape], spec, shape);
    const StridedView view = view_input(grad.ptr(), grad_name);  // after the last Python code
    if (view.rank != 4)
        fail_value(grad_name, "must have 4 dimensions, got " + std::to_string(view.rank));
    std::vector<double> boxes;
    read_roi_boxes(args[kRoiBackBoxes], shape[0], "input_shape", spec, boxes);
    check_roi_grad(view, shape, spec);
    StridedView index_view, x_view;
    if (x) x_view = view_pooled(x.ptr(), shape, f);
    if (index) index_view = view_indices(index.ptr(), view, index_name, "grad");
    PoolPlan types;
    types.in_dtype = view.dtype;
    types.out_dtype = roi_gradient_dtype(spec.mode, view.dtype);
    const ResultShape result(4, shape, checked_elements(f, shape, 4, types.out_dtype));
    if (out) {
        check_output(out.ptr(), types.out_dtype, result, out_name);
        check_apart(out.ptr(), grad.ptr(), "grad", out_name);
        if (index) check_apart(out.ptr(), index.ptr(), "indices", out_name);
        if (x) check_apart(out.ptr(), x.ptr(), "x", out_name);
    } else {
        out = new_output(result, view, grad.ptr(), output_descr(types, grad.ptr(), {}).ptr());
    }
    const MutableView target = view_output(out.ptr(), types.out_dtype);
    run_unlocked(roi_gradient_work(spec, shape), threads, [&](const RunControl& control) {
        return run_roi_gradient(
            spec, view, {index ? &index_view : nullptr, x ? &x_view : nullptr}, target, control);
    });
    return args[kRoiBackOut] == Py_None ? out.release().ptr() : Py_NewRef(args[kRoiBackOut]);
}

PyMethodDef* roi_methods() {
    static PyMethodDef table[] = {
        {"roi", fast_function_of<kNumRoiArgs, roi>(), METH_FASTCALL,
         "roi(function, x, boxes, output_size, spatial_scale, sampling_ratio, aligned, mode, "
         "return_indices, layout, nan_policy, out, threads, /)\n--\n\n"
         "Pool the boxes of x as the public function of that name says."},
        {"roi_backward", fast_function_of<kNumRoiBackArgs, roi_backward>(), METH_FASTCALL,
         "roi_backward(function, grad, indices, boxes, input_shape, spatial_scale, "
         "sampling_ratio, aligned, mode, x, layout, out, threads, /)\n--\n\n"
         "Carry gradients of boxes back as the public function of that name says."},
        {nullptr, nullptr, 0, nullptr}};
    return table;
}

}  // namespace

void bind_roi(py::module_& module) {
    if (PyModule_AddFunctions(module.ptr(), roi_methods()) != 0) throw py::error_already_set();
}

}  // namespace poolcore::bindings
