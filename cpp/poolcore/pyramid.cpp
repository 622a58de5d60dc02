#include "poolcore/pyramid.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "poolcore/dispatch.hpp"
#include "poolcore/pyramid_tile.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

// One task makes no more levels than this from its part: their sums go on to the next pass, and
// parts that cover whole windows of a high level would be large.
constexpr int kMostAtOnce = 6;
constexpr std::int64_t kLongestLine = 8192;
// Below so many bytes in and out, waking another thread costs more than it saves.
constexpr std::int64_t kAloneBytes = 64 * 1024;

[[noreturn]] void fail(const PyramidSpec& spec, const std::string& problem) {
    throw PoolError(ErrorKind::kValue, std::string(spec.function) + ": " + problem);
}

// Sums of one level for all planes, C-contiguous.
struct Sums {
    std::unique_ptr<std::byte[]> memory;
    std::int64_t plane_bytes = 0;
};

// Levels start + 1 to top, from x or the sums of `start`. Parts of a plane are numbered by rows.
struct Pass {
    const PyramidPlan& plan;
    const StridedView& in;
    const MutableView* levels;
    const KernelTable& kernels;
    std::int64_t planes = 1;
    int start = 0, top = 0;
    const Sums* from = nullptr;  // null: x
    Sums* to = nullptr;          // null: nothing is left to make
    std::int64_t height = 0, width = 0;  // of level `start`
    std::int64_t rows = 0, columns = 0;  // of a part, at most
    std::int64_t down = 0, across = 0;   // parts of a plane
    std::int64_t per_task = 1;

    std::int64_t parts() const { return planes * down * across; }
    void lay_out(std::int64_t tile);
    Sheet source(std::int64_t plane, std::int64_t row, std::int64_t column) const;
    void keep(const Sheet& sums, std::int64_t plane, std::int64_t row, std::int64_t column) const;
    void make(std::int64_t part, Scratch& scratch) const;
    std::int64_t scratch_bytes() const { return PyramidTile::scratch_bytes(rows, columns); }
};

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// Cuts the planes into parts of about `tile` elements, whole windows of the top level.
void Pass::lay_out(std::int64_t tile) {
    const int rank = plan.rank;
    height = plan.length(rank - 2, start);
    width = plan.length(rank - 1, start);
    const std::int64_t most = std::min(kMostAtOnce, plan.spec.levels - start);
    top = start + std::min<int>(2, static_cast<int>(most));
    while (top - start < most && std::int64_t(4) << 2 * (top - start) <= tile) ++top;
    const std::int64_t unit = std::int64_t(1) << (top - start);
    const auto whole = [unit](std::int64_t n) { return std::max(unit, n / unit * unit); };
    columns = std::min(width, whole(std::min(kLongestLine, tile / std::min(unit, height))));
    rows = std::min(height, whole(tile / columns));
    down = ceil_div(height, rows);
    across = ceil_div(width, columns);
    per_task = std::max<std::int64_t>(1, tile / (rows * columns));
}

std::byte* level_plane(const MutableView& level, std::int64_t plane) {
    std::byte* p = level.data;
    for (int axis = level.rank - 3; axis >= 0; --axis) {
        p += plane % level.shape[axis] * level.strides[axis];
        plane /= level.shape[axis];
    }
    return p;
}

Sheet Pass::source(std::int64_t plane, std::int64_t row, std::int64_t column) const {
    Sheet sheet;
    sheet.rows = std::min(rows, height - row);
    sheet.n = std::min(columns, width - column);
    if (from) {
        sheet.dtype = pyramid_sums(plan.in_dtype, start);
        sheet.stride = width * static_cast<std::int64_t>(item_size(sheet.dtype));
        sheet.data = from->memory.get() + plane * from->plane_bytes;
    } else {
        sheet.dtype = in.dtype;
        sheet.stride = in.strides[in.rank - 2];
        sheet.data = in.data;
        for (int axis = in.rank - 3; axis >= 0; --axis) {
            sheet.data += plane % in.shape[axis] * in.strides[axis];
            plane /= in.shape[axis];
        }
    }
    sheet.data += row * sheet.stride + column * static_cast<std::int64_t>(item_size(sheet.dtype));
    return sheet;
}

// Hands the sums of the top level to the next pass.
void Pass::keep(const Sheet& sums, std::int64_t plane, std::int64_t row,
                std::int64_t column) const {
    const auto size = static_cast<std::int64_t>(item_size(sums.dtype));
    const std::int64_t stride = plan.length(plan.rank - 1, top) * size;
    std::byte* dst = to->memory.get() + plane * to->plane_bytes +
                     (row >> (top - start)) * stride + (column >> (top - start)) * size;
    for (std::int64_t i = 0; i < sums.rows; ++i)
        std::memcpy(dst + i * stride, sums.data + i * sums.stride,
                    static_cast<std::size_t>(sums.n * size));
}

void Pass::make(std::int64_t part, Scratch& scratch) const {
    const std::int64_t plane = part / (down * across);
    const std::int64_t row = part / across % down * rows, column = part % across * columns;
    LevelPlane targets[kMaxPyramidLevels];
    for (int level = start + 1; level <= top; ++level) {
        const MutableView& out = levels[level - 1];
        targets[level - 1] = {level_plane(out, plane), out.strides[out.rank - 2]};
    }
    PyramidTile tile(plan, kernels, targets, start, top, scratch);
    const std::int64_t mark = scratch.mark();
    const Sheet sums = tile.climb(source(plane, row, column), {row, column});
    if (to) keep(sums, plane, row, column);
    scratch.release(mark);
}

