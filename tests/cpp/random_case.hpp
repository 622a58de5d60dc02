// Random cases of every operation that pools windows: what the sweeps and the fuzzer try.
#pragma once

#include <algorithm>
#include <numeric>

#include "cases.hpp"

namespace cases {

inline constexpr std::size_t kArena = 1 << 18;

inline poolcore::AxisParams random_axis(Random& random, std::int64_t in, bool allow_padding) {
    poolcore::AxisParams p;
    for (;;) {
        p.kernel = random.chance(70) ? random.between(1, 3) : random.between(1, 9);
        p.stride = random.chance(60) ? random.between(1, 2) : random.between(1, 5);
        p.dilation = random.chance(80) ? 1 : random.between(2, 4);
        const std::int64_t e = p.dilation * (p.kernel - 1) + 1;
        p.pad_lo = allow_padding && random.chance(50) ? random.below(e) : 0;
        p.pad_hi = allow_padding && random.chance(50) ? random.below(e) : 0;
        if (in + p.pad_lo + p.pad_hi >= e) return p;
    }
}

// Shapes with `width` in the axis of the lanes: pooled (NCHW, bare planes, 1 to 3 axes) or not
// (channels last).
inline void random_shape(Case& c, std::int64_t width, Random& random) {
    auto& spec = c.question.spec;
    const bool channels_last = random.chance(25);
    spec.n_axes = static_cast<int>(random.between(1, 3));
    const auto batch_axes = random.between(0, 2);
    for (int i = 0; i < batch_axes; ++i) c.in.shape.push_back(random.between(1, 3));
    for (int a = 0; a < spec.n_axes; ++a) {
        spec.axes[a] = static_cast<int>(c.in.shape.size());
        const bool last = a == spec.n_axes - 1;
        c.in.shape.push_back(last && !channels_last ? width : random.between(1, 5));
    }
    if (channels_last) c.in.shape.push_back(width);
}

inline bool random_options(Case& c, Random& random) {
    auto& spec = c.question.spec;
    const bool order = spec.op == Op::kMax || spec.op == Op::kMin;
    spec.ceil_mode = random.chance(30);
    spec.count_include_pad = random.chance(50);
    spec.return_indices = order && random.chance(50);
    spec.nan_policy = random.chance(30) ? NanPolicy::kOmit : NanPolicy::kPropagate;
    if (spec.op == Op::kAvg && random.chance(15)) {
        spec.has_divisor = true;
        const std::int64_t divisors[] = {-3, 7, 1 << 24, (1 << 24) + 1};
        spec.divisor = divisors[random.below(4)];
    }
    spec.rounding = static_cast<poolcore::Rounding>(random.below(4));
    DType& out = c.question.out;
    out = c.question.in;
    if (order) return true;
    const bool floats = poolcore::is_float(out);
    if (random.chance(30)) {
        spec.has_dtype = true;
        const auto types = floats ? 4 : poolcore::kNumDTypes - 1;
        spec.dtype = static_cast<DType>(poolcore::kNumDTypes - 1 - random.below(types));
        out = spec.dtype;
        return spec.op == Op::kSum || poolcore::is_float(out) || !spec.has_divisor;
    }
    if (floats) return true;
    const bool is_unsigned = !poolcore::is_signed(out) && out != DType::kBool;
    out = is_unsigned ? DType::kUInt64 : DType::kInt64;
    if (spec.op == Op::kAvg) out = DType::kFloat64;
    return true;
}

// False when the dice gave something illegal.
inline bool random_case(Case& c, DType dtype, Op op, std::int64_t width, Random& random) {
    auto& spec = c.question.spec;
    c.question.in = c.in.dtype = dtype;
    spec.op = op;
    random_shape(c, width, random);
    if (!random_options(c, random)) return false;
    c.out.shape = c.in.shape;
    // An integer mean must not meet a window without a tap; padding and dilation can make one.
    const bool integer_mean = op == Op::kAvg && !poolcore::is_float(c.question.out);
    for (int a = 0; a < spec.n_axes; ++a) {
        const auto axis = static_cast<std::size_t>(spec.axes[a]);
        spec.params[a] = random_axis(random, c.in.shape[axis], !integer_mean);
        c.out.shape[axis] =
            naive::out_length(c.in.shape[axis], spec.params[a], spec.ceil_mode);
        if (c.out.shape[axis] < 1) return false;
    }
    std::vector<std::size_t> order(c.in.shape.size());
    std::iota(order.begin(), order.end(), 0U);
    if (random.chance(20)) std::swap(order[0], order.back());
    const bool odd = random.chance(25);
    c.in = make_layout(dtype, c.in.shape, order, odd, random.chance(10), random);
    const bool odd_out = random.chance(20);
    c.out = make_layout(c.question.out, c.out.shape, order, odd_out, false, random);
    c.index = make_layout(DType::kInt64, c.out.shape, order, odd_out, false, random);
    c.flush = random.chance(50) ? guard::Flush::kFront : guard::Flush::kBack;
    c.gap = random.chance(50) ? 0 : static_cast<std::size_t>(random.below(64));
    return std::max({c.in.bytes, c.out.bytes, c.index.bytes}) + 64 < kArena;
}

}  // namespace cases
