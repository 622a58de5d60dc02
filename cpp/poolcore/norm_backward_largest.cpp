// The gradient of norms with an infinite exponent: what a window has been given goes to the first of
// its elements with the largest magnitude, with its sign. Part after part: maxima and minima of all
// windows and where they are, then what each box of elements gets, in row-major order of the windows.
#include <cmath>
#include <cstring>

#include "poolcore/dispatch.hpp"
#include "poolcore/norm_backward_job.hpp"
#include "poolcore/norm_backward_move.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr int kAxes = kMaxPooledAxes;

// Of the windows of a part, side by side in memory: its maxima and minima, and their places among
// the elements of the call, by number.
struct Extremes {
    NormGradient& job;
    std::byte* value[2];
    std::int64_t* index[2];
    PackKernel load_grad = nullptr;
    FinishKernel store = nullptr;
    Range elements[kAxes] = {};  // of the call
};

RunStatus find(const Extremes& e, const PartCall& call, const std::byte* x,
               const RunControl& control) {
    const NormGradient& job = e.job;
    const Loops n = job.loops(job.part.planes, call.elements);
    const Loops windows = job.loops(job.part.planes, job.part.windows);
    const Loops places = dense_steps(windows);
    const Loops values = dense_steps(windows, static_cast<std::int64_t>(item_size(job.x.dtype)));
    const auto in = view_of<StridedView>(
        job, x + job.offset(job.x_step, job.part.planes.lo, call.elements), job.x.dtype, n,
        job.x_step);
    PoolPlan plan = call.plan;
    plan.out_dtype = plan.in_dtype;
    plan.spec.return_indices = true;
    for (int i = 0; i < 2; ++i) {
        plan.spec.op = i == 0 ? Op::kMax : Op::kMin;
        const auto out = view_of<MutableView>(job, e.value[i], job.x.dtype, windows, values);
        const auto indices = view_of<MutableView>(
            job, reinterpret_cast<std::byte*>(e.index[i]), DType::kInt64, windows, places);
        if (run(plan, in, out, &indices, control) == RunStatus::kCancelled)
            return RunStatus::kCancelled;
    }
    return RunStatus::kDone;
}

// The windows over one box of elements, in T: the type in which gradients are added up.
template <class T>
class Giver {
   public:
    Giver(const Extremes& e, const NormTask& task, const NormMemory& memory)
        : e_(e),
          job_(e.job),
          task_(task),
          sums_(reinterpret_cast<T*>(memory.sums)),
          memory_(memory),
          elements_(job_.loops(task.part.planes, task.part.elements)),
          step_(dense_steps(elements_, 1)) {}

    void run() {
        std::fill_n(sums_, elements_.product(), T(0));
        const Range(&windows)[kAxes] = task_.part.windows;
        Range o[kAxes];
        for (std::int64_t p = task_.part.planes.lo; p < task_.part.planes.hi; ++p)
            for (std::int64_t a = windows[0].lo; a < windows[0].hi; ++a)
                for (std::int64_t b = windows[1].lo; b < windows[1].hi; ++b)
                    for (std::int64_t w = windows[2].lo; w < windows[2].hi; w += kNormChunk) {
                        o[0] = {a, a + 1};
                        o[1] = {b, b + 1};
                        o[2] = {w, std::min(w + kNormChunk, windows[2].hi)};
                        give_row(p, o);
                        if (poll_.stops(o[2].size())) return;
                    }
        store_loops(e_.store, reinterpret_cast<const std::byte*>(sums_), sizeof(T), elements_,
                    job_.out_step,
                    task_.out + job_.offset(job_.out_step, task_.part.planes.lo,
                                            task_.part.elements));
    }

   private:
    void give_row(std::int64_t plane, const Range (&o)[kAxes]) {
        const Range one{plane, plane + 1};
        const Loops n = job_.loops(one, o);
        T* const grads = reinterpret_cast<T*>(memory_.third);
        load_loops(e_.load_grad, task_.grad + job_.offset(job_.grad_step, plane, o), n,
                   job_.grad_step, sizeof(T), reinterpret_cast<std::byte*>(grads));
        Range from[kAxes];
        for (int i = 0; i < kAxes; ++i) from[i].lo = o[i].lo - job_.part.windows[i].lo;
        const Loops windows = dense_steps(job_.loops(job_.part.planes, job_.part.windows), 1);
        const std::int64_t first = job_.offset(windows, plane - job_.part.planes.lo, from);
        const std::int64_t next = windows[job_.loop_of(2)];
        const auto size = static_cast<std::int64_t>(item_size(job_.x.dtype));
        Loops step;
        step[kLoops - 1] = next * size;
        Loops count;
        count[kLoops - 1] = o[2].size();
        double* const values[2] = {memory_.first, memory_.second};
        for (int i = 0; i < 2; ++i)
            load_loops(job_.load_x, e_.value[i] + first * size, count, step, 8,
                       reinterpret_cast<std::byte*>(values[i]));
        for (std::int64_t i = 0; i < count[kLoops - 1]; ++i)
            give(plane, grads[i], values[0][i], values[1][i], first + i * next);
    }

