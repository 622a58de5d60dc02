// The binding of pyramid.hpp. Included by module.cpp only.
#pragma once

#include <pybind11/pybind11.h>

namespace poolcore::bindings {

void bind_pyramid(pybind11::module_& module);

}  // namespace poolcore::bindings
