#include "poolcore/spread.hpp"

#include <algorithm>
#include <cstdlib>

#include "poolcore/dispatch.hpp"
#include "poolcore/schedule.hpp"
#include "poolcore/spread_job.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kMostFloats = 4096;       // windows over an element, added in float32
constexpr double kFloatDivisor = 16777216;       // 2^24: whole numbers a float holds
constexpr std::int64_t kSmallPlane = 1024;       // elements
constexpr std::int64_t kSmallPlaneInPieces = 64 * 1024;
constexpr std::int64_t kManyPhases = 128;
constexpr std::int64_t kNarrow = 16;             // elements of a row
constexpr std::int64_t kNarrowLanes = 4;         // planes
constexpr std::int64_t kLeastLanes = 16;         // lanes of a task: a cache line or more
constexpr std::int64_t kLeastRows = 8;           // rows of a task that splits a plane for threads
constexpr std::int64_t kAloneBytes = 64 * 1024;  // below, waking a thread does not pay
constexpr std::int64_t kMostScratch = 8 * 1024 * 1024;  // where windows are very long
constexpr double kTooOften = 4;  // to divide a window, beside what threads make of it

void set_axes(SpreadJob& job, const StridedView& grad, const MutableView& out) {
    const PoolPlan& plan = *job.plan;
    bool pooled[kMaxRank] = {};
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        const int to = kSpreadAxes - plan.spec.n_axes + i;
        const int from = plan.spec.axes[i];
        pooled[from] = true;
        job.cover[to] = Cover(plan.geometry[i]);
        job.axis[to] = {out.shape[from], grad.strides[from], out.strides[from]};
    }
    for (int i = 0; i < plan.rank; ++i)
        if (!pooled[i] && out.shape[i] > 1)
            job.batch[job.n_batch++] = {out.shape[i], grad.strides[i], out.strides[i]};
}

void set_lanes(SpreadJob& job) {
    // Many small planes cost less side by side than one after the other; larger ones, too, where
    // the elements of a row go one by one, or those of a line in many pieces, or rows are short.
    const std::int64_t rows = times(job.axis[0].n, job.axis[1].n);
    const std::int64_t elements = times(rows, job.axis[2].n);
    const bool pieces =
        job.cover[2].adaptive() || (rows == 1 && job.cover[2].phases() >= kManyPhases);
    const bool small = elements <= (pieces ? kSmallPlaneInPieces : kSmallPlane);
    const bool narrow = job.axis[2].n <= (job.cover[2].phases() > 1 ? kNarrow : kNarrow / 2);
    int best = -1;
    for (int i = 0; i < job.n_batch; ++i) {
        const std::int64_t stride = std::abs(job.batch[i].out);
        const bool beside = small || (narrow && job.batch[i].n >= kNarrowLanes);
        if (!beside && stride >= std::abs(job.axis[2].out)) continue;
        if (best < 0 || stride < std::abs(job.batch[best].out)) best = i;
    }
    if (best < 0) return;
    job.lane = job.batch[best];
    std::copy(job.batch + best + 1, job.batch + job.n_batch, job.batch + best);
    --job.n_batch;
}

// Sums, and means with a divisor given, have the same for all; so have windows that hang over no
// edge that counts.
void set_divisors(SpreadJob& job) {
    const PoolSpec& spec = job.plan->spec;
    for (int x = 0; x < kSpreadAxes; ++x) {
        const AxisGeometry& g = job.cover[x].geometry();
        job.alike[x] = {0, g.out};
        if (spec.op != Op::kAvg || spec.has_divisor) continue;
        job.usual[x] = static_cast<double>(g.kernel);
        const TapRange inside = g.interior();
        job.alike[x] = {inside.first, inside.last};
        const std::int64_t room = g.in + g.pad_hi + (g.pad_lo - g.effective());
        if (spec.count_include_pad && !job.cover[x].adaptive())
            job.alike[x] = {0, room < 0 ? 0 : std::min(g.out, room / g.stride + 1)};
    }
}

