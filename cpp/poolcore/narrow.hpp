// Small windows over types narrower than what they are added in, without packing or scratch for
// the source. A part of run_box.
#pragma once

#include "poolcore/box.hpp"

namespace poolcore {

// Whether boxes of this schedule may go this way. Sets nothing.
bool pools_narrow(const Schedule& s);

// Pools the box straight into the result, or into scratch and from there; false, with nothing
// written, when the box has to go the general way. Releases no scratch.
bool pool_narrow(const Schedule& s, const KernelTable& kernels, const Box& box, Scratch& scratch);

}  // namespace poolcore