    void give(std::int64_t plane, T grad, double most, double least, std::int64_t window) {
        const std::int64_t top = e_.index[0][window], bottom = e_.index[1][window];
        const double high = std::fabs(most), low = std::fabs(least);
        const bool below = low > high || (low == high && bottom < top);
        const double value = below ? least : most;
        std::int64_t place = below ? bottom : top;
        if (value == 0 || place < 0) return;
        std::int64_t at = (plane - task_.part.planes.lo) * step_[job_.loop_of_planes()];
        for (int i = kAxes - 1; i >= 0; --i) {
            const std::int64_t n = e_.elements[i].size();
            const std::int64_t p = e_.elements[i].lo + (n == 1 ? 0 : place % n);
            if (n > 1) place /= n;
            const Range& ours = task_.part.elements[i];
            if (p < ours.lo || p >= ours.hi) return;
            at += (p - ours.lo) * step_[job_.loop_of(i)];
        }
        sums_[at] += value < 0 ? -grad : grad;
    }

    const Extremes& e_;
    const NormGradient& job_;
    const NormTask& task_;
    T* const sums_;
    const NormMemory& memory_;
    const Loops elements_, step_;
    StopPoll poll_;
};

template <class T>
void give_elements(void* context, std::int64_t number, int worker) {
    const auto& e = *static_cast<const Extremes*>(context);
    const NormTask task = norm_task(e.job, number);
    Giver<T>(e, task, NormMemory(e.job, worker)).run();
}

Extremes extremes_in(NormGradient& job, Scratch& memory, std::int64_t windows) {
    const auto size = static_cast<std::int64_t>(item_size(job.x.dtype));
    std::byte* at = memory_for(job, memory, times(windows, 2 * (size + 8)));
    Extremes e{job, {}, {}};
    for (std::int64_t*& index : e.index) {
        index = reinterpret_cast<std::int64_t*>(at);
        at += windows * 8;
    }
    for (std::byte*& value : e.value) {
        value = at;
        at += windows * size;
    }
    return e;
}

}  // namespace

RunStatus largest_backward(NormGradient& job, const RunControl& control, const NormLimits& limits) {
    // Three or four numbers of each, where others have one.
    const GradientParts parts = parts_of(job.axis, job.lane.n, limits.windows / 4);
    Scratch memory;
    Extremes e = extremes_in(job, memory, parts.windows);
    const bool doubles = job.grad.dtype == DType::kFloat64 || !is_float(job.grad.dtype);
    const auto work = static_cast<int>(doubles ? Work::kF64 : Work::kF32);
    e.load_grad = kernels().pack[static_cast<int>(Change::kNone)]
                                [static_cast<int>(job.grad.dtype)][work];
    e.store = kernels().finish[static_cast<int>(Finish::kSum)][work]
                              [static_cast<int>(job.out.dtype)];
    const TaskFunction function = doubles ? give_elements<double> : give_elements<float>;
    const auto each = [&](const Range& planes, const Range(&elements)[kAxes]) {
        job.part.planes = planes;
        std::copy_n(elements, kAxes, job.part.elements);
        set_windows(job, job.part);
        if (job.part.has_windows()) {
            const PartCall call = call_of(job, job.part);
            std::copy_n(call.elements, kAxes, e.elements);
            if (find(e, call, norm_task(job, 0).x, control) == RunStatus::kCancelled) return false;
        }
        return run_boxes(job, function, &e, control);
    };
    job.rest_n = 1;
    for (job.rest_lo = 0; job.rest_lo < job.rest_planes; ++job.rest_lo)
        if (!for_parts(parts, job.axis, job.lane.n, each)) return RunStatus::kCancelled;
    return RunStatus::kDone;
}

}  // namespace poolcore
