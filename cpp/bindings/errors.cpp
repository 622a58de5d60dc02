#include "bindings/errors.hpp"

#include <new>

namespace poolcore::bindings {
namespace {

PyObject* python_type(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::kType: return PyExc_TypeError;
        case ErrorKind::kIndex: return PyExc_IndexError;
        case ErrorKind::kMemory: return PyExc_MemoryError;
        case ErrorKind::kValue: break;
    }
    return PyExc_ValueError;
}

}  // namespace

std::string text(const ArgName& name) {
    std::string result = std::string(name.function) + ": " + name.argument;
    if (name.index >= 0) result += "[" + std::to_string(name.index) + "]";
    return result;
}

std::string type_name(PyObject* object) {
    return object == Py_None ? "None" : Py_TYPE(object)->tp_name;
}

std::string short_repr(PyObject* object) {
    constexpr std::size_t kLongest = 60;
    const auto repr = py::reinterpret_steal<py::object>(PyObject_Repr(object));
    Py_ssize_t size = 0;
    const char* utf8 = repr ? PyUnicode_AsUTF8AndSize(repr.ptr(), &size) : nullptr;
    if (!utf8) {
        PyErr_Clear();
        return "<" + type_name(object) + ">";
    }
    std::string result(utf8, static_cast<std::size_t>(size));
    if (result.size() <= kLongest) return result;
    std::size_t cut = kLongest;
    while (cut > 0 && (static_cast<unsigned char>(result[cut]) & 0xC0U) == 0x80U) --cut;
    return result.substr(0, cut) + "...";
}

void fail_type(const ArgName& name, const std::string& problem) {
    throw PoolError(ErrorKind::kType, text(name) + " " + problem);
}

void fail_value(const ArgName& name, const std::string& problem) {
    throw PoolError(ErrorKind::kValue, text(name) + " " + problem);
}

void set_python_error() {
    try {
        throw;
    } catch (const PythonError&) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_SystemError, "poolcore: an error without a message");
    } catch (const PoolError& error) {
        PyErr_SetString(python_type(error.kind()), error.what());
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const std::bad_alloc&) {
        PyErr_SetString(PyExc_MemoryError, "poolcore: not enough memory for scratch");
    } catch (const std::exception& error) {
        // pybind11 has words of its own where Python has said already that there is no memory.
        if (!PyErr_ExceptionMatches(PyExc_MemoryError))
            PyErr_SetString(PyExc_RuntimeError, error.what());
    }
}

}  // namespace poolcore::bindings
