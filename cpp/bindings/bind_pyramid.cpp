// halve: the levels of a pyramid by halves, into arrays that the caller has checked against x.
#include "bindings/bind_pyramid.hpp"

#include <algorithm>
#include <vector>

#include "bindings/arguments.hpp"
#include "bindings/outputs.hpp"
#include "bindings/planes.hpp"
#include "bindings/unlocked.hpp"
#include "poolcore/pyramid.hpp"

namespace poolcore::bindings {
namespace {

constexpr const char* kFunction = "pyramid";

enum HalveArg {
    kHalveX,
    kHalveOp,
    kHalveRounding,
    kHalveTile,
    kHalveOut,
    kHalveThreads,
    kNumHalveArgs,
};

// The arrays of a list, each of them exact.
std::vector<py::object> read_outputs(PyObject* list) {
    if (!PyList_Check(list))
        fail_type({kFunction, "out"}, "must be a list, got " + type_name(list));
    std::vector<py::object> arrays;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i)
        arrays.push_back(as_output(PyList_GET_ITEM(list, i), {kFunction, "out", i}));
    return arrays;
}

// The view of a level, or the error that says what does not fit.
MutableView view_level(const PyramidPlan& plan, PyObject* array, int level) {
    const ArgName name{kFunction, "out", level - 1};
    std::int64_t shape[kMaxRank];
    std::copy_n(plan.in_shape, plan.rank, shape);
    for (int axis = plan.rank - 2; axis < plan.rank; ++axis) shape[axis] = plan.length(axis, level);
    const std::int64_t elements =
        checked_elements(kFunction, shape, plan.rank, plan.spec.dtype);
    check_output(array, plan.spec.dtype, ResultShape(plan.rank, shape, elements), name);
    const MutableView view = view_output(array, plan.spec.dtype);
    const int last = plan.rank - 1;
    if (shape[last] > 1 &&
        view.strides[last] != static_cast<std::int64_t>(item_size(plan.spec.dtype)))
        fail_value(name, "must have the elements of its last axis side by side");
    return view;
}

double estimate_work(const PyramidPlan& plan) {
    double work = 2;
    for (int i = 0; i < plan.rank; ++i) work *= static_cast<double>(plan.in_shape[i]);
    return work;
}

PyObject* halve(PyObject* const* args) {
    PyramidSpec spec;
    spec.function = kFunction;
    spec.means = parse_choice(args[kHalveOp], {kFunction, "op"}, {"sum", "avg"}) == 1;
    spec.rounding = static_cast<Rounding>(parse_choice(
        args[kHalveRounding], {kFunction, "rounding"}, {"half_even", "half_up", "floor", "trunc"}));
    spec.tile = parse_int(args[kHalveTile], {kFunction, "tile"});
    const int threads = parse_threads(args[kHalveThreads], {kFunction, "threads"});
    const py::object x = as_array(args[kHalveX], {kFunction, "x"});
    const std::vector<py::object> out = read_outputs(args[kHalveOut]);
    spec.levels = static_cast<int>(std::min<std::size_t>(out.size(), kMaxPyramidLevels + 1));
    const StridedView in = view_input(x.ptr(), {kFunction, "x"});
    if (!out.empty()) {
        const std::optional<DType> dtype = dtype_of(proxy(out[0].ptr())->descr);
        if (!dtype) fail_value({kFunction, "out", 0}, "has a dtype that levels cannot have");
        spec.dtype = *dtype;
    }
    const PyramidPlan plan = make_pyramid_plan(spec, in);
    std::vector<MutableView> levels;
    for (int level = 1; level <= spec.levels; ++level)
        levels.push_back(view_level(plan, out[static_cast<std::size_t>(level - 1)].ptr(), level));
    run_unlocked(estimate_work(plan), threads, [&](const RunControl& control) {
        return run_pyramid(plan, in, levels.data(), control);
    });
    return Py_NewRef(Py_None);
}

PyMethodDef* pyramid_methods() {
    static PyMethodDef table[] = {
        {"halve", fast_function_of<kNumHalveArgs, halve>(), METH_FASTCALL,
         "halve(x, op, rounding, tile, out, threads, /)\n--\n\n"
         "Write levels of means or sums by halves along the last two axes."},
        {nullptr, nullptr, 0, nullptr}};
    return table;
}

}  // namespace

void bind_pyramid(py::module_& module) {
    if (PyModule_AddFunctions(module.ptr(), pyramid_methods()) != 0) throw py::error_already_set();
}

}  // namespace poolcore::bindings
