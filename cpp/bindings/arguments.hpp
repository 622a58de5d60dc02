// Python objects -> plain numbers and enumerations, or the error that names the argument.
// Nothing here knows arrays' contents. Converting may run Python code (`__index__`), so callers
// take views of arrays only after the last conversion. Included by the bindings only.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "bindings/errors.hpp"
#include "poolcore/plan.hpp"

namespace poolcore::bindings {

// Anything with __index__ except bool. TypeError for other types, ValueError past 64 bits.
std::int64_t parse_int(PyObject* object, const ArgName& name);

// Any real number but bool: floats, and what has __float__ or __index__. TypeError otherwise.
double parse_float(PyObject* object, const ArgName& name);

// bool or numpy.bool_.
bool parse_bool(PyObject* object, const ArgName& name);

// Position of a string among `choices`.
int parse_choice(PyObject* object, const ArgName& name,
                 std::initializer_list<const char*> choices);

// None means 0, the process-wide setting; otherwise at least 1, clamped to kMaxThreads.
int parse_threads(PyObject* object, const ArgName& name);
// The same without None.
int parse_thread_count(PyObject* object, const ArgName& name);

// Entries of a tuple, list or array of one axis or more; -1 for anything else, a scalar perhaps.
Py_ssize_t sequence_length(PyObject* object);

// One number an axis: an int for all, or `n` ints. Returns whether it was a sequence.
bool parse_per_axis(PyObject* object, const ArgName& name, int n, std::int64_t* values);

// How many windows along each axis: the same with None for kKeepSize, alone or as an entry.
bool parse_sizes(PyObject* object, const ArgName& name, int n, std::int64_t* values);

// int, one an axis, one (lo, hi) an axis, "valid", "same" or "same_lower". Fills the padding of
// spec.params and spec.pad_mode. Returns whether it was a sequence.
bool parse_padding(PyObject* object, const ArgName& name, int n, PoolSpec& spec);

}  // namespace poolcore::bindings
