#include "poolcore/soft_backward.hpp"

#include <algorithm>
#include <limits>

#include "kernels/kernel_table.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/element.hpp"
#include "poolcore/schedule.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/select_window.hpp"
#include "poolcore/soft_window.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr int kAxes = kMaxPooledAxes;
constexpr std::int64_t kMostElements = 16 * 1024;  // of a task, as doubles
constexpr std::int64_t kLeastElements = 1024;

struct Axis {
    AxisGeometry geometry;  // trivial where fewer axes are pooled
    std::int64_t x = 0, grad = 0, out = 0;  // strides in bytes
    std::int64_t box = 1;                   // elements of a task
    std::int64_t boxes() const { return (geometry.in + box - 1) / box; }
};

struct Job {
    const PoolPlan& plan;
    const StridedView& grad;
    const StridedView& x;
    const MutableView& out;
    Axis axis[kAxes] = {};
    std::int64_t planes = 1;
    double (*grad_value)(const std::byte*) = nullptr;
    FinishKernel convert = nullptr;

    std::int64_t elements() const { return axis[0].box * axis[1].box * axis[2].box; }
    std::int64_t n_tasks() const {
        return planes * axis[0].boxes() * axis[1].boxes() * axis[2].boxes();
    }
};

// The elements [lo, hi) of a plane along each axis, and the windows over them.
struct Task {
    const std::byte* x;
    const std::byte* grad;
    std::byte* out;
    std::int64_t lo[kAxes], hi[kAxes];
    std::int64_t first[kAxes], last[kAxes];  // windows
};

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a > 0 ? (a - 1) / b + 1 : a / b; }

Task task_of(const Job& job, std::int64_t number) {
    Task task{job.x.data, job.grad.data, job.out.data, {}, {}, {}, {}};
    for (int i = kAxes - 1; i >= 0; --i) {
        const Axis& axis = job.axis[i];
        const AxisGeometry& g = axis.geometry;
        task.lo[i] = number % axis.boxes() * axis.box;
        task.hi[i] = std::min(task.lo[i] + axis.box, g.in);
        number /= axis.boxes();
        const std::int64_t before = task.lo[i] - g.effective() + 1 + g.pad_lo;
        task.first[i] = before > 0 ? ceil_div(before, g.stride) : 0;
        task.last[i] = std::min(g.out, (task.hi[i] - 1 + g.pad_lo) / g.stride + 1);
    }
    bool pooled[kMaxRank] = {};
    for (int i = 0; i < job.plan.spec.n_axes; ++i) pooled[job.plan.spec.axes[i]] = true;
    for (int a = job.plan.rank - 1; a >= 0; --a) {
        if (pooled[a]) continue;
        const std::int64_t at = number % job.plan.in_shape[a];
        number /= job.plan.in_shape[a];
        task.x += at * job.x.strides[a];
        task.grad += at * job.grad.strides[a];
        task.out += at * job.out.strides[a];
    }
    return task;
}

// What the windows of a task give to its elements, added up in row-major order of the windows.
template <class Element>
class Gatherer {
   public:
    Gatherer(const Job& job, const Task& task, Scratch& scratch) : job_(job), task_(task) {
        n_ = 1;
        for (int i = kAxes - 1; i >= 0; --i) {
            step_[i] = n_;
            n_ *= task.hi[i] - task.lo[i];
        }
        sums_ = reinterpret_cast<double*>(scratch.take(n_ * 8));
        std::fill_n(sums_, n_, 0.0);
    }

    void run() {
        const Task& t = task_;
        std::int64_t o[kAxes];
        for (o[0] = t.first[0]; o[0] < t.last[0]; ++o[0])
            for (o[1] = t.first[1]; o[1] < t.last[1]; ++o[1])
                for (o[2] = t.first[2]; o[2] < t.last[2]; ++o[2]) {
                    window(o);
                    if (poll_.stopped()) return;
                }
        store();
    }

   private:
    void window(const std::int64_t (&o)[kAxes]) {
        TapGrid grid;
        grid.base = task_.x;
        std::int64_t start[kAxes];
        const std::byte* g = task_.grad;
        for (int i = 0; i < kAxes; ++i) {
            const Axis& axis = job_.axis[i];
            const TapRange taps = axis.geometry.taps(o[i]);
            g += o[i] * axis.grad;
            grid.count[i] = taps.count();
            if (taps.count() == 0) return;
            start[i] = axis.geometry.start(o[i]) + taps.first * axis.geometry.dilation;
            grid.base += start[i] * axis.x;
            grid.step[i] = taps.count() > 1 ? axis.geometry.dilation * axis.x : 0;
        }
        SoftWindow soft;
        for_taps(grid, [&](const std::byte* p) { soft.see(Element::value(p)); });
        if (soft.wants_taps())
            for_taps(grid, [&](const std::byte* p) { soft.add(Element::value(p)); });
        const double value = soft.value();
        const bool nan = value != value;
        if (!nan && !soft.wants_taps()) return;  // an infinity, which no tap near it moves
        give(grid, start, nan ? value : job_.grad_value(g), nan ? nullptr : &soft);
        poll_.stops(grid.taps());
    }

