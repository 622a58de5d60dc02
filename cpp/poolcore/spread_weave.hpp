// Rows of elements woven into one: element i of row j becomes element i*S + j. Part of spread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace poolcore {

inline constexpr int kMostWoven = 8;

// n of each row; S rows of elements of Bits.
template <class Bits, int S>
void weave_rows(const std::byte* const* rows, std::byte* dst, std::int64_t n) {
    constexpr std::int64_t size = sizeof(Bits);
    for (std::int64_t i = 0; i < n; ++i)
        for (int j = 0; j < S; ++j)
            std::memcpy(dst + (i * S + j) * size, rows[j] + i * size, sizeof(Bits));
}

template <class Bits>
void weave_elements(const std::byte* const* rows, int count, std::byte* dst, std::int64_t n) {
    switch (count) {
        case 2: return weave_rows<Bits, 2>(rows, dst, n);
        case 3: return weave_rows<Bits, 3>(rows, dst, n);
        case 4: return weave_rows<Bits, 4>(rows, dst, n);
        case 5: return weave_rows<Bits, 5>(rows, dst, n);
        case 6: return weave_rows<Bits, 6>(rows, dst, n);
        case 7: return weave_rows<Bits, 7>(rows, dst, n);
        default: return weave_rows<Bits, 8>(rows, dst, n);
    }
}

// 2 to kMostWoven rows of n elements, the first `longer` of which have one more.
inline void weave(const std::byte* const* rows, int count, std::int64_t size, std::byte* dst,
                  std::int64_t n, int longer) {
    if (size == 2) weave_elements<std::uint16_t>(rows, count, dst, n);
    else if (size == 4) weave_elements<std::uint32_t>(rows, count, dst, n);
    else weave_elements<std::uint64_t>(rows, count, dst, n);
    for (int j = 0; j < longer; ++j)
        std::memcpy(dst + (n * count + j) * size, rows[j] + n * size,
                    static_cast<std::size_t>(size));
}

}  // namespace poolcore
