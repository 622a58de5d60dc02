#include "poolcore/each_window.hpp"

#include <cstring>

#include "poolcore/scratch.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

struct Windows {
    const PoolPlan& plan;
    const StridedView& in;
    const MutableView& out;
    const MutableView* indices;
};

// The window as a call of its own.
struct Call {
    PoolPlan plan;
    StridedView in;
    MutableView out;
    MutableView indices;
    std::int64_t start[kMaxPooledAxes];
};

void narrow_view(MutableView& view, int axis, std::int64_t o) {
    view.data += o * view.strides[axis];
    view.shape[axis] = 1;
}

Call call_of(const Windows& w, std::int64_t number) {
    Call call{w.plan, w.in, w.out, w.indices ? *w.indices : MutableView{}, {}};
    PoolPlan& plan = call.plan;
    plan.adaptive = false;
    if (plan.spec.nan_policy == NanPolicy::kRaise) plan.spec.nan_policy = NanPolicy::kPropagate;
    for (int i = plan.spec.n_axes - 1; i >= 0; --i) {
        const AxisGeometry& g = w.plan.geometry[i];
        const int axis = plan.spec.axes[i];
        const std::int64_t o = number % g.out;
        number /= g.out;
        call.start[i] = g.start(o);
        AxisGeometry whole;
        whole.in = whole.kernel = whole.stride = g.length(o);
        plan.geometry[i] = whole;
        plan.in_shape[axis] = call.in.shape[axis] = whole.in;
        plan.out_shape[axis] = 1;
        plan.out_elements /= g.out;
        call.in.data += call.start[i] * call.in.strides[axis];
        narrow_view(call.out, axis, o);
        if (w.indices) narrow_view(call.indices, axis, o);
    }
    return call;
}

// From the place in the window's own plane to that in the plane of x.
std::int64_t place_in_x(const Windows& w, const Call& call, std::int64_t flat) {
    std::int64_t at = 0;
    std::int64_t step = 1;
    for (int i = w.plan.spec.n_axes - 1; i >= 0; --i) {
        const std::int64_t length = call.plan.geometry[i].in;
        at += (call.start[i] + flat % length) * step;
        flat /= length;
        step *= w.plan.geometry[i].in;
    }
    return at;
}

// Every index of the window's results; steps through them as through the digits of a number.
void move_indices(const Windows& w, const Call& call) {
    const MutableView& v = call.indices;
    std::int64_t position[kMaxRank] = {};
    std::byte* at = v.data;
    for (;;) {
        std::int64_t flat = 0;
        std::memcpy(&flat, at, sizeof flat);
        flat = place_in_x(w, call, flat);
        std::memcpy(at, &flat, sizeof flat);
        int axis = v.rank - 1;
        for (; axis >= 0; --axis) {
            at += v.strides[axis];
            if (++position[axis] < v.shape[axis]) break;
            at -= position[axis] * v.strides[axis];
            position[axis] = 0;
        }
        if (axis < 0) return;
    }
}

bool run_window(const Windows& w, std::int64_t number, const RunControl& control) {
    const Call call = call_of(w, number);
    const MutableView* const indices = w.indices ? &call.indices : nullptr;
    if (run(call.plan, call.in, call.out, indices, control) == RunStatus::kCancelled) return false;
    if (indices) move_indices(w, call);
    return true;
}

void window_task(void* context, std::int64_t number, int) {
    RunControl alone;
    alone.threads = 1;
    run_window(*static_cast<const Windows*>(context), number, alone);  // what stops it stops the job
}

}  // namespace

RunStatus run_each_window(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                          const MutableView* indices, const RunControl& control) {
    Windows w{plan, in, out, indices};
    const HeldScratch most(kScratchMost);  // window after window
    std::int64_t n = 1;
    for (int i = 0; i < plan.spec.n_axes; ++i) n *= plan.geometry[i].out;
    // Enough windows give each thread its own; few are shared, one after another.
    if (n < 4 * static_cast<std::int64_t>(control.threads)) {
        for (std::int64_t number = 0; number < n; ++number)
            if (!run_window(w, number, control)) return RunStatus::kCancelled;
        return RunStatus::kDone;
    }
    ParallelJob job;
    job.function = window_task;
    job.context = &w;
    job.n_tasks = n;
    job.scratch = kScratchMost;
    job.threads = control.threads;
    job.poll = control.poll;
    job.poll_context = control.poll_context;
    return parallel_for(job) ? RunStatus::kDone : RunStatus::kCancelled;
}

}  // namespace poolcore
