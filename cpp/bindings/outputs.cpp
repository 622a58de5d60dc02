#include "bindings/outputs.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace poolcore::bindings {
namespace {

using Npy = py::detail::npy_api;

int type_number(DType dtype) {
    switch (dtype) {
        case DType::kBool: return Npy::NPY_BOOL_;
        case DType::kInt8: return Npy::NPY_INT8_;
        case DType::kUInt8: return Npy::NPY_UINT8_;
        case DType::kInt16: return Npy::NPY_INT16_;
        case DType::kUInt16: return Npy::NPY_UINT16_;
        case DType::kInt32: return Npy::NPY_INT32_;
        case DType::kUInt32: return Npy::NPY_UINT32_;
        case DType::kInt64: return Npy::NPY_INT64_;
        case DType::kUInt64: return Npy::NPY_UINT64_;
        case DType::kFloat16: return 23;
        case DType::kFloat32: return Npy::NPY_FLOAT32_;
        case DType::kFloat64: return Npy::NPY_FLOAT64_;
        case DType::kBFloat16: break;  // has no number of its own: comes from x or dtype=
    }
    return Npy::NPY_VOID_;
}

// Axes from the widest stride to the narrowest. An axis whose stride says nothing (length 1, or
// broadcast) stays where C order has it, as in NumPy's ufuncs.
void memory_order(const StridedView& in, int* order) {
    const auto says_nothing = [&in](int axis) {
        return in.shape[axis] <= 1 || in.strides[axis] == 0;
    };
    for (int i = 0; i < in.rank; ++i) {
        int at = i;
        if (!says_nothing(i)) {
            for (int j = i - 1; j >= 0; --j) {
                if (says_nothing(order[j])) continue;
                if (std::abs(in.strides[order[j]]) >= std::abs(in.strides[i])) break;
                at = j;
            }
        }
        std::copy_backward(order + at, order + i, order + i + 1);
        order[at] = i;
    }
}

// Byte range [lo, hi) that an array may touch.
struct Extent {
    const char* lo;
    const char* hi;
};

Extent extent_of(const ArrayProxy* a) {
    Extent e{a->data, a->data};
    for (int i = 0; i < a->nd; ++i) {
        if (a->dimensions[i] == 0) return {a->data, a->data};
        const Py_ssize_t reach = (a->dimensions[i] - 1) * a->strides[i];
        (reach > 0 ? e.hi : e.lo) += reach;
    }
    e.hi += py::reinterpret_borrow<py::dtype>(a->descr).itemsize();
    return e;
}

// True unless each axis steps over everything that the narrower axes reach. That holds for every
// array that slicing, transposing or reversing can make; only hand-made strides interleave more
// cleverly, and those are refused too.
bool may_overlap_itself(const ArrayProxy* a) {
    int order[kMaxRank];
    int n = 0;
    for (int i = 0; i < a->nd; ++i) {
        if (a->dimensions[i] == 0) return false;
        if (a->dimensions[i] > 1) order[n++] = i;
    }
    std::sort(order, order + n,
              [a](int p, int q) { return std::abs(a->strides[p]) < std::abs(a->strides[q]); });
    Py_ssize_t reach = py::reinterpret_borrow<py::dtype>(a->descr).itemsize();
    for (int i = 0; i < n; ++i) {
        const Py_ssize_t stride = std::abs(a->strides[order[i]]);
        if (stride < reach) return true;
        reach += stride * (a->dimensions[order[i]] - 1);
    }
    return false;
}

}  // namespace

std::string shape_text(const std::int64_t* shape, int rank) {
    std::string s = "(";
    for (int i = 0; i < rank; ++i) s += (i > 0 ? ", " : "") + std::to_string(shape[i]);
    return s + (rank == 1 ? ",)" : ")");
}

py::object new_output(const ResultShape& result, const StridedView& in, PyObject* x,
                      PyObject* descr) {
    const Npy& npy = Npy::get();
    Py_intptr_t shape[kMaxRank];
    Py_intptr_t strides[kMaxRank];
    std::copy_n(result.shape, result.rank, shape);
    const bool c_order = (proxy(x)->flags & Npy::NPY_ARRAY_C_CONTIGUOUS_) != 0;
    if (!c_order && result.elements > 0) {
        int order[kMaxRank];
        memory_order(in, order);
        Py_intptr_t step = py::reinterpret_borrow<py::dtype>(descr).itemsize();
        for (int i = result.rank - 1; i >= 0; --i) {
            strides[order[i]] = step;
            step *= shape[order[i]];
        }
    }
    Py_INCREF(descr);  // PyArray_NewFromDescr takes a reference over
    return own(npy.PyArray_NewFromDescr_(npy.PyArray_Type_, descr, result.rank, shape,
                                         c_order || result.elements == 0 ? nullptr : strides,
                                         nullptr, 0, nullptr));
}

py::object output_descr(const PoolPlan& plan, PyObject* x, const py::object& dtype) {
    if (plan.out_dtype == plan.in_dtype) return py::reinterpret_borrow<py::object>(proxy(x)->descr);
    if (dtype && plan.spec.has_dtype && plan.out_dtype == plan.spec.dtype) return dtype;
    return own(Npy::get().PyArray_DescrFromType_(type_number(plan.out_dtype)));
}

py::object index_descr() { return own(Npy::get().PyArray_DescrFromType_(Npy::NPY_INT64_)); }

py::object as_output(PyObject* object, const ArgName& name) {
    if (is_exact_array(object)) return py::reinterpret_borrow<py::object>(object);
    if (!Npy::get().PyArray_Check_(object))
        fail_type(name, "must be a numpy.ndarray, got " + type_name(object));
    return as_array(object, name);  // the base-class view of a subclass
}

void check_output(PyObject* array, DType dtype, const ResultShape& result, const ArgName& name) {
    const ArrayProxy* a = proxy(array);
    const std::optional<DType> got = dtype_of(a->descr);
    if (!got || *got != dtype)
        fail_value(name, std::string("must have dtype ") + poolcore::name(dtype) + ", got " +
                             py::str(py::handle(a->descr)).cast<std::string>());
    const bool same_shape =
        a->nd == result.rank && std::equal(result.shape, result.shape + result.rank, a->dimensions);
    if (!same_shape) {
        std::int64_t given[kMaxRank];
        const int rank = std::min(a->nd, kMaxRank);
        std::copy_n(a->dimensions, rank, given);
        fail_value(name, "must have shape " + shape_text(result.shape, result.rank) + ", got " +
                             shape_text(given, rank));
    }
    if ((a->flags & Npy::NPY_ARRAY_WRITEABLE_) == 0) fail_value(name, "is read-only");
    if (may_overlap_itself(a)) fail_value(name, "overlaps itself in memory");
}

void check_apart(PyObject* array, PyObject* other, const char* other_name, const ArgName& name) {
    const Extent a = extent_of(proxy(array));
    const Extent b = extent_of(proxy(other));
    if (a.lo == a.hi || b.lo == b.hi || a.hi <= b.lo || b.hi <= a.lo) return;
    if (call_adapter("overlap", array, other, name).ptr() != Py_False)
        fail_value(name, std::string("overlaps ") + other_name + " in memory");
}

}  // namespace poolcore::bindings
