// The gradients of a strip of windows, divided, as the work type: one row behind the other. Part of
// spread.
#pragma once

#include <algorithm>
#include <cstring>

#include "poolcore/schedule.hpp"
#include "poolcore/spread_job.hpp"

namespace poolcore {

class SpreadLoad {
   public:
    // Bytes that it takes for a row of so many elements of a strip, of `columns` windows.
    static std::int64_t scratch(std::int64_t row, std::int64_t columns) {
        return 2 * Scratch::footprint(times(row, 8)) + Scratch::footprint(times(columns, 8));
    }

    // Existing windows along each axis; `strip` of the last one at a time.
    SpreadLoad(const SpreadJob& job, const SpreadTask& task,
               const WindowRange (&windows)[kSpreadAxes], std::int64_t strip, Scratch& scratch)
        : job_(job), task_(task), e_(job.element()), lanes_(task.lanes), strip_(strip) {
        std::copy_n(windows, kSpreadAxes, windows_);
        raw_ = scratch.take(strip * lanes_ * 8);
        wide_ = scratch.take(strip * lanes_ * 8);
        divisors_ = reinterpret_cast<double*>(scratch.take(windows_[2].size() * 8));
        if (!job.divide) return;
        for (std::int64_t o = windows_[2].lo; o < windows_[2].hi; ++o)
            divisors_[o - windows_[2].lo] = job.divisor(2, o);
    }

    // Windows [at, at + n) along the last axis of all rows, `dst` being the first of them.
    void strip(std::int64_t at, std::int64_t n, std::byte* dst) {
        if (loads_at_once(n)) return load_at_once(n, dst);
        for (std::int64_t oa = windows_[0].lo; oa < windows_[0].hi; ++oa)
            for (std::int64_t ob = windows_[1].lo; ob < windows_[1].hi; ++ob) {
                const double scale = job_.divide ? job_.divisor(0, oa) * job_.divisor(1, ob) *
                                                       job_.fixed_divisor()
                                                 : 1;
                const std::int64_t row =
                    (oa - windows_[0].lo) * windows_[1].size() + ob - windows_[1].lo;
                load_row(task_.grad + oa * job_.axis[0].grad + ob * job_.axis[1].grad,
                         dst + row * strip_ * lanes_ * e_, at, n, scale);
            }
    }

   private:
    // `n` windows from `at` on of one row of the gradient, into `dst`.
    void load_row(const std::byte* src, std::byte* dst, std::int64_t at, std::int64_t n,
                  double scale) {
        PackArgs pack{};
        pack.src = src + at * job_.axis[2].grad;
        pack.dst = job_.divide || job_.widen ? raw_ : dst;
        const std::int64_t size = job_.widen ? 8 : e_;
        const bool joined = lanes_ == 1 || job_.axis[2].grad == lanes_ * job_.lane.grad;
        pack.n0 = 1;
        pack.n1 = joined ? 1 : n;
        pack.n = joined ? n * lanes_ : lanes_;
        pack.src_stride = lanes_ == 1 ? job_.axis[2].grad : job_.lane.grad;
        pack.src_stride1 = job_.axis[2].grad;
        pack.dst_stride1 = lanes_ * size;
        job_.pack(pack);
        const std::byte* from = pack.dst;
        if (job_.widen) {
            FinishArgs args{};
            args.src = from;
            args.dst = job_.divide ? wide_ : dst;
            args.n = n * lanes_;
            args.dst_stride = e_;
            job_.widen(args);
            from = args.dst;
        }
        if (job_.divide) divide_row(from, dst, at, n, scale);
    }

    void divide_row(const std::byte* src, std::byte* dst, std::int64_t at, std::int64_t n,
                    double scale) {
        const double* table = divisors_ + (at - windows_[2].lo);
        FinishArgs args{};
        args.dst_stride = e_;
        args.scale = scale;
        for (std::int64_t i = 0; i < n;) {
            // As many at once as have the same divisor; without lanes, all of them.
            std::int64_t same = i + 1;
            while (same < n && table[same] == table[i]) ++same;
            const bool uniform = same == n && i == 0;
            args.src = src + i * lanes_ * e_;
            args.dst = dst + i * lanes_ * e_;
            const double divisor = table[i] * scale;
            if (lanes_ == 1 && !uniform) {
                args.divisors = table;
                args.count_step = 1;
                same = n;
            } else if (is_exact(divisor)) {
                args.divisor = static_cast<std::int64_t>(divisor);
            } else {
                args.divisors = table + i;
                args.count_step = 0;
            }
            args.n = (same - i) * lanes_;
            job_.divide(args);
            i = same;
        }
    }

    // Rows of the gradient that follow each other and need only be divided, all by the same.
    bool loads_at_once(std::int64_t n) const {
        return job_.native && job_.divide && lanes_ == 1 && n == strip_ && n == windows_[2].size() &&
               job_.axis[2].grad == e_ && job_.axis[1].grad == n * e_ &&
               job_.all_alike(0, windows_[0]) && job_.all_alike(1, windows_[1]) &&
               job_.all_alike(2, windows_[2]);
    }

    void load_at_once(std::int64_t n, std::byte* dst) {
        FinishArgs args = divided_by(job_.usual_divisor());
        args.dst_stride = e_;
        args.n = windows_[1].size() * n;
        for (std::int64_t oa = windows_[0].lo; oa < windows_[0].hi; ++oa) {
            args.src = task_.grad + oa * job_.axis[0].grad + windows_[1].lo * job_.axis[1].grad +
                       windows_[2].lo * e_;
            args.dst = dst + (oa - windows_[0].lo) * args.n * e_;
            job_.divide(args);
        }
    }

    const SpreadJob& job_;
    const SpreadTask& task_;
    const std::int64_t e_, lanes_, strip_;
    WindowRange windows_[kSpreadAxes];
    std::byte *raw_, *wide_;
    double* divisors_;
};

}  // namespace poolcore
