// SoftPool of windows side by side, in double: the mean of their taps weighted by e**x (Stergiou,
// Poppe and Kalliatakis 2021). The taps of a window are added in their order, so its bits depend
// neither on the windows beside it nor on the pieces it comes in. The run family only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "poolcore/scratch.hpp"
#include "poolcore/select_window.hpp"
#include "poolcore/types.hpp"

namespace poolcore {

inline constexpr int kSoftLanes = 64;
// Taps, of all lanes together, that are weighed at once.
inline constexpr std::int64_t kSoftTaps = 4096;

// `n` elements, `step` bytes apart, as doubles.
using LoadRow = void (*)(const std::byte* p, std::int64_t step, std::int64_t n, double* to);
LoadRow load_row_of(DType dtype);

// Taps of windows side by side: row t of `lanes` doubles holds their tap t.
struct SoftBlock {
    static constexpr std::int64_t kBytes = kSoftTaps * 8;
    // What two blocks take from a scratch.
    static std::int64_t footprint() { return 2 * Scratch::footprint(kBytes); }
    explicit SoftBlock(Scratch& scratch)
        : below(reinterpret_cast<double*>(scratch.take(kBytes))),
          weights(reinterpret_cast<double*>(scratch.take(kBytes))) {}

    double* below;    // elements, and once weighed their distances from the largest, 0 or less
    double* weights;  // e**below
    std::int64_t taps = 0;

    void load(LoadRow row, const TapGrid& grid, std::int64_t lane_step, int lanes);
};

// First all taps are seen, then settled, then all are weighed and added in the same order.
class SoftLanes {
   public:
    explicit SoftLanes(int lanes);

    void see(const SoftBlock& block);
    void settle();
    void weigh(SoftBlock& block) const;
    void add(const SoftBlock& block);

    int lanes() const { return lanes_; }
    // NaN with a NaN among the taps; +infinity wins, and -infinity has no weight.
    double value(int lane) const {
        const double most = most_[lane];
        return most - most == 0 ? most + sum_[lane] / total_[lane] : most;
    }
    double most(int lane) const { return most_[lane]; }
    double total(int lane) const { return total_[lane]; }  // at least 1
    double mean(int lane) const { return sum_[lane] / total_[lane]; }
    // What a window was that is only weighed again.
    void recall(double most) {
        most_[0] = most;
        settle();
    }

   private:
    int lanes_;
    bool odd_ = false;  // some window's largest tap is infinite
    double most_[kSoftLanes], nan_[kSoftLanes], total_[kSoftLanes], sum_[kSoftLanes];
};

// Calls each(piece, first) for pieces of at most `most` taps, `first` being the place of the first
// one along each axis; in row-major order. False when the job is to stop.
template <class Each>
bool for_pieces(const TapGrid& grid, std::int64_t most, StopPoll& stop, const Each& each) {
    std::int64_t size[3], left = std::max<std::int64_t>(most, 1);
    for (int i = 2; i >= 0; --i) {
        size[i] = std::clamp<std::int64_t>(left, 1, std::max<std::int64_t>(grid.count[i], 1));
        left = size[i] == grid.count[i] ? left / size[i] : 1;
    }
    std::int64_t at[3];
    for (at[0] = 0; at[0] < grid.count[0]; at[0] += size[0])
        for (at[1] = 0; at[1] < grid.count[1]; at[1] += size[1])
            for (at[2] = 0; at[2] < grid.count[2]; at[2] += size[2]) {
                TapGrid piece = grid;
                for (int i = 0; i < 3; ++i) {
                    piece.base += at[i] * grid.step[i];
                    piece.count[i] = std::min(size[i], grid.count[i] - at[i]);
                }
                each(piece, at);
                if (stop.stops(piece.taps())) return false;
            }
    return true;
}

}  // namespace poolcore
