#include "bindings/arguments.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "poolcore/threads.hpp"

namespace poolcore::bindings {
namespace {

std::string one_int_or(int n) {
    return "must be an int or " + std::to_string(n) + (n == 1 ? " int" : " ints");
}

// "'a', 'b' or 'c'"
std::string listed(std::initializer_list<const char*> choices) {
    std::string words;
    std::size_t i = 0;
    for (const char* choice : choices) {
        if (i > 0) words += i + 1 == choices.size() ? " or " : ", ";
        words += std::string("'") + choice + "'";
        ++i;
    }
    return words;
}

// The value for a message: small enough to print, or its size.
std::string describe_long(PyObject* number) {
    constexpr std::size_t kPrintableBits = 512;
    const auto bits = py::reinterpret_steal<py::object>(
        PyObject_CallMethod(number, "bit_length", nullptr));
    const std::size_t n = bits ? PyLong_AsSize_t(bits.ptr()) : SIZE_MAX;
    PyErr_Clear();
    if (n <= kPrintableBits) {
        const auto digits = py::reinterpret_steal<py::object>(PyObject_Str(number));
        if (digits) return "=" + digits.cast<std::string>();
        PyErr_Clear();
    }
    return " is an integer of " + std::to_string(n) + " bits and";
}

std::int64_t from_long(PyObject* number, const ArgName& name) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow != 0)
        throw PoolError(ErrorKind::kValue,
                        text(name) + describe_long(number) + " does not fit in 64 bits");
    if (value == -1 && PyErr_Occurred()) throw PythonError{};
    return value;
}

// `wanted` completes "must be ...", for the type error.
std::int64_t to_int(PyObject* object, const ArgName& name, const std::string& wanted) {
    if (PyBool_Check(object) || !PyIndex_Check(object))
        fail_type(name, wanted + ", got " + type_name(object));
    PyObject* number = PyNumber_Index(object);
    if (!number && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        fail_type(name, wanted + ", got " + type_name(object));
    }
    return from_long(own(number).ptr(), name);
}

// A tuple that nobody else can change, of a sequence of known small length. An array's entries
// become its rows or scalars.
py::object frozen(PyObject* sequence) {
    if (PyTuple_Check(sequence)) return py::reinterpret_borrow<py::object>(sequence);
    if (PyList_Check(sequence)) return own(PyList_AsTuple(sequence));
    return own(PySequence_Tuple(sequence));
}

void require_length(PyObject* sequence, Py_ssize_t length, const ArgName& name, int n,
                    const char* more) {
    if (length != n || PyTuple_GET_SIZE(sequence) != n)
        fail_value(name, one_int_or(n) + more + ", got " + std::to_string(length));
}

std::int64_t parse_size(PyObject* object, const ArgName& name) {
    if (object == Py_None) return kKeepSize;
    const std::int64_t size = to_int(object, name, "must be an int or None");
    if (size < 0)  // here, so that no number is taken for kKeepSize
        throw PoolError(ErrorKind::kValue,
                        text(name) + "=" + std::to_string(size) + " must not be negative");
    return size;
}

void parse_pad_entry(PyObject* entry, const ArgName& name, AxisParams& params) {
    const Py_ssize_t length = sequence_length(entry);
    if (length < 0) {
        params.pad_lo = params.pad_hi = parse_int(entry, name);
        return;
    }
    if (length != 2)
        fail_value(name, "must be an int or a (low, high) pair, got " + std::to_string(length) +
                             " entries");
    const py::object pair = frozen(entry);
    if (PyTuple_GET_SIZE(pair.ptr()) != 2) fail_value(name, "changed while it was read");
    params.pad_lo = parse_int(PyTuple_GET_ITEM(pair.ptr(), 0), name);
    params.pad_hi = parse_int(PyTuple_GET_ITEM(pair.ptr(), 1), name);
}

constexpr const char* kPadNames[] = {"valid", "same", "same_lower"};
constexpr PadMode kPadModes[] = {PadMode::kValid, PadMode::kSame, PadMode::kSameLower};

void parse_pad_word(PyObject* object, const ArgName& name, PoolSpec& spec) {
    const int choice =
        parse_choice(object, name, {kPadNames[0], kPadNames[1], kPadNames[2]});
    spec.pad_mode = kPadModes[choice];
}

}  // namespace

std::int64_t parse_int(PyObject* object, const ArgName& name) {
    if (PyLong_CheckExact(object)) return from_long(object, name);
    return to_int(object, name, "must be an int");
}

double parse_float(PyObject* object, const ArgName& name) {
    if (PyFloat_CheckExact(object)) return PyFloat_AS_DOUBLE(object);
    const std::string_view type = Py_TYPE(object)->tp_name;
    if (PyBool_Check(object) || type == "numpy.bool" || type == "numpy.bool_")
        fail_type(name, "must be a real number, got " + type_name(object));
    const double value = PyFloat_AsDouble(object);
    if (value != -1 || !PyErr_Occurred()) return value;
    const bool large = PyErr_ExceptionMatches(PyExc_OverflowError);
    if (!large && !PyErr_ExceptionMatches(PyExc_TypeError)) throw PythonError{};
    PyErr_Clear();
    if (large) fail_value(name, "must be a real number within the range of float64");
    fail_type(name, "must be a real number, got " + type_name(object));
}

