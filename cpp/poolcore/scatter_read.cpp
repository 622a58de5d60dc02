#include "poolcore/scatter_read.hpp"

#include <cstring>
#include <string>
#include <type_traits>

#include "poolcore/error.hpp"

namespace poolcore {
namespace {

// Copies indices; whether all lie in the plane. An index that does not, or the distance from it to
// the last place, has the highest bit set.
template <class Int, class Step>
bool read_places(const std::byte* index, Step step, std::int64_t n, std::int64_t plane,
                 std::int64_t* flat) {
    const std::uint64_t last = static_cast<std::uint64_t>(plane) - 1;
    std::uint64_t outside = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        Int value;
        std::memcpy(&value, index + i * step, sizeof value);
        const auto wide = static_cast<std::uint64_t>(value);
        outside |= wide | (last - wide);
        flat[i] = static_cast<std::int64_t>(wide);
    }
    return outside >> 63 == 0;
}

template <class Int>
bool read_flat(const std::byte* index, std::int64_t step, std::int64_t n, std::int64_t plane,
               bool allow_none, std::int64_t* flat) {
    constexpr std::integral_constant<std::int64_t, sizeof(Int)> side_by_side;
    const bool good = step == side_by_side
                          ? read_places<Int>(index, side_by_side, n, plane, flat)
                          : read_places<Int>(index, step, n, plane, flat);
    if (good) return true;
    if (!allow_none || !std::is_signed_v<Int>) return false;
    for (std::int64_t i = 0; i < n; ++i) {
        const bool none = flat[i] == -1;
        if (!none && static_cast<std::uint64_t>(flat[i]) >= static_cast<std::uint64_t>(plane))
            return false;
        flat[i] = none ? kNowhere : flat[i];
    }
    return true;
}

// The search for the first bad index, as one task so that Ctrl-C is heard.
struct Search {
    const ScatterSpec& spec;
    const StridedView& indices;
    std::int64_t plane;
    PlaceReader reader;
};

std::string index_text(DType dtype, std::int64_t flat) {
    return is_signed(dtype) ? std::to_string(flat)
                            : std::to_string(static_cast<std::uint64_t>(flat));
}

[[noreturn]] void refuse(const Search& s, const std::int64_t* position, std::int64_t value) {
    std::string at;
    for (int i = 0; i < s.indices.rank; ++i)
        if (!s.spec.squeezed || s.spec.pooled(i) < 0)
            at += (at.empty() ? "" : ", ") + std::to_string(position[i]);
    throw PoolError(ErrorKind::kIndex,
                    std::string(s.spec.function) + ": indices[" + at +
                        "]=" + index_text(s.indices.dtype, value) + " must be " +
                        (s.spec.add ? "-1 or " : "") + "at least 0 and less than " +
                        std::to_string(s.plane) + ", the size of a plane of " + s.spec.holder);
}

void find_first(void* context, std::int64_t, int) {
    const Search& s = *static_cast<const Search*>(context);
    const StridedView& x = s.indices;
    std::int64_t position[kMaxRank] = {};
    const int last = x.rank - 1;
    const std::byte* line = x.data;
    for (;;) {
        for (std::int64_t i = 0; i < x.shape[last]; ++i) {
            if (i % kPollEvery == 0 && stop_requested()) return;
            std::int64_t flat = 0;
            if (s.reader.read(line + i * x.strides[last], 0, 1, s.plane, s.reader.allow_none,
                              &flat))
                continue;
            position[last] = i;
            refuse(s, position, flat);
        }
        int axis = last - 1;
        for (; axis >= 0; --axis) {
            line += x.strides[axis];
            if (++position[axis] < x.shape[axis]) break;
            line -= position[axis] * x.strides[axis];
            position[axis] = 0;
        }
        if (axis < 0) break;
    }
    throw PoolError(ErrorKind::kIndex, std::string(s.spec.function) +
                                           ": indices were changed while they were read");
}

// Below so many bytes of planes, waking another thread costs more than it saves.
constexpr std::int64_t kAloneBytes = 64 * 1024;

void check_task(void* context, std::int64_t task, int) {
    ScatterWork& work = *static_cast<ScatterWork*>(context);
    each_part(work, task, [&work](const ScatterPart& part) {
        return read_part(work.nest, part, work.read, [](const ScatterLine&, const auto*, auto) {});
    });
}

}  // namespace

