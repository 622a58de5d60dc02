#include "poolcore/norm_backward.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "poolcore/dispatch.hpp"
#include "poolcore/error.hpp"
#include "poolcore/norm_backward_job.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr int kAxes = kMaxPooledAxes;
constexpr std::int64_t kLeastElements = 4096;  // of a task, where there are few
constexpr std::int64_t kRow = 512;             // elements that are not worth cutting
constexpr std::int64_t kMostLanes = 64;        // planes side by side in a task
constexpr std::int64_t kLeastLanes = 8;
constexpr std::int64_t kAloneBytes = 64 * 1024;  // below, waking a thread does not pay

std::int64_t magnitude(std::int64_t stride) { return stride < 0 ? -stride : stride; }

// One of two axes, if all arrays can be stepped through as if they were.
bool merge(PlaneAxis& outer, const PlaneAxis& inner) {
    if (outer.x != inner.x * inner.n || outer.grad != inner.grad * inner.n ||
        outer.out != inner.out * inner.n)
        return false;
    outer = {outer.n * inner.n, inner.x, inner.grad, inner.out};
    return true;
}

void merge_planes(NormGradient& job) {
    PlaneAxis* const all = job.rest;
    for (int i = 0; i < job.n_rest; ++i)
        for (int j = 0; j < job.n_rest; ++j) {
            if (i == j || !merge(all[i], all[j])) continue;
            std::copy(all + j + 1, all + job.n_rest, all + j);
            --job.n_rest;
            i = -1;  // once more from the start
            break;
        }
}

// Channels last, say: the planes that lie nearest to each other; otherwise the most there are.
void choose_lane(NormGradient& job) {
    std::int64_t nearest = std::numeric_limits<std::int64_t>::max();
    for (const GradientAxis& axis : job.axis)
        if (axis.geometry.in > 1) nearest = std::min(nearest, magnitude(axis.out));
    int best = -1;
    for (int i = 0; i < job.n_rest; ++i) {
        const PlaneAxis& axis = job.rest[i];
        const bool near = axis.n >= kLeastLanes && magnitude(axis.out) < nearest;
        if (near) nearest = magnitude(axis.out);
        if (near || best < 0 || (!job.near && axis.n > job.rest[best].n)) best = i;
        job.near = job.near || near;
    }
    if (best < 0) return;
    job.lane = job.rest[best];
    std::copy(job.rest + best + 1, job.rest + job.n_rest, job.rest + best);
    --job.n_rest;
}

void set_axes(NormGradient& job) {
    const PoolPlan& plan = job.plan;
    bool pooled[kMaxRank] = {};
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        const int a = plan.spec.axes[i];
        pooled[a] = true;
        job.axis[kAxes - plan.spec.n_axes + i] = {plan.geometry[i], job.x.strides[a],
                                                  job.grad.strides[a], job.out.strides[a],
                                                  plan.in_shape[a]};
    }
    for (int a = 0; a < plan.rank; ++a)
        if (!pooled[a] && plan.in_shape[a] > 1)
            job.rest[job.n_rest++] = {plan.in_shape[a], job.x.strides[a], job.grad.strides[a],
                                      job.out.strides[a]};
    merge_planes(job);
    choose_lane(job);
    for (int i = 0; i < job.n_rest; ++i) job.rest_planes *= job.rest[i].n;
    job.rest_n = job.rest_planes;
    const auto step = [&](Loops& to, std::int64_t GradientAxis::*axis, std::int64_t lane) {
        to[job.loop_of_planes()] = lane;
        for (int i = 0; i < kAxes; ++i) to[job.loop_of(i)] = job.axis[i].*axis;
    };
    step(job.x_step, &GradientAxis::x, job.lane.x);
    step(job.grad_step, &GradientAxis::grad, job.lane.grad);
    step(job.out_step, &GradientAxis::out, job.lane.out);
}

void set_kernels(NormGradient& job) {
    const KernelTable& k = kernels();
    const auto doubles = static_cast<int>(Work::kF64);
    const auto& pack = k.pack[static_cast<int>(Change::kNone)];
    job.load_x = pack[static_cast<int>(job.x.dtype)][doubles];
    job.load_grad = pack[static_cast<int>(job.grad.dtype)][doubles];
    job.copy = pack[static_cast<int>(DType::kFloat64)][doubles];
    job.store = k.finish[static_cast<int>(Finish::kSum)][doubles][static_cast<int>(job.out.dtype)];
    job.to_power = k.power[doubles];
    const PoolSpec& spec = job.plan.spec;
    job.mean = spec.op == Op::kGem;
    job.power = std::min(std::fabs(spec.power - 1), 0x1p60);
    job.floor = spec.floor;
    job.wide = job.grad.dtype == DType::kFloat64;
    // Squares of what float32 holds, and of 2**64 such, are in the range.
    const bool narrow = job.x.dtype != DType::kFloat64 && spec.power >= 1 && spec.power <= 3 &&
                        (job.floor == 0 || job.floor >= 0x1p-149);
    job.risks = job.wide || !narrow;
    if (job.mean)
        for (const GradientAxis& axis : job.axis)
            job.divisor *= static_cast<double>(axis.geometry.kernel);
}

