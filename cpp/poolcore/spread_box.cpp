// One task of spread. G: the windows of a strip, divided, as the work type; summed along the first
// axis, then the second into U, rows of windows along the last; these are summed into elements,
// one residue of the stride after the other.
#include <algorithm>
#include <cstring>

#include "poolcore/schedule.hpp"
#include "poolcore/spread_job.hpp"
#include "poolcore/spread_load.hpp"
#include "poolcore/spread_weave.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

// Windows along the last axis that U has a place for; those that do not exist are zeros there,
// unless they would be most of it.
WindowRange columns_of(const SpreadJob& job, std::int64_t lo, std::int64_t hi, bool& padded) {
    padded = !job.cover[2].few_exist(lo, hi);
    return padded ? job.cover[2].around(lo, hi) : job.cover[2].existing(lo, hi);
}

}  // namespace

std::int64_t spread_scratch(const SpreadJob& job, const SpreadBox& box) {
    const std::int64_t e = job.element();
    std::int64_t obs[2];
    for (int x = 0; x < 2; ++x) obs[x] = job.cover[x].most_around(box.n[x]);
    const std::int64_t columns = times(2, job.cover[2].most_around(box.n[2])) + 64;
    const std::int64_t strip = times(std::min(box.strip, columns), box.lanes);
    const std::int64_t plane = times(times(obs[1], strip), e);
    const std::int64_t row = times(times(columns, box.lanes), e);
    std::int64_t bytes = times(times(box.n[0], box.n[1]), row);  // U
    bytes += times(obs[0], plane) + plane;  // G and its sums along the first axis
    bytes += SpreadLoad::scratch(strip, columns);
    bytes += times(times(2 * box.n[2] + kMostWoven, box.lanes), e);  // results
    for (const std::int64_t n : box.n) bytes += times(n, sizeof(Covering)) + kScratchSlack;
    return bytes + 6 * Scratch::footprint(kScratchAlign);
}

namespace {

class Spreader {
   public:
    Spreader(const SpreadJob& job, const SpreadTask& task, Scratch& scratch)
        : job_(job),
          task_(task),
          e_(job.element()),
          lanes_(task.lanes),
          windows_{job.cover[0].existing(task.lo[0], task.hi[0]),
                   job.cover[1].existing(task.lo[1], task.hi[1])},
          real_(job.cover[2].existing(task.lo[2], task.hi[2])),
          strip_(std::min(job.box.strip, std::max<std::int64_t>(real_.size(), 1))),
          load_(job, task, {windows_[0], windows_[1], real_}, strip_, scratch) {
        columns_ = columns_of(job, task.lo[2], task.hi[2], padded_);
        row_ = columns_.size() * lanes_ * e_;
        pitch_ = strip_ * lanes_ * e_;
        const std::int64_t plane = windows_[1].size() * pitch_;
        g_ = scratch.take(windows_[0].size() * plane);
        sums_ = job.cover[0].trivial() ? g_ : scratch.take(plane);
        u_ = scratch.take((task.hi[0] - task.lo[0]) * (task.hi[1] - task.lo[1]) * row_);
        results_ = scratch.take((task.hi[2] - task.lo[2]) * lanes_ * e_);
        finished_ = scratch.take((task.hi[2] - task.lo[2] + kMostWoven) * lanes_ * e_);
        row_bytes_ = solid_row();
        for (int x = 0; x < kSpreadAxes; ++x) {
            std::int64_t n = task.hi[x] - task.lo[x];
            if (x == 2 && !one_by_one()) n = std::min(n, job.cover[2].phases());
            const std::int64_t bytes = n * static_cast<std::int64_t>(sizeof(Covering));
            coverings_[x] = reinterpret_cast<Covering*>(scratch.take(bytes));
            job.cover[x].list(task.lo[x], n, coverings_[x]);
        }
    }

    void run() {
        zero_padding();
        for (std::int64_t at = real_.lo; at < real_.hi; at += strip_) {
            const std::int64_t n = std::min(strip_, real_.hi - at);
            load_.strip(at, n, g_);
            for (std::int64_t a = task_.lo[0]; a < task_.hi[0]; ++a) {
                sum_first(a, n);
                for (std::int64_t b = task_.lo[1], next = b; b < task_.hi[1]; b = next) {
                    next = b + 1;
                    while (next < task_.hi[1] && follows(next)) ++next;
                    if (next - b > 1 || !repeats(b)) sum_second(a, b, next - b, at, n);
                }
                if (poll_.stops((windows_[1].size() + task_.hi[1] - task_.lo[1]) * n * lanes_)) return;
            }
        }
        for (std::int64_t a = task_.lo[0]; a < task_.hi[0]; ++a)
            for (std::int64_t b = task_.lo[1]; b < task_.hi[1]; ++b) {
                std::byte* const row = task_.out + a * job_.axis[0].out + b * job_.axis[1].out;
                if (repeats(b)) {
                    const std::int64_t at = task_.lo[2] * job_.axis[2].out;
                    std::memcpy(row + at, row + at - job_.axis[1].out, row_bytes_);
                    continue;
                }
                finish_row(u_row(a, b), row);
                if (poll_.stops((task_.hi[2] - task_.lo[2]) * lanes_)) return;
            }
    }

