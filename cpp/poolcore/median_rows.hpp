// Medians of like windows, many side by side: rows of windows are laid one after the other in the
// scratch, as many as fit, and go through a network together. The run family only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/kernel_table.hpp"
#include "poolcore/median_network.hpp"
#include "poolcore/select_job.hpp"
#include "poolcore/select_window.hpp"

namespace poolcore {

// The network for windows with so many taps along each slot of a TapGrid, over rows of scratch.
struct MedianRows {
    std::int64_t count[kMaxPooledAxes];
    int column_slot;
    MedianNetwork network{};
    std::vector<std::int64_t> origin{};  // of phases, bytes from the first tap
    std::vector<ExchangeStep> steps{};
    std::vector<RankStep> low{}, high{};
    std::int64_t item = 0;
    std::int64_t lanes = 0;  // in a row
    std::int64_t pitch = 0;  // bytes from one row to the next

    // Two rows more than the network's, for what it finds.
    std::int64_t bytes() const { return (network.rows + 2) * pitch; }
    bool is_for(const TapGrid& grid) const {
        return count[0] == grid.count[0] && count[1] == grid.count[1] &&
               count[2] == grid.count[2];
    }
};

// All networks of a job; none where it has too few windows or too many taps.
struct MedianPlan {
    std::vector<MedianRows> rows;  // the first one for full windows
    KeysKernel keys = nullptr;
    ExchangesKernel exchanges = nullptr;
    RankKernel rank = nullptr;
    KeyOrder order{};
    bool same_type = false;      // elements are results,
    PackKernel widen = nullptr;  // or become float64

    const MedianRows* find(const TapGrid& grid) const {
        for (const MedianRows& r : rows)
            if (r.is_for(grid)) return &r;
        return nullptr;
    }
    std::int64_t bytes() const {
        std::int64_t most = 0;
        for (const MedianRows& r : rows) most = std::max(most, r.bytes());
        return most;
    }
    bool gives_elements(const MedianRows& r) const {
        return r.high.empty() && (same_type || widen);
    }
};

MedianPlan make_median_plan(const SelectJob& job, const KeyOrder& order);

// Windows, `step` and `out_step` bytes apart in the caller's arrays.
struct MedianRun {
    TapGrid grid{};  // of the first window
    std::byte* out = nullptr;
    std::int64_t step = 0;
    std::int64_t out_step = 0;
    std::int64_t windows = 0;

    void skip(std::int64_t n) {
        grid.base += wrapped(n, step);
        out += wrapped(n, out_step);
        windows -= n;
    }
    // Whether a window is like the others and the next one; if so, it is taken.
    bool takes(const TapGrid& next, std::byte* to) {
        for (int i = 0; i < kMaxPooledAxes; ++i)
            if (next.count[i] != grid.count[i] || next.step[i] != grid.step[i]) return false;
        if (windows == 1) {
            step = next.base - grid.base;
            out_step = to - out;
        } else if (next.base != grid.base + windows * step || to != out + windows * out_step) {
            return false;
        }
        ++windows;
        return true;
    }
};

// What waits to be done together.
class MedianBatch {
   public:
    MedianBatch(const MedianPlan& plan, std::byte* scratch) : plan_(plan), scratch_(scratch) {}

    struct Segment {
        MedianRun run;
        std::int64_t lane;  // where it stands
    };

    bool empty() const { return n_ == 0; }
    const MedianRows& rows() const { return *rows_; }
    // Takes windows from the front of a run; false when there is no room for them.
    bool add(const MedianRows& rows, MedianRun& run);
    // Reads all windows and finds their middle keys, or elements if `decodes` and none is NaN.
    // True when a NaN was met.
    bool find(bool decodes);
    void clear() {
        n_ = 0;
        used_ = 0;
    }

    const Segment* begin() const { return segments_; }
    const Segment* end() const { return segments_ + n_; }
    // What was found, the two being one where taps are odd in number.
    const std::byte* low(const Segment& s) const { return found(0) + s.lane * rows_->item; }
    const std::byte* high(const Segment& s) const {
        return found(rows_->high.empty() ? 0 : 1) + s.lane * rows_->item;
    }

   private:
    static constexpr int kMostSegments = 64;

    std::byte* found(int which) const {
        return scratch_ + (rows_->network.rows + which) * rows_->pitch;
    }
    bool load(const Segment& s);
    void rank(const std::vector<RankStep>& terms, int which, bool decodes);

    const MedianPlan& plan_;
    const MedianRows* rows_ = nullptr;
    std::byte* scratch_;
    Segment segments_[kMostSegments];
    int n_ = 0;
    std::int64_t used_ = 0;  // lanes
};

}  // namespace poolcore
