// Elements whose power, or whose windows', has left the range of float64: the quotients |x| / y are
// raised instead, window by window. Part of norm_backward.
#pragma once

#include <cmath>
#include <cstdint>

#include "poolcore/norm_backward_job.hpp"

namespace poolcore {

// Factors within these limits have products and sums that float64 holds.
inline constexpr double kLeastFactor = 0x1p-450, kMostFactor = 0x1p450;
inline constexpr double kLeastPower = 0x1p-900;
inline constexpr double kInfinity = __builtin_inf();

template <class V>
auto is_beyond(V size) {
    return (size < kLeastFactor) | (size > kMostFactor);
}
inline bool is_beyond_and_counts(double grad) {
    const double size = std::fabs(grad);
    return (size > 0) & (size < kInfinity) & is_beyond(size);
}

class NormExact {
   public:
    // `windows`: how many there are, side by side in memory; `risky` says whether any is.
    NormExact(const NormGradient& job, const NormTask& task, const NormMemory& memory,
              const Loops& windows, bool risky)
        : job_(job), task_(task), memory_(memory), step_(dense_steps(windows)), risky_(risky) {}

    // Of some elements of the box from the place `at` on: memory.first has them, memory.second their
    // powers.
    void mend(double* sums, const Loops& n, const Loops& at) {
        std::int64_t i = 0;
        Loops p;
        for (p[0] = 0; p[0] < n[0]; ++p[0])
            for (p[1] = 0; p[1] < n[1]; ++p[1])
                for (p[2] = 0; p[2] < n[2]; ++p[2])
                    for (p[3] = 0; p[3] < n[3]; ++p[3], ++i) {
                        if (poll_.stopped()) return;
                        Loops place;
                        for (int j = 0; j < kLoops; ++j) place[j] = at[j] + p[j];
                        element(sums[i], memory_.first[i], memory_.second[i], place);
                    }
    }

   private:
    static constexpr int kAxes = kMaxPooledAxes;
    static constexpr int kTerms = 64;

    void element(double& sum, double x, double power, const Loops& place) {
        const double size = job_.mean ? (x < job_.floor ? job_.floor : x) : x;  // but for the sign
        plane_ = place[job_.loop_of_planes()];
        for (int i = 0; i < kAxes; ++i) {
            at_[i] = task_.part.elements[i].lo + place[job_.loop_of(i)];
            over_[i] = job_.axis[i].windows_over({at_[i], at_[i] + 1});
        }
        const bool own = (power < kLeastPower && size != 0) || power == kInfinity;
        if (!own && !(risky_ && has_risky_window())) return;
        size_ = std::fabs(size);
        terms_ = 0;
        total_ = 0;
        for_windows([this](std::int64_t window, std::int64_t grad) { return add(window, grad); });
        flush();
        const double sign = job_.mean ? static_cast<double>(x >= job_.floor)
                                      : static_cast<double>(x > 0) - static_cast<double>(x < 0);
        sum = total_ * sign;
    }

    // Calls each(number, offset of its gradient) for the windows with a tap on the element, in
    // row-major order, while it says true.
    template <class Each>
    void for_windows(const Each& each) {
        std::int64_t o[kAxes];
        const auto next = [&](int i) {
            const AxisGeometry& g = job_.axis[i].geometry;
            while (o[i] < over_[i].hi && (at_[i] - g.start(o[i])) % g.dilation != 0) ++o[i];
            return o[i] < over_[i].hi;
        };
        for (o[0] = over_[0].lo; next(0); ++o[0])
            for (o[1] = over_[1].lo; next(1); ++o[1])
                for (o[2] = over_[2].lo; next(2); ++o[2]) {
                    std::int64_t window = plane_ * step_[job_.loop_of_planes()];
                    std::int64_t grad =
                        (task_.part.planes.lo + plane_) * job_.grad_step[job_.loop_of_planes()];
                    for (int i = 0; i < kAxes; ++i) {
                        window += (o[i] - task_.part.windows[i].lo) * step_[job_.loop_of(i)];
                        grad += o[i] * job_.grad_step[job_.loop_of(i)];
                    }
                    if (poll_.stops(16) || !each(window / 8, grad)) return;
                }
    }

    bool has_risky_window() {
        bool found = false;
        for_windows([&](std::int64_t window, std::int64_t) {
            found = memory_.risky[window] != 0;
            return !found;
        });
        return found;
    }

    bool add(std::int64_t window, std::int64_t grad) {
        const double norm = memory_.norms[window];
        if (norm == 0) return true;
        PackArgs args{};
        args.src = task_.grad + grad;
        args.dst = reinterpret_cast<std::byte*>(grads_ + terms_);
        args.n0 = args.n1 = args.n = 1;
        job_.load_grad(args);
        grads_[terms_] /= job_.divisor;
        shares_[terms_] = size_ / norm;
        if (++terms_ == kTerms) flush();
        return true;
    }

    void flush() {
        raise_magnitudes(reinterpret_cast<std::byte*>(shares_), terms_, job_.power);
        const bool above = job_.plan.spec.power > 1;
        for (int i = 0; i < terms_; ++i)
            total_ += above ? grads_[i] * shares_[i] : grads_[i] / shares_[i];
        terms_ = 0;
    }

    const NormGradient& job_;
    const NormTask& task_;
    const NormMemory& memory_;
    const Loops step_;
    const bool risky_;
    StopPoll poll_;
    std::int64_t plane_ = 0, at_[kAxes] = {};
    Range over_[kAxes] = {};
    double size_ = 0, total_ = 0;
    double grads_[kTerms], shares_[kTerms];
    int terms_ = 0;
};

}  // namespace poolcore
