#include "poolcore/boxes.hpp"

#include <algorithm>

#include "poolcore/adaptive.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/nan_scan.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

// Takes the next digit of a task number in the mixed base of the boxes.
std::int64_t digit(std::int64_t& task, std::int64_t base) {
    const std::int64_t d = task % base;
    task /= base;
    return d;
}

Box box_of_task(const Schedule& s, std::int64_t task) {
    Box box;
    box.in = s.in;
    box.out = s.out;
    box.index = s.index;
    const auto skip = [&box](const BatchAxis& axis, std::int64_t n) {
        box.in += n * axis.in_stride;
        box.out += n * axis.out_stride;
        if (box.index) box.index += n * axis.index_stride;
    };
    const std::int64_t first = digit(task, s.inner_boxes) * s.box.inner;
    box.inner = std::min(s.box.inner, s.inner.n - first);
    skip(s.inner, first);
    for (int x = kW; x >= kA; --x) {
        const std::int64_t lo = digit(task, s.n_boxes[x]) * s.box.out[x];
        box.windows[x] = {lo, std::min(lo + s.box.out[x], s.axis[x].geometry.out)};
    }
    for (int i = s.n_batch - 1; i >= 0; --i) {
        if (i < s.n_batch - 1) {
            skip(s.batch[i], digit(task, s.batch[i].n));
            continue;
        }
        const std::int64_t plane = digit(task, s.plane_boxes) * s.box.planes;
        box.planes = std::min(s.box.planes, s.batch[i].n - plane);
        skip(s.batch[i], plane);
    }
    return box;
}

Schedule moved(const Schedule& from, const std::byte* in, std::byte* out, std::byte* index,
               std::int64_t inner) {
    Schedule s = from;
    s.in = in;
    s.out = out;
    s.index = index;
    s.inner.n = inner;
    count_tasks(s);
    return s;
}

// What pools box after box.
struct Pooler {
    const Schedule& schedule;
    const Schedule* plain;
    const KernelTable& kernels;
    void (*run)(const Schedule&, const KernelTable&, const Box&, Scratch&);

    void pool(std::int64_t number, Scratch& scratch) const {
        const Box box = box_of_task(schedule, number);
        const std::int64_t mark = scratch.mark();
        run(plain && !holds_special(schedule, box) ? *plain : schedule, kernels, box, scratch);
        scratch.release(mark);
    }
};

}  // namespace

Boxes::Boxes(const PoolPlan& plan, const StridedView& in, const MutableView& out,
             const MutableView* indices, int threads)
    : adaptive_(plan.adaptive),
      schedule_(plan.adaptive ? make_adaptive_schedule(plan, in, out, indices, threads)
                              : make_schedule(plan, in, out, indices, threads)),
      kernels_(poolcore::kernels()) {
    if (adaptive_ || !schedule_.has_aux || schedule_.huge) return;
    plain_.emplace();
    plain_->plan = plan;
    plain_->plan.spec.nan_policy = NanPolicy::kPropagate;
    plain_->plan.small_sums = true;
    plain_->schedule = make_schedule(plain_->plan, in, out, indices, threads);
    plain_->schedule.box = schedule_.box;
    count_tasks(plain_->schedule);
    // The other schedule's box, with windows that are as long as the scratch is large.
    if (plain_->schedule.scratch_bytes >= most_scratch(plan)) plain_.reset();
}

std::int64_t Boxes::scratch_bytes() const {
    return std::max(schedule_.scratch_bytes, plain_ ? plain_->schedule.scratch_bytes : 0);
}

void Boxes::pool(std::int64_t number, Scratch& scratch) const {
    Pooler{schedule_, plain_ ? &plain_->schedule : nullptr, kernels_,
           adaptive_ ? run_adaptive_box : run_box}
        .pool(number, scratch);
}

void Boxes::pool_all(const std::byte* in, std::byte* out, std::byte* index, std::int64_t inner,
                     Scratch& scratch) const {
    const Schedule here = moved(schedule_, in, out, index, inner);
    const Schedule plain =
        plain_ ? moved(plain_->schedule, in, out, index, inner) : Schedule{};
    const Pooler pooler{here, plain_ ? &plain : nullptr, kernels_,
                        adaptive_ ? run_adaptive_box : run_box};
    for (std::int64_t number = 0; number < here.n_tasks; ++number) {
        if (stop_requested()) throw Stopped{};
        pooler.pool(number, scratch);
    }
}

}  // namespace poolcore
