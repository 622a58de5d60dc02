#include "poolcore/run.hpp"

#include <algorithm>
#include <string>

#include "poolcore/adaptive.hpp"
#include "poolcore/box.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/each_window.hpp"
#include "poolcore/nan_scan.hpp"
#include "poolcore/select.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

struct Job {
    const Schedule& schedule;
    const Schedule* plain;  // the same boxes, for those that read nothing special; may be null
    const KernelTable& kernels;
    void (*run)(const Schedule&, const KernelTable&, const Box&, Scratch&);
};

// Takes the next digit of a task number in the mixed base of the boxes.
std::int64_t digit(std::int64_t& task, std::int64_t base) {
    const std::int64_t d = task % base;
    task /= base;
    return d;
}

Box box_of_task(const Schedule& s, std::int64_t task) {
    Box box;
    box.in = s.in;
    box.out = s.out;
    box.index = s.index;
    const auto skip = [&box](const BatchAxis& axis, std::int64_t n) {
        box.in += n * axis.in_stride;
        box.out += n * axis.out_stride;
        if (box.index) box.index += n * axis.index_stride;
    };
    const std::int64_t first = digit(task, s.inner_boxes) * s.box.inner;
    box.inner = std::min(s.box.inner, s.inner.n - first);
    skip(s.inner, first);
    for (int x = kW; x >= kA; --x) {
        const std::int64_t lo = digit(task, s.n_boxes[x]) * s.box.out[x];
        box.windows[x] = {lo, std::min(lo + s.box.out[x], s.axis[x].geometry.out)};
    }
    for (int i = s.n_batch - 1; i >= 0; --i) {
        if (i < s.n_batch - 1) {
            skip(s.batch[i], digit(task, s.batch[i].n));
            continue;
        }
        const std::int64_t plane = digit(task, s.plane_boxes) * s.box.planes;
        box.planes = std::min(s.box.planes, s.batch[i].n - plane);
        skip(s.batch[i], plane);
    }
    return box;
}

void run_task(void* context, std::int64_t task, int) {
    const Job& job = *static_cast<const Job*>(context);
    const Box box = box_of_task(job.schedule, task);
    const bool plain = job.plain != nullptr && !holds_special(job.schedule, box);
    const Schedule& schedule = plain ? *job.plain : job.schedule;
    TaskScratch scratch(schedule.scratch_bytes);
    try {
        job.run(schedule, job.kernels, box, *scratch);
    } catch (const Stopped&) {
        return;  // parallel_for knows
    }
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

Schedule schedule_of(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                     const MutableView* indices, int threads) {
    return plan.adaptive ? make_adaptive_schedule(plan, in, out, indices, threads)
                         : make_schedule(plan, in, out, indices, threads);
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
        if (!refuse_nan(plan, in, parallel)) return RunStatus::kCancelled;
    if (plan.out_elements == 0) return RunStatus::kDone;
    if (is_select(plan.spec.op))
        return run_select(plan, in, out, parallel) ? RunStatus::kDone : RunStatus::kCancelled;
    if (plan.adaptive && !has_small_windows(plan)) {
        RunControl shared = control;
        shared.threads = threads;
        return run_each_window(plan, in, out, indices, shared);
    }
    const Schedule schedule = schedule_of(plan, in, out, indices, threads);
    // A second accumulator takes a second pass, which a box without NaN, or of small integers, can
    // do without.
    PoolPlan plain_plan = plan;
    plain_plan.spec.nan_policy = NanPolicy::kPropagate;
    plain_plan.small_sums = true;
    Schedule plain;
    const bool twice = schedule.has_aux && !schedule.huge && !plan.adaptive;
    if (twice) {
        plain = make_schedule(plain_plan, in, out, indices, threads);
        plain.box = schedule.box;
        count_tasks(plain);
    }
    Job job{schedule, twice ? &plain : nullptr, kernels(),
            plan.adaptive ? run_adaptive_box : run_box};
    parallel.function = run_task;
    parallel.context = &job;
    parallel.n_tasks = schedule.n_tasks;
    return parallel_for(parallel) ? RunStatus::kDone : RunStatus::kCancelled;
}

std::string describe(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                     int threads) {
    if (plan.out_elements == 0) return "path=empty";
    if (is_select(plan.spec.op)) return describe_select(plan, in, out);
    if (plan.adaptive && !has_small_windows(plan)) return "path=each_window";
    const Schedule s = schedule_of(plan, in, out, nullptr, std::max(threads, 1));
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

}  // namespace poolcore
