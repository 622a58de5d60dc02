#include "poolcore/soft.hpp"

#include <algorithm>
#include <limits>

#include "poolcore/scratch.hpp"
#include "poolcore/select_emit.hpp"
#include "poolcore/select_job.hpp"
#include "poolcore/soft_lanes.hpp"

namespace poolcore {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct SoftJob {
    SelectJob select;
    LoadRow row;
    bool omit;
    TapRange inside;  // windows along lanes that no edge cuts
    // How many windows from `o` on have the same taps but for their place.
    int alike(std::int64_t o, std::int64_t hi, std::int64_t taps) const {
        const bool cut = o < inside.first || o >= inside.last;
        const std::int64_t end = cut ? o + 1 : std::min(hi, inside.last);
        const std::int64_t room = kSoftTaps / std::max<std::int64_t>(taps, 1);
        return static_cast<int>(std::clamp<std::int64_t>(std::min(end - o, room), 1, kSoftLanes));
    }
    std::int64_t lane_step(int lanes) const {
        if (lanes == 1) return 0;
        const std::int64_t stride = select.lane.in_stride;
        return select.lane.pooled < 0 ? stride : select.geometry(select.lane).stride * stride;
    }
};

// Some windows side by side. Taps are added in the order of the caller's axes, so that no layout
// changes a bit.
class Windows {
   public:
    Windows(const SoftJob& job, Scratch& scratch) : job_(job), block_(scratch) {}

    bool values(const TapGrid& grid, int lanes, double* values) {
        SoftLanes soft(lanes);
        std::fill_n(number_, lanes, false);
        const bool whole = grid.taps() * lanes <= kSoftTaps;
        bool done = each_piece(grid, lanes, [&] { soft.see(block_); });
        soft.settle();
        const auto add = [&] {
            soft.weigh(block_);
            soft.add(block_);
        };
        if (whole && grid.taps() > 0) add();
        if (!whole && done) done = each_piece(grid, lanes, add);
        for (int l = 0; l < lanes; ++l) values[l] = number_[l] ? soft.value(l) : kNaN;
        return done;
    }

   private:
    template <class Each>
    bool each_piece(const TapGrid& grid, int lanes, const Each& each) {
        return for_pieces(grid, kSoftTaps / lanes, stop_, [&](const TapGrid& piece, const auto&) {
            block_.load(job_.row, piece, job_.lane_step(lanes), lanes);
            if (job_.omit)
                leave_out(lanes);
            else
                std::fill_n(number_, lanes, true);
            each();
        });
    }
    // A NaN that is left out has no weight, as -infinity.
    void leave_out(int lanes) {
        double* tap = block_.below;
        for (std::int64_t t = 0; t < block_.taps; ++t)
            for (int l = 0; l < lanes; ++l, ++tap) {
                number_[l] = number_[l] || *tap == *tap;
                if (*tap != *tap) *tap = -kInfinity;
            }
    }

    const SoftJob& job_;
    SoftBlock block_;
    StopPoll stop_;
    bool number_[kSoftLanes] = {};  // whether a window has a tap that counts
};

void soft_task(void* context, std::int64_t task, int) {
    const auto& soft = *static_cast<const SoftJob*>(context);
    const SelectJob& job = soft.select;
    TaskScratch scratch(SoftBlock::footprint());
    Windows windows(soft, *scratch);
    const std::int64_t step = job.lane.out_stride;
    each_row(job, task, [&](const TapGrid& grid, std::byte* out, std::int64_t lo, std::int64_t hi) {
        double values[kSoftLanes] = {};
        for (std::int64_t o = lo; o < hi;) {
            TapGrid first = grid;
            place(job, job.lane, o, first);
            const int n = soft.alike(o, hi, first.taps());
            if (!windows.values(first, n, values)) return;
            convert_row(job.convert, values, {out + o * step, step, n});
            o += n;
        }
    });
}

}  // namespace

bool run_soft(const PoolPlan& plan, const StridedView& in, const MutableView& out,
              const ParallelJob& how) {
    SoftJob job{make_select_job(plan, in, out, TapOrder::kAxes), load_row_of(plan.in_dtype),
                plan.spec.nan_policy == NanPolicy::kOmit, {}};
    const LoopAxis& lane = job.select.lane;
    job.inside = lane.pooled < 0 ? TapRange{0, lane.n} : job.select.geometry(lane).interior();
    ParallelJob parallel = how;
    parallel.context = &job;
    parallel.n_tasks = job.select.n_tasks();
    parallel.scratch = SoftBlock::footprint();
    parallel.function = soft_task;
    return parallel_for(parallel);
}

}  // namespace poolcore
