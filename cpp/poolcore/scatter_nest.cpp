#include "poolcore/scatter_nest.hpp"

#include <algorithm>
#include <cstdlib>

namespace poolcore {
namespace {

constexpr std::int64_t kTaskElements = 16 * 1024;  // below, planes share a task
constexpr std::int64_t kLeastLanes = 16;           // a chunk of fewer shares its cache lines

ScatterAxis axis_of(const StridedView& values, const StridedView& indices, const MutableView& out,
                    int axis) {
    return {values.shape[axis], values.strides[axis], indices.strides[axis], out.strides[axis]};
}

// Outer axes run on into inner ones where both inputs do, so that short rows become long ones.
void merge_positions(ScatterNest& nest) {
    for (int i = 1; i >= 0; --i) {
        ScatterAxis& outer = nest.position[i];
        ScatterAxis& inner = nest.position[i + 1];
        const bool runs_on =
            outer.value == inner.n * inner.value && outer.index == inner.n * inner.index;
        if (outer.n == 1) {
            // Nothing to merge; the axes further out may still follow on `inner`.
        } else if (inner.n == 1) {
            inner = outer;
        } else if (runs_on) {
            inner.n *= outer.n;
        } else {
            continue;
        }
        for (int j = i; j > 0; --j) nest.position[j] = nest.position[j - 1];
        nest.position[0] = {};
    }
}

void set_plane(ScatterNest& nest, const ScatterSpec& spec, const MutableView& out) {
    for (int i = 0; i < spec.n_axes; ++i) {
        const int to = kMaxPooledAxes - spec.n_axes + i;
        nest.out_n[to] = out.shape[spec.axes[i]];
        nest.out_stride[to] = out.strides[spec.axes[i]];
        nest.plane *= nest.out_n[to];
    }
    nest.linear = true;
    bool innermost = true;  // the strides of planes that are read may be 0
    std::int64_t run = 0;
    for (int i = kMaxPooledAxes - 1; i >= 0; --i) {
        if (nest.out_n[i] == 1) continue;
        if (innermost) nest.unit = run = nest.out_stride[i];
        innermost = false;
        nest.linear = nest.linear && nest.out_stride[i] == run;
        run *= nest.out_n[i];
    }
}

// Lines run along a batch axis whose results lie nearer to each other than those of a row.
void choose_lanes(ScatterNest& nest) {
    int best = -1;
    for (int i = 0; i < nest.n_batch; ++i) {
        const std::int64_t stride = std::abs(nest.batch[i].out);
        if (nest.batch[i].n == 1 || (nest.plane > 1 && stride >= std::abs(nest.unit))) continue;
        if (best < 0 || stride < std::abs(nest.batch[best].out)) best = i;
    }
    if (best < 0) return;
    nest.lane = nest.batch[best];
    std::copy(nest.batch + best + 1, nest.batch + nest.n_batch, nest.batch + best);
    --nest.n_batch;
}

}  // namespace

ScatterNest make_scatter_nest(const ScatterSpec& spec, const StridedView& values,
                              const StridedView& indices, const MutableView& out, int threads,
                              std::int64_t most_lanes) {
    ScatterNest nest;
    for (int i = 0; i < values.rank; ++i) {
        ScatterAxis axis = axis_of(values, indices, out, i);
        const int pooled = spec.pooled(i);
        if (pooled < 0) {
            nest.batch[nest.n_batch++] = axis;
            continue;
        }
        axis.out = 0;
        nest.position[kMaxPooledAxes - spec.n_axes + pooled] = axis;
    }
    merge_positions(nest);
    set_plane(nest, spec, out);
    choose_lanes(nest);
    for (int i = 0; i < nest.n_batch; ++i) nest.planes *= nest.batch[i].n;
    nest.chunk = std::min(nest.lane.n, most_lanes);
    if (nest.planes < threads) {
        const std::int64_t share = (nest.lane.n + threads - 1) / threads;
        nest.chunk = std::min(nest.chunk, std::max(kLeastLanes, share));
    }
    nest.chunks = (nest.lane.n + nest.chunk - 1) / nest.chunk;
    const std::int64_t work = std::max<std::int64_t>(1, nest.plane * nest.chunk);
    const std::int64_t share = (nest.planes + threads - 1) / threads;
    nest.per_task =
        std::clamp<std::int64_t>(kTaskElements / work, 1, std::max<std::int64_t>(share, 1));
    return nest;
}

ScatterPart scatter_part(const ScatterNest& nest, const ScatterPart& all, std::int64_t plane,
                         std::int64_t chunk) {
    ScatterPart part = all;
    const auto move = [&part](const ScatterAxis& axis, std::int64_t at) {
        part.value += at * axis.value;
        part.index += at * axis.index;
        part.out += at * axis.out;
    };
    const std::int64_t first = chunk * nest.chunk;
    part.lanes = std::min(nest.chunk, nest.lane.n - first);
    move(nest.lane, first);
    for (int i = nest.n_batch - 1; i >= 0; --i) {
        move(nest.batch[i], plane % nest.batch[i].n);
        plane /= nest.batch[i].n;
    }
    return part;
}

}  // namespace poolcore