   private:
    // Whether row b is that before it: as of windows that tile the axis. Rows of results must then
    // lie in one piece.
    bool repeats(std::int64_t b) const {
        return row_bytes_ > 0 && b > task_.lo[1] && covering(1, b) == covering(1, b - 1);
    }

    // Whether the windows over row b are those after the ones over the row before, one by one.
    bool follows(std::int64_t b) const {
        const Covering &c = covering(1, b), &before = covering(1, b - 1);
        return c.first == before.first + 1 && c.count == before.count && c.lo == before.lo &&
               c.hi == before.hi && c.lo < c.hi;
    }

    const Covering& covering(int x, std::int64_t p) const { return coverings_[x][p - task_.lo[x]]; }

    // Bytes of a row of results in one piece, otherwise 0.
    std::size_t solid_row() const {
        const std::int64_t item =
            static_cast<std::int64_t>(item_size(job_.plan->out_dtype));
        const std::int64_t unit = lanes_ * item;
        const bool solid = job_.axis[2].out == unit && (lanes_ == 1 || job_.lane.out == item);
        return solid ? static_cast<std::size_t>((task_.hi[2] - task_.lo[2]) * unit) : 0;
    }

    std::byte* u_row(std::int64_t a, std::int64_t b) const {
        return u_ + ((a - task_.lo[0]) * (task_.hi[1] - task_.lo[1]) + b - task_.lo[1]) * row_;
    }

    void zero_padding() {
        const std::int64_t rows =
            (task_.hi[0] - task_.lo[0]) * (task_.hi[1] - task_.lo[1]);
        const std::int64_t unit = lanes_ * e_;
        const std::int64_t before = real_.lo - columns_.lo;
        const std::int64_t lo = std::clamp(before, std::int64_t(0), columns_.size());
        const std::int64_t hi = std::max(lo, real_.hi - columns_.lo);
        for (std::int64_t i = 0; i < rows; ++i) {
            std::memset(u_ + i * row_, 0, static_cast<std::size_t>(lo * unit));
            std::memset(u_ + i * row_ + hi * unit, 0, static_cast<std::size_t>(row_ - hi * unit));
        }
    }

    // Lines of n, each the sum of those that cover it; zeros where nothing does.
    struct Lines {
        std::int64_t n, count, src_stride, dst_stride;
    };
    void sum(const Covering& c, std::int64_t step, const std::byte* src, std::int64_t src_pitch,
             std::byte* dst, const Lines& lines) const {
        if (c.lo == c.hi) {
            for (std::int64_t i = 0; i < lines.count; ++i)
                std::memset(dst + i * lines.dst_stride, 0, static_cast<std::size_t>(lines.n * e_));
            return;
        }
        RowsArgs args{};
        args.src = src;
        args.dst = dst;
        args.n0 = 1;
        args.n1 = lines.count;
        args.n = lines.n;
        args.src_stride1 = lines.src_stride;
        args.dst_stride1 = lines.dst_stride;
        args.tap_stride = step * src_pitch;
        args.taps = c.count;
        args.first = c.lo;
        args.last = c.hi;
        job_.rows(args);
    }

    void sum_first(std::int64_t a, std::int64_t n) const {
        if (sums_ == g_) return;
        const Covering c = covering(0, a);
        const std::int64_t step = job_.cover[0].step();
        const std::int64_t plane = windows_[1].size() * pitch_;
        sum(c, step, g_ + (c.first + c.lo * step - windows_[0].lo) * plane, plane, sums_,
            {n * lanes_, windows_[1].size(), pitch_, pitch_});
    }

    // Rows [b, b + rows), each a window further on.
    void sum_second(std::int64_t a, std::int64_t b, std::int64_t rows, std::int64_t at,
                    std::int64_t n) const {
        const Covering c = covering(1, b);
        const std::int64_t step = job_.cover[1].step();
        sum(c, step, sums_ + (c.first + c.lo * step - windows_[1].lo) * pitch_, pitch_,
            u_row(a, b) + (at - columns_.lo) * lanes_ * e_, {n * lanes_, rows, pitch_, row_});
    }

    // Elements along the last axis that need not be covered alike, or not by existing windows.
    bool one_by_one() const { return !padded_ || job_.cover[2].adaptive(); }

    // One element of the last axis.
    void sum_own(const Covering& c, const std::byte* u, std::byte* dst) const {
        const std::int64_t step = job_.cover[2].step(), unit = lanes_ * e_;
        const std::byte* first = u + (c.first + c.lo * step - columns_.lo) * unit;
        if (c.hi - c.lo == 1 && c.count == 1) {
            std::memcpy(dst, first, static_cast<std::size_t>(unit));
        } else if (c.hi - c.lo == 2 && c.count == 2 && job_.work == Work::kF32) {
            add<float>(first, step * unit, dst);
        } else if (c.hi - c.lo == 2 && c.count == 2 && job_.work == Work::kF64) {
            add<double>(first, step * unit, dst);
        } else {
            sum(c, step, first, unit, dst, {lanes_, 1, 0, 0});
        }
    }

