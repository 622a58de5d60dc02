#include "poolcore/stochastic.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/kernel_table.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/element.hpp"
#include "poolcore/nan_scan.hpp"
#include "poolcore/select_window.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kTapsPerTask = 1 << 16;

struct Job {
    const PoolPlan& plan;
    const StridedView& in;
    const StridedView* samples;
    const MutableView& out;
    const MutableView* indices;
    std::int64_t rows = 1;  // of windows along the last axis
    std::int64_t rows_per_task = 1;
    std::int64_t plane_step[kMaxPooledAxes] = {1, 1, 1};
    int pooled[kMaxRank] = {};  // the number of a pooled axis, or -1
    FinishKernel convert = nullptr;

    bool omits() const { return plan.spec.nan_policy == NanPolicy::kOmit; }
};

// One window: where its taps lie, where its sample is, and where its results go.
struct Window {
    TapGrid grid;
    std::int64_t first[kMaxPooledAxes] = {0, 0, 0};  // position of the first tap along each axis
    const std::byte* sample = nullptr;
    std::byte* out = nullptr;
    std::byte* index = nullptr;
};

void move(const Job& job, int axis, std::int64_t o, Window& w) {
    w.out += o * job.out.strides[axis];
    if (w.sample) w.sample += o * job.samples->strides[axis];
    if (w.index) w.index += o * job.indices->strides[axis];
    const std::int64_t stride = job.in.strides[axis];
    const int i = job.pooled[axis];
    if (i < 0) {
        w.grid.base += o * stride;
        return;
    }
    const AxisGeometry& g = job.plan.geometry[i];
    const TapRange taps = g.taps(o);
    const int slot = kMaxPooledAxes - job.plan.spec.n_axes + i;
    w.grid.count[slot] = taps.count();
    if (taps.count() == 0) return;
    w.first[i] = g.start(o) + taps.first * g.dilation;
    w.grid.base += w.first[i] * stride;
    w.grid.step[slot] = taps.count() > 1 ? g.dilation * stride : 0;
}

// The taps of a window as doubles, in row-major order; those of small windows are kept.
template <class Element>
class Taps {
   public:
    explicit Taps(const TapGrid& grid) : grid_(grid), held_(grid.taps() <= kHeld) {
        if (!held_) return;
        double* next = values_;
        for_taps(grid, [&next](const std::byte* p) { *next++ = Element::value(p); });
    }
    // Calls each(value, number of the tap).
    template <class Each>
    void each(const Each& each) const {
        std::int64_t tap = 0;
        if (!held_) {
            for_taps(grid_, [&](const std::byte* p) { each(Element::value(p), tap++); });
            return;
        }
        for (const std::int64_t n = grid_.taps(); tap < n; ++tap) each(values_[tap], tap);
    }

   private:
    static constexpr std::int64_t kHeld = 32;

    const TapGrid& grid_;
    const bool held_;
    double values_[kHeld];
};

// What they say.
struct Sums {
    std::int64_t number = -1, nan = -1;  // the first tap of each kind
    double total = 0;
    double most = 0;
};

template <class Element>
Sums sums_of(const Taps<Element>& taps, double scale) {
    Sums sums;
    taps.each([&](double x, std::int64_t tap) {
        if (x != x) {
            if (sums.nan < 0) sums.nan = tap;
            return;
        }
        if (sums.number < 0) sums.number = tap;
        sums.total += x * scale;
        sums.most = x > sums.most ? x : sums.most;
    });
    return sums;
}

// The first tap with which the running sum passes the sample's share of the total, or, where
// rounding lets none do so, the last that is not 0.
template <class Element>
std::int64_t drawn(const Taps<Element>& taps, double total, double sample) {
    double scale = 1;
    if (!(total < std::numeric_limits<double>::infinity())) {
        scale = 0x1p-64;  // exact, and no number of taps makes infinity of it
        total = sums_of(taps, scale).total;
    }
    const double share = sample * total;
    std::int64_t last = 0, found = -1;
    double running = 0;
    taps.each([&](double x, std::int64_t tap) {
        if (!(x > 0) || found >= 0) return;
        running += x * scale;
        last = tap;
        if (running > share) found = tap;
    });
    return found < 0 ? last : found;
}

// The place of a tap along the slots of a grid.
struct Place {
    std::int64_t at[kMaxPooledAxes];
};
Place place_of(const TapGrid& g, std::int64_t tap) {
    return {{tap / g.count[2] / g.count[1], tap / g.count[2] % g.count[1], tap % g.count[2]}};
}

void store_index(const Window& w, std::int64_t index) {
    if (w.index) std::memcpy(w.index, &index, sizeof index);
}

