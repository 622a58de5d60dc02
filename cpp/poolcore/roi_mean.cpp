// RoIAlign with means. Bilinear weights are products of one for the row and one for the column, so
// a bin is reduced along one axis first, for all places of the other, and then along that.
#include <limits>

#include "poolcore/roi_axis.hpp"
#include "poolcore/roi_job.hpp"
#include "poolcore/roi_taps.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/select_emit.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kResults = 64;
static_assert(kResults >= kRoiLanes);

// y += a * x, or y = a * x.
void add_scaled(double a, const double* __restrict x, double* __restrict y, std::int64_t n,
                bool first) {
    if (first)
        for (std::int64_t i = 0; i < n; ++i) y[i] = a * x[i];
    else
        for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}

class RoiMean {
   public:
    RoiMean(const RoiTask& task, Scratch& scratch)
        : task_(task),
          job_(task.job),
          tables_{TapTable(scratch), TapTable(scratch)},
          places_(scratch) {
        for (double** p : {&read_, &missing_, &window_, &weights_})
            *p = reinterpret_cast<double*>(scratch.take(kRoiWindow * 8));
        for (double** p : {&bin_, &bin_weight_, &results_})
            *p = reinterpret_cast<double*>(scratch.take(kResults * 8));
        make_axes();
    }
    static std::int64_t scratch_bytes() {
        return 2 * TapTable::scratch_bytes() + Places::scratch_bytes() +
               4 * Scratch::footprint(kRoiWindow * 8) + 3 * Scratch::footprint(kResults * 8);
    }

    void run() {
        const std::int64_t step = job_.lanes ? kRoiLanes : 1;
        const std::int64_t lo = task_.first_bin(across().bins), hi = task_.last_bin(across().bins);
        for (std::int64_t c = task_.first; c < task_.last; c += step) {
            lanes_ = std::min(step, task_.last - c);
            plane_ = task_.in + c * job_.in_stride.channel;
            for (std::int64_t a = lo; a < hi; ++a) {
                bin_across_ = a;
                filled_lo_ = filled_hi_ = 0;
                mean_line(c, a);
                if (look_.stopped()) return;
            }
        }
    }

   private:
    const SampleAxis& across() const { return axes_[0]; }
    const SampleAxis& along() const { return axes_[1]; }

    void make_axes() {
        const SampleAxis rows(*job_.spec, 0, task_.box, job_.length[0]);
        const SampleAxis columns(*job_.spec, 1, task_.box, job_.length[1]);
        const Reach reach[2] = {reach_of(rows), reach_of(columns)};
        across_ = roi_across(*job_.spec, reach[0].size(), reach[1].size());
        axes_[across_] = rows;
        axes_[1 - across_] = columns;
        tables_[0].make(axes_[0]);
        tables_[1].make(axes_[1]);
        places_.make(axes_[1], tables_[1], reach[1 - across_]);
        const auto samples = [](const SampleAxis& axis) {
            return static_cast<double>(std::max<std::int64_t>(axis.grid, 1));
        };
        count_ = samples(rows) * samples(columns);
    }

    // All bins along, for one bin across.
    void mean_line(std::int64_t c, std::int64_t a) {
        const bool backwards = along().step < 0;
        const std::int64_t bins = along().bins;
        std::int64_t held = 0;  // results not yet stored
        std::int64_t first = 0;
        for (std::int64_t i = 0; i < bins; ++i) {
            const std::int64_t b = backwards ? bins - 1 - i : i;
            double* const to = lanes_ == 1 ? results_ + (backwards ? kResults - 1 - held : held)
                                           : results_;
            mean(a, b, to);
            if (look_.stops(lanes_)) return;
            if (lanes_ > 1) {
                store(c, a, b, results_, lanes_, job_.out_stride.channel);
                continue;
            }
            if (held++ == 0) first = b;
            if (held < kResults && i + 1 < bins) continue;
            const std::int64_t lowest = backwards ? b : first;
            store(c, a, lowest, backwards ? results_ + kResults - held : results_, held,
                  job_.out_stride.plane[1 - across_]);
            held = 0;
        }
    }

    void store(std::int64_t c, std::int64_t a, std::int64_t b, const double* values,
               std::int64_t n, std::int64_t step) const {
        std::byte* out = task_.out + c * job_.out_stride.channel +
                         a * job_.out_stride.plane[across_] +
                         b * job_.out_stride.plane[1 - across_];
        convert_row(job_.convert, values, {out, step, static_cast<int>(n)});
    }

