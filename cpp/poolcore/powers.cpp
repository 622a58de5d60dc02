#include "poolcore/powers.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "poolcore/dispatch.hpp"
#include "poolcore/run.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

// Sums of powers within these limits are right: no power in them overflowed, and what small ones
// lost does not count. Outside, some power of the window is beyond kHugePower or kTinyPower.
constexpr double kHugeSum = 0x1p+1000;
constexpr double kTinySum = 0x1p-950;
static_assert(kHugePower * 0x1p63 < kHugeSum && kTinyPower > kTinySum);

PowerArgs power_args(double* values, std::int64_t n, double exponent) {
    PowerArgs args{};
    args.values = reinterpret_cast<std::byte*>(values);
    args.n = n;
    args.exponent = exponent;
    args.divisor = 1;
    return args;
}

// 1/p as the sum of two doubles.
PowerArgs root_args(double* values, std::int64_t n, double p) {
    PowerArgs args = power_args(values, n, std::min(1 / p, 0x1p60));
    if (args.exponent < 0x1p60) args.exponent_low = std::fma(-args.exponent, p, 1.0) / p;
    return args;
}

// Taps of one window, one by one.
class Rescue {
   public:
    Rescue(const Schedule& s, const StageContext& c, const Box& box)
        : s_(s), c_(c), spec_(s.plan->spec), source_(source_of(s, box)) {}

    // The norm of the window (a, b, w) of one lane of a plane, of elements divided by the largest.
    double norm(std::int64_t plane, const std::int64_t windows[kNumPhysical], std::int64_t lane,
                double divisor) {
        base_ = source_.base + plane * source_.plane_stride + lane * source_.inner_stride;
        for (int x = 0; x < kNumPhysical; ++x) {
            const AxisGeometry& g = s_.axis[x].geometry;
            taps_[x] = g.taps(windows[x]);
            start_[x] = g.start(windows[x]);
            at_[x] = start_[x];  // for axes without a stage
        }
        largest_ = 0;
        for_taps([this](double x) { largest_ = std::max(largest_, x); });
        if (largest_ == 0 || std::isinf(largest_)) return largest_;
        double sum = tree(s_.n_stages - 1, 0, s_.axis[s_.order[s_.n_stages - 1]].geometry.kernel);
        sum /= divisor;
        c_.kernels->power[static_cast<int>(Work::kF64)](root_args(&sum, 1, spec_.power));
        return largest_ * sum;
    }

   private:
    void poll() {
        constexpr std::int64_t kPollEvery = 1 << 14;  // taps
        if (++taken_ % kPollEvery == 0 && stop_requested()) throw Stopped{};
    }

    // The magnitude of an element; 0 for a NaN that is left out.
    double magnitude(const std::int64_t at[kNumPhysical]) {
        poll();
        double x = 0;
        PackArgs pack{};
        pack.src = base_;
        for (int i = 0; i < kNumPhysical; ++i) pack.src += at[i] * source_.stride[i];
        pack.dst = reinterpret_cast<std::byte*>(&x);
        pack.n0 = pack.n1 = pack.n = 1;
        c_.kernels->pack[static_cast<int>(Change::kNone)][static_cast<int>(source_.dtype)]
                        [static_cast<int>(Work::kF64)](pack);
        if (std::isnan(x)) return 0;
        return spec_.op == Op::kGem ? std::max(x, spec_.floor) : std::fabs(x);
    }

    template <class Each>
    void for_taps(const Each& each) {
        std::int64_t at[kNumPhysical];
        const auto place = [&](int x, std::int64_t j) {
            at[x] = start_[x] + j * s_.axis[x].geometry.dilation;
        };
        for (std::int64_t a = taps_[kA].first; a < taps_[kA].last; ++a)
            for (std::int64_t b = taps_[kB].first; b < taps_[kB].last; ++b)
                for (std::int64_t w = taps_[kW].first; w < taps_[kW].last; ++w) {
                    place(kA, a);
                    place(kB, b);
                    place(kW, w);
                    each(magnitude(at));
                }
    }

    // The powers of the taps from `tap` on, `n` of them, along the axis of that stage: in the order
    // of all sums.
    double tree(int stage, std::int64_t tap, std::int64_t n) {
        const int axis = s_.order[stage];
        if (tap >= taps_[axis].last || tap + n <= taps_[axis].first) return 0;
        if (n > 1) {
            std::int64_t half = 1;
            while (half < n - half) half *= 2;
            const double left = tree(stage, tap, half);
            return left + tree(stage, tap + half, n - half);
        }
        at_[axis] = start_[axis] + tap * s_.axis[axis].geometry.dilation;
        if (stage > 0) return tree(stage - 1, 0, s_.axis[s_.order[stage - 1]].geometry.kernel);
        double x = magnitude(at_) / largest_;
        c_.kernels->power[static_cast<int>(Work::kF64)](power_args(&x, 1, spec_.power));
        return x;
    }

