// Regions of interest. Included by the module.
#pragma once

#include <pybind11/pybind11.h>

namespace poolcore::bindings {

void bind_roi(pybind11::module_& module);

}  // namespace poolcore::bindings
