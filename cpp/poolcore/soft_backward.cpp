#include "poolcore/soft_backward.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <new>
#include <string>

#include "poolcore/dispatch.hpp"
#include "poolcore/error.hpp"
#include "poolcore/soft_backward_job.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr int kAxes = kMaxPooledAxes;
constexpr std::int64_t kMostElements = 16 * 1024;  // of a task, as doubles
constexpr std::int64_t kLeastElements = 1024;
constexpr std::int64_t kRow = 64;        // elements that are not worth cutting
constexpr std::int64_t kNearPlanes = 8;  // whose elements share a line of the cache
constexpr std::int64_t kManyTaps = 64 * 1024;        // enough for a task
constexpr std::int64_t kMostWindows = 256 * 1024;    // that are remembered, if that is up to us

void set_part(SoftGradient& job, const Range& planes, const Range (&elements)[kAxes]) {
    job.part.planes = planes;
    for (int i = 0; i < kAxes; ++i) {
        job.part.elements[i] = elements[i];
        job.part.windows[i] = job.axis[i].windows_over(elements[i]);
    }
}

std::int64_t magnitude(std::int64_t stride) { return stride < 0 ? -stride : stride; }

// Channels last, say: what is read of one plane lies beside what is read of the next.
bool planes_are_near(const SoftGradient& job) {
    std::int64_t nearest = std::numeric_limits<std::int64_t>::max();
    for (int a = 0; a < job.plan.rank; ++a)
        if (job.plan.in_shape[a] > 1) nearest = std::min(nearest, magnitude(job.x.strides[a]));
    for (const GradientAxis& axis : job.axis)
        if (axis.geometry.in > 1 && magnitude(axis.x) == nearest) return false;
    return job.planes > 1;
}

void cut(SoftGradient& job, int threads) {
    const std::int64_t most = planes_are_near(job) ? kMostElements / kNearPlanes : kMostElements;
    for (;;) {
        const bool few = job.element_tasks() < 4 * static_cast<std::int64_t>(threads);
        if (elements_of_box(job.axis) <= (few ? kLeastElements : most)) break;
        halve_box(job.axis, kRow);
    }
    const std::int64_t room = kMostElements / job.box_elements();
    const std::int64_t share = job.element_tasks() / (4 * static_cast<std::int64_t>(threads));
    job.planes_per_task = std::clamp<std::int64_t>(
        std::min(room, share), 1, std::min<std::int64_t>(job.planes, kMostPlanes));
}

// Whether windows are measured once, beforehand, and their exponentials taken twice: where they are
// too large to be kept, or lie over more than two tasks each.
bool measures_beforehand(const SoftGradient& job) {
    return job.taps > kSoftTaps || boxes_of_window(job.axis) > 2;
}

bool run(const SoftGradient& job, TaskFunction function, std::int64_t n_tasks,
         const RunControl& control) {
    ParallelJob parallel;
    parallel.threads = control.threads > 0 ? control.threads : get_num_threads();
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    parallel.function = function;
    parallel.context = const_cast<SoftGradient*>(&job);
    parallel.n_tasks = n_tasks;
    parallel.scratch = soft_gradient_scratch(job);
    return parallel_for(parallel);
}

std::unique_ptr<WindowSums[]> memory_for(const SoftGradient& job, std::int64_t windows) {
    std::unique_ptr<WindowSums[]> sums;
    if (windows < kMany)
        sums.reset(new (std::nothrow) WindowSums[static_cast<std::size_t>(windows)]);
    if (sums == nullptr)
        throw PoolError(ErrorKind::kMemory, std::string(job.plan.spec.function) +
                                                ": no memory for the sums of " +
                                                std::to_string(windows) + " windows");
    return sums;
}

RunStatus run_in_parts(SoftGradient& job, const RunControl& control) {
    const GradientParts parts = parts_of(job.axis, job.planes, kMostWindows);
    const std::unique_ptr<WindowSums[]> sums = memory_for(job, parts.windows);
    job.sums = sums.get();
    job.windows_per_task = std::max<std::int64_t>(1, kManyTaps / job.taps);
    const auto each = [&](const Range& planes, const Range(&elements)[kAxes]) {
        set_part(job, planes, elements);
        const bool some = job.part.windows_of_plane() > 0;
        if (some && !run(job, measure_windows, job.window_tasks(), control)) return false;
        return run(job, gather_elements, job.element_tasks(), control);
    };
    const bool done = for_parts(parts, job.axis, job.planes, each);
    return done ? RunStatus::kDone : RunStatus::kCancelled;
}

void set_axes(SoftGradient& job) {
    const PoolPlan& plan = job.plan;
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        const int a = plan.spec.axes[i];
        job.axis[kAxes - plan.spec.n_axes + i] = {plan.geometry[i], job.x.strides[a],
                                                  job.grad.strides[a], job.out.strides[a],
                                                  plan.in_shape[a]};
        job.planes /= plan.in_shape[a];
    }
    for (const GradientAxis& axis : job.axis)
        job.taps = times(job.taps, std::min(axis.geometry.kernel, axis.geometry.in));
    while (job.lane > 0 && job.axis[job.lane].geometry.out == 1) --job.lane;
}

}  // namespace

RunStatus soft_backward(const PoolPlan& plan, const StridedView& grad, const StridedView& x,
                        const MutableView& out, const RunControl& control) {
    SoftGradient job{plan, grad, x, out};
    for (int a = 0; a < plan.rank; ++a) {
        if (plan.in_shape[a] == 0) return RunStatus::kDone;
        job.planes *= plan.in_shape[a];
    }
    set_axes(job);
    job.load_x = load_row_of(x.dtype);
    job.load_grad = load_row_of(grad.dtype);
    job.convert = kernels().finish[static_cast<int>(Finish::kSum)][static_cast<int>(Work::kF64)]
                                  [static_cast<int>(out.dtype)];
    Range all[kAxes];
    for (int i = 0; i < kAxes; ++i) all[i] = {0, job.axis[i].geometry.in};
    set_part(job, {0, job.planes}, all);
    cut(job, control.threads > 0 ? control.threads : get_num_threads());
    if (measures_beforehand(job)) return run_in_parts(job, control);
    const bool done = run(job, gather_elements, job.element_tasks(), control);
    return done ? RunStatus::kDone : RunStatus::kCancelled;
}

}  // namespace poolcore
