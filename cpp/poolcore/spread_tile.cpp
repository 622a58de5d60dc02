// Gradients of windows side by side, none over another: an element takes that of its one window,
// which is divided once and repeated over the window. Part of spread.
#include <algorithm>
#include <bit>
#include <cstdlib>

#include "poolcore/dispatch.hpp"
#include "poolcore/schedule.hpp"
#include "poolcore/spread_job.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kTaskWindows = 4096;        // so that their gradients stay in the cache
constexpr std::int64_t kTaskElements = 64 * 1024;  // elements of results that make a task
constexpr std::int64_t kLeastElements = 8 * 1024;  // the same where more tasks are wanted
constexpr std::int64_t kLargestWindow = 1 << 20;   // elements
constexpr int kBlocks = 4;  // gradients packed, widened, divided, finished

// Windows along one axis, `size` elements long, and elements behind the last of them.
struct TileAxis {
    std::int64_t n = 1;
    std::int64_t size = 1;
    std::int64_t rest = 0;
    std::int64_t grad = 0;  // strides in bytes, from window to window
    std::int64_t out = 0;   // and from element to element
    bool trivial() const { return n == 1 && size == 1 && rest == 0; }
};

// A task takes `box` windows along each axis.
struct TileJob {
    const SpreadJob* spread = nullptr;
    TileAxis axis[kSpreadAxes];
    SpreadAxis batch[kMaxRank];
    int n_batch = 0;
    std::int64_t box[kSpreadAxes] = {1, 1, 1};
    std::int64_t n_boxes[kSpreadAxes] = {1, 1, 1};
    std::int64_t n_tasks = 1;
    std::int64_t item = 1;
    double divisor = 1;
    RepeatKernel repeat = nullptr;

    std::int64_t window() const { return axis[0].size * axis[1].size * axis[2].size; }
    std::int64_t windows() const {
        std::int64_t n = axis[0].n * axis[1].n * axis[2].n;
        for (int i = 0; i < n_batch; ++i) n *= batch[i].n;
        return n;
    }
};

// Whether the windows of `outer` go on where those of `inner` end, in both arrays.
bool follow(const TileAxis& inner, const TileAxis& outer) {
    return inner.rest == 0 && outer.size == 1 && outer.rest == 0 &&
           outer.out == inner.n * inner.size * inner.out && outer.grad == inner.n * inner.grad;
}

// Where windows are whole rows, so that their rows are one run of memory, makes one axis of two.
void join_rows(TileJob& job) {
    TileAxis &row = job.axis[2], &rows = job.axis[1];
    for (int i = 1; i < kSpreadAxes; ++i) {
        const bool whole = row.n == 1 && row.rest == 0;
        if (!whole || (!rows.trivial() && rows.out != row.size * row.out)) return;
        row = {rows.n, rows.size * row.size, rows.rest * row.size, rows.grad, row.out};
        rows = job.axis[0];
        job.axis[0] = {};
    }
}

// The axis that is not pooled whose elements lie side by side, or -1. The first pooled axis must leave
// room for it.
int lanes_of(const SpreadJob& job, std::int64_t item) {
    if (job.axis[2].n > 1 && job.axis[2].out == item) return -1;
    for (int i = 0; i < job.n_batch && job.cover[0].trivial(); ++i)
        if (job.batch[i].out == item) return i;
    return -1;
}

void set_axes(TileJob& job, const SpreadJob& spread, int lanes) {
    for (int x = 0; x < kSpreadAxes; ++x) {
        const AxisGeometry& g = spread.cover[x].geometry();
        job.axis[x] = {g.out, g.stride, g.in - g.out * g.stride, spread.axis[x].grad,
                       spread.axis[x].out};
    }
    if (lanes >= 0) {
        const SpreadAxis& axis = spread.batch[lanes];
        std::copy_n(job.axis + 1, kSpreadAxes - 1, job.axis);
        job.axis[2] = {axis.n, 1, 0, axis.grad, axis.out};
    }
    job.axis[2].out = job.item;  // where there is one element, too
}

