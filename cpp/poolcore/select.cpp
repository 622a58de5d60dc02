// Majorities and medians of rows of windows, laid out by select_job.
#include "poolcore/select.hpp"

#include <algorithm>
#include <type_traits>

#include "poolcore/median_rows.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/select_count.hpp"
#include "poolcore/select_emit.hpp"
#include "poolcore/select_job.hpp"
#include "poolcore/soft.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kGatherBytes = 128 * 1024;
struct Job : SelectJob {
    std::int64_t key_bytes = 0;
    std::int64_t count_bytes = 0;
    std::int64_t sort_bytes = 0;
    MedianPlan medians{};
};

Job make_job(const PoolPlan& plan, const StridedView& in, const MutableView& out) {
    return {make_select_job(plan, in, out, TapOrder::kMemory)};
}

template <class K, bool kFloat, bool kMedian>
class Worker {
   public:
    Worker(const Job& job, const Coder<K, kFloat>& coder, Scratch& scratch)
        : job_(job), coder_(coder), batch_(job.medians, scratch.take(job.medians.bytes())) {
        rows_.data = reinterpret_cast<K*>(scratch.take(job.sort_bytes));
        window_.keys = reinterpret_cast<K*>(scratch.take(job.key_bytes));
        window_.capacity = job.key_bytes / static_cast<std::int64_t>(sizeof(K));
        if (job.count_bytes > 0)
            window_.counts = reinterpret_cast<std::int64_t*>(scratch.take(job.count_bytes));
    }

    // Windows [lo, hi), the same ones in all calls, of the row whose other axes `grid` holds.
    void row(const TapGrid& grid, std::byte* out, std::int64_t lo, std::int64_t hi) {
        const LoopAxis& lane = job_.lane;
        TapRange inside{0, lane.n};
        if (lane.pooled >= 0) inside = job_.geometry(lane).interior();
        left_ = {lo, std::max(lo, std::min(hi, inside.first))};
        right_ = {std::max(left_.last, std::min(hi, inside.last)), hi};
        if (left_.last < right_.first) {
            TapGrid first = grid;
            place(job_, lane, left_.last, first);
            std::byte* to = out + left_.last * lane.out_stride;
            const MedianRun run{first, to, lane_step(), lane.out_stride,
                                right_.first - left_.last};
            const MedianRows* rows = job_.medians.find(first);
            rows ? gather(*rows, run) : piece_by_piece(run);
        }
        if (rows_wait_.windows == 0 || !rows_wait_.takes(grid, out)) {
            do_edges();
            rows_wait_ = {grid, out, 0, 0, 1};
        }
        if (job_.medians.rows.empty()) do_edges();
    }

    // Writes what waits.
    void finish() {
        do_edges();
        flush();
    }

   private:
    static constexpr int kFewest = 4;  // lanes from which a network pays

    // Windows that have all taps along the lanes.
    void piece_by_piece(MedianRun run) {
        while (run.windows > 0 && !stop_requested()) {
            const int n = static_cast<int>(std::min<std::int64_t>(kSortLanes, run.windows));
            if (n >= kFewest && run.grid.taps() <= kSortTaps) {
                together(run.grid, n);
            } else {
                for (int l = 0; l < n; ++l) again(run.grid, l, run.step);
            }
            emit({run.out, run.out_step, n});
            run.skip(n);
        }
    }

    // The first and last windows of all rows that wait; those in the same place go together.
    void do_edges() {
        for (const TapRange& range : {left_, right_})
            for (std::int64_t o = range.first;
                 o < range.last && rows_wait_.windows > 0 && !stop_requested(); ++o) {
                MedianRun run = rows_wait_;
                place(job_, job_.lane, o, run.grid);
                run.out += o * job_.lane.out_stride;
                const MedianRows* rows = job_.medians.find(run.grid);
                if (rows && run.windows >= kFewest) {
                    gather(*rows, run);
                    continue;
                }
                for (; run.windows > 0; run.skip(1)) {
                    alone(run.grid, 0);
                    emit({run.out, 0, 1});
                }
            }
        rows_wait_.windows = 0;
    }

