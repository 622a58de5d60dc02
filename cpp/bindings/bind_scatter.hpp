// The entry points that move values to indices. Included by module.cpp only.
#pragma once

#include <pybind11/pybind11.h>

namespace poolcore::bindings {

// Adds `max_unpool` and `max_backward` to the module.
void bind_scatter(pybind11::module_& module);

}  // namespace poolcore::bindings