    template <class T>
    void add(const std::byte* first, std::int64_t second, std::byte* dst) const {
        for (std::int64_t i = 0; i < lanes_; ++i) {
            const std::int64_t at = i * static_cast<std::int64_t>(sizeof(T));
            T a, b;
            std::memcpy(&a, first + at, sizeof a);
            std::memcpy(&b, first + second + at, sizeof b);
            a += b;
            std::memcpy(dst + at, &a, sizeof a);
        }
    }

    // Elements of one residue of the stride: p, p + stride, ... `n` of them.
    const std::byte* sum_last(const std::byte* u, std::int64_t p, std::int64_t n) const {
        const Covering c = covering(2, p);
        const std::int64_t step = job_.cover[2].step(), unit = lanes_ * e_;
        if (c.count == 0) {
            std::memset(results_, 0, static_cast<std::size_t>(n * unit));
        } else if (one_by_one()) {
            const std::int64_t stride = job_.cover[2].phases();
            for (std::int64_t i = 0; i < n; ++i)
                sum_own(covering(2, p + i * stride), u, results_ + i * unit);
        } else if (c.count == 1) {
            return u + (c.first - columns_.lo) * unit;
        } else {
            const Covering all{c.first, c.count, 0, c.count};
            sum(all, step, u + (c.first - columns_.lo) * unit, unit, results_,
                {n * lanes_, 1, 0, 0});
        }
        return results_;
    }

    // Residues of the last axis whose results lie so near that rows of them are woven into one.
    bool weaves() const {
        const std::int64_t stride = job_.cover[2].phases();
        const auto item = static_cast<std::int64_t>(item_size(job_.plan->out_dtype));
        return lanes_ == 1 && stride > 1 && stride <= kMostWoven && job_.axis[2].out == item &&
               task_.hi[2] - task_.lo[2] >= 2 * stride;
    }

    void weave_row(const std::byte* u, std::byte* out) const {
        const std::int64_t stride = job_.cover[2].phases(), width = job_.axis[2].out;
        const std::int64_t all = task_.hi[2] - task_.lo[2];
        const std::byte* rows[kMostWoven] = {};
        const std::byte* before = nullptr;
        std::byte* to = finished_;
        FinishArgs args{};
        args.dst_stride = width;
        for (std::int64_t phase = 0; phase < stride; ++phase) {
            const std::int64_t n = (all - 1 - phase) / stride + 1;
            const std::byte* sums = sum_last(u, task_.lo[2] + phase, n);
            if (sums == before && sums != results_) {  // the same windows, perhaps one fewer
                rows[phase] = rows[phase - 1];
                continue;
            }
            args.src = before = sums;
            args.dst = to;
            args.n = n;
            job_.finish(args);
            rows[phase] = to;
            to += n * width;
        }
        weave(rows, static_cast<int>(stride), width, out + task_.lo[2] * width, all / stride,
              static_cast<int>(all % stride));
    }

    void finish_row(const std::byte* u, std::byte* out) const {
        if (weaves()) return weave_row(u, out);
        const std::int64_t stride = job_.cover[2].phases(), width = job_.axis[2].out;
        const std::int64_t phases = std::min(stride, task_.hi[2] - task_.lo[2]);
        for (std::int64_t phase = 0; phase < phases; ++phase) {
            const std::int64_t p = task_.lo[2] + phase;
            const std::int64_t n = (task_.hi[2] - 1 - p) / stride + 1;
            FinishArgs args{};
            args.src = sum_last(u, p, n);
            args.dst = out + p * width;
            const bool joined = lanes_ == 1 || (stride == 1 && width == lanes_ * job_.lane.out);
            if (joined) {
                args.n = n * lanes_;
                args.dst_stride = lanes_ == 1 ? (n > 1 ? stride * width : width) : job_.lane.out;
                job_.finish(args);
                continue;
            }
            args.n = lanes_;
            args.dst_stride = job_.lane.out;
            for (std::int64_t i = 0; i < n; ++i) {
                job_.finish(args);
                args.src += lanes_ * e_;
                if (i + 1 < n) args.dst += stride * width;
            }
        }
    }

    const SpreadJob& job_;
    const SpreadTask& task_;
    const std::int64_t e_, lanes_;
    const WindowRange windows_[2];  // along the first two axes
    const WindowRange real_;        // along the last: those that exist,
    WindowRange columns_;           // and places of U
    bool padded_ = false;
    const std::int64_t strip_;  // windows
    SpreadLoad load_;
    std::int64_t row_, pitch_;  // bytes of a row of U, and of G
    std::byte *g_, *sums_, *u_, *results_, *finished_;
    StopPoll poll_;
    // Of the elements of each axis; of the last one's first period where all periods are alike.
    Covering* coverings_[kSpreadAxes];
    std::size_t row_bytes_ = 0;
};

}  // namespace

void spread_box(const SpreadJob& job, const SpreadTask& task, Scratch& scratch) {
    Spreader(job, task, scratch).run();
}

}  // namespace poolcore
