#include "poolcore/soft.hpp"

#include <algorithm>
#include <cstring>

#include "poolcore/element.hpp"
#include "poolcore/select_emit.hpp"
#include "poolcore/select_job.hpp"
#include "poolcore/soft_window.hpp"

namespace poolcore {
namespace {

// Taps are added in the order of the caller's axes, so that no layout changes a bit.
template <class Element>
double soft_of(const TapGrid& grid, bool omit) {
    SoftWindow window;
    if (grid.taps() == 0) return window.value();
    const bool done = for_taps(grid, [&](const std::byte* p) {
        const double x = Element::value(p);
        if (!omit || x == x) window.see(x);
    });
    if (done && window.wants_taps())
        for_taps(grid, [&](const std::byte* p) {
            const double x = Element::value(p);
            if (!omit || x == x) window.add(x);
        });
    return window.value();
}

template <class Element>
void soft_task(void* context, std::int64_t task, int) {
    const auto& job = *static_cast<const SelectJob*>(context);
    const bool omit = job.plan->spec.nan_policy == NanPolicy::kOmit;
    const std::int64_t step = job.lane.out_stride;
    each_row(job, task, [&](const TapGrid& grid, std::byte* out, std::int64_t lo, std::int64_t hi) {
        for (std::int64_t o = lo; o < hi && !stop_requested(); o += kSortLanes) {
            double values[kSortLanes] = {};
            const int n = static_cast<int>(std::min<std::int64_t>(kSortLanes, hi - o));
            for (int l = 0; l < n; ++l) {
                TapGrid one = grid;
                place(job, job.lane, o + l, one);
                values[l] = soft_of<Element>(one, omit);
            }
            convert_row(job.convert, values, {out + o * step, step, n});
        }
    });
}

}  // namespace

bool run_soft(const PoolPlan& plan, const StridedView& in, const MutableView& out,
              const ParallelJob& how) {
    SelectJob job = make_select_job(plan, in, out, TapOrder::kAxes);
    ParallelJob parallel = how;
    parallel.context = &job;
    parallel.n_tasks = job.n_tasks();
    parallel.function = visit_element(
        plan.in_dtype, [](auto e) -> TaskFunction { return soft_task<decltype(e)>; });
    return parallel_for(parallel);
}

}  // namespace poolcore
