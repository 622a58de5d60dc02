#include "poolcore/scatter_half.hpp"

#include <algorithm>

#include "poolcore/scratch.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kBandBytes = 512 * 1024;
constexpr std::int64_t kGroups = 256;

// The lines of a part in groups, and between which positions each group's indices lie, so that a
// band passes over the groups that have nothing for it.
struct Groups {
    std::int64_t lines = 0;
    std::int64_t per_group = 1;
    std::int64_t first[kGroups];
    std::int64_t last[kGroups];

    bool meet(std::int64_t group, std::int64_t lo, std::int64_t hi) const {
        return first[group] < hi && last[group] >= lo;
    }
};

ReadStatus find_groups(const ScatterNest& nest, const ScatterPart& part,
                       const PlaceReader& reader, Groups& groups) {
    std::fill_n(groups.first, kGroups, INT64_MAX);
    std::fill_n(groups.last, kGroups, -1);
    for (std::int64_t i = 0; i < groups.lines; ++i) {
        std::int64_t& first = groups.first[i / groups.per_group];
        std::int64_t& last = groups.last[i / groups.per_group];
        const auto widen = [&](const ScatterLine&, const std::int64_t* flat, std::int64_t n) {
            for (std::int64_t j = 0; j < n; ++j) {
                if (flat[j] == kNowhere) continue;
                first = std::min(first, flat[j]);
                last = std::max(last, flat[j]);
            }
        };
        if (!read_line(nest, part, i, reader, widen)) return ReadStatus::kRefused;
        if (i % kBlock == 0 && stop_requested()) return ReadStatus::kStopped;
    }
    return ReadStatus::kDone;
}

struct Band {
    std::int64_t lo, hi;
    float* sums;  // [hi - lo][lanes]
};

// The values of a block whose places lie in the band; others are another band's.
void add_block(const ScatterNest& nest, const ScatterPart& part, const HalfJob& job,
               const Band& band, const ScatterLine& line, const std::int64_t* flat,
               std::int64_t n) {
    float values[kBlock];
    PackArgs pack{};
    pack.src = line.value;
    pack.dst = reinterpret_cast<std::byte*>(values);
    pack.n0 = pack.n1 = 1;
    pack.n = n;
    pack.src_stride = line.value_step;
    job.widen(pack);
    // Along lanes a line is one block, for kHalfLanes is less than kBlock.
    const std::int64_t lane_step = nest.along_lanes() ? 1 : 0;
    for (std::int64_t i = 0; i < n; ++i)
        if (flat[i] >= band.lo && flat[i] < band.hi)
            band.sums[(flat[i] - band.lo) * part.lanes + i * lane_step] += values[i];
}

void write_run(const HalfJob& job, const float* sums, std::byte* out, std::int64_t n,
               std::int64_t stride) {
    FinishArgs args{};
    args.src = reinterpret_cast<const std::byte*>(sums);
    args.dst = out;
    args.n = n;
    args.dst_stride = stride;
    job.narrow(args);
}

void write_band(const ScatterNest& nest, const ScatterPart& part, const HalfJob& job,
                const Band& band) {
    if (nest.linear && !nest.along_lanes())
        return write_run(job, band.sums, part.out + band.lo * nest.unit, band.hi - band.lo,
                         nest.unit);
    for (std::int64_t at = band.lo; at < band.hi;) {
        const std::int64_t column = at % nest.out_n[2];
        std::int64_t place = at;
        flat_to_bytes(nest, &place, 1);
        const float* sums = band.sums + (at - band.lo) * part.lanes;
        if (nest.along_lanes()) {
            write_run(job, sums, part.out + place, part.lanes, nest.lane.out);
            ++at;
            continue;
        }
        const std::int64_t n = std::min(nest.out_n[2] - column, band.hi - at);
        write_run(job, sums, part.out + place, n, nest.out_stride[2]);
        at += n;
    }
}

}  // namespace

HalfJob make_half_job(const ScatterNest& nest, DType dtype, const KernelTable& kernels) {
    constexpr int work = static_cast<int>(Work::kF32);
    const int type = static_cast<int>(dtype);
    HalfJob job;
    job.widen = kernels.pack[static_cast<int>(Change::kNone)][type][work];
    job.narrow = kernels.finish[static_cast<int>(Finish::kSum)][work][type];
    job.band = std::min(nest.plane, kBandBytes / 4 / nest.chunk);
    return job;
}

std::int64_t half_scratch(const HalfJob& job, std::int64_t lanes) {
    return Scratch::footprint(job.band * lanes * 4);
}

ReadStatus add_halves(const ScatterNest& nest, const ScatterPart& part, const PlaceReader& reader,
                      const HalfJob& job) {
    TaskScratch scratch(half_scratch(job, part.lanes));
    Band band{0, 0, reinterpret_cast<float*>((*scratch).take(job.band * part.lanes * 4))};
    Groups groups;
    groups.lines = scatter_lines(nest);
    groups.per_group = (groups.lines + kGroups - 1) / kGroups;
    const bool one_band = job.band == nest.plane;
    if (!one_band) {
        const ReadStatus status = find_groups(nest, part, reader, groups);
        if (status != ReadStatus::kDone) return status;
    }
    for (; band.hi < nest.plane;) {
        band.lo = band.hi;
        band.hi = std::min(band.lo + job.band, nest.plane);
        std::fill_n(band.sums, (band.hi - band.lo) * part.lanes, 0.0f);
        const auto add = [&](const ScatterLine& line, const std::int64_t* flat, std::int64_t n) {
            add_block(nest, part, job, band, line, flat, n);
        };
        for (std::int64_t i = 0; i < groups.lines; ++i) {
            if (!one_band && !groups.meet(i / groups.per_group, band.lo, band.hi)) continue;
            if (!read_line(nest, part, i, reader, add)) return ReadStatus::kRefused;
            if (i % kBlock == 0 && stop_requested()) return ReadStatus::kStopped;
        }
        write_band(nest, part, job, band);
    }
    return ReadStatus::kDone;
}

}  // namespace poolcore
