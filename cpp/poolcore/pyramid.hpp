// Image pyramids by halves along the last two axes. Sums go from level to level, so that x is read
// once: docs/numerics.md, "Pyramids".
#pragma once

#include "poolcore/run.hpp"

namespace poolcore {

inline constexpr int kMaxPyramidLevels = 62;

struct PyramidSpec {
    const char* function = "pyramid";
    bool means = true;  // or sums
    int levels = 1;
    DType dtype = DType::kFloat32;  // of the levels
    Rounding rounding = Rounding::kHalfEven;
    std::int64_t tile = 0;  // about so many elements of x are one task's at a time
};

struct PyramidPlan {
    PyramidSpec spec;
    DType in_dtype = DType::kFloat32;
    int rank = 0;
    std::int64_t in_shape[kMaxRank];

    std::int64_t length(int axis, int level) const;  // of a level along an axis
};

// Throws PoolError(kValue) for fewer than two axes, none of which is empty, for elements of the last
// one that do not lie side by side, and for integers whose sums could have more than 62 bits.
PyramidPlan make_pyramid_plan(const PyramidSpec& spec, const StridedView& in);

// As run(); `levels` are as many as the plan says, their last axes side by side too, each apart from
// x and from the others.
RunStatus run_pyramid(const PyramidPlan& plan, const StridedView& in, const MutableView* levels,
                      const RunControl& control);

}  // namespace poolcore
