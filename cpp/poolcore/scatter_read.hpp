// Indices of any integer type -> places in a plane, checked. Part of scatter.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "poolcore/scatter_nest.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {

inline constexpr std::int64_t kNowhere = INT64_MIN;  // the place of index -1
inline constexpr std::int64_t kBlock = 256;          // indices that are read at a time

// Reads `n` indices, each once; false if one is outside the plane and not -1 where that is
// allowed. Gives flat positions, and kNowhere.
struct PlaceReader {
    bool (*read)(const std::byte* index, std::int64_t step, std::int64_t n, std::int64_t plane,
                 bool allow_none, std::int64_t* flat);
    bool allow_none;
};
PlaceReader place_reader(DType dtype, bool allow_none);

// Flat positions -> bytes from the start of the plane, in place.
void flat_to_bytes(const ScatterNest& nest, std::int64_t* flat, std::int64_t n);

enum class ReadStatus { kDone, kRefused, kStopped };

inline constexpr std::int64_t kPollEvery = 1 << 16;  // indices

// Calls body(line, flat, n) for the blocks of line number `number`, in order; false at a bad one.
template <class Body>
bool read_line(const ScatterNest& nest, const ScatterPart& part, std::int64_t number,
               const PlaceReader& reader, const Body& body) {
    std::int64_t flat[kBlock];
    ScatterLine line = scatter_line(nest, part, number);
    for (std::int64_t left = line.n; left > 0; left -= kBlock) {
        const std::int64_t n = std::min(left, kBlock);
        if (!reader.read(line.index, line.index_step, n, nest.plane, reader.allow_none, flat))
            return false;
        body(line, flat, n);
        line.value += n * line.value_step;
        line.index += n * line.index_step;
        line.out += n * line.out_step;
    }
    return true;
}

// The same for all lines of a part, with places as `place_step` counts them.
template <class Body>
ReadStatus read_part(const ScatterNest& nest, const ScatterPart& part, const PlaceReader& reader,
                     const Body& body) {
    const std::int64_t lines = scatter_lines(nest);
    std::int64_t since_poll = 0;
    for (std::int64_t number = 0; number < lines; ++number) {
        bool stopped = false;
        const auto place = [&](const ScatterLine& line, std::int64_t* flat, std::int64_t n) {
            since_poll += n;
            if (since_poll >= kPollEvery) {
                since_poll = 0;
                stopped = stopped || stop_requested();
            }
            if (stopped) return;  // what is left of a line is soon read
            if (!nest.linear) flat_to_bytes(nest, flat, n);
            body(line, flat, n);
        };
        if (!read_line(nest, part, number, reader, place)) return ReadStatus::kRefused;
        if (stopped) return ReadStatus::kStopped;
    }
    return ReadStatus::kDone;
}

// What the tasks of a call share; what else they need is derived from it.
struct ScatterWork {
    const ScatterNest& nest;
    ScatterPart all;
    PlaceReader read;
    std::int64_t scratch = 0;  // of a task
    std::atomic<bool> refused{false};
};

// Calls body(part), which gives a ReadStatus, for the parts of a task until one is not kDone or an
// index has been refused anywhere.
template <class Body>
void each_part(ScatterWork& work, std::int64_t task, const Body& body) {
    const ScatterNest& nest = work.nest;
    const std::int64_t first = task / nest.chunks * nest.per_task;
    const std::int64_t last = std::min(first + nest.per_task, nest.planes);
    for (std::int64_t plane = first; plane < last; ++plane) {
        const ReadStatus status = body(scatter_part(nest, work.all, plane, task % nest.chunks));
        if (status == ReadStatus::kRefused) work.refused.store(true, std::memory_order_relaxed);
        if (status != ReadStatus::kDone || work.refused.load(std::memory_order_relaxed)) return;
    }
}

// Threads that pay for so many values and planes.
int scatter_threads(const StridedView& values, const MutableView& planes,
                    const RunControl& control);

// Runs `task`, whose context is `work`, after all indices have been checked, unless the result is
// fresh. Throws PoolError(kIndex) for the first bad one. Of `how` threads and poll are used.
RunStatus run_scatter_tasks(const ScatterSpec& spec, const StridedView& indices, ScatterWork& work,
                            TaskFunction task, const ParallelJob& how);

// Names the first bad index in row-major order: throws PoolError(kIndex), unless cancelled.
RunStatus refuse_index(const ScatterSpec& spec, const StridedView& indices, std::int64_t plane,
                       const ParallelJob& how);

}  // namespace poolcore
