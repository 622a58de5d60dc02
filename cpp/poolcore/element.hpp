// Elements of any type as doubles, one at a time. The run family only.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

#include "poolcore/select_emit.hpp"
#include "poolcore/types.hpp"

namespace poolcore {

// 64-bit integers are rounded to nearest.
template <class T>
struct PlainElement {
    static double value(const std::byte* p) {
        T element;
        std::memcpy(&element, p, sizeof element);
        return static_cast<double>(element);
    }
};

template <DType kHalf>
struct HalfElement {
    static double value(const std::byte* p) {
        std::int16_t bits;
        std::memcpy(&bits, p, sizeof bits);
        constexpr int infinity = kHalf == DType::kFloat16 ? 0x7c00 : 0x7f80;
        if ((bits & 0x7fff) > infinity) return std::numeric_limits<double>::quiet_NaN();
        return float_value(bits, kHalf);
    }
};

// Calls visit with the element of that type.
template <class Visit>
auto visit_element(DType dtype, const Visit& visit) {
    switch (dtype) {
        case DType::kInt8: return visit(PlainElement<std::int8_t>{});
        case DType::kInt16: return visit(PlainElement<std::int16_t>{});
        case DType::kUInt16: return visit(PlainElement<std::uint16_t>{});
        case DType::kInt32: return visit(PlainElement<std::int32_t>{});
        case DType::kUInt32: return visit(PlainElement<std::uint32_t>{});
        case DType::kInt64: return visit(PlainElement<std::int64_t>{});
        case DType::kUInt64: return visit(PlainElement<std::uint64_t>{});
        case DType::kFloat16: return visit(HalfElement<DType::kFloat16>{});
        case DType::kBFloat16: return visit(HalfElement<DType::kBFloat16>{});
        case DType::kFloat32: return visit(PlainElement<float>{});
        case DType::kFloat64: return visit(PlainElement<double>{});
        default: return visit(PlainElement<std::uint8_t>{});  // bool: 0 and 1
    }
}

}  // namespace poolcore
