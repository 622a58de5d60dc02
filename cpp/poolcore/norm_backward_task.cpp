// One box of elements. The gradient of each window over it is divided by a power of the norm; these
// factors are spread as gradients of sums, and each element takes what it gets times a power of its
// own. What that loses is made good one by one (norm_backward_exact.hpp).
#include <cstring>

#include "poolcore/norm_backward_exact.hpp"
#include "poolcore/norm_backward_job.hpp"
#include "poolcore/norm_backward_move.hpp"
#include "poolcore/norm_backward_pairs.hpp"
#include "poolcore/spread.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr int kAxes = kMaxPooledAxes;

void load(PackKernel kernel, const std::byte* src, const Loops& n, const Loops& step, double* dst) {
    load_loops(kernel, src, n, step, 8, reinterpret_cast<std::byte*>(dst));
}

// Calls each(n, offset, at) for parts of at most kNormChunk that lie side by side in the dense
// order: `offset` elements from the first on, at the place `at`.
template <class Each>
bool for_chunks(const Loops& all, const Each& each) {
    Loops size, at;
    std::int64_t left = kNormChunk;
    for (int i = kLoops - 1; i >= 0; --i) {
        size[i] = std::clamp<std::int64_t>(left, 1, all[i]);
        left = size[i] == all[i] ? left / size[i] : 1;
    }
    StopPoll poll;
    std::int64_t offset = 0;
    for (at[0] = 0; at[0] < all[0]; at[0] += size[0])
        for (at[1] = 0; at[1] < all[1]; at[1] += size[1])
            for (at[2] = 0; at[2] < all[2]; at[2] += size[2])
                for (at[3] = 0; at[3] < all[3]; at[3] += size[3]) {
                    Loops n;
                    for (int i = 0; i < kLoops; ++i) n[i] = std::min(size[i], all[i] - at[i]);
                    each(n, offset, at);
                    offset += n.product();
                    if (poll.stops(n.product())) return false;
                }
    return true;
}

std::int64_t offset_of(const Loops& at, const Loops& step) {
    std::int64_t offset = 0;
    for (int i = 0; i < kLoops; ++i) offset += at[i] * step[i];
    return offset;
}

// What elements get, by the exponent.
enum class Kind : std::uint8_t { kOne, kTwo, kAbove, kBelow, kMeanOfOne, kMeanAbove, kMeanBelow };

// What an element x with that power gets of g; 0 of 0, whatever the element. V is a double, or some.
template <Kind K, class V>
V given(V g, V x, V power, double floor) {
    const V one = V{} + 1.0;
    V r = g;
    if constexpr (K == Kind::kOne) {
        const V sign = x > 0 ? one : x < 0 ? -one : V{};
        r = g * (x == x ? sign : x);
    } else if constexpr (K == Kind::kTwo) {
        r = g * x;
    } else if constexpr (K == Kind::kAbove || K == Kind::kMeanAbove) {
        r = g * power;
    } else if constexpr (K == Kind::kBelow || K == Kind::kMeanBelow) {
        const V quotient = g / power;
        r = power != 0 ? quotient : V{};
    }
    if constexpr (K == Kind::kAbove || K == Kind::kBelow) r = x < 0 ? -r : r;
    if constexpr (K >= Kind::kMeanOfOne) r = x >= floor ? r : r * 0.0;
    return g == 0 ? V{} : r;
}

template <Kind K>
void give(double* sums, const double* x, const double* powers, std::int64_t n, double floor) {
    in_pairs(n, [=]<class V>(std::int64_t i, V) {
        put(sums + i, given<K>(get<V>(sums + i), get<V>(x + i), get<V>(powers + i), floor));
    });
}

using Give = void (*)(double*, const double*, const double*, std::int64_t, double);

Give give_of(const NormGradient& job) {
    const double p = job.plan.spec.power;
    if (job.mean)
        return p == 1 ? give<Kind::kMeanOfOne>
                      : p > 1 ? give<Kind::kMeanAbove> : give<Kind::kMeanBelow>;
    if (p == 1) return give<Kind::kOne>;
    return p == 2 ? give<Kind::kTwo> : p > 1 ? give<Kind::kAbove> : give<Kind::kBelow>;
}

class NormBox {
   public:
    NormBox(const NormGradient& job, const NormTask& task, const NormMemory& memory)
        : job_(job),
          task_(task),
          memory_(memory),
          elements_(job.loops(task.part.planes, task.part.elements)),
          windows_(job.loops(task.part.planes, task.part.windows)) {}

    void run() {
        if (!task_.part.has_windows()) {
            std::memset(memory_.sums, 0, static_cast<std::size_t>(8 * elements_.product()));
            return store_all();
        }
        if (!take_all_norms() || !divide() || !(whole_ || spread_factors())) return;
        for_elements();
    }

   private:
    bool raises() const { return job_.plan.spec.power != 1; }