template <class Element>
void draw(const Job& job, const Window& w) {
    const std::size_t size = item_size(job.plan.in_dtype);
    if (w.grid.taps() == 0) {
        std::memset(w.out, 0, size);
        return store_index(w, -1);
    }
    const Taps<Element> taps(w.grid);
    const Sums sums = sums_of(taps, 1);
    const bool nan = sums.nan >= 0 && (!job.omits() || sums.number < 0);
    const bool zero = !nan && !(sums.total > 0);
    double sample = 0;
    std::memcpy(&sample, w.sample, sizeof sample);
    const std::int64_t tap = nan    ? (job.omits() ? 0 : sums.nan)
                             : zero ? sums.number
                                    : drawn(taps, sums.total, sample);
    const Place place = place_of(w.grid, tap);
    const std::byte* p = w.grid.base;
    for (int x = 0; x < kMaxPooledAxes; ++x) p += place.at[x] * w.grid.step[x];
    if (zero)
        std::memset(w.out, 0, size);
    else
        std::memcpy(w.out, p, size);
    std::int64_t index = 0;
    const int n = job.plan.spec.n_axes;
    for (int i = 0; i < n; ++i) {
        const std::int64_t step = job.plan.geometry[i].dilation;
        index += (w.first[i] + place.at[kMaxPooledAxes - n + i] * step) * job.plane_step[i];
    }
    store_index(w, index);
}

// The sum of squares over the sum, of numbers that a power of two brings near 1: none overflows.
template <class Element>
void mean(const Job& job, const Window& w) {
    const Taps<Element> taps(w.grid);
    const Sums sums = sums_of(taps, 1);
    double result = 0;
    if (sums.nan >= 0 && (!job.omits() || sums.number < 0)) {
        result = std::numeric_limits<double>::quiet_NaN();
    } else if (sums.most > 0) {
        const int exponent = std::ilogb(sums.most);
        double total = 0, squares = 0;
        taps.each([&](double x, std::int64_t) {
            if (!(x > 0)) return;
            const double near = std::scalbn(x, -exponent);
            total += near;
            squares += near * near;
        });
        result = std::scalbn(squares / total, exponent);
    }
    FinishArgs args{};
    args.src = reinterpret_cast<const std::byte*>(&result);
    args.dst = w.out;
    args.n = 1;
    args.dst_stride = 0;
    job.convert(args);
}

template <class Element>
void task(void* context, std::int64_t number, int) {
    const Job& job = *static_cast<const Job*>(context);
    const int last = job.plan.rank - 1;
    const std::int64_t end = std::min((number + 1) * job.rows_per_task, job.rows);
    for (std::int64_t row = number * job.rows_per_task; row < end; ++row) {
        Window line;
        line.grid.base = job.in.data;
        line.out = job.out.data;
        line.sample = job.samples ? job.samples->data : nullptr;
        line.index = job.indices ? job.indices->data : nullptr;
        std::int64_t left = row;
        for (int axis = last - 1; axis >= 0; --axis) {
            move(job, axis, left % job.plan.out_shape[axis], line);
            left /= job.plan.out_shape[axis];
        }
        for (std::int64_t o = 0; o < job.plan.out_shape[last]; ++o) {
            if (o % 256 == 0 && stop_requested()) return;
            Window window = line;
            move(job, last, o, window);
            job.samples ? draw<Element>(job, window) : mean<Element>(job, window);
        }
    }
}

Job job_of(const PoolPlan& plan, const StridedView& in, const StridedView* samples,
           const MutableView& out, const MutableView* indices) {
    Job job{plan, in, samples, out, indices};
    std::fill_n(job.pooled, kMaxRank, -1);
    std::int64_t taps = plan.out_shape[plan.rank - 1];
    std::int64_t step = 1;
    for (int i = plan.spec.n_axes - 1; i >= 0; --i) {
        const AxisGeometry& g = plan.geometry[i];
        job.pooled[plan.spec.axes[i]] = i;
        job.plane_step[i] = step;
        step *= g.in;
        taps = std::min<std::int64_t>(kTapsPerTask, taps) * std::min(kTapsPerTask, g.kernel);
    }
    for (int i = 0; i + 1 < plan.rank; ++i) job.rows *= plan.out_shape[i];
    job.rows_per_task = std::max<std::int64_t>(1, kTapsPerTask / std::max<std::int64_t>(1, taps));
    if (is_float(plan.out_dtype))
        job.convert = kernels().finish[static_cast<int>(Finish::kSum)][static_cast<int>(Work::kF64)]
                                      [static_cast<int>(plan.out_dtype)];
    return job;
}

}  // namespace

RunStatus run_stochastic(const PoolPlan& plan, const StridedView& in, const StridedView* samples,
                         const MutableView& out, const MutableView* indices,
                         const RunControl& control) {
    ParallelJob parallel;
    parallel.threads = control.threads > 0 ? control.threads : get_num_threads();
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    if (plan.spec.nan_policy == NanPolicy::kRaise && is_float(plan.in_dtype))
        if (!refuse(plan, in, Unwanted::kNan, parallel)) return RunStatus::kCancelled;
    if (is_signed(plan.in_dtype))
        if (!refuse(plan, in, Unwanted::kNoWeight, parallel)) return RunStatus::kCancelled;
    if (plan.out_elements == 0) return RunStatus::kDone;
    Job job = job_of(plan, in, samples, out, indices);
    parallel.function = visit_element(
        plan.in_dtype, [](auto e) -> TaskFunction { return task<decltype(e)>; });
    parallel.context = &job;
    parallel.n_tasks = (job.rows + job.rows_per_task - 1) / job.rows_per_task;
    return parallel_for(parallel) ? RunStatus::kDone : RunStatus::kCancelled;
}

}  // namespace poolcore
