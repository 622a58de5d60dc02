// Lays a plan over memory as rows of windows: the output axis whose windows lie nearest in memory
// runs along lanes, all others are loops. Rows are cut into tasks of like cost.
#include "poolcore/select.hpp"

#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "poolcore/dispatch.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/select_count.hpp"
#include "poolcore/select_emit.hpp"

namespace poolcore {
namespace {

// One axis of the result.
struct LoopAxis {
    std::int64_t n = 1;
    std::int64_t in_stride = 0;
    std::int64_t out_stride = 0;
    int pooled = -1;  // which pooled axis, or none
};

constexpr std::int64_t kGatherBytes = 128 * 1024;
constexpr std::int64_t kTapsPerTask = 1 << 18;

struct Job {
    const PoolPlan* plan = nullptr;
    const std::byte* in = nullptr;
    std::byte* out = nullptr;
    LoopAxis loops[kMaxRank];  // from the farthest apart to the nearest
    int n_loops = 0;
    LoopAxis lane;
    int slot[kMaxPooledAxes] = {0, 1, 2};  // where a pooled axis stands in a TapGrid
    std::int64_t lane_pieces = 1;          // tasks of one row
    std::int64_t lanes_per_piece = 1;
    std::int64_t n_rows = 1;
    std::int64_t rows_per_task = 1;
    std::int64_t taps = 1;  // of the fullest window
    std::int64_t key_bytes = 0;
    std::int64_t count_bytes = 0;
    std::int64_t sort_bytes = 0;
    FinishKernel convert = nullptr;

    const AxisGeometry& geometry(const LoopAxis& axis) const { return plan->geometry[axis.pooled]; }
    std::int64_t n_tasks() const {
        return (n_rows + rows_per_task - 1) / rows_per_task * lane_pieces;
    }
};

std::int64_t magnitude(std::int64_t stride) { return stride < 0 ? -stride : stride; }

// Narrows a grid to the taps of window o, and moves it there.
void place(const Job& job, const LoopAxis& axis, std::int64_t o, TapGrid& grid) {
    if (axis.pooled < 0) {
        grid.base += o * axis.in_stride;
        return;
    }
    const AxisGeometry& g = job.geometry(axis);
    const TapRange taps = g.taps(o);
    const int slot = job.slot[axis.pooled];
    grid.count[slot] = taps.count();
    if (taps.count() == 0) return;
    grid.base += (g.start(o) + taps.first * g.dilation) * axis.in_stride;
    grid.step[slot] = taps.count() > 1 ? g.dilation * axis.in_stride : 0;
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
        return lane.pooled < 0 ? lane.in_stride : job_.geometry(lane).stride * lane.in_stride;
    }

    void together(const TapGrid& grid, int n) {
        const std::int64_t taps = grid.taps();
        rows_.lanes = (n + kSortChunk - 1) / kSortChunk * kSortChunk;
        gather_rows(coder_, grid, lane_step(), n, rows_);
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
    const std::int64_t piece = task % job.lane_pieces;
    const std::int64_t lo = piece * job.lanes_per_piece;
    const std::int64_t hi = std::min(lo + job.lanes_per_piece, job.lane.n);
    const std::int64_t first = task / job.lane_pieces * job.rows_per_task;
    const std::int64_t last = std::min(first + job.rows_per_task, job.n_rows);
    for (std::int64_t row = first; row < last && !stop_requested(); ++row) {
        TapGrid grid;
        grid.base = job.in;
        std::byte* out = job.out;
        std::int64_t left = row;
        for (int i = job.n_loops - 1; i >= 0; --i) {
            const std::int64_t o = left % job.loops[i].n;
            left /= job.loops[i].n;
            place(job, job.loops[i], o, grid);
            out += o * job.loops[i].out_stride;
        }
        worker.row(grid, out, lo, hi);
    }
}

// ---- the job -----------------------------------------------------------------------------------

// The nearest axis runs along lanes, if it has enough windows for a network; else the longest.
int choose_lane(const LoopAxis* axes, int n) {
    int best = n - 1;
    for (int i = n - 1; i >= 0; --i) {
        const bool long_enough = axes[i].n >= 8;
        const bool best_is = axes[best].n >= 8;
        const bool nearer = magnitude(axes[i].in_stride) < magnitude(axes[best].in_stride);
        if (long_enough != best_is ? long_enough : long_enough ? nearer : axes[i].n > axes[best].n)
            best = i;
    }
    return best;
}

// The pooled axis nearest in memory is walked innermost.
void choose_slots(Job& job, const StridedView& in) {
    const PoolSpec& spec = job.plan->spec;
    int order[kMaxPooledAxes] = {0, 1, 2};
    std::stable_sort(order, order + spec.n_axes, [&](int a, int b) {
        return magnitude(in.strides[spec.axes[a]]) > magnitude(in.strides[spec.axes[b]]);
    });
    for (int i = 0; i < spec.n_axes; ++i)
        job.slot[order[i]] = i + kMaxPooledAxes - spec.n_axes;
}

void cut_tasks(Job& job) {
    const std::int64_t per_task =
        std::max<std::int64_t>(1, kTapsPerTask / std::max<std::int64_t>(job.taps, 4));
    if (per_task >= job.lane.n) {
        job.lanes_per_piece = job.lane.n;
        job.rows_per_task = per_task / job.lane.n;
    } else {
        job.lanes_per_piece = per_task < kSortLanes ? per_task : per_task / kSortLanes * kSortLanes;
        job.lane_pieces = (job.lane.n + job.lanes_per_piece - 1) / job.lanes_per_piece;
    }
}

Job make_job(const PoolPlan& plan, const StridedView& in, const MutableView& out) {
    Job job;
    job.plan = &plan;
    job.in = in.data;
    job.out = out.data;
    LoopAxis axes[kMaxRank];
    for (int i = 0; i < in.rank; ++i)
        axes[i] = {plan.out_shape[i], in.strides[i], out.strides[i], -1};
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        axes[plan.spec.axes[i]].pooled = i;
        const AxisGeometry& g = plan.geometry[i];
        job.taps *= std::min(g.kernel, g.in);
    }
    const int lane = choose_lane(axes, in.rank);
    job.lane = axes[lane];
    for (int i = 0; i < in.rank; ++i)
        if (i != lane) job.loops[job.n_loops++] = axes[i];
    std::stable_sort(job.loops, job.loops + job.n_loops, [](const LoopAxis& a, const LoopAxis& b) {
        return magnitude(a.in_stride) > magnitude(b.in_stride);
    });
    for (int i = 0; i < job.n_loops; ++i) job.n_rows *= job.loops[i].n;
    choose_slots(job, in);
    cut_tasks(job);
    if (is_float(plan.out_dtype))
        job.convert = kernels().finish[static_cast<int>(Finish::kSum)][static_cast<int>(Work::kF64)]
                                      [static_cast<int>(plan.out_dtype)];
    return job;
}

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
    Job job = make_job(plan, in, out);
    return run_by_type(job, &how);
}

std::string describe_select(const PoolPlan& plan, const StridedView& in, const MutableView& out) {
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
