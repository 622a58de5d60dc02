#include <algorithm>

#include "poolcore/scratch.hpp"
#include "poolcore/soft_backward_job.hpp"
#include "poolcore/soft_backward_measure.hpp"

namespace poolcore {
namespace {

constexpr int kAxes = kMaxPooledAxes;

struct Plane {
    const std::byte* x;
    const std::byte* grad;
    std::byte* out;
};

Plane plane_of(const SoftGradient& job, std::int64_t number) {
    Plane plane{job.x.data, job.grad.data, job.out.data};
    bool pooled[kMaxRank] = {};
    for (int i = 0; i < job.plan.spec.n_axes; ++i) pooled[job.plan.spec.axes[i]] = true;
    for (int a = job.plan.rank - 1; a >= 0; --a) {
        if (pooled[a]) continue;
        const std::int64_t at = number % job.plan.in_shape[a];
        number /= job.plan.in_shape[a];
        plane.x += at * job.x.strides[a];
        plane.grad += at * job.grad.strides[a];
        plane.out += at * job.out.strides[a];
    }
    return plane;
}

// What windows give to some elements of each of some planes, added up in row-major order of the
// windows. A tap without weight gets nothing, not even of an infinite gradient.
class Gather {
   public:
    Gather(const SoftGradient& job, const Range& planes, const Range (&elements)[kAxes],
           Scratch& scratch)
        : job_(job), elements_(elements), planes_(planes), measure_(job, scratch) {
        for (int i = kAxes - 1; i >= 0; --i) {
            step_[i] = n_;
            n_ *= elements[i].size();
            windows_[i] = job.axis[i].windows_over(elements[i]);
        }
        all_sums_ = reinterpret_cast<double*>(scratch.take(n_ * planes.size() * 8));
        std::fill_n(all_sums_, n_ * planes.size(), 0.0);
        for (std::int64_t p = 0; p < planes.size(); ++p) plane_[p] = plane_of(job, planes.lo + p);
    }

    void run() {
        bool done = true;
        each_windows(windows_, job_.lane, [&](const SoftPlace& o) -> std::int64_t {
            const std::int64_t left = windows_[job_.lane].hi - o[job_.lane];
            const SoftBatch batch = batch_of(job_, o, job_.sums != nullptr ? 1 : left);
            for (int p = 0; p < planes_.size() && done; ++p) {
                measure_.go_to(plane_[p].x);
                sums_ = all_sums_ + p * n_;
                load_grads(plane_[p].grad, o, batch.lanes);
                done = job_.sums != nullptr ? recall(batch, job_.sums[number_of(p, o)])
                                            : window(batch);
            }
            return done ? batch.lanes : 0;
        });
        for (int p = 0; p < planes_.size() && done; ++p) store(plane_[p].out, all_sums_ + p * n_);
    }

   private:
    // Of a window of the part.
    std::int64_t number_of(std::int64_t plane, const SoftPlace& o) const {
        std::int64_t number = planes_.lo + plane - job_.part.planes.lo;
        for (int i = 0; i < kAxes; ++i) {
            const Range& windows = job_.part.windows[i];
            number = number * windows.size() + o[i] - windows.lo;
        }
        return number;
    }

    // Of `count` taps from `start` on, those among the elements.
    Range taps_among(int i, std::int64_t start, std::int64_t count) const {
        const std::int64_t d = job_.axis[i].geometry.dilation;
        const std::int64_t before = elements_[i].lo - start, until = elements_[i].hi - start;
        const std::int64_t lo = before > 0 ? ceil_div(before, d) : 0;
        const std::int64_t hi = std::min(count, until > 0 ? ceil_div(until, d) : 0);
        return {std::min(lo, hi), hi};
    }

    void load_grads(const std::byte* g, const SoftPlace& o, int lanes) {
        for (int i = 0; i < kAxes; ++i) g += o[i] * job_.axis[i].grad;
        job_.load_grad(g, job_.axis[job_.lane].grad, lanes, grads_);
    }

    bool window(const SoftBatch& batch) {
        SoftLanes soft(batch.lanes);
        if (!measure_.sums(batch, soft)) return false;
        if (batch.taps() == 0) return true;
        for (int l = 0; l < batch.lanes; ++l) {
            totals_[l] = soft.total(l);
            means_[l] = soft.mean(l);
        }
        if (batch.lanes > 1)
            give_lanes(batch);
        else
            give(batch.start, batch.count);
        return true;
    }

