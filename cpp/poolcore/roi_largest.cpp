// RoIAlign with maxima: see roi_candidates.hpp.
#include <algorithm>
#include <limits>

#include "poolcore/roi_candidates.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kResults = 64;

template <double (*kElement)(const std::byte*)>
class RoiLargest {
   public:
    RoiLargest(const RoiTask& task, Scratch& scratch)
        : task_(task),
          job_(task.job),
          rows_(*job_.spec, 0, task.box, job_.length[0]),
          columns_(*job_.spec, 1, task.box, job_.length[1]),
          down_(rows_, scratch),
          over_(columns_, scratch),
          omit_(job_.spec->nan_policy == NanPolicy::kOmit) {}
    static std::int64_t scratch_bytes() { return 2 * Candidates::scratch_bytes(); }

    // Bins outermost, so that their candidates are found once for all channels.
    void run() {
        for (std::int64_t a = task_.first_bin(rows_.bins); a < task_.last_bin(rows_.bins); ++a) {
            down_.select(a);
            for (std::int64_t b = 0; b < columns_.bins; ++b) {
                over_.select(b);
                bin(a, b);
                if (look_.stopped()) return;
            }
        }
    }

   private:
    void bin(std::int64_t a, std::int64_t b) {
        for (std::int64_t c = task_.first; c < task_.last; c += kResults) {
            const std::int64_t n = std::min(kResults, task_.last - c);
            for (std::int64_t l = 0; l < n; ++l) {
                results_[l] = largest(task_.in + (c + l) * job_.in_stride.channel);
                if (look_.stops(1)) return;
            }
            std::byte* out = task_.out + c * job_.out_stride.channel +
                             a * job_.out_stride.plane[0] + b * job_.out_stride.plane[1];
            convert_row(job_.convert, results_,
                        {out, job_.out_stride.channel, static_cast<int>(n)});
        }
    }

    double largest(const std::byte* plane) {
        if (rows_.grid == 0 || columns_.grid == 0) return 0;
        const Largest found =
            find_largest<kElement, false>(plane, job_.in_stride.plane, down_, over_, look_);
        const bool none = omit_ ? !found.met : found.nan;
        return none ? std::numeric_limits<double>::quiet_NaN() : found.value;
    }

    const RoiTask& task_;
    const RoiJob& job_;
    SampleAxis rows_, columns_;
    Candidates down_, over_;
    bool omit_;
    double results_[kResults] = {};
    StopPoll look_;
};

template <double (*kElement)(const std::byte*)>
void largest_task(void* context, std::int64_t number, int) {
    const RoiTask task(*static_cast<const RoiJob*>(context), number);
    TaskScratch scratch(RoiLargest<kElement>::scratch_bytes());
    RoiLargest<kElement>(task, *scratch).run();
}

template <double (*kElement)(const std::byte*)>
struct LargestTask {
    static RoiTaskKind get() {
        return {largest_task<kElement>, RoiLargest<kElement>::scratch_bytes()};
    }
};

}  // namespace

RoiTaskKind roi_largest_task(DType dtype) { return for_elements<LargestTask>(dtype); }

}  // namespace poolcore
