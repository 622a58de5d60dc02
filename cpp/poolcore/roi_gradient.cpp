// Gradients of regions of interest: every element gathers from the boxes of its image in their
// order, so that no number of threads changes a bit.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "poolcore/dispatch.hpp"
#include "poolcore/roi.hpp"
#include "poolcore/roi_give.hpp"
#include "poolcore/scatter_read.hpp"
#include "poolcore/select_emit.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

struct Gradient {
    RoiGradientJob job;
    std::vector<std::int64_t> boxes, starts;
    std::atomic<bool> refused{false};
};

// Boxes image by image, in their order.
void sort_boxes(const RoiSpec& spec, std::int64_t images, Gradient& g) {
    const auto image_of = [&](std::int64_t i) {
        return static_cast<std::size_t>(spec.boxes[5 * i]);
    };
    g.starts.assign(static_cast<std::size_t>(images) + 1, 0);
    g.boxes.resize(static_cast<std::size_t>(spec.n_boxes));
    for (std::int64_t i = 0; i < spec.n_boxes; ++i) ++g.starts[image_of(i) + 1];
    for (std::size_t i = 1; i < g.starts.size(); ++i) g.starts[i] += g.starts[i - 1];
    std::vector<std::int64_t> next(g.starts);
    for (std::int64_t i = 0; i < spec.n_boxes; ++i)
        g.boxes[static_cast<std::size_t>(next[image_of(i)]++)] = i;
    g.job.boxes = g.boxes.data();
    g.job.starts = g.starts.data();
}

template <class View>
RoiStrides strides_of_view(const RoiSpec& spec, const View& view) {
    return {view.strides[0],
            view.strides[spec.channel_axis()],
            {view.strides[spec.plane_axis(0)], view.strides[spec.plane_axis(1)]}};
}

std::int64_t pieces(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

// Whole planes of several channels where they fit, else parts of one.
void cut_planes(RoiGradientJob& job) {
    const std::int64_t lanes = std::min(job.lanes, job.channels);
    job.part[1] = std::min(job.length[1], kRoiSums / lanes);
    job.part[0] = std::clamp<std::int64_t>(kRoiSums / lanes / job.part[1], 1, job.length[0]);
    for (int i = 0; i < 2; ++i) job.parts[i] = pieces(job.length[i], job.part[i]);
    const std::int64_t groups =
        std::max<std::int64_t>(1, kRoiSums / (job.part[0] * job.part[1] * lanes));
    job.channels_per_task = std::min(job.channels, lanes * std::min<std::int64_t>(groups, 16));
    job.chunks = pieces(job.channels, job.channels_per_task);
}

void fill_job(const RoiSpec& spec, const StridedView& grad, const RoiSource& source,
              const MutableView& out, RoiGradientJob& job) {
    job.spec = &spec;
    job.grad = grad.data;
    job.grad_stride = strides_of_view(spec, grad);
    job.out = out.data;
    job.out_stride = strides_of_view(spec, out);
    if (source.indices != nullptr) {
        job.index = source.indices->data;
        job.index_dtype = source.indices->dtype;
        job.index_stride = strides_of_view(spec, *source.indices);
    }
    if (source.x != nullptr) {
        job.x = source.x->data;
        job.x_dtype = source.x->dtype;
        job.x_stride = strides_of_view(spec, *source.x);
    }
    job.images = out.shape[0];
    job.channels = out.shape[spec.channel_axis()];
    for (int i = 0; i < 2; ++i) job.length[i] = out.shape[spec.plane_axis(i)];
    // Indices may lie anywhere, so few channels of large parts rather than many of small ones.
    if (job.channels > 3 && std::abs(job.out_stride.channel) < std::abs(job.out_stride.plane[1]))
        job.lanes = spec.mode == RoiMode::kPool ? 8 : kRoiLanes;
    cut_planes(job);
    const KernelTable& k = kernels();
    const bool real = is_float(out.dtype);
    const Work work = real                             ? Work::kF64
                      : grad.dtype == DType::kUInt64 ? Work::kU64
                                                       : Work::kI64;
    job.pack = k.pack[static_cast<int>(Change::kNone)][static_cast<int>(grad.dtype)]
                     [static_cast<int>(work)];
    if (real)
        job.convert = k.finish[static_cast<int>(Finish::kSum)][static_cast<int>(Work::kF64)]
                              [static_cast<int>(out.dtype)];
    job.item = item_size(out.dtype);
}

void write_integers(const RoiGradientJob& job, const std::uint64_t* from, std::byte* to,
                    std::int64_t stride, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) store_bits(to + i * stride, from[i], job.item);
}

// Sums to results, line by line.
void write_sums(const RoiGradientJob& job, std::byte* plane, const RoiSums& sums) {
    const auto write = [&](std::int64_t row, std::int64_t column, std::int64_t stride,
                           std::int64_t n) {
        std::byte* to = plane + row * job.out_stride.plane[0] + column * job.out_stride.plane[1];
        const std::int64_t at = sums.offset(row, column);
        if (job.convert == nullptr) return write_integers(job, sums.whole() + at, to, stride, n);
        convert_row(job.convert, sums.real() + at, {to, stride, static_cast<int>(n)});
    };
    for (std::int64_t row = sums.part[0].lo; row < sums.part[0].hi; ++row) {
        if (sums.lanes == 1) {
            write(row, sums.part[1].lo, job.out_stride.plane[1], sums.part[1].size());
            continue;
        }
        for (std::int64_t column = sums.part[1].lo; column < sums.part[1].hi; ++column)
            write(row, column, job.out_stride.channel, sums.lanes);
    }
}

