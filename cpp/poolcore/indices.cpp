#include "poolcore/indices.hpp"

#include <algorithm>
#include <cstring>

#include "poolcore/arg_kind.hpp"

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

bool is_nan(const std::byte* p, DType t) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, p, item_size(t));  // little end first
    return (bits & ~sign_bit(t)) > infinity_bits(t);
}

// Index of the first number in a window, of its first element if all are NaN. `x` is position 0.
std::int64_t first_number(const Schedule& s, const std::byte* x,
                          const std::int64_t window[kNumPhysical]) {
    int order[kNumPhysical] = {kA, kB, kW};
    std::stable_sort(order, order + kNumPhysical, [&s](int a, int b) {
        return s.axis[a].plane_step > s.axis[b].plane_step;
    });
    const PooledAxis& outer = s.axis[order[0]];
    const PooledAxis& middle = s.axis[order[1]];
    const PooledAxis& inner = s.axis[order[2]];
    TapRange taps[kNumPhysical];
    for (int i = 0; i < kNumPhysical; ++i)
        taps[i] = s.axis[order[i]].geometry.taps(window[order[i]]);
    const auto position = [&](int i, std::int64_t tap) {
        const AxisGeometry& g = s.axis[order[i]].geometry;
        return g.start(window[order[i]]) + tap * g.dilation;
    };
    for (std::int64_t i = taps[0].first; i < taps[0].last; ++i)
        for (std::int64_t j = taps[1].first; j < taps[1].last; ++j)
            for (std::int64_t k = taps[2].first; k < taps[2].last; ++k) {
                const std::int64_t a = position(0, i), b = position(1, j), c = position(2, k);
                if (!is_nan(x + a * outer.in_stride + b * middle.in_stride + c * inner.in_stride,
                            s.plan->in_dtype))
                    return a * outer.plane_step + b * middle.plane_step + c * inner.plane_step;
            }
    return first_index(s, window);
}

bool is_least(const std::byte* value, Work work) {
    if (work == Work::kF32) {
        float f = 0;
        std::memcpy(&f, value, sizeof f);
        return f == -__builtin_inff();
    }
    double d = 0;
    std::memcpy(&d, value, sizeof d);
    return d == -__builtin_inf();
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
    const std::int64_t in_stride = s.n_batch > 0 ? s.batch[s.n_batch - 1].in_stride : 0;
    const bool across = box.inner > 1;
    const std::int64_t lines = across ? values.extent[kW] : 1;
    const std::int64_t n = across ? box.inner : values.extent[kW];
    const std::int64_t step = across ? s.inner.index_stride : s.axis[kW].index_stride;
    const bool omit = s.has_aux && is_float(s.plan->in_dtype);
    // NaN left out was pooled as the least value there is, so that which won may be NaN.
    const auto mend_omitted = [&](const std::byte* value, std::byte* dst, const std::byte* x,
                                  std::int64_t* window) {
        for (std::int64_t i = 0; i < n; ++i) {
            if (is_least(value + i * s.element(), s.work)) {
                const std::byte* from = across ? x + i * s.inner.in_stride : x;
                const std::int64_t flat = first_number(s, from, window);
                std::memcpy(dst + i * step, &flat, 8);
            }
            if (!across) ++window[kW];
        }
    };
    const auto line = [&](std::int64_t p, std::int64_t a, std::int64_t b, std::int64_t w) {
        const std::int64_t place = p * values.plane_stride + a * values.stride[kA] +
                                   b * values.stride[kB] + w * values.stride[kW];
        std::int64_t window[kNumPhysical] = {box.windows[kA].lo + a, box.windows[kB].lo + b,
                                             box.windows[kW].lo + w};
        std::byte* dst = box.index + p * plane_stride;
        for (int x = 0; x < kNumPhysical; ++x) dst += window[x] * s.axis[x].index_stride;
        const bool negative = widen(values.index + place, dst, n, step);
        if (omit)
            return mend_omitted(values.values + place, dst, box.in + p * in_stride, window);
        if (!negative) return;
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