int scatter_threads(const StridedView& values, const MutableView& planes,
                    const RunControl& control) {
    const int wanted = control.threads > 0 ? control.threads : get_num_threads();
    std::int64_t bytes = static_cast<std::int64_t>(item_size(planes.dtype));
    std::int64_t read = 8;
    for (int i = 0; i < planes.rank; ++i) {
        // Arrays may repeat their elements, so that they are larger than memory.
        if (__builtin_mul_overflow(bytes, planes.shape[i], &bytes)) bytes = kAloneBytes;
        if (__builtin_mul_overflow(read, values.shape[i], &read)) read = kAloneBytes;
    }
    return bytes < kAloneBytes && read < kAloneBytes ? 1 : std::min(wanted, kMaxThreads);
}

RunStatus run_scatter_tasks(const ScatterSpec& spec, const StridedView& indices, ScatterWork& work,
                            TaskFunction task, const ParallelJob& how) {
    ParallelJob parallel = how;
    parallel.context = &work;
    parallel.n_tasks = work.nest.n_tasks();
    parallel.scratch = work.scratch;
    for (const TaskFunction step : {static_cast<TaskFunction>(check_task), task}) {
        if (step == check_task && spec.fresh) continue;
        parallel.function = step;
        if (!parallel_for(parallel)) return RunStatus::kCancelled;
        if (!work.refused.load(std::memory_order_relaxed)) continue;
        return refuse_index(spec, indices, work.nest.plane, parallel);
    }
    return RunStatus::kDone;
}

PlaceReader place_reader(DType dtype, bool allow_none) {
    switch (dtype) {
        case DType::kInt8: return {read_flat<std::int8_t>, allow_none};
        case DType::kUInt8: return {read_flat<std::uint8_t>, allow_none};
        case DType::kInt16: return {read_flat<std::int16_t>, allow_none};
        case DType::kUInt16: return {read_flat<std::uint16_t>, allow_none};
        case DType::kInt32: return {read_flat<std::int32_t>, allow_none};
        case DType::kUInt32: return {read_flat<std::uint32_t>, allow_none};
        case DType::kUInt64: return {read_flat<std::uint64_t>, allow_none};
        default: return {read_flat<std::int64_t>, allow_none};
    }
}

void flat_to_bytes(const ScatterNest& nest, std::int64_t* flat, std::int64_t n) {
    if (nest.linear) {
        for (std::int64_t i = 0; i < n; ++i)
            if (flat[i] != kNowhere) flat[i] *= nest.unit;
        return;
    }
    for (std::int64_t i = 0; i < n; ++i) {
        if (flat[i] == kNowhere) continue;
        const std::int64_t rows = flat[i] / nest.out_n[2];
        flat[i] = flat[i] % nest.out_n[2] * nest.out_stride[2] +
                  rows % nest.out_n[1] * nest.out_stride[1] +
                  rows / nest.out_n[1] * nest.out_stride[0];
    }
}

RunStatus refuse_index(const ScatterSpec& spec, const StridedView& indices, std::int64_t plane,
                       const ParallelJob& how) {
    Search search{spec, indices, plane, place_reader(indices.dtype, spec.add)};
    ParallelJob job = how;
    job.function = find_first;
    job.context = &search;
    job.n_tasks = 1;
    parallel_for(job);
    return RunStatus::kCancelled;  // found, or it would have thrown
}

}  // namespace poolcore
