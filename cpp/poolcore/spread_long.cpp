// Spread where very many windows lie over an element, one element apart. What they give is then
// pooled as the forward pass pools x: element p takes the sum of the windows from p + pad_lo -
// (effective - 1) on, a dilation apart, so by the same trees, in time that grows with the logarithm
// of their number. Averages are divided beforehand, part of the planes after part.
#include <algorithm>
#include <cstdlib>

#include "poolcore/boxes.hpp"
#include "poolcore/gradient_boxes.hpp"
#include "poolcore/schedule.hpp"
#include "poolcore/spread_job.hpp"
#include "poolcore/spread_load.hpp"
#include "poolcore/threads_task.hpp"

namespace poolcore {
namespace {

constexpr int kAxes = kSpreadAxes;
static_assert(kAxes == kMaxPooledAxes);
constexpr std::int64_t kManyWindows = 24;  // over an element: fewer are added up sooner,
constexpr std::int64_t kManyDivided = 48;  // above all where averages are in memory twice
constexpr std::int64_t kSmallPlane = 1024;  // elements: spread_box has such planes side by side
constexpr std::int64_t kLongest = std::int64_t(1) << 61;  // elements that a window reaches over
constexpr std::int64_t kPartWindows = 256 * 1024;    // divided at a time
constexpr std::int64_t kMostWindows = 32 * 1024 * 1024;  // the same where windows are longer
constexpr std::int64_t kLanes = 16;                  // planes side by side: a cache line
constexpr std::int64_t kLoadElements = 8 * 1024;     // windows that a task divides

// What windows give that lie over the same elements of some planes.
struct LongPart {
    Range planes{0, 1};
    Range elements[kAxes] = {{0, 1}, {0, 1}, {0, 1}};
    Range windows[kAxes] = {{0, 1}, {0, 1}, {0, 1}};
};

struct LongJob {
    const SpreadJob& spread;
    GradientAxes axis = {};
    SpreadAxis planes = {};  // those of a part lie along it,
    SpreadAxis rest[kMaxRank] = {};  // not along these
    int n_rest = 0;
    std::int64_t rest_planes = 1;
    bool near = false;  // planes lie nearer to each other than elements
    GradientParts parts = {};
    std::byte* windows = nullptr;  // what those of a part give: planes innermost if near

    // The part at hand.
    const std::byte* grad = nullptr;
    std::byte* out = nullptr;
    LongPart part = {};
    std::int64_t rows = 1, columns = 1;  // of windows that a task divides

