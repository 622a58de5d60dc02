// Adding up float16 and bfloat16: in float32, one band of the plane at a time. Part of scatter.
#pragma once

#include "kernels/kernel_table.hpp"
#include "poolcore/scatter_read.hpp"

namespace poolcore {

// More lanes at once would leave a band of scratch too few elements of the plane.
inline constexpr std::int64_t kHalfLanes = 32;

struct HalfJob {
    PackKernel widen = nullptr;
    FinishKernel narrow = nullptr;
    std::int64_t band = 0;  // elements of the plane that are added up at a time
};

std::int64_t half_scratch(const HalfJob& job, std::int64_t lanes);

HalfJob make_half_job(const ScatterNest& nest, DType dtype, const KernelTable& kernels);

// Adds up one part and writes its results. Planes of several bands read their indices twice and,
// where neighbours lie far apart, more often.
ReadStatus add_halves(const ScatterNest& nest, const ScatterPart& part, const PlaceReader& reader,
                      const HalfJob& job);

}  // namespace poolcore
