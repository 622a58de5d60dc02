// One axis of one box: which elements its bins cover, and with what weights. How long this takes
// is bounded by the axis and the number of bins, however large the box or the number of samples.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "poolcore/roi.hpp"

namespace poolcore {

// Corners lie within this of the image's, so that all sums and products below fit.
inline constexpr double kFarthestCorner = 0x1p61;
inline double box_corner(double at, double scale) {
    return std::clamp(at * scale, -kFarthestCorner, kFarthestCorner);
}

// Elements [lo, hi).
struct Reach {
    std::int64_t lo = 0, hi = 0;
    std::int64_t size() const { return hi - lo; }
    bool holds(std::int64_t at) const { return at >= lo && at < hi; }
};

// RoI max pooling: bins of whole elements.
struct BinAxis {
    std::int64_t length;  // of the image
    std::int64_t bins;
    std::int64_t first, size;  // of the box

    BinAxis(const RoiSpec& spec, int axis, const double* box, std::int64_t n)
        : length(n), bins(spec.size[axis]) {
        first = static_cast<std::int64_t>(std::round(box_corner(box[2 - axis], spec.scale)));
        const double last = std::round(box_corner(box[4 - axis], spec.scale));
        size = std::max<std::int64_t>(static_cast<std::int64_t>(last) - first + 1, 1);
    }

    std::int64_t clipped(__int128 at) const {
        const __int128 placed = at + first;
        return placed < 0 ? 0 : placed > length ? length : static_cast<std::int64_t>(placed);
    }
    // Elements of the image.
    Reach bin(std::int64_t j) const {
        return {clipped(__int128(j) * size / bins),
                clipped((__int128(j + 1) * size + bins - 1) / bins)};
    }
    Reach all() const { return {bin(0).lo, bin(bins - 1).hi}; }
};

// RoIAlign: samples at even steps in each bin. A box may be reversed; its samples are numbered
// upwards all the same.
struct SampleAxis {
    std::int64_t length = 1;
    std::int64_t bins = 1;
    std::int64_t grid = 0;  // samples of a bin
    double start = 0, step = 0;

    SampleAxis() = default;
    SampleAxis(const RoiSpec& spec, int axis, const double* box, std::int64_t n)
        : length(n), bins(spec.size[axis]) {
        const double shift = spec.aligned ? 0.5 : 0;
        start = box_corner(box[2 - axis], spec.scale) - shift;
        double size = box_corner(box[4 - axis], spec.scale) - shift - start;
        if (!spec.aligned) size = std::max(size, 1.0);
        step = size / static_cast<double>(bins);
        grid = spec.sampling > 0
                   ? spec.sampling
                   : static_cast<std::int64_t>(std::max(std::ceil(step), 0.0));
    }

    double at(std::int64_t bin, std::int64_t i) const {
        const std::int64_t number = step < 0 ? grid - 1 - i : i;
        return start + static_cast<double>(bin) * step +
               (static_cast<double>(number) + 0.5) * step / static_cast<double>(grid);
    }
    // The first sample of [from, to) that lies at or beyond y, or beyond it; `to` if none does.
    std::int64_t reaching(std::int64_t bin, std::int64_t from, std::int64_t to, double y) const {
        return search(from, to, [&](std::int64_t i) { return at(bin, i) >= y; });
    }
    std::int64_t passing(std::int64_t bin, std::int64_t from, std::int64_t to, double y) const {
        return search(from, to, [&](std::int64_t i) { return at(bin, i) > y; });
    }
    // The samples of a bin that are on the image, which ends one element beyond its edge elements.
    struct Inside {
        std::int64_t first, last;
        std::int64_t count() const { return last - first; }
    };
    Inside inside(std::int64_t bin) const {
        const std::int64_t first = reaching(bin, 0, grid, -1);
        return {first, passing(bin, first, grid, static_cast<double>(length))};
    }

