// One task of max or min with indices, for windows of few taps: every tap is compared where it
// lies, in one kernel for all axes. Larger windows go the way of run_box, axis by axis.
#pragma once

#include "poolcore/box.hpp"

namespace poolcore {

// Preconditions: s.arg_window, and the box fits the scratch.
void run_arg_box(const Schedule& s, const KernelTable& kernels, const Box& box, Scratch& scratch);

}  // namespace poolcore
