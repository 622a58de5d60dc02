#include "poolcore/median_rows.hpp"

#include "poolcore/dispatch.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kNetworkBytes = 24 * 1024;  // of scratch, if the rows are not too short then
constexpr std::int64_t kLongestRow = 4096;         // bytes
constexpr std::int64_t kFewestWindows = 64;        // that are worth making a network
constexpr std::int64_t kMostKinds = 64;
constexpr std::int64_t kMostLooks = 1024;  // for them
constexpr std::int64_t kFewestLanes = 16;  // of a row that goes on in another batch
constexpr std::int64_t kFarthest = 64;     // lanes between columns that windows share
constexpr std::int64_t kTooMany = kNetworkTaps + 1;

int log2_of(std::int64_t size) { return size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3; }

std::int64_t stride_of(const SelectJob& job, int axis) {
    if (job.lane.pooled == axis) return job.lane.in_stride;
    for (int i = 0; i < job.n_loops; ++i)
        if (job.loops[i].pooled == axis) return job.loops[i].in_stride;
    return 0;
}

// The axis whose taps are columns: that of the lanes, or the nearest in memory.
int column_axis(const SelectJob& job) {
    if (job.lane.pooled >= 0) return job.lane.pooled;
    int axis = 0;
    while (job.slot[axis] != kMaxPooledAxes - 1) ++axis;
    return axis;
}

// Full windows side by side share columns, unless they lie far apart; otherwise every column is a
// line of its own.
NetworkShape lay_columns(const SelectJob& job, MedianRows& made) {
    const int axis = column_axis(job);
    const AxisGeometry& g = job.plan->geometry[axis];
    const std::int64_t in_stride = stride_of(job, axis);
    NetworkShape shape;
    shape.columns = static_cast<int>(made.count[made.column_slot]);
    shape.rows = static_cast<int>(made.count[0] * made.count[1] * made.count[2]) / shape.columns;
    shape.phases = 0;
    const bool shares = job.lane.pooled == axis && shape.columns == g.kernel &&
                        (g.kernel - 1) * g.dilation / g.stride <= kFarthest;
    std::int64_t first[kNetworkTaps];
    for (int c = 0; c < shape.columns; ++c) {
        const std::int64_t at = c * g.dilation;
        int phase = shares ? 0 : shape.phases;
        while (phase < shape.phases && (at - first[phase]) % g.stride != 0) ++phase;
        if (phase == shape.phases) {
            first[shape.phases++] = at;
            made.origin.push_back(wrapped(at, in_stride));
        }
        shape.phase[c] = phase;
        shape.shift[c] = static_cast<int>((at - first[phase]) / g.stride);
    }
    return shape;
}

// From rows and lanes to bytes.
void lay_steps(MedianRows& made) {
    const auto at = [&](const NetworkRow& r) {
        return static_cast<std::int32_t>(r.row * made.pitch + r.shift * made.item);
    };
    const auto start = [&](int row) {
        return row < 0 ? -1 : static_cast<std::int32_t>(row * made.pitch);
    };
    for (const Exchange& e : made.network.exchanges)
        made.steps.push_back({at(e.a), at(e.b), start(e.low), start(e.high),
                              static_cast<std::int32_t>(e.extra * made.item)});
    for (const RankTerm& t : made.network.low)
        made.low.push_back({at(t.a), at(t.b.row < 0 ? t.a : t.b)});
    for (const RankTerm& t : made.network.high)
        made.high.push_back({at(t.a), at(t.b.row < 0 ? t.a : t.b)});
}

// Rows that stay in the nearest cache, if that leaves several times the lanes that they share.
void size_rows(MedianRows& made) {
    const std::int64_t rows = made.network.rows + 2;
    const std::int64_t shared = made.network.longest * made.item;
    const std::int64_t least = std::max<std::int64_t>(256, 4 * shared);
    const std::int64_t bytes = std::max(std::min(kNetworkBytes / rows, kLongestRow), least);
    const std::int64_t whole = (bytes + kLargestVector - 1) / kLargestVector * kLargestVector;
    made.lanes = whole / made.item;
    made.pitch = whole + kLargestVector;
}

MedianRows make_rows(const SelectJob& job, const std::int64_t* count) {
    MedianRows made{{count[0], count[1], count[2]}, job.slot[column_axis(job)]};
    made.item = static_cast<std::int64_t>(item_size(job.plan->in_dtype));
    made.network = median_network(lay_columns(job, made));
    size_rows(made);
    lay_steps(made);
    return made;
}

// How many taps windows have along an axis, the full number first.
std::vector<std::int64_t> tap_counts(const AxisGeometry& g) {
    std::vector<std::int64_t> counts{g.kernel};
    const TapRange inside = g.interior();
    for (std::int64_t o = 0, looks = 0; o < g.out && looks < kMostLooks; ++o, ++looks) {
        if (o == inside.first && inside.last > o) o = inside.last;
        if (o >= g.out) break;
        const std::int64_t n = g.taps(o).count();
        if (n > 0 && std::find(counts.begin(), counts.end(), n) == counts.end())
            counts.push_back(n);
    }
    return counts;
}

