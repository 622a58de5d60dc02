// Blocks of indices are read once, checked, and become places; what is checked is what is used.
#include "poolcore/scatter.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "poolcore/dispatch.hpp"
#include "poolcore/scatter_half.hpp"
#include "poolcore/scatter_read.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

template <std::size_t Size>
void zero_line(std::byte* p, std::int64_t n, std::int64_t stride) {
    if (stride == static_cast<std::int64_t>(Size)) {
        std::memset(p, 0, static_cast<std::size_t>(n) * Size);
        return;
    }
    for (std::int64_t i = 0; i < n; ++i) std::memset(p + i * stride, 0, Size);
}

using ZeroLine = void (*)(std::byte*, std::int64_t, std::int64_t);

ZeroLine zero_line_of(std::size_t size) {
    switch (size) {
        case 1: return zero_line<1>;
        case 2: return zero_line<2>;
        case 4: return zero_line<4>;
        default: return zero_line<8>;
    }
}

// A block of a line along the plane, where values and places both lie side by side.
template <class T>
bool lies_close(const ScatterLine& line) {
    constexpr std::int64_t item = sizeof(T);
    return line.place_step == item && line.value_step == item && line.out_step == 0;
}

// Calls body(to, from) with the place and the address of every value of a block.
template <class T, bool kAnywhere, class Body>
void each_place(const ScatterLine& line, const std::int64_t* places, std::int64_t n,
                const Body& body) {
    constexpr std::int64_t item = sizeof(T);
    if (lies_close<T>(line)) {
        for (std::int64_t i = 0; i < n; ++i) {
            if (!kAnywhere && places[i] == kNowhere) continue;
            body(line.out + places[i] * item, line.value + i * item);
        }
        return;
    }
    for (std::int64_t i = 0; i < n; ++i) {
        if (!kAnywhere && places[i] == kNowhere) continue;
        body(line.out + places[i] * line.place_step + i * line.out_step,
             line.value + i * line.value_step);
    }
}

// The values of a block, to their places.
template <class T>
void put_block(const ScatterLine& line, const std::int64_t* places, std::int64_t n) {
    each_place<T, true>(line, places, n, [](std::byte* to, const std::byte* from) {
        std::memcpy(to, from, sizeof(T));
    });
}

template <class T>
void add_block(const ScatterLine& line, const std::int64_t* places, std::int64_t n) {
    each_place<T, false>(line, places, n, [](std::byte* to, const std::byte* from) {
        T sum, value;
        std::memcpy(&sum, to, sizeof sum);
        std::memcpy(&value, from, sizeof value);
        sum = static_cast<T>(sum + value);
        std::memcpy(to, &sum, sizeof sum);
    });
}

using Block = void (*)(const ScatterLine&, const std::int64_t*, std::int64_t);

Block block_of(DType dtype, bool add) {
    if (add && dtype == DType::kFloat32) return add_block<float>;
    if (add && dtype == DType::kFloat64) return add_block<double>;
    // Integers wrap around, so their sign does not matter.
    switch (item_size(dtype)) {
        case 1: return add ? add_block<std::uint8_t> : put_block<std::uint8_t>;
        case 2: return add ? add_block<std::uint16_t> : put_block<std::uint16_t>;
        case 4: return add ? add_block<std::uint32_t> : put_block<std::uint32_t>;
        default: return add ? add_block<std::uint64_t> : put_block<std::uint64_t>;
    }
}

struct Job : ScatterWork {
    ZeroLine zero;
    Block block;
    const HalfJob* half;  // null where results are added up in place
};

void zero_part(const Job& job, const ScatterPart& part) {
    const ScatterNest& nest = job.nest;
    if (nest.linear && !nest.along_lanes()) return job.zero(part.out, nest.plane, nest.unit);
    const auto line = [&](std::byte* p) {
        if (!nest.along_lanes()) return job.zero(p, nest.out_n[2], nest.out_stride[2]);
        for (std::int64_t i = 0; i < nest.out_n[2]; ++i)
            job.zero(p + i * nest.out_stride[2], part.lanes, nest.lane.out);
    };
    for (std::int64_t a = 0; a < nest.out_n[0]; ++a)
        for (std::int64_t b = 0; b < nest.out_n[1]; ++b)
            line(part.out + a * nest.out_stride[0] + b * nest.out_stride[1]);
}

void move_task(void* context, std::int64_t task, int) {
    Job& job = static_cast<Job&>(*static_cast<ScatterWork*>(context));
    each_part(job, task, [&job](const ScatterPart& part) {
        if (job.half) return add_halves(job.nest, part, job.read, *job.half);
        zero_part(job, part);
        return read_part(job.nest, part, job.read, job.block);
    });
}

bool is_empty(const MutableView& out) {
    return std::find(out.shape, out.shape + out.rank, 0) != out.shape + out.rank;
}

}  // namespace

RunStatus scatter(const ScatterSpec& spec, const StridedView& values, const StridedView& indices,
                  const MutableView& out, const RunControl& control) {
    if (is_empty(out)) return RunStatus::kDone;
    const bool half = spec.add && is_float(out.dtype) && item_size(out.dtype) == 2;
    const int threads = scatter_threads(values, out, control);
    const ScatterNest nest = make_scatter_nest(spec, values, indices, out, threads,
                                               half ? kHalfLanes : INT64_MAX);
    HalfJob halves;
    if (half) halves = make_half_job(nest, out.dtype, kernels());
    Job job{{nest,
             {values.data, indices.data, out.data, nest.lane.n},
             place_reader(indices.dtype, spec.add),
             half ? half_scratch(halves, nest.chunk) : 0},
            zero_line_of(item_size(out.dtype)),
            block_of(out.dtype, spec.add),
            half ? &halves : nullptr};
    ParallelJob parallel;
    parallel.threads = threads;
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    return run_scatter_tasks(spec, indices, job, move_task, parallel);
}

}  // namespace poolcore