// Puts what is not pooled where it makes the lines longer, or there are no lines yet.
void place_batch(TileJob& job, const SpreadJob& spread, int lanes) {
    for (int i = spread.n_batch - 1; i >= 0; --i) {
        if (i == lanes) continue;
        const SpreadAxis& batch = spread.batch[i];
        const TileAxis lines{batch.n, 1, 0, batch.grad, batch.out};
        TileAxis &rows = job.axis[1], &planes = job.axis[0];
        if (rows.trivial()) rows = lines;
        else if (planes.trivial() && follow(rows, lines)) rows.n *= lines.n;
        else if (planes.trivial()) planes = lines;
        else if (follow(planes, lines)) planes.n *= lines.n;
        else job.batch[job.n_batch++] = batch;
    }
    if (!follow(job.axis[2], job.axis[1])) return;
    job.axis[2].n *= job.axis[1].n;
    job.axis[1] = job.axis[0];
    job.axis[0] = {};
}

void choose_boxes(TileJob& job, int threads) {
    const std::int64_t window = job.window();
    std::int64_t most = std::clamp<std::int64_t>(kTaskElements / window, 1, kTaskWindows);
    if (threads > 1) {
        const std::int64_t least = std::max<std::int64_t>(kLeastElements / window, 1);
        most = std::min(most, std::max(job.windows() / (4 * threads), least));
    }
    for (int i = 0; i < job.n_batch; ++i) job.n_tasks *= job.batch[i].n;
    for (int x = kSpreadAxes - 1; x >= 0; --x) {
        const std::int64_t n = job.axis[x].n, box = std::clamp<std::int64_t>(most, 1, n);
        job.n_boxes[x] = (n + box - 1) / box;
        job.box[x] = (n + job.n_boxes[x] - 1) / job.n_boxes[x];
        job.n_boxes[x] = (n + job.box[x] - 1) / job.box[x];
        job.n_tasks *= job.n_boxes[x];
        most /= box;
    }
}

// One task: the windows [lo, lo + n) along each axis.
class Tiles {
   public:
    Tiles(const TileJob& job, std::int64_t number, Scratch& scratch)
        : job_(job), grad_(job.spread->grad), out_(job.spread->out) {
        const auto digit = [&number](std::int64_t base) {
            const std::int64_t d = number % base;
            number /= base;
            return d;
        };
        for (int x = kSpreadAxes - 1; x >= 0; --x) {
            const TileAxis& axis = job.axis[x];
            const std::int64_t lo = digit(job.n_boxes[x]) * job.box[x];
            n_[x] = std::min(job.box[x], axis.n - lo);
            rest_[x] = lo + n_[x] == axis.n ? axis.rest : 0;
            grad_ += lo * axis.grad;
            out_ += lo * axis.size * axis.out;
        }
        for (int i = 0; i < job.n_batch; ++i) {
            const std::int64_t at = digit(job.batch[i].n);
            grad_ += at * job.batch[i].grad;
            out_ += at * job.batch[i].out;
        }
        for (std::byte*& block : blocks_) block = scratch.take(count() * 8);
    }

    void run() const {
        const TileAxis* axis = job_.axis;
        RepeatArgs args{};
        args.src = finished();
        args.dst = out_;
        args.n0 = n_[0];
        args.n1 = n_[1];
        args.n = n_[2];
        args.src_stride1 = n_[2] * job_.item;
        args.src_stride0 = n_[1] * args.src_stride1;
        args.dst_stride1 = axis[1].out;
        args.dst_stride0 = axis[0].size * axis[0].out;
        args.copies = axis[1].size;
        args.times = axis[2].size;
        args.rest = rest_[2];
        args.rest_lines = rest_[1];
        for (std::int64_t i = 0; i < axis[0].size; ++i, args.dst += axis[0].out)
            job_.repeat(args);
        if (rest_[0] == 0) return;
        args.dst = out_ + n_[0] * args.dst_stride0;
        args.n0 = rest_[0];
        args.dst_stride0 = axis[0].out;
        args.rest_lines += n_[1] * args.copies;
        args.n1 = 0;
        job_.repeat(args);
    }

   private:
    std::int64_t count() const { return n_[0] * n_[1] * n_[2]; }