// The accumulator depends on types and sizes only.
Work choose_work(const SpreadJob& job) {
    const PoolPlan& plan = *job.plan;
    if (!is_float(plan.out_dtype))
        return plan.in_dtype == DType::kUInt64 ? Work::kU64 : Work::kI64;
    if (plan.in_dtype == DType::kFloat64 || plan.out_dtype == DType::kFloat64) return Work::kF64;
    double windows = 1, divisor = 1;
    for (const Cover& cover : job.cover) {
        windows *= static_cast<double>(cover.most());
        divisor *= static_cast<double>(cover.geometry().kernel);
    }
    if (plan.spec.has_divisor) divisor = std::abs(job.fixed_divisor());
    const bool narrow = windows <= kMostFloats &&
                        (plan.spec.op == Op::kSum || divisor <= kFloatDivisor);
    return narrow ? Work::kF32 : Work::kF64;
}

void set_kernels(SpreadJob& job) {
    const KernelTable& k = kernels();
    const PoolPlan& plan = *job.plan;
    const int in = static_cast<int>(plan.in_dtype), out = static_cast<int>(plan.out_dtype);
    job.work = choose_work(job);
    const int work = static_cast<int>(job.work);
    const bool integers = !is_float(plan.in_dtype);
    const Work read = !integers                          ? job.work
                      : plan.in_dtype == DType::kUInt64 ? Work::kU64
                                                         : Work::kI64;
    const int wide =
        static_cast<int>(job.work == Work::kF32 ? DType::kFloat32 : DType::kFloat64);
    job.native = plan.in_dtype == (job.work == Work::kF32 ? DType::kFloat32 : DType::kFloat64);
    job.pack = k.pack[static_cast<int>(Change::kNone)][in][static_cast<int>(read)];
    if (read != job.work)
        job.widen = k.finish[static_cast<int>(Finish::kSum)][static_cast<int>(read)][wide];
    if (plan.spec.op == Op::kAvg)
        job.divide = k.finish[static_cast<int>(Finish::kMean)][work][wide];
    job.finish = k.finish[static_cast<int>(Finish::kSum)][work][out];
    job.rows = k.rows[static_cast<int>(Combine::kSum)][work];
}

// Halves what matters least until the box fits; false when nothing does.
bool shrink(const SpreadJob& job, SpreadBox& box, std::int64_t limit) {
    const auto halve = [](std::int64_t& n, std::int64_t least) {
        if (n <= least) return false;
        n = std::max((n + 1) / 2, least);
        return true;
    };
    while (spread_scratch(job, box) > limit) {
        if (halve(box.n[0], 4) || halve(box.n[1], 16) || halve(box.lanes, 32)) continue;
        if (halve(box.n[2], 2048)) continue;
        if (halve(box.strip, 16) || halve(box.n[1], 4) || halve(box.n[2], 256)) continue;
        if (halve(box.lanes, 1) || halve(box.n[0], 1) || halve(box.n[1], 1)) continue;
        if (halve(box.strip, 1) || halve(box.n[2], 1)) continue;
        return false;
    }
    return true;
}

// How often windows are divided, and summed along the first axes, for boxes of that size.
double repeats(const SpreadJob& job, const SpreadBox& box) {
    double often = 1;
    for (int x = 0; x < kSpreadAxes; ++x) {
        const auto boxes = static_cast<double>((job.axis[x].n + box.n[x] - 1) / box.n[x]);
        often *= boxes * static_cast<double>(job.cover[x].most_around(box.n[x])) /
                 static_cast<double>(job.cover[x].geometry().out);
    }
    return often;
}

// With more scratch where nothing fits the usual one, or boxes so small that most is repeated;
// not within another call, which has memory of its own.
void fit(SpreadJob& job, SpreadBox& box) {
    const SpreadBox largest = box;
    const double most_often = kTooOften * repeats(job, largest);
    const std::int64_t most = job.plan->within_call ? kScratchLimit : kMostScratch;
    for (std::int64_t limit = kScratchLimit; limit <= most; limit *= 2) {
        box = largest;
        job.slow = !shrink(job, box, limit);
        if (!job.slow && repeats(job, box) <= most_often) return;
    }
}

