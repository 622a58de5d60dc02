#include "poolcore/moves.hpp"

#include <bit>
#include <cstring>

namespace poolcore {
namespace {

// What every kernel under a nest is called with, at these offsets of its outer loops.
template <class Args>
Args looped(const LoopNest& nest, const Ends& ends, std::int64_t from, std::int64_t to) {
    Args a;
    a.src = moved(ends.from, from);
    a.dst = moved(ends.to, to);
    a.src_index = moved(ends.from_index, from);
    a.dst_index = moved(ends.to_index, to);
    a.n0 = nest.loop(1).n;
    a.n1 = nest.loop(0).n;
    a.src_stride0 = nest.loop(1).from;
    a.src_stride1 = nest.loop(0).from;
    a.dst_stride0 = nest.loop(1).to;
    a.dst_stride1 = nest.loop(0).to;
    return a;
}

}  // namespace

void call_rows(const StageContext& c, const LoopNest& nest, const Ends& ends, const Taps& taps) {
    const int work = static_cast<int>(c.work);
    const RowsKernel kernel = c.widens ? c.kernels->widen[static_cast<int>(c.source)][work]
                                       : c.kernels->rows[static_cast<int>(c.combine)][work];
    nest.outer([&](std::int64_t from, std::int64_t to) {
        RowsArgs a = looped<RowsArgs>(nest, ends, from, to);
        a.n = nest.run();
        a.tap_stride = taps.stride;
        a.taps = taps.all;
        a.first = taps.first;
        a.last = taps.last;
        kernel(a);
    });
}

void call_slide(const StageContext& c, const LoopNest& nest, const Ends& ends,
                const LineWindows& windows) {
    const SlideKernel kernel =
        c.kernels->slide[static_cast<int>(c.combine)][static_cast<int>(c.work)];
    nest.outer([&](std::int64_t from, std::int64_t to) {
        SlideArgs a = looped<SlideArgs>(nest, ends, from, to);
        a.n = windows.n;
        a.taps = windows.taps;
        a.stride = windows.stride;
        kernel(a);
    });
}

void combine_runs(const StageContext& c, const Ends& ends, std::int64_t n, std::int64_t tap_bytes,
                  std::int64_t taps) {
    call_rows(c, LoopNest(n, c.element()), ends, {tap_bytes, taps, 0, taps});
}

namespace {

// Every position of the run becomes the combination of `taps` positions, `reach` apart, from itself
// on.
void multiply(const StageContext& c, Run& run, std::int64_t reach, std::int64_t taps) {
    run.elements -= (taps - 1) * reach;
    combine_runs(c, {run.values, run.index, run.values, run.index}, run.elements,
                 reach * c.element(), taps);
}

// Orders: two pieces of the largest power of two may overlap. Two doublings are one pass.
Doubled double_order(const StageContext& c, Run run, std::int64_t k) {
    std::int64_t covered = run.covered;
    while (2 * covered <= k) {
        const std::int64_t taps = 4 * covered <= k ? 4 : 2;
        multiply(c, run, covered * run.unit, taps);
        covered *= taps;
    }
    const std::int64_t taps = covered == k ? 1 : 2;
    return {run.values, run.index, {(k - covered) * run.unit * c.element(), taps, 0, taps}};
}

// Sums: one piece for every set bit of k, the largest first in the window, joined from the last
// one backwards: the canonical tree.
Doubled double_sum(const StageContext& c, Run run, std::int64_t k) {
    const std::int64_t results = run.elements - (k - run.covered) * run.unit;
    std::byte* rest = nullptr;
    for (std::int64_t piece = run.covered;; piece *= 2) {
        const std::int64_t before = k & ~(2 * piece - 1);
        std::byte* at = run.values + before * run.unit * c.element();
        if ((k & piece) && before == 0) {
            if (!rest) return {at, nullptr, {0, 1, 0, 1}};
            return {at, nullptr, {rest - at, 2, 0, 2}};
        }
        if ((k & piece) && !rest) {
            rest = c.scratch->take(results * c.element());
            combine_runs(c, {at, nullptr, rest, nullptr}, results, 0, 1);
        } else if (k & piece) {
            combine_runs(c, {at, nullptr, rest, nullptr}, results, rest - at, 2);
        }
        multiply(c, run, piece * run.unit, 2);
    }
}

}  // namespace

namespace {

// What a wide store writes too much, the next replace.
template <std::int64_t Wide>
void pick(const std::byte* src, std::byte* dst, std::int64_t n, std::int64_t pixel,
          std::int64_t step) {
    std::int64_t i = 0;
    const std::int64_t wide = n - (Wide + pixel - 1) / pixel;
    for (; i < wide; ++i) std::memcpy(dst + i * pixel, src + i * step, Wide);
    for (; i < n; ++i)
        std::memcpy(dst + i * pixel, src + i * step, static_cast<std::size_t>(pixel));
}

}  // namespace

void pick_pixels(const KernelTable& kernels, const std::byte* src, std::byte* dst, std::int64_t n,
                 std::int64_t pixel, std::int64_t step) {
    const bool threes = pixel % 3 == 0;
    const std::int64_t part = threes ? pixel / 3 : pixel;
    if (step == 2 * pixel && part <= (threes ? 4 : 8) &&
        std::has_single_bit(static_cast<std::uint64_t>(part))) {
        const PickArgs a{src, dst, 1, 1, n * (pixel / part), 0, 0, 2, threes};
        return kernels.pick[std::countr_zero(static_cast<std::uint64_t>(part))](a);
    }
    const auto picked = pixel <= kWidePixel / 2 ? pick<kWidePixel / 2> : pick<kWidePixel>;
    picked(src, dst, n, pixel, step);
}

std::int64_t first_piece(const StageContext& c, std::int64_t k) {
    return c.combine != Combine::kSum || k % 4 == 0 ? 4 : 1;
}

Doubled double_run(const StageContext& c, const Run& run, std::int64_t k) {
    return c.combine == Combine::kSum ? double_sum(c, run, k) : double_order(c, run, k);
}

}  // namespace poolcore
