#include "poolcore/nan_scan.hpp"

#include <cstring>
#include <string>

#include "poolcore/error.hpp"

namespace poolcore {
namespace {

template <class U>
std::int64_t first_nan(const std::byte* p, std::int64_t n, std::int64_t stride, U exponent) {
    constexpr U magnitude = static_cast<U>(static_cast<U>(~U(0)) >> 1);
    for (std::int64_t i = 0; i < n; ++i) {
        U bits;
        std::memcpy(&bits, p + i * stride, sizeof bits);
        if ((bits & magnitude) > exponent) return i;
    }
    return -1;
}

std::int64_t first_nan_in_line(DType t, const std::byte* p, std::int64_t n, std::int64_t stride) {
    switch (t) {
        case DType::kFloat16: return first_nan<std::uint16_t>(p, n, stride, 0x7c00u);
        case DType::kBFloat16: return first_nan<std::uint16_t>(p, n, stride, 0x7f80u);
        case DType::kFloat32: return first_nan<std::uint32_t>(p, n, stride, 0x7f800000u);
        default: return first_nan<std::uint64_t>(p, n, stride, 0x7ff0000000000000u);
    }
}

[[noreturn]] void refuse(const PoolPlan& plan, const std::int64_t* position) {
    std::string at;
    for (int i = 0; i < plan.rank; ++i) at += (i ? ", " : "") + std::to_string(position[i]);
    throw PoolError(ErrorKind::kValue, std::string(plan.spec.function) +
                                           ": x holds NaN at [" + at +
                                           "], and nan_policy='raise' refuses it");
}

}  // namespace

void refuse_nan(const PoolPlan& plan, const StridedView& in) {
    for (int i = 0; i < in.rank; ++i)
        if (in.shape[i] == 0) return;
    std::int64_t position[kMaxRank] = {};
    const int last = in.rank - 1;
    const std::byte* line = in.data;
    while (true) {
        const std::int64_t found =
            first_nan_in_line(in.dtype, line, in.shape[last], in.strides[last]);
        if (found >= 0) {
            position[last] = found;
            refuse(plan, position);
        }
        int axis = last - 1;
        for (; axis >= 0; --axis) {
            line += in.strides[axis];
            if (++position[axis] < in.shape[axis]) break;
            line -= position[axis] * in.strides[axis];
            position[axis] = 0;
        }
        if (axis < 0) return;
    }
}

}  // namespace poolcore
