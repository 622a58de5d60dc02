#include "poolcore/roi_give.hpp"

#include <algorithm>

#include "poolcore/scatter_read.hpp"

namespace poolcore {
namespace {

Reach both(const Reach& a, const Reach& b) {
    const std::int64_t lo = std::max(a.lo, b.lo);
    return {lo, std::max(std::min(a.hi, b.hi), lo)};
}

void add_scaled(double a, const double* __restrict x, double* __restrict y, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}

// y = x over elements `step` apart, lanes of them side by side.
void add_line(double a, const double* x, double* y, std::int64_t n, std::int64_t lanes,
              std::int64_t step) {
    if (step == lanes) return add_scaled(a, x, y, n * lanes);
    for (std::int64_t i = 0; i < n; ++i) add_scaled(a, x + i * lanes, y + i * step, lanes);
}

template <double (*kElement)(const std::byte*)>
struct FindLargest {
    static auto get() { return &find_largest<kElement, true>; }
};

}  // namespace

bool RoiGiveMean::select(std::int64_t number, const Reach* part) {
    const double* box = job_.spec->boxes + 5 * number;
    SampleAxis plane[2];
    Reach reach[2];
    double count = 1;
    for (int i = 0; i < 2; ++i) {
        plane[i] = SampleAxis(*job_.spec, i, box, job_.length[i]);
        reach[i] = reach_of(plane[i]);
        if (both(reach[i], part[i]).size() == 0) return false;
        count *= static_cast<double>(plane[i].grid);
    }
    number_ = number;
    count_ = count;
    across_ = roi_across(*job_.spec, reach[0].size(), reach[1].size());
    for (int i = 0; i < 2; ++i) {
        axes_[i] = plane[i == 0 ? across_ : 1 - across_];
        tables_[i].make(axes_[i]);
    }
    along_ = both(reach[1 - across_], part[1 - across_]);
    return true;
}

void RoiGiveMean::give(std::int64_t c, const RoiSums& sums, StopPoll& look) {
    const Reach& across = sums.part[across_];
    const std::byte* grad = job_.grad + number_ * job_.grad_stride.image +
                            c * job_.grad_stride.channel;
    for (std::int64_t a = 0; a < axes_[0].bins; ++a) {
        bool filled = false;
        tables_[0].each(a, [&](const Tap& tap) {
            if (look.stopped() || !across.holds(tap.at)) return;
            if (!filled && !give_line(grad + a * job_.grad_stride.plane[across_], sums.lanes, look))
                return;
            filled = true;
            const std::int64_t row = across_ == 0 ? tap.at : along_.lo;
            const std::int64_t column = across_ == 0 ? along_.lo : tap.at;
            add_line(tap.weight, line_, sums.real() + sums.offset(row, column), along_.size(),
                     sums.lanes, sums.step(1 - across_));
            look.stops(along_.size() * sums.lanes);
        });
        if (look.stops(1)) return;
    }
}

// What the bins from `grad` on give to each element along.
bool RoiGiveMean::give_line(const std::byte* grad, std::int64_t lanes, StopPoll& look) {
    std::fill_n(line_, along_.size() * lanes, 0.0);
    const std::int64_t stride = job_.grad_stride.plane[1 - across_];
    const std::int64_t per_read = lanes == 1 ? kRoiRead : 1;
    for (std::int64_t b = 0; b < axes_[1].bins; b += per_read) {
        const std::int64_t n = std::min(per_read, axes_[1].bins - b);
        read_gradients(job_, grad + b * stride, lanes == 1 ? stride : job_.grad_stride.channel,
                       n * lanes, reinterpret_cast<std::byte*>(read_));
        for (std::int64_t i = 0; i < n * lanes; ++i) read_[i] /= count_;
        for (std::int64_t i = 0; i < n; ++i)
            tables_[1].each(b + i, [&](const Tap& tap) {
                if (!along_.holds(tap.at)) return;
                add_scaled(tap.weight, read_ + i * lanes, line_ + (tap.at - along_.lo) * lanes,
                           lanes);
            });
        if (look.stops(n * lanes)) return false;
    }
    return true;
}

RoiGiveLargest::RoiGiveLargest(const RoiGradientJob& job, Scratch& scratch)
    : job_(job), down_(rows_, scratch), over_(columns_, scratch) {
    if (job.x != nullptr) find_ = for_elements<FindLargest>(job.x_dtype);
}

bool RoiGiveLargest::select(std::int64_t number, const Reach* part) {
    const double* box = job_.spec->boxes + 5 * number;
    rows_ = SampleAxis(*job_.spec, 0, box, job_.length[0]);
    columns_ = SampleAxis(*job_.spec, 1, box, job_.length[1]);
    down_.forget();
    over_.forget();
    number_ = number;
    return both(reach_of(rows_), part[0]).size() > 0 && both(reach_of(columns_), part[1]).size() > 0;
}

void RoiGiveLargest::give(std::int64_t c, const RoiSums& sums, StopPoll& look) {
    for (std::int64_t a = 0; a < rows_.bins; ++a) {
        down_.select(a);
        if (!down_.meets(sums.part[0])) continue;
        for (std::int64_t b = 0; b < columns_.bins; ++b) {
            over_.select(b);
            if (over_.meets(sums.part[1])) give_bin(a, b, c, sums, look);
            if (look.stops(1)) return;
        }
    }
}

void RoiGiveLargest::give_bin(std::int64_t a, std::int64_t b, std::int64_t c, const RoiSums& sums,
                              StopPoll& look) const {
    const auto image = static_cast<std::int64_t>(job_.spec->boxes[5 * number_]);
    const std::byte* grad = job_.grad + number_ * job_.grad_stride.image +
                            c * job_.grad_stride.channel + a * job_.grad_stride.plane[0] +
                            b * job_.grad_stride.plane[1];
    double read[kRoiLanes];
    read_gradients(job_, grad, job_.grad_stride.channel, sums.lanes,
                   reinterpret_cast<std::byte*>(read));
    for (std::int64_t lane = 0; lane < sums.lanes; ++lane) {
        const std::byte* plane = job_.x + image * job_.x_stride.image +
                                 (c + lane) * job_.x_stride.channel;
        const Largest found = find_(plane, job_.x_stride.plane, down_, over_, look);
        if (look.stopped()) return;
        if (!found.placed) continue;
        for (int i = 0; i < 4; ++i) {
            const Candidate &y = found.sample.y, &x = found.sample.x;
            const double weight = (i / 2 == 0 ? 1 - y.part : y.part) *
                                  (i % 2 == 0 ? 1 - x.part : x.part);
            const std::int64_t row = y.at + i / 2, column = x.at + i % 2;
            if (weight == 0 || !sums.part[0].holds(row) || !sums.part[1].holds(column)) continue;
            sums.real()[sums.offset(row, column) + lane] += weight * read[lane];
        }
    }
}

bool give_places(const RoiGradientJob& job, std::int64_t number, std::int64_t c,
                 const RoiSums& sums, StopPoll& look) {
    const PlaceReader reader = place_reader(job.index_dtype, true);
    const std::int64_t plane = job.length[0] * job.length[1];
    const bool across = sums.lanes > 1;  // channels are read together, else bins along W
    std::int64_t flat[kRoiRead];
    alignas(8) std::byte read[kRoiRead * 8];
    const auto give = [&](std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) {
            if (flat[i] == kNowhere) continue;
            const std::int64_t row = flat[i] / job.length[1], column = flat[i] % job.length[1];
            if (!sums.part[0].holds(row) || !sums.part[1].holds(column)) continue;
            const std::int64_t at = sums.offset(row, column) + (across ? i : 0);
            if (job.convert != nullptr)
                sums.real()[at] += reinterpret_cast<const double*>(read)[i];
            else
                sums.whole()[at] += reinterpret_cast<const std::uint64_t*>(read)[i];
        }
    };
    const std::int64_t height = job.spec->size[0], width = job.spec->size[1];
    const std::int64_t per_read = across ? 1 : kRoiRead;
    for (std::int64_t a = 0; a < height; ++a)
        for (std::int64_t b = 0; b < width; b += per_read) {
            const std::int64_t n = across ? sums.lanes : std::min(per_read, width - b);
            const auto at = [&](const std::byte* data, const RoiStrides& s) {
                return data + number * s.image + c * s.channel + a * s.plane[0] + b * s.plane[1];
            };
            const auto step = [&](const RoiStrides& s) { return across ? s.channel : s.plane[1]; };
            if (look.stops(n)) return true;
            if (!reader.read(at(job.index, job.index_stride), step(job.index_stride), n, plane,
                             reader.allow_none, flat))
                return false;
            read_gradients(job, at(job.grad, job.grad_stride), step(job.grad_stride), n, read);
            give(n);
        }
    return true;
}

}  // namespace poolcore