bool parse_bool(PyObject* object, const ArgName& name) {
    if (object == Py_False) return false;
    if (object == Py_True) return true;
    const std::string_view type = Py_TYPE(object)->tp_name;
    if (type != "numpy.bool" && type != "numpy.bool_")
        fail_type(name, "must be a bool, got " + type_name(object));
    const int truth = PyObject_IsTrue(object);
    if (truth < 0) throw PythonError{};
    return truth != 0;
}

int parse_choice(PyObject* object, const ArgName& name,
                 std::initializer_list<const char*> choices) {
    if (!PyUnicode_Check(object))
        fail_type(name, "must be " + listed(choices) + ", got " + type_name(object));
    Py_ssize_t size = 0;
    const char* utf8 = PyUnicode_AsUTF8AndSize(object, &size);
    if (!utf8) PyErr_Clear();  // lone surrogates: no choice has any
    const std::string_view word(utf8 ? utf8 : "", utf8 ? static_cast<std::size_t>(size) : 0);
    int i = 0;
    for (const char* choice : choices) {
        if (word == choice) return i;
        ++i;
    }
    throw PoolError(ErrorKind::kValue,
                    text(name) + "=" + short_repr(object) + " must be " + listed(choices));
}

int parse_thread_count(PyObject* object, const ArgName& name) {
    const std::int64_t n = parse_int(object, name);
    if (n < 1)
        throw PoolError(ErrorKind::kValue,
                        text(name) + "=" + std::to_string(n) + " must be at least 1");
    return static_cast<int>(std::min<std::int64_t>(n, kMaxThreads));
}

int parse_threads(PyObject* object, const ArgName& name) {
    return object == Py_None ? 0 : parse_thread_count(object, name);
}

Py_ssize_t sequence_length(PyObject* object) {
    if (PyLong_CheckExact(object)) return -1;
    if (PyTuple_Check(object)) return PyTuple_GET_SIZE(object);
    if (PyList_Check(object)) return PyList_GET_SIZE(object);
    if (Py_TYPE(object) != py::detail::npy_api::get().PyArray_Type_) return -1;
    const auto* array = py::detail::array_proxy(object);
    return array->nd > 0 ? array->dimensions[0] : -1;
}

bool parse_per_axis(PyObject* object, const ArgName& name, int n, std::int64_t* values) {
    const Py_ssize_t length = sequence_length(object);
    if (length < 0) {
        const std::int64_t value = PyLong_CheckExact(object)
                                       ? from_long(object, name)
                                       : to_int(object, name, one_int_or(n));
        std::fill_n(values, n, value);
        return false;
    }
    if (length != n) fail_value(name, one_int_or(n) + ", got " + std::to_string(length));
    const py::object entries = frozen(object);
    require_length(entries.ptr(), length, name, n, "");
    for (int i = 0; i < n; ++i)
        values[i] = parse_int(PyTuple_GET_ITEM(entries.ptr(), i),
                              ArgName{name.function, name.argument, i});
    return true;
}

bool parse_sizes(PyObject* object, const ArgName& name, int n, std::int64_t* values) {
    const Py_ssize_t length = sequence_length(object);
    if (length < 0) {
        if (object != Py_None && (PyBool_Check(object) || !PyIndex_Check(object)))
            fail_type(name, one_int_or(n) + " or None, got " + type_name(object));
        std::fill_n(values, n, parse_size(object, name));
        return false;
    }
    const char* const more = ", each an int or None";
    if (length != n) fail_value(name, one_int_or(n) + more + ", got " + std::to_string(length));
    const py::object entries = frozen(object);
    require_length(entries.ptr(), length, name, n, more);
    for (int i = 0; i < n; ++i)
        values[i] = parse_size(PyTuple_GET_ITEM(entries.ptr(), i),
                               ArgName{name.function, name.argument, i});
    return true;
}

bool parse_padding(PyObject* object, const ArgName& name, int n, PoolSpec& spec) {
    const char* const more = " or (low, high) pairs";
    if (PyUnicode_Check(object)) {
        parse_pad_word(object, name, spec);
        return false;
    }
    const Py_ssize_t length = sequence_length(object);
    if (length < 0) {
        const std::int64_t pad =
            PyLong_CheckExact(object)
                ? from_long(object, name)
                : to_int(object, name, one_int_or(n) + more + ", or a word such as 'same'");
        for (int i = 0; i < n; ++i) spec.params[i].pad_lo = spec.params[i].pad_hi = pad;
        return false;
    }
    if (length != n) fail_value(name, one_int_or(n) + more + ", got " + std::to_string(length));
    const py::object entries = frozen(object);
    require_length(entries.ptr(), length, name, n, more);
    for (int i = 0; i < n; ++i)
        parse_pad_entry(PyTuple_GET_ITEM(entries.ptr(), i),
                        ArgName{name.function, name.argument, i}, spec.params[i]);
    return true;
}

}  // namespace poolcore::bindings