    // Those remembered are copied, so that all that follows is side by side.
    bool take_all_norms() {
        if (!raises()) return true;
        auto* const to = reinterpret_cast<std::byte*>(memory_.norms);
        if (job_.norms == nullptr)
            return take_norms(job_, task_.part, task_.x, to, one_thread()) == RunStatus::kDone;
        const Loops all = job_.loops(job_.part.planes, job_.part.windows);
        const Loops step = dense_steps(all);
        Range from[kAxes];
        for (int i = 0; i < kAxes; ++i)
            from[i].lo = task_.part.windows[i].lo - job_.part.windows[i].lo;
        const std::int64_t plane = task_.part.planes.lo - job_.part.planes.lo;
        load(job_.copy, job_.norms + job_.offset(step, plane, from), windows_, step,
             memory_.norms);
        return true;
    }

    static RunControl one_thread() {
        RunControl control;
        control.threads = 1;
        return control;
    }

    bool divide() {
        const std::byte* const grads =
            task_.grad + job_.offset(job_.grad_step, task_.part.planes.lo, task_.part.windows);
        return for_chunks(windows_, [&](const Loops& n, std::int64_t offset, const Loops& at) {
            double* const factors = memory_.factors + offset;
            const std::int64_t count = n.product();
            load(job_.load_grad, grads + offset_of(at, job_.grad_step), n, job_.grad_step, factors);
            if (job_.mean)
                for (std::int64_t i = 0; i < count; ++i) factors[i] /= job_.divisor;
            if (!raises()) return;
            const double* const norms = memory_.norms + offset;
            const double* powers = norms;
            if (job_.power != 1) {
                std::copy_n(norms, count, memory_.first);
                raise_magnitudes(reinterpret_cast<std::byte*>(memory_.first), count, job_.power);
                powers = memory_.first;
            }
            if (job_.risks && risks(factors, norms, powers, count))
                mark(factors, norms, powers, offset, count);
            may_be_special_ = may_be_special_ || (squares_ && has_infinity(norms, count));
            divide_chunk(factors, norms, powers, count);
        });
    }

    void divide_chunk(double* factors, const double* norms, const double* powers,
                      std::int64_t n) const {
        const bool above = job_.plan.spec.power > 1;
        in_pairs(n, [=]<class V>(std::int64_t i, V) {
            const V grad = get<V>(factors + i), power = get<V>(powers + i);
            const V factor = above ? grad / power : grad * power;
            put(factors + i, get<V>(norms + i) == 0 ? V{} : factor);
        });
    }

    bool risks(const double* grads, const double* norms, const double* powers,
               std::int64_t n) const {
        const bool wide = job_.wide;
        return any_of_pairs(n, [=]<class V>(std::int64_t i, V) {
            const V norm = get<V>(norms + i), grad = get<V>(grads + i);
            const V factor = wide ? (grad < 0 ? -grad : grad) : V{} + 1.0;
            const auto finite = (norm > 0) & (norm < kInfinity);
            const auto counts = (factor > 0) & (factor < kInfinity);
            return finite & (is_beyond(get<V>(powers + i)) | (counts & is_beyond(factor)));
        });
    }

    static bool has_infinity(const double* norms, std::int64_t n) {
        return any_of_pairs(
            n, [=]<class V>(std::int64_t i, V) { return get<V>(norms + i) == kInfinity; });
    }

    // Which windows of a chunk are risky.
    void mark(const double* grads, const double* norms, const double* powers, std::int64_t offset,
              std::int64_t n) {
        const auto all = static_cast<std::size_t>(windows_.product());
        if (!risky_) std::memset(memory_.risky, 0, all);
        risky_ = true;
        for (std::int64_t i = 0; i < n; ++i)
            memory_.risky[offset + i] =
                norms[i] > 0 && norms[i] < kInfinity &&
                (is_beyond(powers[i]) || (job_.wide && is_beyond_and_counts(grads[i])));
    }

    // Elements to the power |p - 1|; `special` if one left the range.
    void to_power(double* values, std::int64_t n, bool* special) const {
        PowerArgs args{};
        args.values = reinterpret_cast<std::byte*>(values);
        args.n = n;
        args.exponent = job_.power;
        args.divisor = 1;
        args.clamps = job_.mean;
        args.floor = job_.floor;
        args.special = special;
        job_.to_power(args);
    }

    bool is_whole() const {
        for (int i = 0; i < kAxes; ++i) {
            const AxisGeometry& g = job_.axis[i].geometry;
            const Range& elements = task_.part.elements[i];
            if (task_.part.windows[i].size() != 1 || g.dilation != 1) return false;
            const std::int64_t first = g.start(task_.part.windows[i].lo);
            if (elements.lo < first || elements.hi - first > g.kernel) return false;
        }
        return true;
    }

    // What the window of each plane gives, for a chunk of elements.
    void repeat_factors(const Loops& n, const Loops& at) const {
        const int planes = job_.loop_of_planes();
        const double* const factors = memory_.factors + at[planes];
        const std::int64_t count = n[planes], each = n.product() / count;
        for (std::int64_t i = 0; i < (job_.near ? each : count); ++i)
            if (job_.near) std::copy_n(factors, count, memory_.third + i * count);
            else std::fill_n(memory_.third + i * each, each, factors[i]);
    }

