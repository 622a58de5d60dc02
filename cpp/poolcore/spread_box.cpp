// One task of spread. G: the windows of a strip, divided, as the work type; summed along the first
// axis, then the second into U, rows of windows along the last; these are summed into elements,
// one residue of the stride after the other.
#include <algorithm>
#include <cstring>

#include "poolcore/schedule.hpp"
#include "poolcore/spread_job.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr double kExactDivisor = 9007199254740992.0;  // 2^53

// Windows along the last axis that U has a place for; those that do not exist are zeros there,
// unless they would be most of it.
WindowRange columns_of(const SpreadJob& job, std::int64_t lo, std::int64_t hi, bool& padded) {
    const WindowRange all = job.cover[2].around(lo, hi);
    const WindowRange real = job.cover[2].existing(lo, hi);
    padded = all.size() <= 2 * real.size() + 64;
    return padded ? all : real;
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
    bytes += 2 * times(strip, 8);  // a row before it is divided
    bytes += times(times(box.n[2], box.lanes), e);  // results
    bytes += times(columns, 8);  // divisors
    for (const std::int64_t n : box.n) bytes += times(n, sizeof(Covering)) + kScratchSlack;
    return bytes + 8 * Scratch::footprint(kScratchAlign);
}

namespace {

class Spreader {
   public:
    Spreader(const SpreadJob& job, const SpreadTask& task, Scratch& scratch)
        : job_(job), task_(task), e_(job.element()), lanes_(task.lanes) {
        for (int x = 0; x < 2; ++x) windows_[x] = job.cover[x].existing(task.lo[x], task.hi[x]);
        columns_ = columns_of(job, task.lo[2], task.hi[2], padded_);
        real_ = job.cover[2].existing(task.lo[2], task.hi[2]);
        row_ = columns_.size() * lanes_ * e_;
        strip_ = std::min(job.box.strip, std::max<std::int64_t>(real_.size(), 1));
        pitch_ = strip_ * lanes_ * e_;
        const std::int64_t plane = windows_[1].size() * pitch_;
        g_ = scratch.take(windows_[0].size() * plane);
        sums_ = job.cover[0].trivial() ? g_ : scratch.take(plane);
        raw_ = scratch.take(strip_ * lanes_ * 8);
        wide_ = scratch.take(strip_ * lanes_ * 8);
        u_ = scratch.take((task.hi[0] - task.lo[0]) * (task.hi[1] - task.lo[1]) * row_);
        results_ = scratch.take((task.hi[2] - task.lo[2]) * lanes_ * e_);
        divisors_ = reinterpret_cast<double*>(scratch.take(columns_.size() * 8));
        row_bytes_ = solid_row();
        for (int x = 0; x < kSpreadAxes; ++x) {
            std::int64_t n = task.hi[x] - task.lo[x];
            if (x == 2 && !one_by_one()) n = std::min(n, job.cover[2].phases());
            const std::int64_t bytes = n * static_cast<std::int64_t>(sizeof(Covering));
            coverings_[x] = reinterpret_cast<Covering*>(scratch.take(bytes));
            for (std::int64_t i = 0; i < n; ++i) coverings_[x][i] = job.cover[x].at(task.lo[x] + i);
        }
    }

    void run() {
        set_divisors();
        zero_padding();
        for (std::int64_t at = real_.lo; at < real_.hi; at += strip_) {
            const std::int64_t n = std::min(strip_, real_.hi - at);
            load_strip(at, n);
            for (std::int64_t a = task_.lo[0]; a < task_.hi[0]; ++a) {
                sum_first(a, n);
                for (std::int64_t b = task_.lo[1]; b < task_.hi[1]; ++b)
                    if (!repeats(b)) sum_second(a, b, at, n);
                if (stop_requested()) return;
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
                if (stop_requested()) return;
            }
    }

   private:
    // Whether row b is that before it: as of windows that tile the axis. Rows of results must then
    // lie in one piece.
    bool repeats(std::int64_t b) const {
        return row_bytes_ > 0 && b > task_.lo[1] && covering(1, b) == covering(1, b - 1);
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

    void set_divisors() {
        if (!job_.divide) return;
        for (std::int64_t o = real_.lo; o < real_.hi; ++o)
            divisors_[o - columns_.lo] = job_.divisor(2, o);
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
        const double* table = divisors_ + (at - columns_.lo);
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
            } else if (divisor > -kExactDivisor && divisor < kExactDivisor) {
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

    void load_strip(std::int64_t at, std::int64_t n) {
        for (std::int64_t oa = windows_[0].lo; oa < windows_[0].hi; ++oa)
            for (std::int64_t ob = windows_[1].lo; ob < windows_[1].hi; ++ob) {
                const double scale = job_.divide ? job_.divisor(0, oa) * job_.divisor(1, ob) *
                                                       job_.fixed_divisor()
                                                 : 1;
                const std::int64_t row =
                    (oa - windows_[0].lo) * windows_[1].size() + ob - windows_[1].lo;
                load_row(task_.grad + oa * job_.axis[0].grad + ob * job_.axis[1].grad,
                         g_ + row * pitch_, at, n, scale);
            }
    }

    // The sum of what covers one element; zeros where nothing does.
    void sum(const Covering& c, std::int64_t step, const std::byte* src, std::int64_t src_pitch,
             std::byte* dst, std::int64_t rows, std::int64_t n) const {
        if (c.lo == c.hi) {
            for (std::int64_t i = 0; i < rows; ++i)
                std::memset(dst + i * pitch_, 0, static_cast<std::size_t>(n * e_));
            return;
        }
        RowsArgs args{};
        args.src = src;
        args.dst = dst;
        args.n0 = 1;
        args.n1 = rows;
        args.n = n;
        args.src_stride1 = args.dst_stride1 = pitch_;
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
            windows_[1].size(), n * lanes_);
    }

    void sum_second(std::int64_t a, std::int64_t b, std::int64_t at, std::int64_t n) const {
        const Covering c = covering(1, b);
        const std::int64_t step = job_.cover[1].step();
        sum(c, step, sums_ + (c.first + c.lo * step - windows_[1].lo) * pitch_, pitch_,
            u_row(a, b) + (at - columns_.lo) * lanes_ * e_, 1, n * lanes_);
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
            sum(c, step, first, unit, dst, 1, lanes_);
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
            sum(all, step, u + (c.first - columns_.lo) * unit, unit, results_, 1, n * lanes_);
        }
        return results_;
    }

    void finish_row(const std::byte* u, std::byte* out) const {
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
    std::int64_t e_, lanes_;
    WindowRange windows_[2];  // along the first two axes
    WindowRange columns_;     // along the last: places of U
    WindowRange real_;        // those that exist
    bool padded_ = false;
    std::int64_t row_, strip_, pitch_;  // bytes of a row of U; windows; bytes of a row of G
    std::byte *g_, *sums_, *raw_, *wide_, *u_, *results_;
    double* divisors_;
    // Of the elements of each axis; of the last one's first period where all periods are alike.
    Covering* coverings_[kSpreadAxes];
    std::size_t row_bytes_ = 0;
};

}  // namespace

void spread_box(const SpreadJob& job, const SpreadTask& task, Scratch& scratch) {
    Spreader(job, task, scratch).run();
}

}  // namespace poolcore
