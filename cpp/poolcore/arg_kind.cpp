#include "poolcore/arg_kind.hpp"

#include <algorithm>

namespace poolcore {

bool is_half(DType t) { return is_float(t) && item_size(t) == 2; }

std::uint64_t infinity_bits(DType t) {
    switch (t) {
        case DType::kFloat16: return 0x7c00;
        case DType::kBFloat16: return 0x7f80;
        case DType::kFloat32: return 0x7f800000;
        default: return 0x7ff0000000000000;
    }
}

std::uint64_t sign_bit(DType t) { return std::uint64_t{1} << (8 * item_size(t) - 1); }

// The bits of what a window without elements gives.
std::uint64_t identity_bits(DType t, Op op) {
    const bool max = op == Op::kMax;
    if (t == DType::kBool) return max ? 0 : 1;
    if (is_float(t)) return infinity_bits(t) | (max ? sign_bit(t) : 0);
    if (!is_signed(t)) return max ? 0 : ~std::uint64_t{0};
    return max ? sign_bit(t) : sign_bit(t) - 1;
}

ArgOrder order_of(const PoolSpec& spec, DType t) {
    const bool min = spec.op == Op::kMin;
    const bool omit = spec.nan_policy == NanPolicy::kOmit;
    ArgOrder order{};
    std::uint64_t flip = min ? ~std::uint64_t{0} : 0;
    if (is_float(t)) {
        if (!is_half(t)) flip = min ? sign_bit(t) : 0;
        order.infinity = static_cast<std::int16_t>(infinity_bits(t) & 0x7fff);
        order.nan_key = omit ? INT16_MIN : INT16_MAX;
    } else if (!is_signed(t)) {
        flip ^= sign_bit(t);
    }
    order.flip = static_cast<std::int64_t>(flip);
    return order;
}

ArgKind kind_of(const PoolSpec& spec, DType t) {
    const bool omit = spec.nan_policy == NanPolicy::kOmit;
    if (is_half(t)) return ArgKind::kHalf;
    if (t == DType::kFloat32) return omit ? ArgKind::kF32Omit : ArgKind::kF32;
    if (t == DType::kFloat64) return omit ? ArgKind::kF64Omit : ArgKind::kF64;
    switch (item_size(t)) {
        case 1: return ArgKind::kI8;
        case 2: return ArgKind::kI16;
        case 4: return ArgKind::kI32;
        default: return ArgKind::kI64;
    }
}

namespace {

// More taps, one by one, cost more than pooling axis by axis. That makes windows at every position,
// so where they are far apart it costs as much more for each of them. See docs/performance.md.
std::int64_t few_taps(const Schedule& s) {
    const bool wide = item_size(s.plan->in_dtype) == 8, across = s.inner.n > 1;
    std::int64_t taps = wide ? 12 : across ? 5 : 6;
    for (const PooledAxis& axis : s.axis)
        taps = times(taps, std::min(axis.geometry.stride, axis.geometry.kernel));
    return std::max<std::int64_t>(taps, across && !wide ? 12 : 30);
}

// Rows and columns of a window that take longer one by one than by doubling, which has to carry
// wide indices whatever the type, and to make all windows between those at a stride.
std::int64_t few_steps(const Schedule& s) {
    const bool wide = item_size(s.plan->in_dtype) >= 4 && s.axis[kW].geometry.stride == 1;
    return wide ? 10 : 26;
}

}  // namespace

bool can_share_rows(const Schedule& s) {
    const PooledAxis& rows = s.axis[kB];
    const PooledAxis& lanes = s.axis[kW];
    const AxisGeometry& h = rows.geometry;
    const AxisGeometry& w = lanes.geometry;
    return s.inner.n == 1 && s.axis[kA].geometry.kernel == 1 && h.dilation == 1 &&
           h.kernel > h.stride && h.kernel <= kMaxArgHeight && w.kernel > 1 &&
           h.kernel + w.kernel <= few_steps(s) && rows.plane_step > lanes.plane_step &&
           (w.stride == 1 || (w.stride == 2 && w.dilation == 1));
}

bool takes_arg_window(const Schedule& s) {
    std::int64_t taps = 1;
    std::int64_t span = 0;  // flat, from the first tap to the last
    for (const PooledAxis& axis : s.axis) {
        const AxisGeometry& g = axis.geometry;
        if (g.kernel > kMaxArgTaps || g.period > 1) return false;
        taps *= g.kernel;
        std::int64_t reach = 0;
        if (__builtin_mul_overflow(g.effective() - 1, axis.plane_step, &reach) ||
            __builtin_add_overflow(span, reach, &span))
            return false;
    }
    const bool few = taps <= few_taps(s) || s.axis[kW].geometry.out < kFewLanes || can_share_rows(s);
    return few && taps <= kMaxArgTaps && span <= INT32_MAX;
}

}  // namespace poolcore
