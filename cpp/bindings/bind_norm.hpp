// What the gradients of norms need of the core. Included by the bindings only.
#pragma once

#include <pybind11/pybind11.h>

namespace poolcore::bindings {

void bind_norm(pybind11::module_& module);

}  // namespace poolcore::bindings