int useful_threads(const NormGradient& job, const RunControl& control) {
    std::int64_t bytes = static_cast<std::int64_t>(item_size(job.x.dtype));
    for (int a = 0; a < job.plan.rank; ++a) bytes = times(bytes, job.plan.in_shape[a]);
    const int wanted = control.threads > 0 ? control.threads : get_num_threads();
    return bytes < kAloneBytes ? 1 : std::min(wanted, kMaxThreads);
}

void cut(NormGradient& job, int threads, const NormLimits& limits) {
    const std::int64_t lanes = job.near ? std::min(job.lane.n, kMostLanes) : 1;
    const std::int64_t enough = threads > 1 ? 4 * static_cast<std::int64_t>(threads) : 0;
    const std::int64_t blocks = times(job.rest_n, (job.lane.n - 1) / lanes + 1);
    for (;;) {
        const bool few = times(blocks, job.tasks_of_plane()) < enough;
        const std::int64_t most = few ? std::min(kLeastElements, limits.elements) : limits.elements;
        if (elements_of_box(job.axis) <= std::max<std::int64_t>(1, most / lanes)) break;
        halve_box(job.axis, kRow);
    }
    const std::int64_t of_plane = std::max(elements_of_box(job.axis), windows_of_box(job.axis));
    const std::int64_t room = std::clamp(times(lanes, of_plane), limits.elements,
                                         times(8, limits.elements));
    std::int64_t planes = std::max<std::int64_t>(room / of_plane, 1);
    if (enough > 0)
        planes = std::min(planes, std::max(lanes, times(times(job.rest_n, job.lane.n),
                                                        job.tasks_of_plane()) / enough));
    job.planes_per_task = even_share(job.lane.n, planes);
}

// The norms of one part after the other, and what they give to its elements.
RunStatus run_in_parts(NormGradient& job, const RunControl& control, const NormLimits& limits) {
    const GradientParts parts = parts_of(job.axis, job.lane.n, limits.windows);
    Scratch memory;
    std::byte* const norms = memory_for(job, memory, times(parts.windows, 8));
    job.norms = norms;
    job.rest_n = 1;
    for (job.rest_lo = 0; job.rest_lo < job.rest_planes; ++job.rest_lo) {
        const auto each = [&](const Range& planes, const Range(&elements)[kAxes]) {
            job.part.planes = planes;
            std::copy_n(elements, kAxes, job.part.elements);
            set_windows(job, job.part);
            const NormTask all = norm_task(job, 0);
            if (job.part.has_windows() &&
                take_norms(job, job.part, all.x, norms, control) == RunStatus::kCancelled)
                return false;
            return run_boxes(job, norm_elements, &job, control);
        };
        if (!for_parts(parts, job.axis, job.lane.n, each)) return RunStatus::kCancelled;
    }
    return RunStatus::kDone;
}

}  // namespace

std::byte* memory_for(const NormGradient& job, Scratch& scratch, std::int64_t bytes) {
    if (bytes >= kMany)
        throw PoolError(ErrorKind::kMemory, std::string(job.plan.spec.function) +
                                                ": no memory for so many windows over one element");
    scratch.reserve(Scratch::footprint(bytes));
    return scratch.take(bytes);
}

void set_windows(const NormGradient& job, NormPart& part) {
    for (int i = 0; i < kAxes; ++i) part.windows[i] = job.axis[i].windows_over(part.elements[i]);
}

NormTask norm_task(const NormGradient& job, std::int64_t number) {
    NormTask task{job.part, job.x.data, job.grad.data, job.out.data};
    const auto digit = [&number](std::int64_t base) {
        const std::int64_t d = number % base;
        number /= base;
        return d;
    };
    for (int i = kAxes - 1; i >= 0; --i) {
        const GradientAxis& axis = job.axis[i];
        const Range& elements = job.part.elements[i];
        task.part.elements[i] = axis.box_of(elements, digit(axis.boxes(elements)));
    }
    const std::int64_t first = job.part.planes.lo + digit(job.groups()) * job.planes_per_task;
    task.part.planes = {first, std::min(first + job.planes_per_task, job.part.planes.hi)};
    set_windows(job, task.part);
    number += job.rest_lo;
    for (int i = job.n_rest - 1; i >= 0; --i) {
        const PlaneAxis& axis = job.rest[i];
        const std::int64_t at = digit(axis.n);
        task.x += at * axis.x;
        task.grad += at * axis.grad;
        task.out += at * axis.out;
    }
    return task;
}

