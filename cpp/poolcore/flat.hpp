// Dense planes with short rows: whole planes are one line, on which a window has its taps where
// those of a longer row would be. Part of stages.
#pragma once

#include "poolcore/stages.hpp"

namespace poolcore {

// Scratch that pool_flat takes for such planes at most; 0 where it takes none.
std::int64_t flat_scratch(const AxisGeometry& b, const AxisGeometry& w, std::int64_t element);

// As pool_together. False, and nothing done, where the fields are not dense or rows are long.
bool pool_flat(const StageContext& c, const AxisGeometry& b, const AxisGeometry& w,
               const Field& from, const Field& to, double divisor);

}  // namespace poolcore
