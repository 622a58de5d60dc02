// Flat indices: how they get into the caller's array, and those of windows at the edges.
#pragma once

#include "poolcore/box.hpp"

namespace poolcore {

// Flat index of the first element of x in a window; -1 where the window has none.
std::int64_t first_index(const Schedule& s, const std::int64_t window[kNumPhysical]);

// Indices to int64; a window where nothing beat the padding gets the place of its first element.
void finish_indices(const Schedule& s, const Box& box, const Field& values);

}  // namespace poolcore
