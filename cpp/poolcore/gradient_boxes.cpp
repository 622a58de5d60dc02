#include "poolcore/gradient_boxes.hpp"

#include <algorithm>

namespace poolcore {
namespace {

constexpr int kAxes = kMaxPooledAxes;

std::int64_t most_windows(const GradientAxis& axis, std::int64_t elements) {
    const AxisGeometry& g = axis.geometry;
    return std::min(g.out, (elements - 1 + g.effective() - 1) / g.stride + 1);
}

}  // namespace

Range GradientAxis::windows_over(const Range& elements) const {
    const AxisGeometry& g = geometry;
    const std::int64_t before = elements.lo - g.effective() + 1 + g.pad_lo;
    const std::int64_t first = before > 0 ? (before - 1) / g.stride + 1 : 0;
    const std::int64_t last = std::min(g.out, (elements.hi - 1 + g.pad_lo) / g.stride + 1);
    return {first, std::max(first, last)};
}

Range GradientAxis::box_of(const Range& elements, std::int64_t number) const {
    const std::int64_t lo = elements.lo + number * box;
    return {lo, std::min(lo + box, elements.hi)};
}

void halve_box(GradientAxes& axes, std::int64_t row) {
    int best = 0;
    double longest = 0;
    for (int i = 0; i < kAxes; ++i) {
        const std::int64_t box = axes[i].box;
        std::int64_t beside = axes[i].geometry.effective();
        if (i == kAxes - 1) beside = std::max(beside, row);
        const double length =
            std::max(1.0, static_cast<double>(box) / static_cast<double>(beside));
        if (box == 1 || length <= longest) continue;
        best = i;
        longest = length;
    }
    axes[best].box = (axes[best].box + 1) / 2;
}

std::int64_t elements_of_box(const GradientAxes& axes) {
    return times(times(axes[0].box, axes[1].box), axes[2].box);
}

std::int64_t windows_of_box(const GradientAxes& axes) {
    std::int64_t windows = 1;
    for (const GradientAxis& axis : axes) windows = times(windows, most_windows(axis, axis.box));
    return windows;
}

double boxes_of_window(const GradientAxes& axes) {
    double often = 1;
    for (const GradientAxis& axis : axes) {
        if (axis.box >= axis.geometry.in) continue;
        often *= static_cast<double>(most_windows(axis, axis.box)) *
                 static_cast<double>(axis.boxes({0, axis.geometry.in})) /
                 static_cast<double>(axis.geometry.out);
    }
    return often;
}

GradientParts parts_of(const GradientAxes& axes, std::int64_t planes, std::int64_t most) {
    GradientParts parts{planes, {}, 0};
    for (int i = 0; i < kAxes; ++i) parts.size[i] = axes[i].geometry.in;
    for (;;) {
        std::int64_t of_plane = 1;
        for (int i = 0; i < kAxes; ++i)
            of_plane = times(of_plane, most_windows(axes[i], parts.size[i]));
        parts.windows = times(of_plane, parts.planes);
        if (parts.windows <= most) return parts;
        if (parts.planes > 1) {
            parts.planes = std::clamp<std::int64_t>(most / of_plane, 1, parts.planes - 1);
            continue;
        }
        int best = -1;
        double longest = 2;
        for (int i = 0; i < kAxes; ++i) {
            const double length = static_cast<double>(parts.size[i]) /
                                  static_cast<double>(axes[i].geometry.effective());
            if (parts.size[i] <= axes[i].box || length <= longest) continue;
            best = i;
            longest = length;
        }
        if (best < 0) return parts;
        parts.size[best] = (parts.size[best] + 1) / 2;
    }
}

}  // namespace poolcore