void run_task(void* context, std::int64_t task, int) {
    const Pass& pass = *static_cast<const Pass*>(context);
    TaskScratch scratch(pass.scratch_bytes());
    const std::int64_t end = std::min((task + 1) * pass.per_task, pass.parts());
    for (std::int64_t part = task * pass.per_task; part < end; ++part) {
        if (stop_requested()) return;
        pass.make(part, *scratch);
    }
}

// The elements of a part, so that there are some for every thread.
std::int64_t shared_tile(const PyramidPlan& plan, std::int64_t planes, int threads) {
    std::int64_t elements = 0;
    const std::int64_t tile = std::max<std::int64_t>(1, plan.spec.tile);
    if (__builtin_mul_overflow(plan.in_shape[plan.rank - 2], plan.in_shape[plan.rank - 1],
                               &elements) ||
        __builtin_mul_overflow(elements, planes, &elements))
        return tile;
    return threads == 1 ? tile : std::clamp<std::int64_t>(elements / (4 * threads), 1, tile);
}

int useful_threads(const PyramidPlan& plan, std::int64_t planes, const RunControl& control) {
    const int wanted = control.threads > 0 ? control.threads : get_num_threads();
    double bytes = static_cast<double>(item_size(plan.in_dtype)) * static_cast<double>(planes);
    for (int axis = plan.rank - 2; axis < plan.rank; ++axis)
        bytes *= static_cast<double>(plan.in_shape[axis]);
    return bytes < static_cast<double>(kAloneBytes) ? 1 : std::min(wanted, kMaxThreads);
}

// Room for what a pass hands on.
Sums room_for(const PyramidPlan& plan, int level, std::int64_t planes) {
    Sums sums;
    sums.plane_bytes = plan.length(plan.rank - 2, level) * plan.length(plan.rank - 1, level) *
                       static_cast<std::int64_t>(item_size(pyramid_sums(plan.in_dtype, level)));
    const std::int64_t bytes = planes * sums.plane_bytes;
    sums.memory.reset(new (std::nothrow) std::byte[static_cast<std::size_t>(bytes)]);
    if (!sums.memory)
        throw PoolError(ErrorKind::kMemory, std::string(plan.spec.function) + ": no memory for " +
                                                std::to_string(bytes) + " bytes of sums");
    return sums;
}

}  // namespace

std::int64_t PyramidPlan::length(int axis, int level) const {
    const std::int64_t n = in_shape[axis];
    return (n >> level) + ((n & ((std::int64_t(1) << level) - 1)) != 0 ? 1 : 0);
}

PyramidPlan make_pyramid_plan(const PyramidSpec& spec, const StridedView& in) {
    PyramidPlan plan;
    plan.spec = spec;
    plan.in_dtype = in.dtype;
    plan.rank = in.rank;
    std::copy_n(in.shape, in.rank, plan.in_shape);
    if (in.rank < 2) fail(spec, "x must have two axes or more");
    if (spec.levels < 1 || spec.levels > kMaxPyramidLevels) fail(spec, "levels is out of range");
    for (int axis = in.rank - 2; axis < in.rank; ++axis)
        if (in.shape[axis] < 1) fail(spec, "x has an empty axis");
    const auto size = static_cast<std::int64_t>(item_size(in.dtype));
    if (in.shape[in.rank - 1] > 1 && in.strides[in.rank - 1] != size)
        fail(spec, "elements of the last axis of x must lie side by side");
    if (!is_float(in.dtype) && 8 * size + 2 * spec.levels > 62)
        fail(spec, "sums of x could have more than 62 bits");
    return plan;
}

RunStatus run_pyramid(const PyramidPlan& plan, const StridedView& in, const MutableView* levels,
                      const RunControl& control) {
    std::int64_t planes = 1;
    for (int axis = 0; axis < plan.rank - 2; ++axis) planes *= plan.in_shape[axis];
    if (planes == 0) return RunStatus::kDone;
    ParallelJob parallel;
    parallel.function = run_task;
    parallel.threads = useful_threads(plan, planes, control);
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    const std::int64_t tile = shared_tile(plan, planes, parallel.threads);
    std::vector<Pass> passes;
    std::vector<Sums> kept;
    passes.reserve(kMaxPyramidLevels);
    kept.reserve(kMaxPyramidLevels);
    for (int start = 0; start < plan.spec.levels; start = passes.back().top) {
        Pass pass{plan, in, levels, kernels()};
        pass.planes = planes;
        pass.start = start;
        pass.from = kept.empty() ? nullptr : &kept.back();
        pass.lay_out(tile);
        if (pass.top < plan.spec.levels) {
            kept.push_back(room_for(plan, pass.top, planes));
            pass.to = &kept.back();
        }
        parallel.scratch = std::max(parallel.scratch, pass.scratch_bytes());
        passes.push_back(pass);
    }
    for (Pass& pass : passes) {
        parallel.context = &pass;
        parallel.n_tasks = ceil_div(pass.parts(), pass.per_task);
        if (!parallel_for(parallel)) return RunStatus::kCancelled;
    }
    return RunStatus::kDone;
}

}  // namespace poolcore