PartCall call_of(const NormGradient& job, const NormPart& part) {
    PartCall call{job.plan, {}};
    PoolPlan& plan = call.plan;
    plan.out_dtype = DType::kFloat64;
    plan.rank = 1 + plan.spec.n_axes;
    plan.in_shape[0] = plan.out_shape[0] = plan.out_elements = part.planes.size();
    for (int i = 0; i < kAxes; ++i) {
        const AxisGeometry& g = job.axis[i].geometry;
        const std::int64_t first = part.windows[i].lo * g.stride - g.pad_lo;
        const std::int64_t last = (part.windows[i].hi - 1) * g.stride - g.pad_lo;
        const std::int64_t e = g.effective();
        const std::int64_t end = g.in - last <= e ? g.in : last + e;
        call.elements[i] = {std::max<std::int64_t>(first, 0), end};
        const int to = i - kAxes + plan.spec.n_axes;
        if (to < 0) continue;
        plan.spec.axes[to] = to + 1;
        plan.geometry[to] = g;
        plan.geometry[to].in = plan.in_shape[to + 1] = call.elements[i].size();
        plan.geometry[to].out = plan.out_shape[to + 1] = part.windows[i].size();
        plan.geometry[to].pad_lo = std::max<std::int64_t>(-first, 0);
        plan.geometry[to].pad_hi = e - (end - last);
        plan.out_elements = times(plan.out_elements, part.windows[i].size());
    }
    return call;
}

RunStatus take_norms(const NormGradient& job, const NormPart& part, const std::byte* x,
                     std::byte* norms, const RunControl& control) {
    const PartCall call = call_of(job, part);
    const Loops n = job.loops(part.planes, call.elements);
    const Loops windows = job.loops(part.planes, part.windows);
    const std::byte* const from = x + job.offset(job.x_step, part.planes.lo, call.elements);
    return run(call.plan, view_of<StridedView>(job, from, job.x.dtype, n, job.x_step),
               view_of<MutableView>(job, norms, DType::kFloat64, windows, dense_steps(windows)),
               nullptr, control);
}

bool run_boxes(const NormGradient& job, TaskFunction function, void* context,
               const RunControl& control) {
    ParallelJob parallel;
    parallel.threads = control.threads;
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    parallel.function = function;
    parallel.context = context;
    parallel.n_tasks = job.tasks();
    parallel.scratch = most_scratch(job.plan);  // of the calls within
    return parallel_for(parallel);
}

RunStatus norm_backward(const PoolPlan& plan, const StridedView& grad, const StridedView& x,
                        const MutableView& out, const RunControl& control,
                        const NormLimits& limits) {
    for (int a = 0; a < plan.rank; ++a)
        if (plan.in_shape[a] == 0) return RunStatus::kDone;
    PoolPlan within = plan;
    within.within_call = true;
    const HeldScratch most(most_scratch(within));  // part after part
    NormGradient job{within, grad, x, out};
    set_axes(job);
    set_kernels(job);
    job.part.planes = {0, job.lane.n};
    for (int i = 0; i < kAxes; ++i) job.part.elements[i] = {0, job.axis[i].geometry.in};
    set_windows(job, job.part);
    RunControl ours = control;
    ours.threads = useful_threads(job, control);
    cut(job, ours.threads, limits);
    const std::int64_t planes = job.planes_per_task;
    const std::int64_t elements = times(planes, elements_of_box(job.axis));
    job.box_elements = elements;
    job.box_windows = times(planes, windows_of_box(job.axis));
    job.worker_bytes = NormMemory::bytes(elements, job.box_windows);
    Scratch memory;
    job.memory = memory_for(job, memory, times(ours.threads, job.worker_bytes));
    if (std::isinf(plan.spec.power)) return largest_backward(job, ours, limits);
    const bool remembers = plan.spec.power != 1 && boxes_of_window(job.axis) > 2;
    if (remembers) return run_in_parts(job, ours, limits);
    return run_boxes(job, norm_elements, &job, ours) ? RunStatus::kDone : RunStatus::kCancelled;
}

}  // namespace poolcore