// The part, image and channels of a task.
class GradientTask {
   public:
    GradientTask(Gradient& all, std::int64_t task, Scratch& scratch)
        : all_(all),
          job_(all.job),
          mean_(job_, scratch),
          largest_(job_, scratch),
          sums_(scratch.take(kRoiSums * 8)) {
        for (int i = 1; i >= 0; --i) {
            const std::int64_t lo = task % job_.parts[i] * job_.part[i];
            part_[i] = {lo, std::min(lo + job_.part[i], job_.length[i])};
            task /= job_.parts[i];
        }
        first_ = task % job_.chunks * job_.channels_per_task;
        last_ = std::min(first_ + job_.channels_per_task, job_.channels);
        image_ = task / job_.chunks;
    }
    static std::int64_t scratch_bytes() {
        return RoiGiveMean::scratch_bytes() + RoiGiveLargest::scratch_bytes() +
               Scratch::footprint(kRoiSums * 8);
    }

    void run() {
        const std::int64_t all = part_[0].size() * part_[1].size() * (last_ - first_);
        std::memset(sums_, 0, static_cast<std::size_t>(all) * 8);
        for (std::int64_t i = job_.starts[image_]; i < job_.starts[image_ + 1]; ++i) {
            give(job_.boxes[i]);
            if (look_.stops(1) || all_.refused.load(std::memory_order_relaxed)) return;
        }
        each_group([&](std::int64_t c, const RoiSums& sums) {
            write_sums(job_, job_.out + image_ * job_.out_stride.image +
                                 c * job_.out_stride.channel, sums);
        });
    }

   private:
    void give(std::int64_t number) {
        switch (job_.spec->mode) {
            case RoiMode::kAlignMean:
                if (!mean_.select(number, part_)) return;
                return each_group([&](auto c, const auto& sums) { mean_.give(c, sums, look_); });
            case RoiMode::kAlignMax:
                if (!largest_.select(number, part_)) return;
                return each_group([&](auto c, const auto& sums) { largest_.give(c, sums, look_); });
            case RoiMode::kPool:
                return each_group([&](auto c, const auto& sums) {
                    if (!give_places(job_, number, c, sums, look_))
                        all_.refused.store(true, std::memory_order_relaxed);
                });
        }
    }

    template <class Each>
    void each_group(const Each& each) const {
        RoiSums sums{{part_[0], part_[1]}, 1, sums_};
        for (std::int64_t c = first_; c < last_; c += sums.lanes) {
            sums.lanes = std::min(job_.lanes, last_ - c);
            each(c, sums);
            sums.data += sums.count() * 8;
        }
    }

    Gradient& all_;
    const RoiGradientJob& job_;
    RoiGiveMean mean_;
    RoiGiveLargest largest_;
    std::byte* sums_;
    Reach part_[2];
    std::int64_t image_ = 0, first_ = 0, last_ = 0;
    StopPoll look_;
};

void gradient_task(void* context, std::int64_t task, int) {
    auto& all = *static_cast<Gradient*>(context);
    TaskScratch scratch(GradientTask::scratch_bytes());
    GradientTask(all, task, *scratch).run();
}

// Looks at the indices of one box.
void check_task(void* context, std::int64_t number, int) {
    auto& all = *static_cast<Gradient*>(context);
    const RoiSums nothing;
    StopPoll look;
    for (std::int64_t c = 0; c < all.job.channels; ++c) {
        if (look.stopped() || all.refused.load(std::memory_order_relaxed)) return;
        if (!give_places(all.job, number, c, nothing, look))
            all.refused.store(true, std::memory_order_relaxed);
    }
}

RunStatus refuse_place(const RoiSpec& spec, const StridedView& indices, const RoiGradientJob& job,
                       const ParallelJob& how) {
    ScatterSpec scatter;
    scatter.function = spec.function;
    scatter.add = true;
    return refuse_index(scatter, indices, job.length[0] * job.length[1], how);
}

}  // namespace

DType roi_gradient_dtype(RoiMode mode, DType grad) { return roi_dtype(mode, grad); }

double roi_gradient_work(const RoiSpec& spec, const std::int64_t* shape) {
    double elements = 1;
    for (int i = 0; i < 4; ++i) elements *= static_cast<double>(shape[i]);
    const std::int64_t length[2] = {shape[spec.plane_axis(0)], shape[spec.plane_axis(1)]};
    return elements + 4 * roi_plane_work(spec, length) *
                          static_cast<double>(shape[spec.channel_axis()]);
}

RunStatus run_roi_gradient(const RoiSpec& spec, const StridedView& grad, const RoiSource& source,
                           const MutableView& out, const RunControl& control) {
    constexpr double kAloneWork = 1 << 16;
    for (int i = 0; i < 4; ++i)
        if (out.shape[i] == 0) return RunStatus::kDone;
    Gradient all;
    fill_job(spec, grad, source, out, all.job);
    sort_boxes(spec, out.shape[0], all);
    ParallelJob parallel;
    const int wanted = control.threads > 0 ? control.threads : get_num_threads();
    parallel.threads =
        roi_gradient_work(spec, out.shape) < kAloneWork ? 1 : std::min(wanted, kMaxThreads);
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    parallel.context = &all;
    parallel.scratch = GradientTask::scratch_bytes();
    for (const bool checks : {true, false}) {
        if (checks && spec.mode != RoiMode::kPool) continue;
        parallel.function = checks ? check_task : gradient_task;
        parallel.n_tasks = checks ? spec.n_boxes : all.job.n_tasks();
        if (!parallel_for(parallel)) return RunStatus::kCancelled;
        if (all.refused.load(std::memory_order_relaxed))
            return refuse_place(spec, *source.indices, all.job, parallel);
    }
    return RunStatus::kDone;
}

}  // namespace poolcore