    // A window that was measured: only its taps among the elements are looked at.
    bool recall(const SoftBatch& batch, const WindowSums& sums) {
        SoftPlace start, count;
        for (int i = 0; i < kAxes; ++i) {
            const Range taps = taps_among(i, batch.start[i], batch.count[i]);
            count[i] = taps.size();
            start[i] = batch.start[i] + taps.lo * job_.axis[i].geometry.dilation;
            if (count[i] == 0) return !stop_.stops(1);
        }
        SoftLanes soft(1);
        soft.recall(sums.most);
        totals_[0] = sums.total;
        means_[0] = sums.mean;
        const TapGrid grid = measure_.grid_of(start, count);
        return measure_.each_piece(grid, [&](const SoftPlace& first) {
            SoftPlace at;
            for (int i = 0; i < kAxes; ++i)
                at[i] = start[i] + first[i] * job_.axis[i].geometry.dilation;
            soft.weigh(measure_.block());
            give(at, measure_.piece().count);
        });
    }

    // The taps in the block to elements, each at most once.
    void give(const SoftPlace& start, const SoftPlace& count) {
        Range taps[kAxes];
        for (int i = 0; i < kAxes; ++i) taps[i] = taps_among(i, start[i], count[i]);
        const SoftBlock& block = measure_.block();
        const bool several = taps[2].size() > 1;
        const std::int64_t step = several ? job_.axis[2].geometry.dilation * step_[2] : 1;
        for (std::int64_t a = taps[0].lo; a < taps[0].hi; ++a)
            for (std::int64_t b = taps[1].lo; b < taps[1].hi; ++b) {
                const SoftPlace j = {a, b, taps[2].lo};
                const std::int64_t t = (a * count[1] + b) * count[2] + taps[2].lo;
                give_row({block.below + t, block.weights + t, taps[2].size()},
                         sums_ + place_of(start, j), step);
            }
    }

    struct Row {
        const double* below;
        const double* weights;
        std::int64_t n;
    };

    void give_row(const Row& row, double* __restrict to, std::int64_t step) const {
        const double total = totals_[0], mean = means_[0], grad = grads_[0];
        const auto slope = [&](std::int64_t i) {
            const double given = grad * (row.weights[i] / total * (1 + (row.below[i] - mean)));
            return row.weights[i] == 0 ? 0 : given;
        };
        if (step == 1)
            for (std::int64_t i = 0; i < row.n; ++i) to[i] += slope(i);
        else
            for (std::int64_t i = 0; i < row.n; ++i) to[i * step] += slope(i);
    }

    // The last tap first, so that an element gets from the first of the windows first.
    void give_lanes(const SoftBatch& batch) {
        const GradientAxis& lane = job_.axis[job_.lane];
        const std::int64_t step = lane.geometry.stride * step_[job_.lane];
        const SoftBlock& block = measure_.block();
        Range taps[kAxes];
        for (int i = 0; i < kAxes; ++i)
            taps[i] = i == job_.lane ? Range{0, batch.count[i]}
                                     : taps_among(i, batch.start[i], batch.count[i]);
        SoftPlace j;
        for (j[0] = taps[0].hi - 1; j[0] >= taps[0].lo; --j[0])
            for (j[1] = taps[1].hi - 1; j[1] >= taps[1].lo; --j[1])
                for (j[2] = taps[2].hi - 1; j[2] >= taps[2].lo; --j[2]) {
                    const std::int64_t at =
                        batch.start[job_.lane] + j[job_.lane] * lane.geometry.dilation;
                    const Range some = lanes_within(at, lane.geometry.stride, batch.lanes,
                                                    elements_[job_.lane]);
                    if (some.size() <= 0) continue;
                    const std::int64_t t = (j[0] * batch.count[1] + j[1]) * batch.count[2] + j[2];
                    const std::int64_t first = t * batch.lanes + some.lo;
                    give_lanes_row({block.below + first, block.weights + first, some.size()},
                                   static_cast<int>(some.lo),
                                   sums_ + (place_of(batch.start, j) + some.lo * step), step);
                }
    }

    void give_lanes_row(const Row& row, int lane, double* __restrict to, std::int64_t step) const {
        const double* const totals = totals_ + lane;
        const double* const means = means_ + lane;
        const double* const grads = grads_ + lane;
        const auto slope = [&](std::int64_t i) {
            const double given =
                grads[i] * (row.weights[i] / totals[i] * (1 + (row.below[i] - means[i])));
            return row.weights[i] == 0 ? 0 : given;
        };
        if (step == 1)
            for (std::int64_t i = 0; i < row.n; ++i) to[i] += slope(i);
        else
            for (std::int64_t i = 0; i < row.n; ++i) to[i * step] += slope(i);
    }