    void gather(const MedianRows& rows, MedianRun run) {
        while (run.windows > 0)
            if (!batch_.add(rows, run)) flush();
    }

    void flush() {
        if (batch_.empty()) return;
        const bool elements = job_.medians.gives_elements(batch_.rows());
        const bool nan = batch_.find(elements);
        for (const MedianBatch::Segment& s : batch_)
            elements && !nan ? give(s) : give_keys(s, nan);
        batch_.clear();
    }

    void give(const MedianBatch::Segment& s) {
        const auto out_item = static_cast<std::int64_t>(item_size(job_.plan->out_dtype));
        PackArgs args{};
        args.src = batch_.low(s);
        args.n0 = args.n1 = 1;
        args.src_stride = sizeof(K);
        double wide[kSortLanes];
        for (MedianRun run = s.run; run.windows > 0;) {
            const bool dense = run.out_step == out_item;
            args.n = dense ? run.windows : std::min<std::int64_t>(run.windows, kSortLanes);
            const std::byte* from = args.src;
            if (!job_.medians.same_type) {
                args.dst = dense ? run.out : reinterpret_cast<std::byte*>(wide);
                job_.medians.widen(args);
                from = args.dst;
            }
            if (!dense) {
                for (std::int64_t l = 0; l < args.n; ++l)
                    std::memcpy(run.out + l * run.out_step, from + l * out_item,
                                static_cast<std::size_t>(out_item));
            } else if (job_.medians.same_type) {
                std::memcpy(run.out, from, static_cast<std::size_t>(args.n * out_item));
            }
            args.src += args.n * args.src_stride;
            run.skip(args.n);
        }
    }

    void give_keys(const MedianBatch::Segment& s, bool nan) {
        const std::byte* low = batch_.low(s);
        const std::byte* high = batch_.high(s);
        for (MedianRun run = s.run; run.windows > 0;) {
            const int n = static_cast<int>(std::min<std::int64_t>(kSortLanes, run.windows));
            const auto size = static_cast<std::size_t>(n) * sizeof(K);
            std::memcpy(chosen_.lo, low, size);
            std::memcpy(chosen_.hi, high, size);
            std::fill_n(chosen_.nan, n, false);
            if (kFloat && nan) mend_nan(run.grid, n, run.step);
            emit({run.out, run.out_step, n});
            low += size;
            high += size;
            run.skip(n);
        }
    }

    // The network knows nothing of NaNs.
    void mend_nan(const TapGrid& grid, int n, std::int64_t step) {
        for_taps(grid, [&](const std::byte* p) {
            for (int l = 0; l < n; ++l)
                chosen_.nan[l] = chosen_.nan[l] || coder_.is_nan(coder_.encode(p + l * step));
        });
        for (int l = 0; l < n && coder_.omits_nan; ++l)
            if (chosen_.nan[l]) again(grid, l, step);
    }

    void emit(const OutputRow& to) {
        if constexpr (kMedian) {
            emit_medians(job_, coder_, chosen_, to);
        } else {
            emit_modes(coder_, chosen_, to);
        }
    }

    void alone(const TapGrid& grid, int lane) {
        const Chosen<K> c = kMedian ? window_median(coder_, grid, window_)
                                    : window_mode(coder_, grid, window_);
        chosen_.lo[lane] = c.lo;
        chosen_.hi[lane] = c.hi;
        chosen_.nan[lane] = c.nan;
    }

    std::int64_t lane_step() const {
        const LoopAxis& lane = job_.lane;
        if (lane.pooled < 0) return lane.in_stride;
        return wrapped(job_.geometry(lane).stride, lane.in_stride);
    }

