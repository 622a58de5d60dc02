// The gradient of unpooling: from the places that indices name, unless a later index names the
// same. So a plane's indices are read from the last to the first, and places are marked once they
// are met: a byte for each, or a bit where planes are large, in bands where they are larger still.
// Part of scatter.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "poolcore/scatter.hpp"
#include "poolcore/scatter_read.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kBandBytes = 512 * 1024;
constexpr std::int64_t kLanes = 64;  // a line along lanes is one block
static_assert(kLanes <= kBlock);
constexpr std::int64_t kGroups = 256;

// Some values of a line, and the band that is at hand.
struct Piece {
    const std::byte* from;  // element 0 of the plane of the first value
    std::byte* to;
    std::int64_t n, from_step, to_step, place_step;
    std::int64_t lo, hi;  // the band
    std::int64_t lanes;
    std::uint8_t* met;  // [hi - lo][lanes] marks
};

using Take = void (*)(const ScatterNest& nest, const Piece& piece, const std::int64_t* flat);

struct Job : ScatterWork {
    const std::byte* values;  // `out`, as the nest sees it
    std::byte* out;
    std::int64_t band;
    int marks_per_byte;
    Take take;

    std::int64_t mark_bytes(std::int64_t lanes) const {
        return (band * lanes + marks_per_byte - 1) / marks_per_byte;
    }
};

// Whether place number `at` has no mark yet; it has one afterwards. Bits of neighbours would wait
// for each other, so bytes are faster.
template <bool kBits>
bool meet(std::uint8_t* met, std::int64_t at) {
    std::uint8_t& marks = met[kBits ? at / 8 : at];
    const auto mark = static_cast<std::uint8_t>(kBits ? 1 << (at % 8) : 1);
    const bool first = (marks & mark) == 0;
    marks = static_cast<std::uint8_t>(marks | mark);
    return first;
}

// The values of a piece whose places lie in the band, the last first; `kBits` where there may be
// bands. The first band makes zeros of the others, so that indices that change meanwhile leave
// nothing unwritten. `p` is a copy, for marks may be anything's bytes to the compiler.
template <class T, bool kBits, class Place, class Step, class Lanes>
void take(const Piece p, const std::int64_t* flat, const Place place_of, const Step to_step,
          const Lanes lanes, const bool along_lanes) {
    for (std::int64_t i = p.n - 1; i >= 0; --i) {
        const std::int64_t at = flat[i];
        T value = 0;
        if (!kBits || (at >= p.lo && at < p.hi)) {
            std::memcpy(&value, p.from + place_of(i, at), sizeof value);
            const std::int64_t mark = (at - (kBits ? p.lo : 0)) * lanes;
            const bool first = meet<kBits>(p.met, along_lanes ? mark + i : mark);
            value = first ? value : T{0};
        } else if (p.lo > 0) {
            continue;
        }
        std::memcpy(p.to + i * to_step, &value, sizeof value);
    }
}

template <class T, bool kBits>
void take_piece(const ScatterNest& nest, const Piece& p, const std::int64_t* flat) {
    constexpr std::integral_constant<std::int64_t, sizeof(T)> item;
    constexpr std::integral_constant<std::int64_t, 1> one;
    const bool along_lanes = nest.along_lanes();
    if (!nest.linear) {
        std::int64_t places[kBlock];
        std::copy_n(flat, p.n, places);
        flat_to_bytes(nest, places, p.n);
        const auto place = [&](std::int64_t i, auto) { return places[i] + i * p.from_step; };
        take<T, kBits>(p, flat, place, p.to_step, p.lanes, along_lanes);
    } else if (along_lanes || p.place_step != item || p.to_step != item) {
        const auto place = [step = p.place_step, next = p.from_step](auto i, auto at) {
            return at * step + i * next;
        };
        take<T, kBits>(p, flat, place, p.to_step, p.lanes, along_lanes);
    } else {
        const auto place = [](auto, auto at) { return at * std::int64_t{sizeof(T)}; };
        take<T, kBits>(p, flat, place, item, one, false);
    }
}

template <bool kBits>
Take take_of(std::size_t size) {
    switch (size) {
        case 1: return take_piece<std::uint8_t, kBits>;
        case 2: return take_piece<std::uint16_t, kBits>;
        case 4: return take_piece<std::uint32_t, kBits>;
        default: return take_piece<std::uint64_t, kBits>;
    }
}

// Between which places the indices of every group of lines lie, as the first band sees them, so
// that the others pass over the groups that have nothing for them.
struct Groups {
    std::int64_t per_group;
    std::int64_t first[kGroups], last[kGroups];

    explicit Groups(std::int64_t lines) : per_group((lines + kGroups - 1) / kGroups) {
        std::fill_n(first, kGroups, INT64_MAX);
        std::fill_n(last, kGroups, -1);
    }
    void widen(std::int64_t line, const std::int64_t* flat, std::int64_t n) {
        const auto [least, most] = std::minmax_element(flat, flat + n);
        first[line / per_group] = std::min(first[line / per_group], *least);
        last[line / per_group] = std::max(last[line / per_group], *most);
    }
    bool meet(std::int64_t line, const Piece& band) const {
        return first[line / per_group] < band.hi && last[line / per_group] >= band.lo;
    }
};