    // To the taps among the elements; all of them get a NaN.
    void give(const TapGrid& grid, const std::int64_t (&start)[kAxes], double grad,
              const SoftWindow* soft) {
        std::int64_t lo[kAxes], hi[kAxes];
        for (int i = 0; i < kAxes; ++i) {
            const std::int64_t d = job_.axis[i].geometry.dilation;
            const std::int64_t before = task_.lo[i] - start[i], until = task_.hi[i] - start[i];
            lo[i] = before > 0 ? ceil_div(before, d) : 0;
            hi[i] = std::min(grid.count[i], until > 0 ? ceil_div(until, d) : 0);
        }
        std::int64_t j[kAxes];
        for (j[0] = lo[0]; j[0] < hi[0]; ++j[0])
            for (j[1] = lo[1]; j[1] < hi[1]; ++j[1])
                for (j[2] = lo[2]; j[2] < hi[2]; ++j[2]) {
                    std::int64_t at = 0, offset = 0;
                    for (int i = 0; i < kAxes; ++i) {
                        const std::int64_t d = job_.axis[i].geometry.dilation;
                        at += (start[i] + j[i] * d - task_.lo[i]) * step_[i];
                        offset += j[i] * grid.step[i];
                    }
                    const double slope =
                        soft ? soft->slope(Element::value(grid.base + offset)) : 1;
                    sums_[at] += grad * slope;
                }
    }

    void store() const {
        const Axis& last = job_.axis[2];
        FinishArgs args{};
        args.n = task_.hi[2] - task_.lo[2];
        args.dst_stride = args.n > 1 ? last.out : 0;
        for (std::int64_t a = task_.lo[0]; a < task_.hi[0]; ++a)
            for (std::int64_t b = task_.lo[1]; b < task_.hi[1]; ++b) {
                args.src = reinterpret_cast<const std::byte*>(
                    sums_ + (a - task_.lo[0]) * step_[0] + (b - task_.lo[1]) * step_[1]);
                args.dst = task_.out + a * job_.axis[0].out + b * job_.axis[1].out +
                           task_.lo[2] * last.out;
                job_.convert(args);
            }
    }

    const Job& job_;
    const Task& task_;
    double* sums_;
    std::int64_t n_;
    std::int64_t step_[kAxes] = {};
    StopPoll poll_;
};

template <class Element>
void run_task(void* context, std::int64_t number, int) {
    const Job& job = *static_cast<const Job*>(context);
    const Task task = task_of(job, number);
    TaskScratch scratch(Scratch::footprint(job.elements() * 8));
    Gatherer<Element>(job, task, *scratch).run();
}

// Along the first axis that is longer than one element: rows stay whole as long as can be.
void cut(Job& job, int threads) {
    for (int i = 0; i < kAxes;) {
        const bool few = job.n_tasks() < 4 * static_cast<std::int64_t>(threads);
        const std::int64_t elements = times(times(job.axis[0].box, job.axis[1].box),
                                            job.axis[2].box);
        if (elements <= (few ? kLeastElements : kMostElements)) return;
        std::int64_t& box = job.axis[i].box;
        if (box == 1)
            ++i;
        else
            box = (box + 1) / 2;
    }
}

}  // namespace

RunStatus soft_backward(const PoolPlan& plan, const StridedView& grad, const StridedView& x,
                        const MutableView& out, const RunControl& control) {
    Job job{plan, grad, x, out};
    for (int a = 0; a < plan.rank; ++a) {
        if (plan.in_shape[a] == 0) return RunStatus::kDone;
        job.planes *= plan.in_shape[a];
    }
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        const int a = plan.spec.axes[i];
        job.axis[kAxes - plan.spec.n_axes + i] = {plan.geometry[i], x.strides[a], grad.strides[a],
                                                  out.strides[a], plan.in_shape[a]};
        job.planes /= plan.in_shape[a];
    }
    ParallelJob parallel;
    parallel.threads = control.threads > 0 ? control.threads : get_num_threads();
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    cut(job, parallel.threads);
    job.grad_value = visit_element(grad.dtype, [](auto e) { return &decltype(e)::value; });
    job.convert = kernels().finish[static_cast<int>(Finish::kSum)][static_cast<int>(Work::kF64)]
                                  [static_cast<int>(out.dtype)];
    parallel.function =
        visit_element(x.dtype, [](auto e) -> TaskFunction { return run_task<decltype(e)>; });
    parallel.context = &job;
    parallel.n_tasks = job.n_tasks();
    return parallel_for(parallel) ? RunStatus::kDone : RunStatus::kCancelled;
}

}  // namespace poolcore