    void together(const TapGrid& grid, int n) {
        const std::int64_t taps = grid.taps();
        rows_.lanes = (n + kSortChunk - 1) / kSortChunk * kSortChunk;
        gather_rows(coder_, grid, lane_step(), n, rows_);
        for (std::int64_t t = 0; t < taps; ++t)  // sorted along with the others
            std::fill(rows_.row(t) + n, rows_.row(t) + rows_.lanes, K{});
        std::fill_n(chosen_.nan, n, taps == 0);
        if (taps == 0) return;
        if constexpr (kMedian) {
            sort_rows(rows_, taps);
            std::copy_n(rows_.row((taps - 1) / 2), n, chosen_.lo);
            std::copy_n(rows_.row(taps / 2), n, chosen_.hi);
            if constexpr (kFloat) mend_sorted_nan(grid, n);
        } else if (all_uniform(rows_, taps, n)) {
            std::copy_n(rows_.row(0), n, chosen_.lo);
        } else {
            sort_rows(rows_, taps);
            pick_mode(rows_, taps, chosen_.lo);
            if (coder_.has_skip) mend_skipped(grid, n);
        }
        if (!kMedian && coder_.has_skip)
            for (int l = 0; l < n; ++l) chosen_.nan[l] = chosen_.lo[l] == coder_.skip;
    }

    // NaNs stand at the ends of sorted lanes.
    void mend_sorted_nan(const TapGrid& grid, int n) {
        const K* least = rows_.row(0);
        const K* most = rows_.row(grid.taps() - 1);
        for (int l = 0; l < n; ++l) {
            if (!coder_.is_nan(least[l]) && !coder_.is_nan(most[l])) continue;
            again(grid, l, lane_step());
        }
    }

    // Where the label without a vote won, the others decide.
    void mend_skipped(const TapGrid& grid, int n) {
        for (int l = 0; l < n; ++l)
            if (chosen_.lo[l] == coder_.skip) again(grid, l, lane_step());
        for (int l = 0; l < n; ++l)
            if (chosen_.nan[l]) chosen_.lo[l] = coder_.skip;
    }

    void again(const TapGrid& grid, int lane, std::int64_t step) {
        TapGrid one = grid;
        one.base += lane * step;
        alone(one, lane);
    }

    const Job& job_;
    const Coder<K, kFloat>& coder_;
    Rows<K> rows_{};
    MedianBatch batch_;
    TapRange left_{0, 0}, right_{0, 0};  // windows over the edges of a row
    MedianRun rows_wait_;                // for them
    WindowScratch<K> window_;
    ChosenRow<K> chosen_{};
};

std::int64_t scratch_bytes(const Job& job) {
    return Scratch::footprint(job.sort_bytes) + Scratch::footprint(job.key_bytes) +
           Scratch::footprint(job.count_bytes) + Scratch::footprint(job.medians.bytes());
}

template <class K, bool kFloat>
struct Typed {
    const Job& job;
    Coder<K, kFloat> coder;
};

template <class K, bool kFloat, bool kMedian>
void run_task(void* context, std::int64_t task, int) {
    const auto& typed = *static_cast<const Typed<K, kFloat>*>(context);
    const Job& job = typed.job;
    TaskScratch scratch(scratch_bytes(job));
    Worker<K, kFloat, kMedian> worker(job, typed.coder, *scratch);
    each_row(job, task, [&](const TapGrid& grid, std::byte* out, std::int64_t lo, std::int64_t hi) {
        worker.row(grid, out, lo, hi);
    });
    worker.finish();
}

// ---- the job -----------------------------------------------------------------------------------

template <class K>
void size_scratch(Job& job) {
    constexpr auto item = static_cast<std::int64_t>(sizeof(K));
    const std::int64_t capacity = kGatherBytes / item;
    job.sort_bytes = kSortTaps * kSortLanes * item;
    job.key_bytes = counts_digits<K>(job.taps, capacity) ? kGatherBytes
                                                         : std::min(job.taps, capacity) * item;
    job.count_bytes =
        counts_digits<K>(job.taps, capacity) ? kLevels<K> * kBuckets<K> * 8 : 0;
}