void choose_box(SpreadJob& job, int threads) {
    std::int64_t planes = 1;
    for (int i = 0; i < job.n_batch; ++i) planes *= job.batch[i].n;
    SpreadBox& box = job.box;
    for (int x = 0; x < kSpreadAxes; ++x) box.n[x] = job.axis[x].n;
    box.lanes = job.lane.n;
    box.strip = job.cover[2].geometry().out;
    if (planes < 4 * threads && threads > 1) {
        // Along the outermost axis that has enough for all.
        const std::int64_t parts = 4 * threads / planes;
        int x = 0;
        while (x < kSpreadAxes && box.n[x] < 2 * kLeastRows) ++x;
        std::int64_t& n = x < kSpreadAxes ? box.n[x] : box.lanes;
        const std::int64_t least = std::min(n, x < kSpreadAxes ? kLeastRows : kLeastLanes);
        n = std::max((n + parts - 1) / parts, least);
    }
    fit(job, box);
    job.n_tasks = planes;
    for (int x = 0; x < kSpreadAxes; ++x) {
        job.n_boxes[x] = (job.axis[x].n + box.n[x] - 1) / box.n[x];
        job.n_tasks *= job.n_boxes[x];
    }
    job.lane_boxes = (job.lane.n + box.lanes - 1) / box.lanes;
    job.n_tasks *= job.lane_boxes;
    job.scratch_bytes = job.slow ? 0 : spread_scratch(job, box);
}

std::int64_t digit(std::int64_t& task, std::int64_t base) {
    const std::int64_t d = task % base;
    task /= base;
    return d;
}

void run_task(void* context, std::int64_t number, int) {
    const SpreadJob& job = *static_cast<const SpreadJob*>(context);
    SpreadTask task;
    task.grad = job.grad;
    task.out = job.out;
    const auto move = [&task](const SpreadAxis& axis, std::int64_t n) {
        task.grad += n * axis.grad;
        task.out += n * axis.out;
    };
    const std::int64_t lane = digit(number, job.lane_boxes) * job.box.lanes;
    task.lanes = std::min(job.box.lanes, job.lane.n - lane);
    move(job.lane, lane);
    for (int x = kSpreadAxes - 1; x >= 0; --x) {
        task.lo[x] = digit(number, job.n_boxes[x]) * job.box.n[x];
        task.hi[x] = std::min(task.lo[x] + job.box.n[x], job.axis[x].n);
    }
    for (int i = job.n_batch - 1; i >= 0; --i) move(job.batch[i], digit(number, job.batch[i].n));
    if (job.slow) return spread_slowly(job, task);
    TaskScratch scratch(job.scratch_bytes);
    spread_box(job, task, *scratch);
}

bool spread_boxes(SpreadJob& job, ParallelJob parallel) {
    set_lanes(job);
    choose_box(job, parallel.threads);
    parallel.function = run_task;
    parallel.context = &job;
    parallel.n_tasks = job.n_tasks;
    parallel.scratch = job.slow ? 0 : job.scratch_bytes;
    return parallel_for(parallel);
}

}  // namespace

RunStatus spread(const PoolPlan& plan, const StridedView& grad, const MutableView& out,
                 const RunControl& control) {
    std::int64_t bytes = static_cast<std::int64_t>(item_size(plan.out_dtype));
    for (int i = 0; i < out.rank; ++i) bytes *= out.shape[i];
    if (bytes == 0) return RunStatus::kDone;
    const int wanted = control.threads > 0 ? control.threads : get_num_threads();
    const int threads = bytes < kAloneBytes ? 1 : std::min(wanted, kMaxThreads);
    SpreadJob job;
    job.plan = &plan;
    job.grad = grad.data;
    job.out = out.data;
    set_axes(job, grad, out);
    set_divisors(job);
    set_kernels(job);
    ParallelJob parallel;
    parallel.threads = threads;
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    if (const auto status = spread_long(job, grad, out, parallel)) return *status;
    const bool tiles = spreads_in_tiles(job, threads);
    const bool done = tiles ? spread_tiles(job, parallel) : spread_boxes(job, parallel);
    return done ? RunStatus::kDone : RunStatus::kCancelled;
}

}  // namespace poolcore
