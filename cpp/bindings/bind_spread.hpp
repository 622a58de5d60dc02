// The entry point for gradients of sums and means. Included by module.cpp only.
#pragma once

#include <pybind11/pybind11.h>

namespace poolcore::bindings {

// Adds `window_backward` to the module.
void bind_spread(pybind11::module_& module);

}  // namespace poolcore::bindings
