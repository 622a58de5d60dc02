// Sums of integers over long windows, in time that does not depend on the window: a window is the one
// before, and what comes, less what goes. Part of stages.
#pragma once

#include "poolcore/moves.hpp"

namespace poolcore {

inline bool adds_integers(Combine combine, Work work) {
    return combine == Combine::kSum && work < Work::kF32;
}

// Whether windows across the lanes go that way; along kW, where lanes are `inner` elements, only if
// those are worth a call of a kernel.
bool uses_sliding(Combine combine, Work work, const AxisGeometry& g, int axis, std::int64_t inner);
void pool_across_sliding(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
                         const Field& to);

// Windows along the lanes, at stride 1 on every line of the nest: by totals of the line.
void pool_spans(const StageContext& c, const LoopNest& lines, const Ends& ends,
                std::int64_t windows, std::int64_t taps);
std::int64_t spans_scratch(std::int64_t windows, std::int64_t taps, std::int64_t element);

}  // namespace poolcore
