// How scatter walks: one task is some lanes of one plane, or of several small ones; a plane is
// lines of values in row-major order, of neighbours in the plane or, where channels come last, of
// lanes. Part of scatter.
#pragma once

#include <algorithm>
#include <cstdint>

#include "poolcore/scatter.hpp"

namespace poolcore {

// Strides in bytes: of the values, of the indices and of the result.
struct ScatterAxis {
    std::int64_t n = 1;
    std::int64_t value = 0;
    std::int64_t index = 0;
    std::int64_t out = 0;
};

struct ScatterNest {
    ScatterAxis batch[kMaxRank];
    int n_batch = 0;
    ScatterAxis position[kMaxPooledAxes];  // of the values, outermost first; merged where possible
    std::int64_t out_n[kMaxPooledAxes] = {1, 1, 1};  // of the result's plane
    std::int64_t out_stride[kMaxPooledAxes] = {0, 0, 0};
    std::int64_t plane = 1;  // elements
    bool linear = false;     // element i of a plane lies i * unit bytes from its start
    std::int64_t unit = 0;
    ScatterAxis lane;  // n is 1 where lines run along the plane
    std::int64_t chunk = 1;  // lanes of a task
    std::int64_t chunks = 1;
    std::int64_t planes = 1;  // over all batch axes
    std::int64_t per_task = 1;  // planes of a task

    bool along_lanes() const { return lane.n > 1; }
    std::int64_t n_tasks() const { return (planes + per_task - 1) / per_task * chunks; }
    std::int64_t positions() const { return position[0].n * position[1].n * position[2].n; }
};

// One plane's share of a task.
struct ScatterPart {
    const std::byte* value;
    const std::byte* index;
    std::byte* out;
    std::int64_t lanes;
};

struct ScatterLine {
    const std::byte* value;
    const std::byte* index;
    std::byte* out;  // element 0 of the plane of the line's first value
    std::int64_t n;
    std::int64_t value_step, index_step, out_step;
    std::int64_t place_step;  // bytes that one place stands for
};

// `most_lanes` bounds the lanes of a task.
ScatterNest make_scatter_nest(const ScatterSpec& spec, const StridedView& values,
                              const StridedView& indices, const MutableView& out, int threads,
                              std::int64_t most_lanes);

// The share of plane number `plane` in chunk number `chunk`.
ScatterPart scatter_part(const ScatterNest& nest, const ScatterPart& all, std::int64_t plane,
                         std::int64_t chunk);

// Long lines are read in pieces, so that Ctrl-C is heard and groups of lines stay small.
inline constexpr std::int64_t kLongestLine = 4096;

inline std::int64_t pieces_of_a_line(const ScatterNest& nest) {
    const std::int64_t n = nest.along_lanes() ? nest.chunk : nest.position[2].n;
    return (n + kLongestLine - 1) / kLongestLine;
}

inline std::int64_t scatter_lines(const ScatterNest& nest) {
    const std::int64_t lines =
        nest.along_lanes() ? nest.positions() : nest.position[0].n * nest.position[1].n;
    return lines * pieces_of_a_line(nest);
}

// Line, or piece, number `number` in row-major order; along lanes the last pieces may be empty.
inline ScatterLine scatter_line(const ScatterNest& nest, const ScatterPart& part,
                                std::int64_t number) {
    const ScatterAxis& run = nest.along_lanes() ? nest.lane : nest.position[2];
    const std::int64_t n = nest.along_lanes() ? part.lanes : run.n;
    const std::int64_t pieces = pieces_of_a_line(nest);
    const std::int64_t first = number % pieces * kLongestLine;
    number /= pieces;
    ScatterLine line{part.value + first * run.value,
                     part.index + first * run.index,
                     part.out + first * run.out,
                     std::min(n - first, kLongestLine),
                     run.value,
                     run.index,
                     run.out,  // 0 along the plane
                     nest.linear ? nest.unit : 1};
    const auto move = [&](const ScatterAxis& axis) {
        const std::int64_t at = number % axis.n;
        number /= axis.n;
        line.value += at * axis.value;
        line.index += at * axis.index;
    };
    if (nest.along_lanes()) move(nest.position[2]);
    move(nest.position[1]);
    move(nest.position[0]);
    return line;
}

}  // namespace poolcore
