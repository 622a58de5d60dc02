// The entry points that pool. Included by module.cpp only.
#pragma once

#include <pybind11/pybind11.h>

namespace poolcore::bindings {

// Adds `pool` and `describe` to the module.
void bind_pool(pybind11::module_& module);

}  // namespace poolcore::bindings