void add_all_rows(const SelectJob& job, MedianPlan& made) {
    const PoolPlan& plan = *job.plan;
    std::vector<std::int64_t> counts[kMaxPooledAxes] = {{1}, {1}, {1}};
    const std::int64_t each = std::max(kFewestWindows, 4 * job.taps);  // what a network costs
    const std::int64_t most = std::min(kMostKinds, plan.out_elements / each);
    std::int64_t kinds = 1;
    for (int i = 0; i < plan.spec.n_axes; ++i) {
        auto& c = counts[job.slot[i]];
        c = tap_counts(plan.geometry[i]);
        if (kinds * static_cast<std::int64_t>(c.size()) > most) c.resize(1);
        kinds *= static_cast<std::int64_t>(c.size());
    }
    for (const std::int64_t a : counts[0])
        for (const std::int64_t b : counts[1])
            for (const std::int64_t c : counts[2]) {
                const std::int64_t count[] = {a, b, c};
                made.rows.push_back(make_rows(job, count));
            }
}

}  // namespace

MedianPlan make_median_plan(const SelectJob& job, const KeyOrder& order) {
    MedianPlan made;
    const PoolPlan& plan = *job.plan;
    std::int64_t taps = 1;
    for (int i = 0; i < plan.spec.n_axes; ++i) taps *= std::min(plan.geometry[i].kernel, kTooMany);
    if (plan.spec.op != Op::kMedian || taps > kNetworkTaps || plan.out_elements < kFewestWindows)
        return made;
    add_all_rows(job, made);
    const int real = is_float(plan.in_dtype) ? 1 : 0;
    const int size = log2_of(static_cast<std::int64_t>(item_size(plan.in_dtype)));
    made.keys = kernels().keys[real][size];
    made.exchanges = kernels().exchanges[size];
    made.rank = kernels().rank[real][size];
    made.order = order;
    made.same_type = plan.in_dtype == plan.out_dtype;
    if (plan.out_dtype == DType::kFloat64 && real == 0) made.widen = job.widen;
    return made;
}

bool MedianBatch::add(const MedianRows& rows, MedianRun& run) {
    if (n_ > 0 && rows_ != &rows) return false;
    const std::int64_t room = rows.lanes - used_ - rows.network.longest;
    if (n_ == kMostSegments || room < std::min(run.windows, kFewestLanes)) return false;
    rows_ = &rows;
    Segment& s = segments_[n_++];
    s = {run, used_};
    s.run.windows = std::min(run.windows, room);
    used_ += s.run.windows + rows.network.longest;
    run.skip(s.run.windows);
    return true;
}

bool MedianBatch::find(bool decodes) {
    bool nan = false;
    for (const Segment& s : *this) nan = load(s) || nan;
    ExchangesArgs args{};
    args.scratch = scratch_;
    args.step = rows_->steps.data();
    args.steps = static_cast<std::int64_t>(rows_->steps.size());
    args.n = (used_ - rows_->network.longest) * rows_->item;
    plan_.exchanges(args);
    rank(rows_->low, 0, decodes && !nan);
    if (!rows_->high.empty()) rank(rows_->high, 1, decodes && !nan);
    return nan;
}

bool MedianBatch::load(const Segment& s) {
    bool nan = false;
    int other[kMaxPooledAxes];
    int n = 0;
    for (int slot = 0; slot < kMaxPooledAxes; ++slot)
        if (slot != rows_->column_slot) other[n++] = slot;
    KeysArgs args{};
    args.n0 = s.run.grid.count[other[0]];
    args.n1 = s.run.grid.count[other[1]];
    args.src_stride0 = s.run.grid.step[other[0]];
    args.src_stride1 = s.run.grid.step[other[1]];
    args.src_step = s.run.step;
    args.dst_stride = rows_->pitch;
    args.order = plan_.order;
    args.nan = &nan;
    const NetworkShape& shape = rows_->network.shape;
    for (int p = 0; p < shape.phases; ++p) {
        args.src = s.run.grid.base + rows_->origin[static_cast<std::size_t>(p)];
        args.dst = scratch_ + p * shape.rows * rows_->pitch + s.lane * rows_->item;
        args.n = s.run.windows + rows_->network.extent[static_cast<std::size_t>(p)];
        plan_.keys(args);
    }
    return nan;
}

void MedianBatch::rank(const std::vector<RankStep>& terms, int which, bool decodes) {
    RankArgs args{};
    args.scratch = scratch_;
    args.dst = found(which);
    args.term = terms.data();
    args.terms = static_cast<std::int64_t>(terms.size());
    args.n = (used_ - rows_->network.longest) * rows_->item;
    args.order = plan_.order;
    args.decodes = decodes;
    plan_.rank(args);
}

}  // namespace poolcore