   private:
    template <class Test>
    static std::int64_t search(std::int64_t from, std::int64_t to, const Test& test) {
        while (from < to) {
            const std::int64_t middle = from + (to - from) / 2;
            if (test(middle))
                to = middle;
            else
                from = middle + 1;
        }
        return from;
    }
};

// Every element that has a weight is among these.
inline Reach reach_of(const SampleAxis& axis) {
    if (axis.grid == 0) return {};
    const std::int64_t last = axis.bins - 1;
    const double a = axis.at(axis.step < 0 ? last : 0, 0);
    const double b = axis.at(axis.step < 0 ? 0 : last, axis.grid - 1);
    const auto top = static_cast<double>(axis.length);
    if (b < -1 || a > top) return {};
    return {static_cast<std::int64_t>(std::clamp(a, 0.0, top - 1)),
            static_cast<std::int64_t>(std::min(std::max(b, 0.0) + 2, top))};
}

// Samples [first, last) of a bin between two neighbouring elements, `cell` and the next, or, if
// not `between`, on `cell` alone.
struct SampleRun {
    std::int64_t cell;
    std::int64_t first, last;
    bool between;
};

// Calls each(run) from the lowest samples to the highest.
template <class Each>
void each_run(const SampleAxis& axis, std::int64_t bin, const Each& each) {
    const SampleAxis::Inside in = axis.inside(bin);
    const auto last = static_cast<double>(axis.length - 1);
    for (std::int64_t i = in.first; i < in.last;) {
        const double y = axis.at(bin, i);
        SampleRun run{0, i, in.last, false};
        if (y >= last) {
            run.cell = axis.length - 1;
        } else if (y <= 0) {
            run.last = axis.passing(bin, i + 1, in.last, 0);
        } else {
            run.cell = static_cast<std::int64_t>(y);
            run.last = axis.reaching(bin, i + 1, in.last, static_cast<double>(run.cell + 1));
            run.between = true;
        }
        each(run);
        i = run.last;
    }
}

// What the samples of a bin take of one element.
struct Tap {
    std::int64_t at;
    double weight;
};

// Sums over a run of its distances from `cell` (far) and from the next (near), one by one while
// they are few, else as those of an even progression.
struct RunWeights {
    double near = 0, far = 0;
};
inline RunWeights run_weights(const SampleAxis& axis, std::int64_t bin, const SampleRun& run) {
    constexpr std::int64_t kOneByOne = 16;
    const std::int64_t n = run.last - run.first;
    if (!run.between) return {static_cast<double>(n), 0};
    const auto cell = static_cast<double>(run.cell);
    RunWeights sums;
    if (n <= kOneByOne) {
        for (std::int64_t i = run.first; i < run.last; ++i) {
            const double part = axis.at(bin, i) - cell;
            sums.near += 1 - part;
            sums.far += part;
        }
        return sums;
    }
    const double first = axis.at(bin, run.first) - cell;
    const double last = axis.at(bin, run.last - 1) - cell;
    const double half = static_cast<double>(n) / 2;
    return {((1 - first) + (1 - last)) * half, (first + last) * half};
}

// Calls each(tap) for every element that has a weight, ascending.
template <class Each>
void each_tap(const SampleAxis& axis, std::int64_t bin, const Each& each) {
    Tap here{0, 0};
    double beyond = 0;  // of the element after `here`
    each_run(axis, bin, [&](const SampleRun& run) {
        if (run.cell != here.at) {
            if (here.weight > 0) each(here);
            if (run.cell != here.at + 1 && beyond > 0) each(Tap{here.at + 1, beyond});
            here = {run.cell, run.cell == here.at + 1 ? beyond : 0};
            beyond = 0;
        }
        const RunWeights sums = run_weights(axis, bin, run);
        here.weight += sums.near;
        beyond += sums.far;
    });
    if (here.weight > 0) each(here);
    if (beyond > 0) each(Tap{here.at + 1, beyond});
}

// A sample that may be the largest of its bin, at `at` or `part` of the way to the next element.
struct Candidate {
    std::int64_t at;
    double part;
};

// Between elements interpolation is linear along an axis, so only the ends of a run count; a
// sample on an element reads that alone, so where NaN is left out the next one is an end, too.
template <class Each>
void each_candidate(const SampleAxis& axis, std::int64_t bin, const Each& each) {
    each_run(axis, bin, [&](const SampleRun& run) {
        if (!run.between) return each(Candidate{run.cell, 0});
        const auto cell = static_cast<double>(run.cell);
        const auto emit = [&](std::int64_t i) { each(Candidate{run.cell, axis.at(bin, i) - cell}); };
        emit(run.first);
        const std::int64_t beyond = axis.passing(bin, run.first, run.last, cell);
        if (beyond > run.first && beyond < run.last - 1) emit(beyond);
        if (run.last - run.first > 1) emit(run.last - 1);
    });
}

}  // namespace poolcore