    const Schedule& s_;
    const StageContext& c_;
    const PoolSpec& spec_;
    Source source_;
    const std::byte* base_ = nullptr;
    TapRange taps_[kNumPhysical];
    std::int64_t start_[kNumPhysical];
    std::int64_t at_[kNumPhysical] = {0, 0, 0};
    double largest_ = 0;
    std::int64_t taken_ = 0;
};

// Means divide by the elements of the window: those that pool whole planes have all of them.
double mean_divisor(const Schedule& s) {
    double taps = 1;
    for (const PooledAxis& axis : s.axis) taps *= static_cast<double>(axis.geometry.kernel);
    return s.plan->spec.op == Op::kGem ? taps : 1;
}

// One window after the other, some of them anew.
void take_roots_singly(const Schedule& s, const StageContext& c, const Box& box, double* sums,
                       const double* missing) {
    Rescue rescue(s, c, box);
    std::int64_t i = 0;
    for (std::int64_t p = 0; p < box.planes; ++p)
        for (std::int64_t a = box.windows[kA].lo; a < box.windows[kA].hi; ++a)
            for (std::int64_t b = box.windows[kB].lo; b < box.windows[kB].hi; ++b)
                for (std::int64_t w = box.windows[kW].lo; w < box.windows[kW].hi; ++w)
                    for (std::int64_t lane = 0; lane < box.inner; ++lane, ++i) {
                        const std::int64_t window[kNumPhysical] = {a, b, w};
                        double divisor = mean_divisor(s);
                        if (missing && s.plan->spec.op == Op::kGem) divisor -= missing[i];
                        if (sums[i] > kHugeSum || sums[i] < kTinySum) {
                            sums[i] = rescue.norm(p, window, lane, divisor);
                            continue;
                        }
                        PowerArgs args = root_args(sums + i, 1, s.plan->spec.power);
                        args.divisor = divisor;
                        c.kernels->power[static_cast<int>(Work::kF64)](args);
                    }
}

// Windows without elements have the norm 0.
template <class T>
void clear_empty(std::byte* values, std::int64_t n) {
    T* const at = reinterpret_cast<T*>(values);  // scratch: aligned
    for (std::int64_t i = 0; i < n; ++i) at[i] = at[i] < 0 ? T(0) : at[i];
}

}  // namespace

Pass power_pass(const Schedule& s, bool* special) {
    Pass pass{s.combine, s.work, s.change, false, 0};
    pass.powers = &s.plan->spec;
    // A sum that overflows is the norm of p = 1 itself, but not a mean.
    const bool sum_is_norm = pass.powers->power == 1 && pass.powers->op == Op::kLp;
    if (s.combine == Combine::kSum && !sum_is_norm) pass.special = special;
    return pass;
}

void raise_packed(const StageContext& c, const Pass& pass, const Field& field) {
    const PoolSpec& spec = *pass.powers;
    const bool sum = pass.combine == Combine::kSum;
    PowerArgs args = power_args(nullptr, field.elements(), sum ? spec.power : 1);
    args.values = field.values;
    args.clamps = spec.op == Op::kGem;
    args.floor = spec.floor;
    args.drop_nan = sum && spec.nan_policy == NanPolicy::kOmit;
    args.special = pass.special;
    c.kernels->power[static_cast<int>(pass.work)](args);
}

void take_roots(const Schedule& s, const StageContext& c, const Box& box, const Field& values,
                const Field* aux, bool special) {
    const PoolSpec& spec = s.plan->spec;
    const std::int64_t n = values.elements();
    if (s.combine != Combine::kSum) {
        if (!s.plan->empty_windows) return;
        return s.work == Work::kF32 ? clear_empty<float>(values.values, n)
                                    : clear_empty<double>(values.values, n);
    }
    if (spec.power == 1 && spec.op == Op::kLp) return;
    double* const sums = reinterpret_cast<double*>(values.values);  // scratch: aligned
    const std::byte* const missing = aux && spec.op == Op::kGem ? aux->values : nullptr;
    if (special)
        return take_roots_singly(s, c, box, sums, reinterpret_cast<const double*>(missing));
    PowerArgs args = root_args(sums, n, spec.power);
    args.divisor = mean_divisor(s);
    args.missing = missing;
    c.kernels->power[static_cast<int>(Work::kF64)](args);
}

void raise_magnitudes(std::byte* values, std::int64_t n, double exponent) {
    PowerArgs args = power_args(nullptr, n, std::min(exponent, 0x1p60));
    args.values = values;
    kernels().power[static_cast<int>(Work::kF64)](args);
}

}  // namespace poolcore