    // The mean of bin (a, b), of every lane.
    void mean(std::int64_t a, std::int64_t b, double* to) {
        bool any = false;
        if (lanes_ == 1 && job_.is_nan == nullptr) {
            double sum = 0;
            tables_[1].each(b, [&](const Tap& tap) {
                sum += tap.weight * window_[place_of(tap)];
            });
            *to = sum / count_;
            return;
        }
        tables_[1].each(b, [&](const Tap& tap) {
            const std::int64_t at = place_of(tap) * lanes_;
            add_scaled(tap.weight, window_ + at, bin_, lanes_, !any);
            if (job_.is_nan) add_scaled(tap.weight, weights_ + at, bin_weight_, lanes_, !any);
            any = true;
        });
        if (!any) std::fill_n(bin_, lanes_, 0.0);
        if (!any) std::fill_n(bin_weight_, lanes_, 0.0);
        if (job_.is_nan == nullptr) {
            for (std::int64_t l = 0; l < lanes_; ++l) to[l] = bin_[l] / count_;
            return;
        }
        divide_by_rest(a, b, to);
    }

    // NaN left out: the samples beyond the image, which are 0, and the weights of numbers count.
    void divide_by_rest(std::int64_t a, std::int64_t b, double* to) const {
        const auto inside = static_cast<double>(across().inside(a).count()) *
                            static_cast<double>(along().inside(b).count());
        const bool samples = across().grid > 0 && along().grid > 0;
        const double outside = samples ? count_ - inside : 1;
        for (std::int64_t l = 0; l < lanes_; ++l) {
            const double rest = outside + bin_weight_[l];
            to[l] = rest > 0 ? bin_[l] / rest : std::numeric_limits<double>::quiet_NaN();
        }
    }

    // Where in the window a tap's place is, filling it anew where it is not.
    std::int64_t place_of(const Tap& tap) {
        const std::int64_t place = places_.of(tap);
        if (place < filled_lo_ || place >= filled_hi_) fill(place);
        return place - filled_lo_;
    }

    void fill(std::int64_t place) {
        filled_lo_ = place;
        filled_hi_ = std::min(place + kRoiWindow / lanes_, places_.count());
        if (look_.stopped()) return;
        const std::int64_t n = (filled_hi_ - filled_lo_) * lanes_;
        bool first = true;
        tables_[0].each(bin_across_, [&](const Tap& tap) {
            if (look_.stops(n)) return;
            read(job_.pack, tap.at, read_);
            if (job_.is_nan != nullptr) {
                read(job_.is_nan, tap.at, missing_);
                for (std::int64_t i = 0; i < n; ++i) missing_[i] = 1 - missing_[i];
                add_scaled(tap.weight, missing_, weights_, n, first);
            }
            add_scaled(tap.weight, read_, window_, n, first);
            first = false;
        });
        if (first) std::fill_n(window_, n, 0.0);
        if (first && job_.is_nan != nullptr) std::fill_n(weights_, n, 0.0);
    }

    // The window's places of row `at` as doubles.
    void read(PackKernel kernel, std::int64_t at, double* to) const {
        PackArgs args{};
        args.n0 = args.n1 = 1;
        args.replace_nan = job_.is_nan != nullptr && kernel == job_.pack;
        const std::int64_t stride = job_.in_stride.plane[1 - across_];
        places_.each(filled_lo_, filled_hi_, [&](std::int64_t element, std::int64_t p,
                                                 std::int64_t n) {
            args.src = plane_ + at * job_.in_stride.plane[across_] + element * stride;
            args.dst = reinterpret_cast<std::byte*>(to + (p - filled_lo_) * lanes_);
            args.n = n;
            args.src_stride = stride;
            if (lanes_ > 1) {
                args.n1 = n;
                args.n = lanes_;
                args.src_stride1 = stride;
                args.src_stride = job_.in_stride.channel;
                args.dst_stride1 = lanes_ * 8;
            }
            kernel(args);
        });
    }

    const RoiTask& task_;
    const RoiJob& job_;
    TapTable tables_[2];  // across, along
    Places places_;       // along
    SampleAxis axes_[2];
    int across_ = 0;
    double count_ = 1;
    double *read_, *missing_, *window_, *weights_, *bin_, *bin_weight_, *results_;
    std::int64_t lanes_ = 1;
    const std::byte* plane_ = nullptr;
    std::int64_t bin_across_ = 0;
    std::int64_t filled_lo_ = 0, filled_hi_ = 0;
    StopPoll look_;
};

void mean_task(void* context, std::int64_t number, int) {
    const RoiTask task(*static_cast<const RoiJob*>(context), number);
    TaskScratch scratch(RoiMean::scratch_bytes());
    RoiMean(task, *scratch).run();
}

}  // namespace

RoiTaskKind roi_mean_task() { return {mean_task, RoiMean::scratch_bytes()}; }

}  // namespace poolcore