    // Where the element under a tap is among the sums; not among them if the tap lies outside.
    std::int64_t place_of(const SoftPlace& start, const SoftPlace& j) const {
        std::int64_t place = 0;
        for (int i = 0; i < kAxes; ++i) {
            const std::int64_t at = start[i] + j[i] * job_.axis[i].geometry.dilation;
            place += (at - elements_[i].lo) * step_[i];
        }
        return place;
    }

    void store(std::byte* out, const double* from) const {
        const GradientAxis& last = job_.axis[2];
        FinishArgs args{};
        args.n = elements_[2].size();
        args.dst_stride = args.n > 1 ? last.out : 0;
        for (std::int64_t a = elements_[0].lo; a < elements_[0].hi; ++a)
            for (std::int64_t b = elements_[1].lo; b < elements_[1].hi; ++b, from += args.n) {
                args.src = reinterpret_cast<const std::byte*>(from);
                args.dst = out + a * job_.axis[0].out + b * job_.axis[1].out +
                           elements_[2].lo * last.out;
                job_.convert(args);
            }
    }

    const SoftGradient& job_;
    const Range (&elements_)[kAxes];
    const Range planes_;
    Range windows_[kAxes];
    SoftMeasure measure_;
    Plane plane_[kMostPlanes];
    double* all_sums_;
    double* sums_ = nullptr;  // of the plane at hand
    std::int64_t n_ = 1;
    SoftPlace step_ = {};
    double grads_[kSoftLanes], totals_[kSoftLanes], means_[kSoftLanes];
    StopPoll stop_;
};

}  // namespace

std::int64_t soft_gradient_scratch(const SoftGradient& job) {
    const std::int64_t sums = job.box_elements() * job.planes_per_task * 8;
    return SoftBlock::footprint() + Scratch::footprint(sums);
}

void measure_windows(void* context, std::int64_t task, int) {
    const auto& job = *static_cast<const SoftGradient*>(context);
    const SoftPart& part = job.part;
    TaskScratch scratch(SoftBlock::footprint());
    SoftMeasure measure(job, *scratch);
    std::int64_t number = task / job.lane_pieces();
    Range windows[kAxes];
    for (int i = kAxes - 1; i >= 0; --i) {
        windows[i] = part.windows[i];
        if (i == job.lane) continue;
        windows[i].lo += number % part.windows[i].size();
        windows[i].hi = windows[i].lo + 1;
        number /= part.windows[i].size();
    }
    Range& lanes = windows[job.lane];
    lanes.lo += task % job.lane_pieces() * job.windows_per_task;
    lanes.hi = std::min(lanes.lo + job.windows_per_task, lanes.hi);
    measure.go_to(plane_of(job, part.planes.lo + number).x);
    WindowSums* sums = job.sums + number * part.windows_of_plane();
    std::int64_t first = 0;
    for (int i = 0; i < kAxes; ++i)
        first = first * part.windows[i].size() + windows[i].lo - part.windows[i].lo;
    sums += first;
    each_windows(windows, job.lane, [&](const SoftPlace& o) -> std::int64_t {
        const SoftBatch batch = batch_of(job, o, lanes.hi - o[job.lane]);
        SoftLanes soft(batch.lanes);
        if (!measure.sums(batch, soft)) return 0;
        for (int l = 0; l < batch.lanes; ++l)
            *sums++ = {soft.most(l), soft.total(l), soft.mean(l)};
        return batch.lanes;
    });
}

void gather_elements(void* context, std::int64_t task, int) {
    const auto& job = *static_cast<const SoftGradient*>(context);
    const SoftPart& part = job.part;
    Range elements[kAxes];
    for (int i = kAxes - 1; i >= 0; --i) {
        elements[i] = job.axis[i].box_of(part.elements[i], task % job.boxes(i));
        task /= job.boxes(i);
    }
    const std::int64_t first = part.planes.lo + task * job.planes_per_task;
    const Range planes{first, std::min(first + job.planes_per_task, part.planes.hi)};
    TaskScratch scratch(soft_gradient_scratch(job));
    Gather(job, planes, elements, *scratch).run();
}

}  // namespace poolcore
