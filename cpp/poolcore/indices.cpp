#include "poolcore/indices.hpp"

#include <cstring>

namespace poolcore {
namespace {

// Widens `n` indices from tight scratch to places `stride` bytes apart; true if one is negative.
template <class Int>
bool widen_line(const std::byte* src, std::byte* dst, std::int64_t n, std::int64_t stride) {
    const Int* from = reinterpret_cast<const Int*>(src);  // scratch: aligned
    Int signs = 0;
    if (stride == 8) {
        for (std::int64_t i = 0; i < n; ++i) {
            signs |= from[i];
            const std::int64_t flat = from[i];
            std::memcpy(dst + i * 8, &flat, 8);
        }
    } else {
        for (std::int64_t i = 0; i < n; ++i) {
            signs |= from[i];
            const std::int64_t flat = from[i];
            std::memcpy(dst + i * stride, &flat, 8);
        }
    }
    return signs < 0;
}

void replace_negative(std::byte* dst, std::int64_t n, std::int64_t stride, std::int64_t first) {
    for (std::int64_t i = 0; i < n; ++i) {
        std::int64_t flat = 0;
        std::memcpy(&flat, dst + i * stride, 8);
        if (flat < 0) std::memcpy(dst + i * stride, &first, 8);
    }
}

}  // namespace

std::int64_t first_index(const Schedule& s, const std::int64_t window[kNumPhysical]) {
    std::int64_t flat = 0;
    for (int x = 0; x < kNumPhysical; ++x) {
        const AxisGeometry& g = s.axis[x].geometry;
        const TapRange taps = g.taps(window[x]);
        if (taps.count() == 0) return -1;
        flat += (g.start(window[x]) + taps.first * g.dilation) * s.axis[x].plane_step;
    }
    return flat;
}

void finish_indices(const Schedule& s, const Box& box, const Field& values) {
    const auto widen = s.element() == 4 ? widen_line<std::int32_t> : widen_line<std::int64_t>;
    const std::int64_t plane_stride = s.n_batch > 0 ? s.batch[s.n_batch - 1].index_stride : 0;
    const bool across = box.inner > 1;
    const std::int64_t lines = across ? values.extent[kW] : 1;
    const std::int64_t n = across ? box.inner : values.extent[kW];
    const std::int64_t step = across ? s.inner.index_stride : s.axis[kW].index_stride;
    const auto line = [&](std::int64_t p, std::int64_t a, std::int64_t b, std::int64_t w) {
        const std::byte* src = values.index + p * values.plane_stride + a * values.stride[kA] +
                               b * values.stride[kB] + w * values.stride[kW];
        std::int64_t window[kNumPhysical] = {box.windows[kA].lo + a, box.windows[kB].lo + b,
                                             box.windows[kW].lo + w};
        std::byte* dst = box.index + p * plane_stride;
        for (int x = 0; x < kNumPhysical; ++x) dst += window[x] * s.axis[x].index_stride;
        if (!widen(src, dst, n, step)) return;
        if (across) return replace_negative(dst, n, step, first_index(s, window));
        for (std::int64_t i = 0; i < n; ++i, ++window[kW])
            replace_negative(dst + i * step, 1, step, first_index(s, window));
    };
    for (std::int64_t p = 0; p < box.planes; ++p)
        for (std::int64_t a = 0; a < values.extent[kA]; ++a)
            for (std::int64_t b = 0; b < values.extent[kB]; ++b)
                for (std::int64_t w = 0; w < lines; ++w) line(p, a, b, w);
}

}  // namespace poolcore
