#include "poolcore/moves.hpp"

#include <bit>
#include <cstring>

#include "poolcore/threads.hpp"

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
        a.tail = taps.tail;
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
    constexpr std::int64_t kLongRun = 1 << 20;
    if (run.elements > kLongRun && stop_requested()) throw Stopped{};
    run.elements -= (taps - 1) * reach;
    combine_runs(c, {run.values, run.index, run.values, run.index}, run.elements,
                 reach * c.element(), taps);
}

// The last pass of orders: pieces may overlap, so the last one lies where the window ends.
Doubled overlapping(const StageContext& c, const Run& run, std::int64_t k, std::int64_t piece) {
    const std::int64_t taps = (k + piece - 1) / piece;
    const std::int64_t last = (k - piece) * run.unit * c.element();
    const std::int64_t stride = taps == 2 ? last : piece * run.unit * c.element();
    return {run.values, run.index, {stride, taps, 0, taps, last}};
}

// Orders: pieces grow until the last pass can do with a few of them.
Doubled double_order(const StageContext& c, Run run, std::int64_t k) {
    // Indices come with one distance only.
    const std::int64_t most = c.with_index() ? 2 : 4;
    std::int64_t piece = kPiece;
    while (k > most * piece) {
        const std::int64_t taps = k >= 4 * piece ? 4 : 2;
        multiply(c, run, piece * run.unit, taps);
        piece *= taps;
    }
    return overlapping(c, run, k, piece);
}

// Sums: the digits of k to the base 4 are pieces of the canonical tree, and from the last digit on
// the tail of every window is joined to those before it.
Doubled double_sum(const StageContext& c, Run run, std::int64_t k, const LoopNest& windows) {
    std::byte* tail = run.rest;
    std::byte* spare = nullptr;
    std::int64_t joined = k % kPiece;
    const std::int64_t bytes = run.elements * c.element();
    for (std::int64_t piece = kPiece;; piece *= 4) {
        const std::int64_t digit = k / piece % 4;
        joined += digit * piece;
        const std::byte* at = run.values + (k - joined) * run.unit * c.element();
        const std::int64_t count = digit + (tail ? 1 : 0);
        const Taps taps{piece * run.unit * c.element(), count, 0, count, tail ? tail - at : 0};
        if (joined == k) return {at, nullptr, taps};
        if (digit > 0) {
            std::byte* next = spare ? spare : c.scratch->take(bytes);
            call_rows(c, windows, {at, nullptr, next, nullptr}, taps);
            spare = tail;
            tail = next;
        }
        multiply(c, run, piece * run.unit, 4);
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

Doubled double_run(const StageContext& c, const Run& run, std::int64_t k,
                   const LoopNest& windows) {
    return c.combine == Combine::kSum ? double_sum(c, run, k, windows) : double_order(c, run, k);
}

}  // namespace poolcore