    // Elements before the first window get nothing.
    bool spread_factors() {
        PartCall call = call_of(job_, task_.part);
        PoolPlan& plan = call.plan;
        plan.in_dtype = DType::kFloat64;
        plan.spec.op = Op::kSum;
        Range under[kAxes], skipped[kAxes];
        bool all = true;
        for (int i = 0; i < kAxes; ++i) {
            const Range& elements = task_.part.elements[i];
            const AxisGeometry& g = job_.axis[i].geometry;
            const std::int64_t first = task_.part.windows[i].lo * g.stride - g.pad_lo;
            under[i] = {std::max(elements.lo, first), elements.hi};
            skipped[i] = {under[i].lo - elements.lo, under[i].lo - elements.lo};
            all = all && skipped[i].lo == 0;
            const int to = i - kAxes + plan.spec.n_axes;
            if (to < 0) continue;
            plan.geometry[to].in = plan.in_shape[to + 1] = under[i].size();
            plan.geometry[to].pad_lo = under[i].lo - first;
            plan.geometry[to].pad_hi = 0;
        }
        if (!all)
            std::memset(memory_.sums, 0, static_cast<std::size_t>(8 * elements_.product()));
        const Loops to = dense_steps(elements_);
        const auto grad = view_of<StridedView>(
            job_, reinterpret_cast<const std::byte*>(memory_.factors), DType::kFloat64, windows_,
            dense_steps(windows_));
        const auto out = view_of<MutableView>(
            job_, reinterpret_cast<std::byte*>(memory_.sums) + job_.offset(to, 0, skipped),
            DType::kFloat64, job_.loops(task_.part.planes, under), to);
        return spread(plan, grad, out, one_thread()) == RunStatus::kDone;
    }

    void for_elements() {
        const std::byte* const x =
            task_.x + job_.offset(job_.x_step, task_.part.planes.lo, task_.part.elements);
        const Give give = give_of(job_);
        NormExact exact(job_, task_, memory_, windows_, risky_);
        for_chunks(elements_, [&](const Loops& n, std::int64_t offset, const Loops& at) {
            double* const sums = whole_ ? memory_.third : memory_.sums + offset;
            const std::int64_t count = n.product();
            if (whole_) repeat_factors(n, at);
            load(job_.load_x, x + offset_of(at, job_.x_step), n, job_.x_step, memory_.first);
            bool special = risky_ || (may_be_special_ && has_special(count));
            if (raises() && (!squares_ || special)) {
                std::copy_n(memory_.first, count, memory_.second);
                to_power(memory_.second, count, &special);
            }
            give(sums, memory_.first, memory_.second, count, job_.floor);
            if (special) exact.mend(sums, n, at);
            store_chunk(sums, n, at);
        });
    }

    // Of elements whose power is their size.
    bool has_special(std::int64_t n) const {
        const double* const x = memory_.first;
        return any_of_pairs(n, [=]<class V>(std::int64_t i, V) {
            const V v = get<V>(x + i), size = v < 0 ? -v : v;
            return ((size < kLeastPower) & (v != 0)) | (size == kInfinity);
        });
    }

    void store_chunk(const double* sums, const Loops& n, const Loops& at) const {
        std::byte* const out =
            task_.out + job_.offset(job_.out_step, task_.part.planes.lo, task_.part.elements);
        store_loops(job_.store, reinterpret_cast<const std::byte*>(sums), 8, n, job_.out_step,
                    out + offset_of(at, job_.out_step));
    }

    void store_all() const { store_chunk(memory_.sums, elements_, {{0, 0, 0, 0}}); }

    const NormGradient& job_;
    const NormTask& task_;
    const NormMemory& memory_;
    const Loops elements_, windows_;
    const bool squares_ = !job_.mean && job_.plan.spec.power == 2;
    const bool whole_ = is_whole();  // all elements of a plane lie under its only window
    // Squares: elements may be infinite, or so small that x / y is.
    bool may_be_special_ = squares_ && job_.x.dtype == DType::kFloat64;
    bool risky_ = false;
};

}  // namespace

std::int64_t NormMemory::bytes(std::int64_t elements, std::int64_t windows) {
    return Scratch::footprint(times(elements, 8)) + 2 * Scratch::footprint(times(windows, 8)) +
           Scratch::footprint(windows) + 3 * Scratch::footprint(kNormChunk * 8);
}

NormMemory::NormMemory(const NormGradient& job, int worker) {
    std::byte* at = job.memory + worker * job.worker_bytes;
    const auto take = [&at](std::int64_t n) {
        double* const taken = reinterpret_cast<double*>(at);
        at += Scratch::footprint(n * 8);
        return taken;
    };
    sums = take(job.box_elements);
    norms = take(job.box_windows);
    factors = take(job.box_windows);
    first = take(kNormChunk);
    second = take(kNormChunk);
    third = take(kNormChunk);
    risky = reinterpret_cast<std::uint8_t*>(at);
}

void norm_elements(void* context, std::int64_t number, int worker) {
    const auto& job = *static_cast<const NormGradient*>(context);
    const NormTask task = norm_task(job, number);
    const NormMemory memory(job, worker);
    NormBox(job, task, memory).run();
}

}  // namespace poolcore