    // The gradients of the windows, divided, as the type of the results, side by side.
    const std::byte* finished() const {
        const SpreadJob& spread = *job_.spread;
        FinishArgs args = divided_by(job_.divisor);
        args.n = count();
        args.src = spread.native && solid(spread.element()) ? grad_ : packed();
        const auto take = [&args](FinishKernel kernel, std::byte* dst, std::int64_t size) {
            args.dst = dst;
            args.dst_stride = size;
            kernel(args);
            args.src = dst;
        };
        if (spread.widen) take(spread.widen, blocks_[1], spread.element());
        if (spread.divide) take(spread.divide, blocks_[2], spread.element());
        take(spread.finish, blocks_[3], job_.item);
        return args.src;
    }

    // Whether they lie side by side as they are.
    bool solid(std::int64_t size) const {
        for (int x = kSpreadAxes - 1; x >= 0; --x) {
            if (n_[x] > 1 && job_.axis[x].grad != size) return false;
            size *= n_[x];
        }
        return true;
    }

    const std::byte* packed() const {
        const SpreadJob& spread = *job_.spread;
        PackArgs args{};
        args.src = grad_;
        args.dst = blocks_[0];
        args.n0 = n_[0];
        args.n1 = n_[1];
        args.n = n_[2];
        args.src_stride0 = job_.axis[0].grad;
        args.src_stride1 = job_.axis[1].grad;
        args.src_stride = job_.axis[2].grad;
        args.dst_stride1 = n_[2] * (spread.widen ? 8 : spread.element());
        args.dst_stride0 = n_[1] * args.dst_stride1;
        spread.pack(args);
        return args.dst;
    }

    const TileJob& job_;
    const std::byte* grad_;
    std::byte* out_;
    std::int64_t n_[kSpreadAxes], rest_[kSpreadAxes];
    std::byte* blocks_[kBlocks];
};

std::int64_t scratch_bytes(const TileJob& job) {
    return kBlocks * Scratch::footprint(job.box[0] * job.box[1] * job.box[2] * 8);
}

void run_task(void* context, std::int64_t number, int) {
    const TileJob& job = *static_cast<const TileJob*>(context);
    TaskScratch scratch(scratch_bytes(job));
    Tiles(job, number, *scratch).run();
}

bool lie_side_by_side(const AxisGeometry& g) {
    return g.out > 0 && g.period == 1 && g.dilation == 1 && g.kernel == g.stride &&
           g.pad_lo == 0 && g.out <= g.in / g.stride;
}

}  // namespace

bool spreads_in_tiles(const SpreadJob& job, int threads) {
    const auto item = static_cast<std::int64_t>(item_size(job.plan->out_dtype));
    if (job.axis[2].n > 1 && job.axis[2].out != item && lanes_of(job, item) < 0) return false;
    std::int64_t window = 1, windows = 1;
    for (const Cover& cover : job.cover) {
        const AxisGeometry& g = cover.geometry();
        if (!lie_side_by_side(g)) return false;
        window = times(window, g.stride);
        windows = times(windows, g.out);
    }
    for (int i = 0; i < job.n_batch; ++i) windows = times(windows, job.batch[i].n);
    // A window is one task's.
    const bool few = threads > 1 && windows < 2 * threads;
    return window <= (few ? kTaskElements : kLargestWindow);
}

bool spread_tiles(const SpreadJob& spread, ParallelJob parallel) {
    TileJob job;
    job.spread = &spread;
    job.item = static_cast<std::int64_t>(item_size(spread.plan->out_dtype));
    job.repeat = kernels().repeat[std::countr_zero(static_cast<std::uint64_t>(job.item))];
    job.divisor = spread.usual_divisor();
    const int lanes = lanes_of(spread, job.item);
    set_axes(job, spread, lanes);
    join_rows(job);
    place_batch(job, spread, lanes);
    choose_boxes(job, parallel.threads);
    parallel.function = run_task;
    parallel.context = &job;
    parallel.n_tasks = job.n_tasks;
    parallel.scratch = scratch_bytes(job);
    return parallel_for(parallel);
}

}  // namespace poolcore
