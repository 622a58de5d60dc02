#include "bindings/request.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "bindings/arguments.hpp"
#include "bindings/outputs.hpp"

namespace poolcore::bindings {

// What the name of a public function fixes.
struct FunctionInfo {
    const char* name;
    int op;    // an Op, or -1: the `op` argument says
    int n_axes;  // 0: `axes`, `layout` or kernel_size say
    bool plane_alone;  // the bare pooled axes, without channels, are accepted
    WindowKind windows;  // what the kernel argument holds
    const char* x_name;
    const char* kernel_name;
    const char* op_name;  // of kLp and kGem, the exponent's
    bool skips = false;  // the place of divisor_override names a label that has no vote
};

namespace {

constexpr int kAnyOp = -1;
constexpr int op_number(Op op) { return static_cast<int>(op); }
constexpr FunctionInfo nd(const char* name, Op op, int n_axes) {
    return {name, op_number(op), n_axes, false, WindowKind::kKernel, "x", "kernel_size", "op"};
}
constexpr FunctionInfo whole(const char* name, Op op) {
    return {name, op_number(op), 0, false, WindowKind::kWhole, "x", "kernel_size", "op"};
}
constexpr FunctionInfo norm(const char* name, int n_axes) {
    return {name, op_number(Op::kLp), n_axes, false, WindowKind::kKernel, "x", "kernel_size",
            "norm_type"};
}
constexpr FunctionInfo whole_norm(const char* name, Op op) {
    return {name, op_number(op), 0, false, WindowKind::kWhole, "x", "kernel_size", "p"};
}
constexpr FunctionInfo adaptive(const char* name, int op, int n_axes) {
    return {name, op, n_axes, false, WindowKind::kAdaptive, "x", "output_size", "op"};
}
constexpr FunctionInfo kFunctions[] = {
    nd("max_pool1d", Op::kMax, 1),
    nd("max_pool2d", Op::kMax, 2),
    nd("max_pool3d", Op::kMax, 3),
    nd("min_pool1d", Op::kMin, 1),
    nd("min_pool2d", Op::kMin, 2),
    nd("min_pool3d", Op::kMin, 3),
    nd("avg_pool1d", Op::kAvg, 1),
    nd("avg_pool2d", Op::kAvg, 2),
    nd("avg_pool3d", Op::kAvg, 3),
    nd("sum_pool1d", Op::kSum, 1),
    nd("sum_pool2d", Op::kSum, 2),
    nd("sum_pool3d", Op::kSum, 3),
    nd("mode_pool2d", Op::kMode, 2),
    nd("mode_pool3d", Op::kMode, 3),
    nd("median_pool2d", Op::kMedian, 2),
    nd("median_pool3d", Op::kMedian, 3),
    nd("soft_pool1d", Op::kSoft, 1),
    nd("soft_pool2d", Op::kSoft, 2),
    nd("soft_pool3d", Op::kSoft, 3),
    nd("soft_pool1d_backward", Op::kSoft, 1),
    nd("soft_pool2d_backward", Op::kSoft, 2),
    nd("soft_pool3d_backward", Op::kSoft, 3),
    nd("stochastic_pool1d", Op::kStochastic, 1),
    nd("stochastic_pool2d", Op::kStochastic, 2),
    nd("stochastic_pool3d", Op::kStochastic, 3),
    {"pool2d", kAnyOp, 2, true, WindowKind::kKernel, "X", "pool_size", "mode"},
    {"pool", kAnyOp, 0, false, WindowKind::kKernel, "x", "kernel_size", "op"},
    whole("global_max_pool", Op::kMax),
    whole("global_min_pool", Op::kMin),
    whole("global_avg_pool", Op::kAvg),
    whole("global_sum_pool", Op::kSum),
    norm("lp_pool1d", 1),
    norm("lp_pool2d", 2),
    norm("lp_pool3d", 3),
    norm("lp_pool1d_backward", 1),
    norm("lp_pool2d_backward", 2),
    norm("lp_pool3d_backward", 3),
    whole_norm("global_lp_pool", Op::kLp),
    whole_norm("gem_pool", Op::kGem),
    whole_norm("global_lp_pool_backward", Op::kLp),
    whole_norm("gem_pool_backward", Op::kGem),
    adaptive("adaptive_max_pool1d", op_number(Op::kMax), 1),
    adaptive("adaptive_max_pool2d", op_number(Op::kMax), 2),
    adaptive("adaptive_max_pool3d", op_number(Op::kMax), 3),
    adaptive("adaptive_min_pool1d", op_number(Op::kMin), 1),
    adaptive("adaptive_min_pool2d", op_number(Op::kMin), 2),
    adaptive("adaptive_min_pool3d", op_number(Op::kMin), 3),
    adaptive("adaptive_avg_pool1d", op_number(Op::kAvg), 1),
    adaptive("adaptive_avg_pool2d", op_number(Op::kAvg), 2),
    adaptive("adaptive_avg_pool3d", op_number(Op::kAvg), 3),
    adaptive("spatial_pyramid_pool", kAnyOp, 2),
    adaptive("fractional_max_pool2d", op_number(Op::kMax), 2),
    adaptive("fractional_max_pool3d", op_number(Op::kMax), 3),
    {"pyramid", kAnyOp, 0, false, WindowKind::kKernel, "x", "factor", "op"},
    {"pyramid without nodata", op_number(Op::kMode), 0, false, WindowKind::kKernel, "x", "factor",
     "op", true},
};

const FunctionInfo& find_function(PyObject* object) {
    Py_ssize_t size = 0;
    const char* utf8 =
        PyUnicode_Check(object) ? PyUnicode_AsUTF8AndSize(object, &size) : nullptr;
    if (utf8) {
        const std::string_view wanted(utf8, static_cast<std::size_t>(size));
        for (const FunctionInfo& info : kFunctions)
            if (wanted == info.name) return info;
    }
    PyErr_Clear();
    throw PoolError(ErrorKind::kValue, "poolcore: unknown function " + short_repr(object));
}

// Which axes are pooled, before the rank of x is looked at.
struct AxisRequest {
    int n = 0;
    bool channels_last = false;
    bool explicit_axes = false;
    std::int64_t axes[kMaxPooledAxes] = {0, 0, 0};  // as the caller wrote them
};

int checked_axis_count(Py_ssize_t n, const ArgName& name) {
    if (n < 1 || n > kMaxPooledAxes)
        fail_value(name, "must be an int or 1 to 3 ints, got " + std::to_string(n));
    return static_cast<int>(n);
}

void parse_axes(PyObject* object, const ArgName& name, AxisRequest& request) {
    const Py_ssize_t length = sequence_length(object);
    request.explicit_axes = true;
    request.n = length < 0 ? 1 : checked_axis_count(length, name);
    parse_per_axis(object, name, request.n, request.axes);
}

// Batch, channels, and the axes that are pooled: as ONNX reads the input of its Global*Pool.
int trailing_axes(const FunctionInfo& info, int rank) {
    if (rank < 3 || rank > 2 + kMaxPooledAxes)
        fail_value(ArgName{info.name, info.x_name},
                   "must have 3 to 5 dimensions, (N, C, ...), got " + std::to_string(rank) +
                       "; for other arrays name the axes with axes or layout");
    return rank - 2;
}

AxisRequest parse_axis_request(PyObject* const* args, const FunctionInfo& info, int rank) {
    AxisRequest request;
    const ArgName layout{info.name, "layout"};
    if (info.n_axes > 0) {
        request.n = info.n_axes;
        request.channels_last = parse_layout(args[kArgLayout], layout, request.n) == 1;
        return request;
    }
    if (args[kArgAxes] != Py_None) {
        if (args[kArgLayout] != Py_None)
            throw PoolError(ErrorKind::kValue,
                            std::string(info.name) + ": give axes or layout, not both");
        parse_axes(args[kArgAxes], ArgName{info.name, "axes"}, request);
        return request;
    }
    if (args[kArgLayout] != Py_None) {
        const int choice = parse_layout(args[kArgLayout], layout, 0);
        request.n = choice / 2 + 1;
        request.channels_last = choice % 2 == 1;
        return request;
    }
    if (info.windows == WindowKind::kWhole) {
        request.n = trailing_axes(info, rank);
        return request;
    }
    const Py_ssize_t length = sequence_length(args[kArgKernel]);
    const ArgName kernel{info.name, info.kernel_name};
    request.n = length < 0 ? std::clamp(rank, 1, 2) : checked_axis_count(length, kernel);
    return request;
}

[[noreturn]] void fail_rank(const FunctionInfo& info, const std::string& wanted, int rank) {
    fail_value(ArgName{info.name, info.x_name},
               "must have " + wanted + " dimensions, got " + std::to_string(rank));
}

int first_axis(const FunctionInfo& info, const AxisRequest& request, int rank, bool has_layout) {
    if (!has_layout) {
        if (rank < request.n)
            fail_rank(info, "at least " + std::to_string(request.n), rank);
        return rank - request.n;
    }
    if (info.plane_alone && rank == request.n) return 0;
    if (rank != request.n + 1 && rank != request.n + 2)
        fail_rank(info,
                  std::string(info.plane_alone ? "2, " : "") + std::to_string(request.n + 1) +
                      " or " + std::to_string(request.n + 2),
                  rank);
    return rank - request.n - (request.channels_last ? 1 : 0);
}

void place_explicit_axes(const FunctionInfo& info, const AxisRequest& request, int rank,
                         PoolSpec& spec) {
    for (int i = 0; i < request.n; ++i) {
        const std::int64_t given = request.axes[i];
        if (given < -rank || given >= rank)
            throw PoolError(ErrorKind::kValue, std::string(info.name) + ": axes[" +
                                                   std::to_string(i) +
                                                   "]=" + std::to_string(given) +
                                                   " is out of range for " + info.x_name +
                                                   " with " + std::to_string(rank) +
                                                   " dimensions");
        spec.axes[i] = static_cast<int>(given < 0 ? given + rank : given);
        for (int j = 0; j < i; ++j)
            if (spec.axes[j] == spec.axes[i])
                throw PoolError(ErrorKind::kValue,
                                std::string(info.name) + ": axes[" + std::to_string(i) + "]=" +
                                    std::to_string(given) + " names an axis twice");
    }
}

// Fills spec.axes and sorts everything per axis into ascending axis order.
void place_axes(const FunctionInfo& info, const AxisRequest& request, int rank, bool has_layout,
                PoolSpec& spec) {
    if (!request.explicit_axes) {
        const int first = first_axis(info, request, rank, has_layout);
        for (int i = 0; i < request.n; ++i) spec.axes[i] = first + i;
        return;
    }
    place_explicit_axes(info, request, rank, spec);
    for (int i = 1; i < request.n; ++i) {
        for (int j = i; j > 0 && spec.axes[j] < spec.axes[j - 1]; --j) {
            std::swap(spec.axes[j], spec.axes[j - 1]);
            std::swap(spec.params[j], spec.params[j - 1]);
            std::swap(spec.arg_index[j], spec.arg_index[j - 1]);
        }
    }
}

void parse_output_size(PyObject* const* args, const FunctionInfo& info, PoolSpec& spec) {
    std::int64_t sizes[kMaxPooledAxes];
    const bool listed =
        parse_sizes(args[kArgKernel], {info.name, info.kernel_name}, spec.n_axes, sizes);
    for (int i = 0; i < spec.n_axes; ++i) {
        spec.params[i].kernel = sizes[i];
        spec.arg_index[i] = listed ? i : -1;
    }
}

void parse_windows(PyObject* const* args, const FunctionInfo& info, PoolSpec& spec) {
    const int n = spec.n_axes;
    spec.windows = info.windows;
    if (info.windows == WindowKind::kWhole) return;
    if (info.windows == WindowKind::kAdaptive) return parse_output_size(args, info, spec);
    std::int64_t kernel[kMaxPooledAxes];
    std::int64_t stride[kMaxPooledAxes];
    std::int64_t dilation[kMaxPooledAxes];
    const char* f = info.name;
    bool listed = parse_per_axis(args[kArgKernel], {f, info.kernel_name}, n, kernel);
    if (args[kArgStride] == Py_None)
        std::copy_n(kernel, n, stride);
    else
        listed |= parse_per_axis(args[kArgStride], {f, "stride"}, n, stride);
    listed |= parse_per_axis(args[kArgDilation], {f, "dilation"}, n, dilation);
    listed |= parse_padding(args[kArgPadding], {f, "padding"}, n, spec);
    for (int i = 0; i < n; ++i) {
        spec.params[i].kernel = kernel[i];
        spec.params[i].stride = stride[i];
        spec.params[i].dilation = dilation[i];
        spec.arg_index[i] = listed ? i : -1;
    }
}

// In the order of Op; majorities and medians have no adaptive windows.
Op parse_op(PyObject* value, const FunctionInfo& info) {
    const ArgName name{info.name, info.op_name};
    return static_cast<Op>(
        info.windows == WindowKind::kAdaptive
            ? parse_choice(value, name, {"max", "min", "sum", "avg"})
            : parse_choice(value, name, {"max", "min", "sum", "avg", "mode", "median"}));
}

// The place of `op` holds the exponent, for kGem with the least value: (p, eps).
void parse_power(PyObject* value, const FunctionInfo& info, PoolSpec& spec) {
    const ArgName name{info.name, info.op_name};
    spec.power_name = info.op_name;
    if (spec.op == Op::kGem && PyTuple_Check(value) && PyTuple_GET_SIZE(value) == 2) {
        spec.power = parse_float(PyTuple_GET_ITEM(value, 0), name);
        spec.floor = parse_float(PyTuple_GET_ITEM(value, 1), {info.name, "eps"});
    } else {
        spec.power = parse_float(value, name);
    }
}

void parse_options(PyObject* const* args, const FunctionInfo& info, Request& request) {
    PoolSpec& spec = request.spec;
    const char* f = info.name;
    spec.op = info.op != kAnyOp ? static_cast<Op>(info.op) : parse_op(args[kArgOp], info);
    if (spec.op == Op::kLp || spec.op == Op::kGem) parse_power(args[kArgOp], info, spec);
    spec.ceil_mode = parse_bool(args[kArgCeilMode], {f, "ceil_mode"});
    spec.count_include_pad = parse_bool(args[kArgCountIncludePad], {f, "count_include_pad"});
    spec.return_indices = parse_bool(args[kArgReturnIndices], {f, "return_indices"});
    if (args[kArgDivisor] != Py_None) {
        (info.skips ? spec.has_skip : spec.has_divisor) = true;
        (info.skips ? spec.skip : spec.divisor) =
            parse_int(args[kArgDivisor], {f, "divisor_override"});
    }
    if (args[kArgDType] != Py_None) {
        ParsedDType parsed = parse_dtype(args[kArgDType], {f, "dtype"});
        spec.has_dtype = true;
        spec.dtype = parsed.dtype;
        request.dtype = std::move(parsed.descr);
    }
    spec.rounding = static_cast<Rounding>(parse_choice(
        args[kArgRounding], {f, "rounding"}, {"half_even", "half_up", "floor", "trunc"}));
    spec.nan_policy = static_cast<NanPolicy>(
        parse_choice(args[kArgNanPolicy], {f, "nan_policy"}, {"propagate", "omit", "raise"}));
    request.threads = parse_threads(args[kArgThreads], {f, "threads"});
}

void parse_out(PyObject* object, const char* function, Request& request) {
    if (object == Py_None) return;
    if (!request.spec.return_indices) {
        request.out = as_output(object, {function, "out"});
        return;
    }
    const Py_ssize_t length = PyTuple_Check(object) ? PyTuple_GET_SIZE(object) : -1;
    if (length != 2)
        fail_type({function, "out"},
                  "must be a tuple (values, indices) when return_indices is true, got " +
                      (length < 0 ? type_name(object)
                                  : "a tuple of " + std::to_string(length)));
    request.out = as_output(PyTuple_GET_ITEM(object, 0), {function, "out", 0});
    request.indices = as_output(PyTuple_GET_ITEM(object, 1), {function, "out", 1});
}

}  // namespace

int parse_layout(PyObject* object, const ArgName& name, int n_axes) {
    switch (n_axes) {
        case 1: return parse_choice(object, name, {"NCW", "NWC"});
        case 2: return parse_choice(object, name, {"NCHW", "NHWC"});
        case 3: return parse_choice(object, name, {"NCDHW", "NDHWC"});
        default:
            return parse_choice(object, name, {"NCW", "NWC", "NCHW", "NHWC", "NCDHW", "NDHWC"});
    }
}

PlaneAxes whole_axes(const ArgName& shape, PyObject* layout, PyObject* axes, int rank) {
    FunctionInfo info = whole(shape.function, Op::kMax);
    info.x_name = shape.argument;
    PyObject* args[kNumArgs] = {};
    args[kArgLayout] = layout;
    args[kArgAxes] = axes;
    const AxisRequest request = parse_axis_request(args, info, rank);
    PoolSpec spec;
    place_axes(info, request, rank, layout != Py_None, spec);
    PlaneAxes found{request.n};
    std::copy_n(spec.axes, found.n, found.axes);
    return found;
}

Request read_request(PyObject* const* args) {
    const FunctionInfo& info = find_function(args[kArgFunction]);
    const ArgName x_name{info.name, info.x_name};
    Request request;
    request.spec.function = info.name;
    request.spec.kernel_name = info.kernel_name;
    request.x = as_array(args[kArgX], x_name);
    // Its rank says which axes are pooled, but an x of no use is the first thing to tell.
    if (info.windows == WindowKind::kWhole) view_input(request.x.ptr(), x_name);
    const AxisRequest axes = parse_axis_request(args, info, proxy(request.x.ptr())->nd);
    request.spec.n_axes = axes.n;
    parse_options(args, info, request);
    parse_windows(args, info, request.spec);
    parse_out(args[kArgOut], info.name, request);
    request.view = view_input(request.x.ptr(), x_name);
    const bool has_layout = args[kArgLayout] != Py_None;
    place_axes(info, axes, request.view.rank, has_layout, request.spec);
    return request;
}

}  // namespace poolcore::bindings
