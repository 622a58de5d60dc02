// The gradient of norms as tasks: boxes of elements of some planes, and what lies over them. Part of
// norm_backward.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.hpp"
#include "poolcore/gradient_boxes.hpp"
#include "poolcore/norm_backward.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {

// Four nested loops, the last one the innermost: planes and the pooled axes, in one of two orders.
inline constexpr int kLoops = kMaxPooledAxes + 1;
struct Loops {
    std::int64_t of[kLoops] = {1, 1, 1, 1};
    std::int64_t& operator[](int i) { return of[i]; }
    std::int64_t operator[](int i) const { return of[i]; }
    std::int64_t product() const { return of[0] * of[1] * of[2] * of[3]; }
};

// Axes that are not pooled.
struct PlaneAxis {
    std::int64_t n = 1;
    std::int64_t x = 0, grad = 0, out = 0;  // strides in bytes
};

// Some elements and the windows over them, of some of the planes that lie along one axis.
struct NormPart {
    Range planes{0, 1};
    Range elements[kMaxPooledAxes] = {{0, 1}, {0, 1}, {0, 1}};
    Range windows[kMaxPooledAxes] = {{0, 1}, {0, 1}, {0, 1}};

    bool has_windows() const {
        return windows[0].size() > 0 && windows[1].size() > 0 && windows[2].size() > 0;
    }
};

// The windows of a part on the elements from the first one's first tap to the last one's last, as a
// call of its own: of the plan's operation, in float64.
struct PartCall {
    PoolPlan plan;
    Range elements[kMaxPooledAxes];
};

struct NormGradient {
    const PoolPlan& plan;
    const StridedView& grad;
    const StridedView& x;
    const MutableView& out;
    GradientAxes axis = {};
    PlaneAxis lane = {};            // the planes of one task lie along it,
    PlaneAxis rest[kMaxRank] = {};  // not along these
    int n_rest = 0;
    std::int64_t rest_planes = 1;
    bool near = false;  // planes lie nearer to each other than elements: they are the innermost loop
    Loops x_step = {}, grad_step = {}, out_step = {};  // bytes

    bool mean = false;
    double power = 1;  // |p - 1|
    double floor = 0;
    double divisor = 1;  // of gradients
    bool risks = false;  // norms' powers or gradients may leave the range of factors
    bool wide = false;   // gradients may
    PackKernel load_x = nullptr, load_grad = nullptr, copy = nullptr;
    FinishKernel store = nullptr;
    PowerKernel to_power = nullptr;

    NormPart part = {};                      // what is at hand,
    std::int64_t rest_lo = 0, rest_n = 1;    // of these planes of `rest`
    const std::byte* norms = nullptr;        // of its windows; null where tasks make them
    std::int64_t planes_per_task = 1;
    std::int64_t box_elements = 0, box_windows = 0;  // at most so many of a task
    std::byte* memory = nullptr;                     // of all workers
    std::int64_t worker_bytes = 0;

    int loop_of(int pooled) const { return near ? pooled : pooled + 1; }
    int loop_of_planes() const { return near ? kMaxPooledAxes : 0; }
    Loops loops(const Range& planes, const Range (&along)[kMaxPooledAxes]) const {
        Loops n;
        n[loop_of_planes()] = planes.size();
        for (int i = 0; i < kMaxPooledAxes; ++i) n[loop_of(i)] = along[i].size();
        return n;
    }
    // Where (plane, place along each axis) lies.
    std::int64_t offset(const Loops& step, std::int64_t plane,
                        const Range (&place)[kMaxPooledAxes]) const {
        std::int64_t at = plane * step[loop_of_planes()];
        for (int i = 0; i < kMaxPooledAxes; ++i) at += place[i].lo * step[loop_of(i)];
        return at;
    }

    std::int64_t tasks_of_plane() const {
        std::int64_t n = 1;
        for (int i = 0; i < kMaxPooledAxes; ++i) n = times(n, axis[i].boxes(part.elements[i]));
        return n;
    }
    std::int64_t groups() const { return (part.planes.size() - 1) / planes_per_task + 1; }
    std::int64_t tasks() const { return times(times(rest_n, groups()), tasks_of_plane()); }
};

// Steps through elements side by side, doubles or of `size` bytes.
inline Loops dense_steps(const Loops& n, std::int64_t size = 8) {
    Loops step;
    std::int64_t bytes = size;
    for (int i = kLoops - 1; i >= 0; --i) {
        step[i] = bytes;
        bytes *= n[i];
    }
    return step;
}

// What a task has of each array: the first plane's first element, window or result.
struct NormTask {
    NormPart part;
    const std::byte* x;
    const std::byte* grad;
    std::byte* out;
};
NormTask norm_task(const NormGradient& job, std::int64_t number);

void set_windows(const NormGradient& job, NormPart& part);
PartCall call_of(const NormGradient& job, const NormPart& part);
// Some dimensions of memory as an array: planes, then the pooled axes.
template <class View, class Byte>
View view_of(const NormGradient& job, Byte* data, DType dtype, const Loops& n, const Loops& step) {
    View view;
    view.data = data;
    view.dtype = dtype;
    view.rank = 1 + job.plan.spec.n_axes;
    view.shape[0] = n[job.loop_of_planes()];
    view.strides[0] = step[job.loop_of_planes()];
    for (int i = 1; i < view.rank; ++i) {
        const int loop = job.loop_of(kMaxPooledAxes - view.rank + i);
        view.shape[i] = n[loop];
        view.strides[i] = step[loop];
    }
    return view;
}

// The norms of all windows of the part, of planes from `x` on, into doubles side by side.
RunStatus take_norms(const NormGradient& job, const NormPart& part, const std::byte* x,
                     std::byte* norms, const RunControl& control);

// So many bytes of a scratch that is empty; throws PoolError(kMemory).
std::byte* memory_for(const NormGradient& job, Scratch& scratch, std::int64_t bytes);

// What a worker has for a box of elements and the windows over it.
struct NormMemory {
    double *norms, *factors, *sums;
    std::uint8_t* risky;  // windows
    double *first, *second, *third;  // kNormChunk each
    static std::int64_t bytes(std::int64_t elements, std::int64_t windows);
    NormMemory(const NormGradient& job, int worker);
};
inline constexpr std::int64_t kNormChunk = 1024;

// A task of parallel_for; the context is a NormGradient.
void norm_elements(void* context, std::int64_t task, int worker);

// The same where the exponent is infinite.
RunStatus largest_backward(NormGradient& job, const RunControl& control, const NormLimits& limits);

// parallel_for over the tasks of the part at hand; false when it was stopped.
bool run_boxes(const NormGradient& job, TaskFunction function, void* context,
               const RunControl& control);

}  // namespace poolcore
