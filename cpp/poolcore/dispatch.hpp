// Chooses the kernel table: the best target that is built in and that this CPU supports, or the
// one named by POOLCORE_TARGET or set_target().
#pragma once

#include <string>

#include "poolcore/cpu.hpp"

namespace poolcore {

struct KernelTable;

bool is_built(Target target);
// The table in use. First use reads POOLCORE_TARGET; throws PoolError(kValue) when it names
// nothing, or something this build or this CPU lacks.
const KernelTable& kernels();
Target target_in_use();
// By name ("auto" for the best); same errors. For tests and users who compare targets.
void set_target(const std::string& target_name);

}  // namespace poolcore
