// Loops over taps of windows side by side, so plain that the compiler makes vectors of them. A
// single window has loops over its taps.
#include "poolcore/soft_lanes.hpp"

#include <limits>

#include "poolcore/element.hpp"
#include "poolcore/exponential.hpp"

namespace poolcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class Element>
void load_row(const std::byte* p, std::int64_t step, std::int64_t n, double* __restrict to) {
    for (std::int64_t i = 0; i < n; ++i) to[i] = Element::value(p + i * step);
}

// The largest of each column, and a NaN where there is one.
void see_rows(const double* __restrict taps, std::int64_t rows, int lanes, double* __restrict most,
              double* __restrict nan) {
    for (std::int64_t t = 0; t < rows; ++t, taps += lanes)
        for (int l = 0; l < lanes; ++l) {
            const double x = taps[l];
            most[l] = x > most[l] ? x : most[l];
            nan[l] = x == x ? nan[l] : x;
        }
}

void subtract_rows(double* __restrict taps, std::int64_t rows, int lanes,
                   const double* __restrict most) {
    for (std::int64_t t = 0; t < rows; ++t, taps += lanes)
        for (int l = 0; l < lanes; ++l) {
            const double below = taps[l] - most[l];
            taps[l] = below < kLeastExponent ? kLeastExponent : below;
        }
}

void subtract(double* __restrict taps, std::int64_t n, double most) {
    for (std::int64_t i = 0; i < n; ++i) {
        const double below = taps[i] - most;
        taps[i] = below < kLeastExponent ? kLeastExponent : below;
    }
}

void exponentials(const double* __restrict below, std::int64_t n, double* __restrict weights) {
    for (std::int64_t i = 0; i < n; ++i) weights[i] = exp_of_bounded(below[i]);
}

void add_rows(const double* __restrict below, const double* __restrict weights, std::int64_t rows,
              int lanes, double* __restrict total, double* __restrict sum) {
    for (std::int64_t t = 0; t < rows; ++t, below += lanes, weights += lanes)
        for (int l = 0; l < lanes; ++l) {
            total[l] += weights[l];
            sum[l] += weights[l] * below[l];
        }
}

}  // namespace

LoadRow load_row_of(DType dtype) {
    return visit_element(dtype, [](auto e) -> LoadRow { return load_row<decltype(e)>; });
}

void SoftBlock::load(LoadRow row, const TapGrid& grid, std::int64_t lane_step, int lanes) {
    double* to = below;
    for (std::int64_t a = 0; a < grid.count[0]; ++a)
        for (std::int64_t b = 0; b < grid.count[1]; ++b) {
            const std::byte* p = grid.base + a * grid.step[0] + b * grid.step[1];
            if (lanes == 1) {
                row(p, grid.step[2], grid.count[2], to);
                to += grid.count[2];
                continue;
            }
            for (std::int64_t c = 0; c < grid.count[2]; ++c, to += lanes)
                row(p + c * grid.step[2], lane_step, lanes, to);
        }
    taps = grid.taps();
}

SoftLanes::SoftLanes(int lanes) : lanes_(lanes) {
    std::fill_n(most_, lanes, -kInfinity);
    for (double* const zeros : {nan_, total_, sum_}) std::fill_n(zeros, lanes, 0.0);
}

void SoftLanes::see(const SoftBlock& block) {
    if (lanes_ > 1) return see_rows(block.below, block.taps, lanes_, most_, nan_);
    // Eight at a time: which of equal taps is the largest makes no difference.
    constexpr int kMany = 8;
    double most[kMany], nan[kMany];
    std::fill_n(most, kMany, most_[0]);
    std::fill_n(nan, kMany, nan_[0]);
    const std::int64_t rows = block.taps / kMany;
    see_rows(block.below, rows, kMany, most, nan);
    see_rows(block.below + rows * kMany, block.taps - rows * kMany, 1, most_, nan_);
    for (int i = 0; i < kMany; ++i) {
        most_[0] = std::max(most_[0], most[i]);
        nan_[0] += nan[i];
    }
}

void SoftLanes::settle() {
    for (int l = 0; l < lanes_; ++l) {
        if (nan_[l] != nan_[l]) most_[l] = nan_[l];
        odd_ = odd_ || most_[l] - most_[l] != 0;
    }
}

// Where the largest tap is infinite none has a weight; where it is NaN all are NaN.
void SoftLanes::weigh(SoftBlock& block) const {
    const std::int64_t n = block.taps * lanes_;
    if (lanes_ > 1)
        subtract_rows(block.below, block.taps, lanes_, most_);
    else
        subtract(block.below, n, most_[0]);
    exponentials(block.below, n, block.weights);
    if (!odd_) return;
    for (int l = 0; l < lanes_; ++l)
        if (most_[l] == kInfinity || most_[l] == -kInfinity)
            for (std::int64_t i = l; i < n; i += lanes_) block.weights[i] = 0;
}

void SoftLanes::add(const SoftBlock& block) {
    if (lanes_ > 1)
        add_rows(block.below, block.weights, block.taps, lanes_, total_, sum_);
    else
        add_rows(block.below, block.weights, block.taps, 1, total_, sum_);
}

}  // namespace poolcore