// Line number `number` of a part from its end; false at a bad index. `groups` where there are
// bands.
bool take_line(const Job& job, const ScatterPart& part, std::int64_t number, Piece piece,
               Groups* groups) {
    const ScatterLine line = scatter_line(job.nest, part, number);
    std::int64_t flat[kBlock];
    piece.from_step = line.out_step;
    piece.to_step = line.value_step;
    piece.place_step = line.place_step;
    for (std::int64_t end = line.n; end > 0;) {
        const std::int64_t start = (end - 1) / kBlock * kBlock;
        piece.n = end - start;
        if (!job.read.read(line.index + start * line.index_step, line.index_step, piece.n,
                           job.nest.plane, job.read.allow_none, flat))
            return false;
        if (groups && piece.lo == 0) groups->widen(number, flat, piece.n);
        piece.from = line.out + start * line.out_step;
        piece.to = job.out + (line.value - job.values) + start * line.value_step;
        job.take(job.nest, piece, flat);
        end = start;
    }
    return true;
}

// The lines of a part for the band of `piece`, from the last to the first.
ReadStatus take_band(const Job& job, const ScatterPart& part, const Piece& piece, Groups* groups) {
    std::int64_t since_poll = 0;
    std::memset(piece.met, 0, static_cast<std::size_t>(job.mark_bytes(part.lanes)));
    for (std::int64_t number = scatter_lines(job.nest) - 1; number >= 0; --number) {
        if (piece.lo > 0 && !groups->meet(number, piece)) continue;
        if (!take_line(job, part, number, piece, groups)) return ReadStatus::kRefused;
        since_poll += std::min(job.nest.position[2].n, kLongestLine);
        if (since_poll < kPollEvery) continue;
        since_poll = 0;
        if (stop_requested()) return ReadStatus::kStopped;
    }
    return ReadStatus::kDone;
}

ReadStatus take_part(const Job& job, const ScatterPart& part) {
    const std::int64_t bytes = job.mark_bytes(part.lanes);
    TaskScratch scratch(Scratch::footprint(bytes));
    Piece piece{};
    piece.lanes = part.lanes;
    piece.met = reinterpret_cast<std::uint8_t*>((*scratch).take(bytes));
    piece.hi = job.nest.plane;
    if (job.band == job.nest.plane) return take_band(job, part, piece, nullptr);
    Groups groups(scatter_lines(job.nest));
    for (; piece.lo < job.nest.plane; piece.lo = piece.hi) {
        piece.hi = std::min(piece.lo + job.band, job.nest.plane);
        const ReadStatus status = take_band(job, part, piece, &groups);
        if (status != ReadStatus::kDone) return status;
    }
    return ReadStatus::kDone;
}

void gather_task(void* context, std::int64_t task, int) {
    Job& job = static_cast<Job&>(*static_cast<ScatterWork*>(context));
    each_part(job, task, [&job](const ScatterPart& part) { return take_part(job, part); });
}

// The same memory and axes.
template <class To, class From>
To seen_as(const From& view, decltype(To::data) data) {
    To other;
    other.data = data;
    other.dtype = view.dtype;
    other.rank = view.rank;
    std::copy_n(view.shape, view.rank, other.shape);
    std::copy_n(view.strides, view.rank, other.strides);
    return other;
}

}  // namespace

RunStatus gather(const ScatterSpec& spec, const StridedView& from, const StridedView& indices,
                 const MutableView& out, const RunControl& control) {
    if (std::find(out.shape, out.shape + out.rank, 0) != out.shape + out.rank)
        return RunStatus::kDone;
    // The nest's "values" are written here and its "out" is read alone.
    const auto values = seen_as<StridedView>(out, out.data);
    const auto planes = seen_as<MutableView>(from, const_cast<std::byte*>(from.data));
    ParallelJob parallel;
    parallel.threads = scatter_threads(values, planes, control);
    parallel.poll = control.poll;
    parallel.poll_context = control.poll_context;
    const ScatterNest nest =
        make_scatter_nest(spec, values, indices, planes, parallel.threads, kLanes);
    const bool bits = nest.plane > kBandBytes / nest.chunk;
    const std::size_t size = item_size(out.dtype);
    Job job{{nest,
             {values.data, indices.data, planes.data, nest.lane.n},
             place_reader(indices.dtype, false)},
            values.data,
            out.data,
            std::min(nest.plane, kBandBytes * (bits ? 8 : 1) / nest.chunk),
            bits ? 8 : 1,
            bits ? take_of<true>(size) : take_of<false>(size)};
    job.scratch = Scratch::footprint(job.mark_bytes(nest.chunk));
    return run_scatter_tasks(spec, indices, job, gather_task, parallel);
}

}  // namespace poolcore
