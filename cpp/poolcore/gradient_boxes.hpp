// The elements of x in boxes, and the windows over them: for gradients that need x, or windows part
// after part. The run family and those layers only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "poolcore/geometry.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/schedule.hpp"

namespace poolcore {

// A pooled axis; trivial where fewer than three are.
struct GradientAxis {
    AxisGeometry geometry;
    std::int64_t x = 0, grad = 0, out = 0;  // strides in bytes
    std::int64_t box = 1;                   // elements of a task

    // Those with a tap, in the input or between two, among [elements.lo, elements.hi).
    Range windows_over(const Range& elements) const;
    std::int64_t boxes(const Range& elements) const {
        return elements.size() > 0 ? (elements.size() - 1) / box + 1 : 0;
    }
    // Those of box `number` of them.
    Range box_of(const Range& elements, std::int64_t number) const;
};
using GradientAxes = GradientAxis[kMaxPooledAxes];

// Halves the axis along which boxes are the longest beside their windows, so that few windows lie
// over a border; where they are shorter anyway, the outermost. Rows of up to `row` elements stay
// whole.
void halve_box(GradientAxes& axes, std::int64_t row);
std::int64_t elements_of_box(const GradientAxes& axes);
// At most so many windows of a plane lie over some of the elements of a box.
std::int64_t windows_of_box(const GradientAxes& axes);
// Over how many boxes a window lies, on the average.
double boxes_of_window(const GradientAxes& axes);

// Parts of planes whose windows are few enough to be remembered; larger ones where most windows
// would lie over more than one.
struct GradientParts {
    std::int64_t planes;
    std::int64_t size[kMaxPooledAxes];
    std::int64_t windows;  // at most so many in a part
};
GradientParts parts_of(const GradientAxes& axes, std::int64_t planes, std::int64_t most_windows);

// Calls each(planes, elements) for part after part, until it says false; then so does this.
template <class Each>
bool for_parts(const GradientParts& parts, const GradientAxes& axes, std::int64_t planes,
               const Each& each) {
    Range at[kMaxPooledAxes];
    const auto next = [&](int i, std::int64_t lo) {
        at[i] = {lo, std::min(lo + parts.size[i], axes[i].geometry.in)};
        return lo < axes[i].geometry.in;
    };
    for (std::int64_t plane = 0; plane < planes; plane += parts.planes)
        for (bool a = next(0, 0); a; a = next(0, at[0].hi))
            for (bool b = next(1, 0); b; b = next(1, at[1].hi))
                for (bool c = next(2, 0); c; c = next(2, at[2].hi))
                    if (!each(Range{plane, std::min(plane + parts.planes, planes)}, at))
                        return false;
    return true;
}

}  // namespace poolcore
