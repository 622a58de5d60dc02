// SoftPool of one window, in double: the mean of its taps weighted by e**x (Stergiou, Poppe and
// Kalliatakis 2021). The taps are shown twice, in the same order; they need not be kept. A NaN
// that is left out is not shown.
#pragma once

#include <cstdint>
#include <limits>

#include "poolcore/exponential.hpp"

namespace poolcore {

class SoftWindow {
   public:
    // First all taps here,
    void see(double x) {
        ++taps_;
        nan_ = nan_ || x != x;
        most_ = x > most_ ? x : most_;
    }
    // and then, if this is true, all of them there.
    bool wants_taps() const { return !nan_ && most_ - most_ == 0; }
    void add(double x) {
        const double below = x - most_;
        const double weight = exp_of_negative(below);
        if (weight == 0) return;  // `below` may be -infinity
        total_ += weight;
        sum_ += weight * below;
    }

    // NaN without taps or with a NaN among them; +infinity wins, and -infinity has no weight.
    double value() const {
        if (taps_ == 0 || nan_) return std::numeric_limits<double>::quiet_NaN();
        return wants_taps() ? most_ + sum_ / total_ : most_;
    }
    // d value / d x of a tap, once all have been added; 0 for one without weight.
    double slope(double x) const {
        const double below = x - most_;
        const double weight = exp_of_negative(below);
        return weight == 0 ? 0 : weight / total_ * (1 + (below - sum_ / total_));
    }

   private:
    std::int64_t taps_ = 0;
    bool nan_ = false;
    double most_ = -std::numeric_limits<double>::infinity();
    double total_ = 0;  // at least 1 once the largest tap is added
    double sum_ = 0;
};

}  // namespace poolcore
