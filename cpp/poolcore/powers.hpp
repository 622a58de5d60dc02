// Norms: elements become powers as they are packed, windows are summed as any others, and the sums
// become roots before the last step. Part of run.
#pragma once

#include "poolcore/box.hpp"

namespace poolcore {

// The pass over the windows that packs powers; `special` is set by powers near the limits of
// double.
Pass power_pass(const Schedule& s, bool* special);

// Makes powers of all elements of a field that has just been packed, its margins included.
void raise_packed(const StageContext& c, const Pass& pass, const Field& field);

// Sums of powers, or the largest magnitudes, become norms, in place. Where `special` allows that a
// sum has overflowed or has lost small powers, the window is read again, relative to its largest
// element. `aux` counts the NaN taps that are left out. Throws Stopped.
void take_roots(const Schedule& s, const StageContext& c, const Box& box, const Field& values,
                const Field* aux, bool special);

}  // namespace poolcore
