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
constexpr std::int64_t kNearPlanes = 8;  // whose elements share a line of the cache
constexpr std::int64_t kManyTaps = 64 * 1024;        // enough for a task
constexpr std::int64_t kMostWindows = 256 * 1024;    // that are remembered, if that is up to us
constexpr std::int64_t kRow = 64;                    // elements of a row that are not worth cutting

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
    for (const SoftAxis& axis : job.axis)
        if (axis.geometry.in > 1 && magnitude(axis.x) == nearest) return false;
    return job.planes > 1;
}

// Halves the axis along which boxes are the longest beside their windows, so that few windows lie
// over a border; rows stay whole rather than that they become short.
void cut(SoftGradient& job, int threads) {
    const std::int64_t most = planes_are_near(job) ? kMostElements / kNearPlanes : kMostElements;
    for (;;) {
        const bool few = job.element_tasks() < 4 * static_cast<std::int64_t>(threads);
        const std::int64_t elements = times(times(job.axis[0].box, job.axis[1].box),
                                            job.axis[2].box);
        if (elements <= (few ? kLeastElements : most)) break;
        int best = 0;
        double longest = 0;
        for (int i = 0; i < kAxes; ++i) {
            const std::int64_t box = job.axis[i].box;
            std::int64_t beside = job.axis[i].geometry.effective();
            if (i == kAxes - 1) beside = std::max(beside, kRow);
            const double length = static_cast<double>(box) / static_cast<double>(beside);
            if (box == 1 || length <= longest) continue;
            best = i;
            longest = length;
        }
        job.axis[best].box = (job.axis[best].box + 1) / 2;
    }
    const std::int64_t room = kMostElements / job.box_elements();
    const std::int64_t share = job.element_tasks() / (4 * static_cast<std::int64_t>(threads));
    job.planes_per_task = std::clamp<std::int64_t>(
        std::min(room, share), 1, std::min<std::int64_t>(job.planes, kMostPlanes));
}

std::int64_t most_windows(const SoftAxis& axis, std::int64_t elements) {
    const AxisGeometry& g = axis.geometry;
    return std::min(g.out, (elements - 1 + g.effective() - 1) / g.stride + 1);
}

// Whether windows are measured once, beforehand, and their exponentials taken twice: where they are
// too large to be kept, or lie over more than two tasks each.
bool measures_beforehand(const SoftGradient& job) {
    double often = 1;
    for (int i = 0; i < kAxes; ++i) {
        const SoftAxis& axis = job.axis[i];
        if (axis.box >= axis.geometry.in) continue;
        often *= static_cast<double>(most_windows(axis, axis.box)) *
                 static_cast<double>(job.boxes(i)) / static_cast<double>(axis.geometry.out);
    }
    return job.taps > kSoftTaps || often > 2;
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
    return parallel_for(parallel);
}

// Parts whose windows are few enough to be remembered; larger ones where most windows would lie
// over more than one.
struct Parts {
    std::int64_t planes;
    std::int64_t size[kAxes];
    std::int64_t windows;  // at most so many in a part
};

Parts parts_of(const SoftGradient& job) {
    Parts parts{job.planes, {}, 0};
    for (int i = 0; i < kAxes; ++i) parts.size[i] = job.axis[i].geometry.in;
    for (;;) {
        std::int64_t of_plane = 1;
        for (int i = 0; i < kAxes; ++i)
            of_plane = times(of_plane, most_windows(job.axis[i], parts.size[i]));
        parts.windows = times(of_plane, parts.planes);
        if (parts.windows <= kMostWindows) return parts;
        if (parts.planes > 1) {
            parts.planes = std::clamp<std::int64_t>(kMostWindows / of_plane, 1, parts.planes - 1);
            continue;
        }
        int best = -1;
        double longest = 2;
        for (int i = 0; i < kAxes; ++i) {
            const double length = static_cast<double>(parts.size[i]) /
                                  static_cast<double>(job.axis[i].geometry.effective());
            if (parts.size[i] <= job.axis[i].box || length <= longest) continue;
            best = i;
            longest = length;
        }
        if (best < 0) return parts;
        parts.size[best] = (parts.size[best] + 1) / 2;
    }
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
    const Parts parts = parts_of(job);
    const std::unique_ptr<WindowSums[]> sums = memory_for(job, parts.windows);
    job.sums = sums.get();
    job.windows_per_task = std::max<std::int64_t>(1, kManyTaps / job.taps);
    Range at[kAxes];
    const auto next = [&](int i, std::int64_t lo) {
        at[i] = {lo, std::min(lo + parts.size[i], job.axis[i].geometry.in)};
        return lo < job.axis[i].geometry.in;
    };
    for (std::int64_t plane = 0; plane < job.planes; plane += parts.planes)
        for (bool a = next(0, 0); a; a = next(0, at[0].hi))
            for (bool b = next(1, 0); b; b = next(1, at[1].hi))
                for (bool c = next(2, 0); c; c = next(2, at[2].hi)) {
                    set_part(job, {plane, std::min(plane + parts.planes, job.planes)}, at);
                    const bool some = job.part.windows_of_plane() > 0;
                    if (some && !run(job, measure_windows, job.window_tasks(), control))
                        return RunStatus::kCancelled;
                    if (!run(job, gather_elements, job.element_tasks(), control))
                        return RunStatus::kCancelled;
                }
    return RunStatus::kDone;
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
    for (const SoftAxis& axis : job.axis)
        job.taps = times(job.taps, std::min(axis.geometry.kernel, axis.geometry.in));
    while (job.lane > 0 && job.axis[job.lane].geometry.out == 1) --job.lane;
}

}  // namespace

Range SoftAxis::windows_over(const Range& elements) const {
    const AxisGeometry& g = geometry;
    const std::int64_t before = elements.lo - g.effective() + 1 + g.pad_lo;
    const std::int64_t first = before > 0 ? (before - 1) / g.stride + 1 : 0;
    const std::int64_t last = std::min(g.out, (elements.hi - 1 + g.pad_lo) / g.stride + 1);
    return {first, std::max(first, last)};
}

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
