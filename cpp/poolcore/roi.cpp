#include "poolcore/roi.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "poolcore/dispatch.hpp"
#include "poolcore/nan_scan.hpp"
#include "poolcore/roi_job.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

template <class View>
RoiStrides strides_of(const RoiSpec& spec, const View& view) {
    return {view.strides[0],
            view.strides[spec.channel_axis()],
            {view.strides[spec.plane_axis(0)], view.strides[spec.plane_axis(1)]}};
}

// Tasks of like cost, many enough for all threads.
void cut_tasks(RoiJob& job, int threads) {
    constexpr double kWorkPerTask = 1 << 15;
    const double work = roi_plane_work(*job.spec, job.length) /
                        static_cast<double>(job.spec->n_boxes);
    std::int64_t per_task = static_cast<std::int64_t>(std::min(kWorkPerTask / work + 1, 1e6));
    if (job.lanes) per_task = (per_task + kRoiLanes - 1) / kRoiLanes * kRoiLanes;
    job.channels_per_task = std::clamp<std::int64_t>(per_task, 1, job.channels);
    job.chunks = (job.channels + job.channels_per_task - 1) / job.channels_per_task;
    const std::int64_t tasks = job.chunks * std::min<std::int64_t>(job.spec->n_boxes, 1 << 20);
    const std::int64_t bins = std::min(job.spec->size[0], job.spec->size[1]);
    const bool large =
        static_cast<double>(job.length[0]) * static_cast<double>(job.length[1]) > 1e5;
    if (large && threads > 1 && tasks < 2 * threads)
        job.parts = std::clamp<std::int64_t>(2 * threads / tasks, 1, bins);
}

RoiJob make_job(const RoiSpec& spec, const StridedView& in, const MutableView& out,
                const MutableView* indices, int threads) {
    RoiJob job;
    job.spec = &spec;
    job.in = in.data;
    job.out = out.data;
    job.dtype = in.dtype;
    job.in_stride = strides_of(spec, in);
    job.out_stride = strides_of(spec, out);
    if (indices != nullptr) {
        job.index = indices->data;
        job.index_stride = strides_of(spec, *indices);
    }
    job.channels = in.shape[spec.channel_axis()];
    for (int i = 0; i < 2; ++i) job.length[i] = in.shape[spec.plane_axis(i)];
    job.lanes = job.channels > 3 &&
                std::abs(job.in_stride.channel) < std::abs(job.in_stride.plane[1]);
    cut_tasks(job, threads);
    const KernelTable& k = kernels();
    const auto type = static_cast<int>(in.dtype);
    const auto work = static_cast<int>(Work::kF64);
    job.pack = k.pack[static_cast<int>(Change::kNone)][type][work];
    if (spec.nan_policy == NanPolicy::kOmit && is_float(in.dtype))
        job.is_nan = k.pack[static_cast<int>(Change::kIsNan)][type][work];
    if (is_float(out.dtype))
        job.convert = k.finish[static_cast<int>(Finish::kSum)][work][static_cast<int>(out.dtype)];
    return job;
}

RoiTaskKind task_of(const RoiJob& job) {
    switch (job.spec->mode) {
        case RoiMode::kAlignMean: return roi_mean_task();
        case RoiMode::kAlignMax: return roi_largest_task(job.dtype);
        default: return roi_pool_task(job.dtype, std::max(job.length[0], job.length[1]));
    }
}

}  // namespace

DType roi_dtype(RoiMode mode, DType in) {
    return mode == RoiMode::kPool || is_float(in) ? in : DType::kFloat64;
}

double roi_plane_work(const RoiSpec& spec, const std::int64_t* length) {
    const double bins = static_cast<double>(spec.size[0]) * static_cast<double>(spec.size[1]);
    double work = 0;
    for (std::int64_t i = 0; i < spec.n_boxes; ++i) {
        const double* box = spec.boxes + 5 * i;
        double reach = 1;
        for (int axis = 0; axis < 2; ++axis) {
            const double size = std::abs(box[4 - axis] - box[2 - axis]) * spec.scale + 2;
            reach *= std::min(size, static_cast<double>(length[axis]));
        }
        work += reach + 4 * bins;
    }
    return work;
}

double roi_work(const RoiSpec& spec, const StridedView& in) {
    const std::int64_t length[2] = {in.shape[spec.plane_axis(0)], in.shape[spec.plane_axis(1)]};
    return static_cast<double>(in.shape[spec.channel_axis()]) * roi_plane_work(spec, length);
}

RunStatus run_roi(const RoiSpec& spec, const StridedView& in, const MutableView& out,
                  const MutableView* indices, const RunControl& control) {
    constexpr double kAloneWork = 1 << 14;
    ParallelJob parallel;
    const int wanted = control.threads > 0 ? control.threads : get_num_threads();
    parallel.threads = roi_work(spec, in) < kAloneWork ? 1 : std::min(wanted, kMaxThreads);
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    if (spec.nan_policy == NanPolicy::kRaise && is_float(in.dtype)) {
        PoolPlan plan;  // all that the search asks of it
        plan.spec.function = spec.function;
        plan.rank = in.rank;
        if (!refuse(plan, in, Unwanted::kNan, parallel)) return RunStatus::kCancelled;
    }
    for (int i = 0; i < 4; ++i)
        if (out.shape[i] == 0) return RunStatus::kDone;
    RoiJob job = make_job(spec, in, out, indices, parallel.threads);
    parallel.context = &job;
    parallel.n_tasks = job.n_tasks();
    const RoiTaskKind task = task_of(job);
    parallel.function = task.function;
    parallel.scratch = task.scratch;
    return parallel_for(parallel) ? RunStatus::kDone : RunStatus::kCancelled;
}

}  // namespace poolcore