    std::int64_t lanes() const { return near ? part.planes.size() : 1; }
};

bool moves_by_one(const AxisGeometry& g) {
    const bool one = g.out == 1 && g.in + g.pad_lo + g.pad_hi == g.effective();
    return g.period == 1 && (g.stride == 1 || one) && g.effective() <= kLongest;
}

// A sum's gradient needs no more than to be added up.
bool divides(const SpreadJob& job) { return job.divide || job.widen; }

// Spread_box takes the elements of a row one by one where few of the windows around them exist, and
// no planes lie beside them.
bool goes_one_by_one(const SpreadJob& job) {
    const SpreadAxis* axis = job.axis;
    bool beside = job.n_batch > 0 && times(times(axis[0].n, axis[1].n), axis[2].n) <= kSmallPlane;
    for (int i = 0; i < job.n_batch; ++i)
        beside = beside || std::abs(job.batch[i].out) < std::abs(axis[2].out);
    return !beside && job.cover[2].few_exist(0, axis[2].n);
}

bool pays(const SpreadJob& job) {
    std::int64_t many = 0, taps = 1, most = 1;
    for (const Cover& cover : job.cover) {
        const AxisGeometry& g = cover.geometry();
        if (!moves_by_one(g)) return false;
        many += std::min(g.kernel, g.out);
        taps = times(taps, g.kernel);
        most = times(most, cover.most());
    }
    // A single window has a stride of its own, by which spread counts fewer: the forward pass might
    // add in float64.
    if (job.work == Work::kF32 && taps != most) return false;
    return many >= (divides(job) ? kManyDivided : kManyWindows) || goes_one_by_one(job);
}

// What pools the windows over those elements.
AxisGeometry turned(const AxisGeometry& g, const Range& elements, const Range& windows) {
    AxisGeometry t;
    t.in = windows.size();
    t.kernel = g.kernel;
    t.dilation = g.dilation;
    t.pad_lo = windows.lo - (elements.lo + g.pad_lo - (g.effective() - 1));
    t.pad_hi = elements.hi + g.pad_lo - windows.hi;
    t.out = elements.size();
    return t;
}

PoolPlan sum_plan(const SpreadJob& job) {
    PoolPlan plan = *job.plan;
    plan.spec.op = Op::kSum;
    plan.spec.has_divisor = false;
    plan.spec.nan_policy = NanPolicy::kPropagate;
    plan.empty_windows = false;
    return plan;
}

// The gradient of a sum, as it is.
PoolPlan plan_of_all(const SpreadJob& job, const StridedView& grad, const MutableView& out) {
    PoolPlan plan = sum_plan(job);
    plan.out_elements = 1;
    for (int i = 0; i < plan.rank; ++i) {
        plan.in_shape[i] = grad.shape[i];
        plan.out_shape[i] = out.shape[i];
        plan.out_elements *= out.shape[i];
    }
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        const AxisGeometry& g = job.plan->geometry[i];
        plan.geometry[i] = turned(g, {0, g.in}, {0, g.out});
    }
    return plan;
}

// A part as a call of the forward pass.
struct SumCall {
    PoolPlan plan;
    StridedView in;
    MutableView out;
};

SumCall call_of(const LongJob& job, const LongPart& part) {
    SumCall call{sum_plan(job.spread), {}, {}};
    PoolPlan& plan = call.plan;
    const std::int64_t e = job.spread.element();
    plan.in_dtype = job.spread.work == Work::kF32 ? DType::kFloat32 : DType::kFloat64;
    plan.rank = 1 + plan.spec.n_axes;
    plan.out_elements = part.planes.size();
    call.in.data = job.windows;
    call.out.data = job.out + part.planes.lo * job.planes.out;
    std::int64_t step = job.near ? e * part.planes.size() : e;
    for (int i = kAxes - 1; i >= 0; --i) {
        call.out.data += part.elements[i].lo * job.spread.axis[i].out;
        const int axis = i - kAxes + plan.spec.n_axes;
        if (axis < 0) continue;
        plan.spec.axes[axis] = axis + 1;
        plan.geometry[axis] = turned(job.axis[i].geometry, part.elements[i], part.windows[i]);
        plan.in_shape[axis + 1] = part.windows[i].size();
        plan.out_shape[axis + 1] = part.elements[i].size();
        plan.out_elements *= part.elements[i].size();
        call.in.strides[axis + 1] = step;
        call.out.strides[axis + 1] = job.spread.axis[i].out;
        step *= part.windows[i].size();
    }
    plan.in_shape[0] = plan.out_shape[0] = part.planes.size();
    call.in.strides[0] = job.near ? e : step;
    call.out.strides[0] = job.planes.out;
    call.in.dtype = plan.in_dtype;
    call.out.dtype = plan.out_dtype;
    call.in.rank = call.out.rank = plan.rank;
    std::copy_n(plan.in_shape, plan.rank, call.in.shape);
    std::copy_n(plan.out_shape, plan.rank, call.out.shape);
    return call;
}

// Channels last, say: the planes that lie nearest to each other; otherwise the most there are.
void set_planes(LongJob& job) {
    SpreadAxis* const all = job.rest;
    for (int i = 0; i < job.spread.n_batch; ++i) {
        const SpreadAxis& next = job.spread.batch[i];
        SpreadAxis& last = all[std::max(job.n_rest - 1, 0)];
        if (job.n_rest > 0 && last.grad == next.n * next.grad && last.out == next.n * next.out)
            last = {last.n * next.n, next.grad, next.out};
        else
            all[job.n_rest++] = next;
    }
    std::int64_t nearest = std::abs(job.spread.axis[kAxes - 1].out);
    int best = -1;
    for (int i = 0; i < job.n_rest; ++i) {
        const std::int64_t distance = std::abs(all[i].out);
        const bool near = distance < nearest;
        if (near) nearest = distance;
        if (near || best < 0 || (!job.near && all[i].n > all[best].n)) best = i;
        job.near = job.near || near;
    }
    if (best < 0) return;
    job.planes = all[best];
    std::copy(all + best + 1, all + job.n_rest, all + best);
    --job.n_rest;
    for (int i = 0; i < job.n_rest; ++i) job.rest_planes *= all[i].n;
}

void set_parts(LongJob& job) {
    for (int i = 0; i < kAxes; ++i) {
        job.axis[i].geometry = job.spread.cover[i].geometry();
        job.axis[i].geometry.stride = 1;
    }
    job.parts = parts_of(job.axis, job.planes.n, kPartWindows);
    const std::int64_t lanes = std::min(job.planes.n, kLanes);
    if (!job.near || job.parts.planes >= lanes) return;
    job.parts = parts_of(job.axis, 1, kPartWindows / lanes);
    job.parts.planes = even_share(job.planes.n, lanes);
    job.parts.windows = times(job.parts.windows, job.parts.planes);
}

// Memory for more is not taken: what is read may be one number, repeated for all of them.
std::int64_t most_windows(const LongJob& job) {
    std::int64_t elements = job.parts.planes;
    for (const SpreadAxis& axis : job.spread.axis) elements = times(elements, axis.n);
    return std::max(kMostWindows, times(2, elements));
}

void set_part(LongPart& part, const GradientAxes& axis, const Range& planes,
              const Range (&elements)[kAxes]) {
    part.planes = planes;
    for (int i = 0; i < kAxes; ++i) {
        part.elements[i] = elements[i];
        part.windows[i] = axis[i].windows_over(elements[i]);
    }
}

// A task: rows of windows, or a piece of one.
void divide(void* context, std::int64_t number, int) {
    const LongJob& job = *static_cast<const LongJob*>(context);
    const auto digit = [&number](std::int64_t base) {
        const std::int64_t d = number % base;
        number /= base;
        return d;
    };
    const std::int64_t boxes[kAxes] = {1, job.rows, job.columns};
    std::int64_t place = 0, pitch = job.lanes() * job.spread.element();
    WindowRange windows[kAxes];
    for (int i = kAxes - 1; i >= 0; --i) {
        const Range& all = job.part.windows[i];
        const std::int64_t lo = digit((all.size() - 1) / boxes[i] + 1) * boxes[i];
        windows[i] = {all.lo + lo, std::min(all.lo + lo + boxes[i], all.hi)};
        place += lo * pitch;
        pitch *= all.size();
    }
    place += number * pitch;
    const SpreadTask task{
        job.grad + (job.part.planes.lo + number) * job.planes.grad, nullptr, {}, {}, job.lanes()};
    const std::int64_t columns = windows[kAxes - 1].size();
    TaskScratch scratch(SpreadLoad::scratch(columns * task.lanes, columns));
    SpreadLoad(job.spread, task, windows, columns, *scratch)
        .strip(windows[kAxes - 1].lo, columns, job.windows + place);
}

bool divide_part(LongJob& job, ParallelJob parallel) {
    const LongPart& part = job.part;
    const std::int64_t row = part.windows[2].size();
    job.columns = std::clamp<std::int64_t>(kLoadElements / job.lanes(), 1, row);
    const std::int64_t of_row = job.lanes() * row;
    job.rows = std::clamp<std::int64_t>(kLoadElements / of_row, 1, part.windows[1].size());
    parallel.n_tasks = ((row - 1) / job.columns + 1) *
                       ((part.windows[1].size() - 1) / job.rows + 1) * part.windows[0].size();
    if (!job.near) parallel.n_tasks *= part.planes.size();
    parallel.function = divide;
    parallel.context = &job;
    parallel.scratch = SpreadLoad::scratch(job.columns * job.lanes(), job.columns);
    return parallel_for(parallel);
}

void move_to(LongJob& job, std::int64_t number) {
    job.grad = job.spread.grad;
    job.out = job.spread.out;
    for (int i = job.n_rest - 1; i >= 0; --i) {
        const SpreadAxis& axis = job.rest[i];
        job.grad += number % axis.n * axis.grad;
        job.out += number % axis.n * axis.out;
        number /= axis.n;
    }
}

// What pooling any part takes, so that memory does not end between two of them; of a single one
// its own call makes sure.
std::int64_t scratch_of_parts(LongJob& job, int threads) {
    bool several = job.rest_planes > 1 || job.parts.planes < job.planes.n;
    for (int i = 0; i < kAxes; ++i)
        several = several || job.parts.size[i] < job.axis[i].geometry.in;
    if (!several) return 0;
    std::int64_t most = 0;
    LongPart part;
    move_to(job, 0);
    for_parts(job.parts, job.axis, job.planes.n,
              [&](const Range& planes, const Range(&elements)[kAxes]) {
                  set_part(part, job.axis, planes, elements);
                  const SumCall call = call_of(job, part);
                  const Boxes boxes(call.plan, call.in, call.out, nullptr, threads);
                  most = std::max(most, boxes.scratch_bytes());
                  return true;
              });
    return most;
}

RunStatus run_in_parts(LongJob& job, const ParallelJob& parallel, const RunControl& control) {
    Scratch memory;
    const std::int64_t bytes = job.parts.windows * job.spread.element();
    memory.reserve(Scratch::footprint(bytes));
    job.windows = memory.take(bytes);
    const HeldScratch held(scratch_of_parts(job, parallel.threads));
    Poller poll(parallel);  // for jobs that are over before they would ask
    for (std::int64_t number = 0; number < job.rest_planes; ++number) {
        move_to(job, number);
        const auto each = [&](const Range& planes, const Range(&elements)[kAxes]) {
            set_part(job.part, job.axis, planes, elements);
            if (poll.wants_stop() || !divide_part(job, parallel)) return false;
            const SumCall call = call_of(job, job.part);
            return run(call.plan, call.in, call.out, nullptr, control) == RunStatus::kDone;
        };
        if (!for_parts(job.parts, job.axis, job.planes.n, each)) return RunStatus::kCancelled;
    }
    return RunStatus::kDone;
}

}  // namespace

std::optional<RunStatus> spread_long(SpreadJob& spread, const StridedView& grad,
                                     const MutableView& out, const ParallelJob& parallel) {
    // Within another call there is no scratch for it.
    if (spread.plan->within_call || !pays(spread)) return std::nullopt;
    const RunControl control{parallel.threads, parallel.poll, parallel.poll_context};
    if (!divides(spread))
        return run(plan_of_all(spread, grad, out), grad, out, nullptr, control);
    LongJob job{spread};
    set_planes(job);
    set_parts(job);
    if (job.parts.windows > most_windows(job)) return std::nullopt;
    if (job.near) spread.lane = job.planes;
    return run_in_parts(job, parallel, control);
}

}  // namespace poolcore
