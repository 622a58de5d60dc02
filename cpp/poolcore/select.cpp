// Majorities and medians of rows of windows, laid out by select_job.
#include "poolcore/select.hpp"

#include <algorithm>
#include <type_traits>

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
};

Job make_job(const PoolPlan& plan, const StridedView& in, const MutableView& out) {
    return {make_select_job(plan, in, out, TapOrder::kMemory)};
}

template <class K, bool kFloat, bool kMedian>
class Worker {
   public:
    Worker(const Job& job, const Coder<K, kFloat>& coder, Scratch& scratch)
        : job_(job), coder_(coder) {
        rows_.data = reinterpret_cast<K*>(scratch.take(job.sort_bytes));
        window_.keys = reinterpret_cast<K*>(scratch.take(job.key_bytes));
        window_.capacity = job.key_bytes / static_cast<std::int64_t>(sizeof(K));
        if (job.count_bytes > 0)
            window_.counts = reinterpret_cast<std::int64_t*>(scratch.take(job.count_bytes));
    }

    // Windows [lo, hi) of the row whose other axes `grid` holds.
    void row(const TapGrid& grid, std::byte* out, std::int64_t lo, std::int64_t hi) {
        const LoopAxis& lane = job_.lane;
        TapRange inside{0, lane.n};
        if (lane.pooled >= 0) inside = job_.geometry(lane).interior();
        for (std::int64_t o = lo; o < hi && !stop_requested();) {
            const bool like = o >= inside.first && o < inside.last;
            const std::int64_t end =
                std::min({hi, o + kSortLanes,
                          like ? inside.last : o < inside.first ? inside.first : hi});
            TapGrid first = grid;
            place(job_, lane, o, first);
            const int n = static_cast<int>(end - o);
            if (like && n >= kFewest && first.taps() <= kSortTaps) {
                together(first, n);
            } else {
                for (int l = 0; l < n; ++l) {
                    TapGrid one = grid;
                    place(job_, lane, o + l, one);
                    alone(one, l);
                }
            }
            emit({out + o * lane.out_stride, lane.out_stride, n});
            o = end;
        }
    }

   private:
    static constexpr int kFewest = 4;  // lanes from which a network pays

    void emit(const OutputRow& to) {
        if constexpr (kMedian) {
            emit_medians(*job_.plan, coder_, job_.convert, chosen_, to);
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
            if constexpr (kFloat) mend_nan(grid, n);
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
    void mend_nan(const TapGrid& grid, int n) {
        const K* least = rows_.row(0);
        const K* most = rows_.row(grid.taps() - 1);
        for (int l = 0; l < n; ++l) {
            if (!coder_.is_nan(least[l]) && !coder_.is_nan(most[l])) continue;
            again(grid, l);
        }
    }

    // Where the label without a vote won, the others decide.
    void mend_skipped(const TapGrid& grid, int n) {
        for (int l = 0; l < n; ++l)
            if (chosen_.lo[l] == coder_.skip) again(grid, l);
        for (int l = 0; l < n; ++l)
            if (chosen_.nan[l]) chosen_.lo[l] = coder_.skip;
    }

    void again(const TapGrid& grid, int lane) {
        TapGrid one = grid;
        one.base += lane * lane_step();
        alone(one, lane);
    }

    const Job& job_;
    const Coder<K, kFloat>& coder_;
    Rows<K> rows_{};
    WindowScratch<K> window_;
    ChosenRow<K> chosen_{};
};

std::int64_t scratch_bytes(const Job& job) {
    return Scratch::footprint(job.sort_bytes) + Scratch::footprint(job.key_bytes) +
           Scratch::footprint(job.count_bytes);
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
    if (!how) return true;
    Typed<K, kFloat> typed{job, make_coder<K, kFloat>(*job.plan)};
    ParallelJob parallel = *how;
    parallel.context = &typed;
    parallel.n_tasks = job.n_tasks();
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
           " windows=" + (job.count_bytes > 0 ? "counted" : "sorted") +
           " tasks=" + std::to_string(job.n_tasks()) +
           " scratch=" + std::to_string(scratch_bytes(job));
}

}  // namespace poolcore
