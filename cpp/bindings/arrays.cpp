#include "bindings/arrays.hpp"

#include <array>
#include <bit>
#include <string>
#include <string_view>

namespace poolcore::bindings {
namespace {

using Npy = py::detail::npy_api;

constexpr int kHalfTypeNum = 23;
constexpr int kFirstUserTypeNum = 256;

const py::detail::PyArrayDescr_Proxy* descr_proxy(PyObject* descr) {
    return py::detail::array_descriptor_proxy(descr);
}

template <class T>
constexpr DType integer_dtype() {
    constexpr bool is_signed_type = static_cast<T>(-1) < static_cast<T>(0);
    switch (sizeof(T)) {
        case 1: return is_signed_type ? DType::kInt8 : DType::kUInt8;
        case 2: return is_signed_type ? DType::kInt16 : DType::kUInt16;
        case 4: return is_signed_type ? DType::kInt32 : DType::kUInt32;
        default: return is_signed_type ? DType::kInt64 : DType::kUInt64;
    }
}

// NumPy numbers C types, not widths: bool, then ten integers, float, double.
constexpr std::array<DType, 13> kByTypeNum = {
    DType::kBool,
    integer_dtype<signed char>(),
    integer_dtype<unsigned char>(),
    integer_dtype<short>(),
    integer_dtype<unsigned short>(),
    integer_dtype<int>(),
    integer_dtype<unsigned int>(),
    integer_dtype<long>(),
    integer_dtype<unsigned long>(),
    integer_dtype<long long>(),
    integer_dtype<unsigned long long>(),
    DType::kFloat32,
    DType::kFloat64,
};

bool attribute_is(PyObject* object, const char* attribute, std::string_view wanted) {
    const auto value = py::reinterpret_steal<py::object>(PyObject_GetAttrString(object, attribute));
    Py_ssize_t size = 0;
    const char* utf8 = value && PyUnicode_Check(value.ptr())
                           ? PyUnicode_AsUTF8AndSize(value.ptr(), &size)
                           : nullptr;
    if (!utf8) {
        if (PyErr_ExceptionMatches(PyExc_MemoryError)) throw PythonError{};
        PyErr_Clear();
        return false;
    }
    return std::string_view(utf8, static_cast<std::size_t>(size)) == wanted;
}

// ml_dtypes registers its own type with NumPy, so its number is not fixed, but nothing written
// in Python alone can have such a number.
bool is_bfloat16(PyObject* descr) {
    const auto* d = descr_proxy(descr);
    return d->type_num >= kFirstUserTypeNum &&
           py::reinterpret_borrow<py::dtype>(descr).itemsize() == 2 &&
           attribute_is(d->typeobj, "__name__", "bfloat16") &&
           attribute_is(d->typeobj, "__module__", "ml_dtypes");
}

bool is_native(char byteorder) {
    constexpr char native = std::endian::native == std::endian::little ? '<' : '>';
    return byteorder == '=' || byteorder == '|' || byteorder == native;
}

const char* advice(PyObject* descr, bool swapped) {
    if (swapped) return "; make it native: x.astype(x.dtype.newbyteorder('='))";
    switch (descr_proxy(descr)->kind) {
        case 'O':
        case 'S':
        case 'U':
        case 'T': return "; convert it: x.astype(float)";
        case 'c': return "; pool x.real, x.imag or abs(x)";
        case 'm':
        case 'M': return "; pool its integers: x.view('int64')";
        case 'V': return "; pool one numeric field, such as x['name']";
        default: return "; convert it: x.astype('float64')";
    }
}

[[noreturn]] void fail_dtype(PyObject* descr, const ArgName& name) {
    const bool user = descr_proxy(descr)->type_num >= kFirstUserTypeNum;
    const bool swapped = !is_native(descr_proxy(descr)->byteorder);
    const auto words = py::reinterpret_steal<py::object>(PyObject_Str(descr));
    std::string shown = words ? words.cast<std::string>() : "?";
    PyErr_Clear();
    if (descr_proxy(descr)->kind == 'U') shown += " (str)";
    if (descr_proxy(descr)->kind == 'S') shown += " (bytes)";
    constexpr std::size_t kLongest = 80;
    if (shown.size() > kLongest) shown = shown.substr(0, kLongest) + "...";
    fail_type(name, "has dtype " + shown + ", which cannot be pooled" +
                        (user ? "; convert it: x.astype('float32')" : advice(descr, swapped)));
}

}  // namespace

std::optional<DType> dtype_of(PyObject* descr) {
    const auto* d = descr_proxy(descr);
    if (!is_native(d->byteorder)) return std::nullopt;
    const int number = d->type_num;
    if (number >= 0 && number < static_cast<int>(kByTypeNum.size()))
        return kByTypeNum[static_cast<std::size_t>(number)];
    if (number == kHalfTypeNum) return DType::kFloat16;
    if (is_bfloat16(descr)) return DType::kBFloat16;
    return std::nullopt;
}

ParsedDType parse_dtype(PyObject* object, const ArgName& name) {
    PyObject* made = nullptr;
    if (Npy::get().PyArray_DescrConverter_(object, &made) == 0 || !made) {
        if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
            throw PythonError{};
        PyErr_Clear();
        throw PoolError(ErrorKind::kType,
                        text(name) + "=" + short_repr(object) + " is not a NumPy dtype");
    }
    const py::object descr = own(made);
    const std::optional<DType> dtype = dtype_of(descr.ptr());
    if (!dtype)
        throw PoolError(ErrorKind::kType,
                        text(name) + "=" + short_repr(object) +
                            " must be an integer or float dtype in native byte order");
    return {descr, *dtype};
}

py::object call_adapter(const char* function, PyObject* first, PyObject* second,
                        const ArgName& name) {
    const py::object adapters = own(PyImport_ImportModule("poolcore._adapters"));
    return own(PyObject_CallMethod(adapters.ptr(), function, "OOss", first, second, name.function,
                                   name.argument));
}

py::object as_array(PyObject* object, const ArgName& name) {
    if (is_exact_array(object)) return py::reinterpret_borrow<py::object>(object);
    py::object array = call_adapter("as_array", object, Py_None, name);
    if (!is_exact_array(array.ptr())) fail_type(name, "did not turn into a numpy.ndarray");
    return array;
}

StridedView view_input(PyObject* array, const ArgName& name) {
    const ArrayProxy* a = proxy(array);
    const std::optional<DType> dtype = dtype_of(a->descr);
    if (!dtype) fail_dtype(a->descr, name);
    if (a->nd > kMaxRank) fail_value(name, "has too many dimensions");
    StridedView view;
    view.data = reinterpret_cast<const std::byte*>(a->data);
    view.dtype = *dtype;
    view.rank = a->nd;
    for (int i = 0; i < a->nd; ++i) {
        view.shape[i] = a->dimensions[i];
        view.strides[i] = a->strides[i];
    }
    return view;
}

MutableView view_output(PyObject* array, DType dtype) {
    const ArrayProxy* a = proxy(array);
    MutableView view;
    view.data = reinterpret_cast<std::byte*>(a->data);
    view.dtype = dtype;
    view.rank = a->nd;
    for (int i = 0; i < a->nd; ++i) {
        view.shape[i] = a->dimensions[i];
        view.strides[i] = a->strides[i];
    }
    return view;
}

}  // namespace poolcore::bindings
