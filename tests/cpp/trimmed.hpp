// What AxisGeometry::trimmed must keep, whatever the axis.
#pragma once

#include <algorithm>
#include <cstdint>

#include "poolcore/geometry.hpp"

namespace trimmed {

using poolcore::AxisGeometry;
using poolcore::TapRange;
using poolcore::Trim;

__extension__ typedef __int128 Wide;

// The order in which a sum of `kernel` taps adds those among them that are in `real`, as a number:
// other orders give others, but for a chance in 2^64.
inline std::uint64_t order_of_sum(std::int64_t tap, std::int64_t kernel, TapRange real) {
    if (tap >= real.last || tap + kernel <= real.first) return 0;
    if (kernel == 1) return static_cast<std::uint64_t>(tap - real.first) * 2 + 1;
    std::int64_t half = 1;
    while (half < kernel - half) half *= 2;
    const std::uint64_t left = order_of_sum(tap, half, real);
    const std::uint64_t right = order_of_sum(tap + half, kernel - half, real);
    if (left == 0 || right == 0) return left + right;
    return ((left ^ (right << 17 | right >> 47)) * 0x9e3779b97f4a7c15) ^ (right >> 29);
}

inline bool has_same_taps(const AxisGeometry& g, const AxisGeometry& t, std::int64_t o) {
    const TapRange was = g.taps(o), is = t.taps(o);
    if (is.count() != was.count()) return false;
    return was.count() == 0 ||
           t.start(o) + is.first * g.dilation == g.start(o) + was.first * g.dilation;
}

// Whether few taps are left that lie off the axis in all windows.
inline bool is_short(const AxisGeometry& g, const AxisGeometry& t, Trim how) {
    if (how == Trim::kWholeBlocks) {
        const Wide held = (Wide{t.in} + Wide{g.out - 1} * g.stride) / g.dilation + 2;
        return t.kernel <= 4 * held;
    }
    const std::int64_t last_tap = t.start(0) + t.effective() - 1;
    return t.start(g.out - 1) > -g.dilation && (last_tap < t.in || t.taps(0).count() == 0);
}

// The taps on the axis are the same, and where sums are to keep their order they do.
inline bool is_right(const AxisGeometry& g, Trim how) {
    const AxisGeometry t = g.trimmed(how);
    if (t.in != g.in || t.out != g.out || t.stride != g.stride || t.dilation != g.dilation)
        return false;
    if (t.kernel < 1 || t.kernel > g.kernel || std::min(t.pad_lo, t.pad_hi) < 0 ||
        std::max(t.pad_lo, t.pad_hi) >= t.effective() || !is_short(g, t, how))
        return false;
    for (std::int64_t i = 0; i <= 16; ++i) {
        const std::int64_t o = i < 16 ? i * (g.out / 16) : g.out - 1;
        if (!has_same_taps(g, t, o)) return false;
        if (how == Trim::kWholeBlocks && g.taps(o).count() <= 64 &&
            order_of_sum(0, t.kernel, t.taps(o)) != order_of_sum(0, g.kernel, g.taps(o)))
            return false;
    }
    return true;
}

}  // namespace trimmed
