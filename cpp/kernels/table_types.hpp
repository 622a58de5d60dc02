// Types by their names in the tables.
#pragma once

#include "kernels/half.hpp"
#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

template <DType D>
struct ElementOf;
#define POOLCORE_ELEMENT(D, T)       \
    template <>                      \
    struct ElementOf<DType::D> {     \
        using type = T;              \
    };
POOLCORE_ELEMENT(kBool, std::uint8_t)
POOLCORE_ELEMENT(kInt8, std::int8_t)
POOLCORE_ELEMENT(kUInt8, std::uint8_t)
POOLCORE_ELEMENT(kInt16, std::int16_t)
POOLCORE_ELEMENT(kUInt16, std::uint16_t)
POOLCORE_ELEMENT(kInt32, std::int32_t)
POOLCORE_ELEMENT(kUInt32, std::uint32_t)
POOLCORE_ELEMENT(kInt64, std::int64_t)
POOLCORE_ELEMENT(kUInt64, std::uint64_t)
POOLCORE_ELEMENT(kFloat16, Float16)
POOLCORE_ELEMENT(kBFloat16, BFloat16)
POOLCORE_ELEMENT(kFloat32, float)
POOLCORE_ELEMENT(kFloat64, double)
#undef POOLCORE_ELEMENT

template <class T>
constexpr int work_of() {
    constexpr bool is_unsigned = static_cast<T>(-1) > T(0);
    if (kIsFloat<T>) return static_cast<int>(sizeof(T) == 4 ? Work::kF32 : Work::kF64);
    const int log2 = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return 2 * log2 + (is_unsigned ? 1 : 0);
}

template <class Enum>
constexpr int at(Enum e) {
    return static_cast<int>(e);
}

}  // namespace
}  // namespace poolcore
