// Borrowed views of strided memory. A view owns nothing, may be misaligned, and may have
// zero or negative strides; nobody copies what it points at.
#pragma once

#include <cstddef>
#include <cstdint>

#include "poolcore/types.hpp"

namespace poolcore {

// Shape in elements, strides in bytes; only the first `rank` entries are meaningful.
template <class Byte>
struct BasicView {
    Byte* data = nullptr;
    DType dtype = DType::kFloat32;
    int rank = 0;
    std::int64_t shape[kMaxRank];
    std::int64_t strides[kMaxRank];
};

using StridedView = BasicView<const std::byte>;
using MutableView = BasicView<std::byte>;

}  // namespace poolcore
