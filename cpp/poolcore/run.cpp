#include "poolcore/run.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "poolcore/adaptive.hpp"
#include "poolcore/boxes.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/each_window.hpp"
#include "poolcore/nan_scan.hpp"
#include "poolcore/select.hpp"
#include "poolcore/threads.hpp"
#include "poolcore/turned.hpp"

namespace poolcore {
namespace {

// Pools task after task, of boxes or of blocks of planes.
template <class Work>
void run_task(void* context, std::int64_t task, int) {
    const Work& work = *static_cast<const Work*>(context);
    TaskScratch scratch(work.scratch_bytes());
    try {
        work.pool(task, *scratch);
    } catch (const Stopped&) {
        return;  // parallel_for knows
    }
}

template <class Work>
RunStatus run_tasks(const Work& work, ParallelJob parallel) {
    parallel.function = run_task<Work>;
    parallel.context = const_cast<Work*>(&work);
    parallel.n_tasks = work.count();
    parallel.scratch = work.scratch_bytes();
    return parallel_for(parallel) ? RunStatus::kDone : RunStatus::kCancelled;
}

// Below so many bytes in and out, waking another thread costs more than it saves.
constexpr std::int64_t kAloneBytes = 64 * 1024;

int useful_threads(const PoolPlan& plan, const RunControl& control) {
    const int wanted = control.threads > 0 ? control.threads : get_num_threads();
    std::int64_t bytes = plan.out_elements * static_cast<std::int64_t>(item_size(plan.out_dtype));
    std::int64_t in = static_cast<std::int64_t>(item_size(plan.in_dtype));
    for (int i = 0; i < plan.rank; ++i)
        if (__builtin_mul_overflow(in, plan.in_shape[i], &in)) in = INT64_MAX / 2;
    return bytes + in < kAloneBytes ? 1 : std::min(wanted, kMaxThreads);
}

}  // namespace

RunStatus run(const PoolPlan& plan, const StridedView& in, const MutableView& out,
              const MutableView* indices, const RunControl& control) {
    const int threads = useful_threads(plan, control);
    ParallelJob parallel;
    parallel.threads = threads;
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    if (plan.spec.nan_policy == NanPolicy::kRaise && is_float(plan.in_dtype))
        if (!refuse(plan, in, Unwanted::kNan, parallel)) return RunStatus::kCancelled;
    if (plan.out_elements == 0) return RunStatus::kDone;
    if (is_stochastic(plan.spec.op))
        throw PoolError(ErrorKind::kType, std::string(plan.spec.function) + ": has no samples");
    if (is_select(plan.spec.op))
        return run_select(plan, in, out, parallel) ? RunStatus::kDone : RunStatus::kCancelled;
    if (plan.adaptive && !has_small_windows(plan)) {
        RunControl shared = control;
        shared.threads = threads;
        return run_each_window(plan, in, out, indices, shared);
    }
    const Boxes boxes(plan, in, out, indices, threads);
    std::optional<Turned> turned;
    choose_turned(plan, in, out, indices, boxes, threads, turned);
    return turned ? run_tasks(*turned, parallel) : run_tasks(boxes, parallel);
}

namespace {

std::string describe_boxes(const PoolPlan& plan, const Schedule& s) {
    constexpr const char* works[] = {"int8",   "uint8", "int16",  "uint16",  "int32",
                                     "uint32", "int64", "uint64", "float32", "float64"};
    constexpr const char* combines[] = {"max",    "min",      "sum",
                                        "argmax", "max_omit", "min_omit"};
    constexpr const char* axes[] = {"A", "B", "W"};
    std::string text = std::string("path=") + (plan.adaptive ? "adaptive" : s.huge ? "huge" : "box") +
                       " combine=" + combines[static_cast<int>(s.combine)] +
                       " work=" + works[static_cast<int>(s.work)] + " stages=";
    for (int i = 0; i < s.n_stages; ++i) {
        text += axes[s.order[i]];
        if (uses_doubling(s.axis[s.order[i]].geometry)) text += "*";
    }
    text += std::string(" lanes=") + (s.inner.n > 1 ? "inner" : "window") +
            " source=" + (reads_x(s) ? "x" : "packed") +
            " result=" + (s.direct_out ? "direct" : "finished") +
            " target=" + name(target_in_use()) + " tasks=" + std::to_string(s.n_tasks) + " box=" +
            std::to_string(s.box.planes) + "x" + std::to_string(s.box.out[kA]) + "x" +
            std::to_string(s.box.out[kB]) + "x" + std::to_string(s.box.out[kW]) + "x" +
            std::to_string(s.box.inner) + " scratch=" + std::to_string(s.scratch_bytes);
    return text;
}

}  // namespace

std::string describe(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                     int threads) {
    if (plan.out_elements == 0) return "path=empty";
    if (is_select(plan.spec.op)) return describe_select(plan, in, out);
    if (is_stochastic(plan.spec.op)) return "path=stochastic";
    if (plan.adaptive && !has_small_windows(plan)) return "path=each_window";
    const Boxes boxes(plan, in, out, nullptr, std::max(threads, 1));
    std::optional<Turned> turned;
    choose_turned(plan, in, out, nullptr, boxes, std::max(threads, 1), turned);
    if (!turned) return describe_boxes(plan, boxes.schedule());
    return "path=turned planes=" + std::to_string(turned->lanes()) +
           " tasks=" + std::to_string(turned->count()) +
           " scratch=" + std::to_string(turned->scratch_bytes()) + " within: " +
           describe_boxes(plan, turned->boxes().schedule());
}

}  // namespace poolcore