template <class K, bool kFloat>
Coder<K, kFloat> make_coder(const PoolPlan& plan) {
    using U = std::make_unsigned_t<K>;
    constexpr U top = U(U(1) << (8 * sizeof(K) - 1));
    Coder<K, kFloat> coder;
    coder.flip = is_signed(plan.in_dtype) == std::is_signed_v<K> ? U(0) : top;
    if constexpr (kFloat) {
        if (plan.in_dtype == DType::kFloat16) coder.infinity = static_cast<K>(0x7c00);
        if (plan.in_dtype == DType::kBFloat16) coder.infinity = static_cast<K>(0x7f80);
        if (plan.in_dtype == DType::kFloat32) coder.infinity = static_cast<K>(0x7f800000);
        if (plan.in_dtype == DType::kFloat64)
            coder.infinity = static_cast<K>(0x7ff0000000000000);
        coder.omits_nan = plan.spec.nan_policy == NanPolicy::kOmit;
    }
    coder.has_skip = plan.spec.has_skip;
    if (coder.has_skip) coder.skip = coder.encode(static_cast<K>(plan.spec.skip));
    return coder;
}

// Sizes the scratch; runs the job unless `how` is null.
template <class K, bool kFloat>
bool run_typed(Job& job, const ParallelJob* how) {
    size_scratch<K>(job);
    Typed<K, kFloat> typed{job, make_coder<K, kFloat>(*job.plan)};
    job.medians = make_median_plan(job, {static_cast<std::int64_t>(typed.coder.flip),
                                         static_cast<std::int64_t>(typed.coder.infinity)});
    if (!how) return true;
    ParallelJob parallel = *how;
    parallel.context = &typed;
    parallel.n_tasks = job.n_tasks();
    parallel.scratch = scratch_bytes(job);
    parallel.function = run_task<K, kFloat, true>;
    if constexpr (!kFloat)
        if (job.plan->spec.op == Op::kMode) parallel.function = run_task<K, kFloat, false>;
    return parallel_for(parallel);
}

bool run_by_type(Job& job, const ParallelJob* how) {
    const DType t = job.plan->in_dtype;
    switch (item_size(t)) {
        case 1: return run_typed<std::uint8_t, false>(job, how);
        case 2:
            return is_float(t) ? run_typed<std::int16_t, true>(job, how)
                               : run_typed<std::int16_t, false>(job, how);
        case 4:
            return is_float(t) ? run_typed<std::int32_t, true>(job, how)
                               : run_typed<std::int32_t, false>(job, how);
        default:
            return is_float(t) ? run_typed<std::int64_t, true>(job, how)
                               : run_typed<std::int64_t, false>(job, how);
    }
}

}  // namespace

bool run_select(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                const ParallelJob& how) {
    if (plan.spec.op == Op::kSoft) return run_soft(plan, in, out, how);
    Job job = make_job(plan, in, out);
    return run_by_type(job, &how);
}

std::string describe_select(const PoolPlan& plan, const StridedView& in, const MutableView& out) {
    if (plan.spec.op == Op::kSoft) return "path=select op=soft";
    Job job = make_job(plan, in, out);
    run_by_type(job, nullptr);
    return std::string("path=select op=") + (plan.spec.op == Op::kMode ? "mode" : "median") +
           " taps=" + std::to_string(job.taps) +
           " lanes=" + (job.lane.pooled < 0 ? "inner" : "window") +
           " windows=" + (!job.medians.rows.empty() ? "network"
                          : job.count_bytes > 0 ? "counted"
                                                : "sorted") +
           " tasks=" + std::to_string(job.n_tasks()) +
           " scratch=" + std::to_string(scratch_bytes(job));
}

}  // namespace poolcore
