// What the stages are made of: loops around the kernels, and doubling. Part of stages.
#pragma once

#include "poolcore/stages.hpp"

namespace poolcore {

// One loop around a kernel: how often, and how far source and result move, in bytes.
struct Loop {
    std::int64_t n;
    std::int64_t from;
    std::int64_t to;
};

// Loops from the innermost outwards, neighbours that run on into each other merged.
class LoopNest {
   public:
    // `run` contiguous elements of `element` bytes are the innermost of all.
    LoopNest(std::int64_t run, std::int64_t element) : LoopNest(run, element, element) {}
    // Elements of the source and of the result may differ in size.
    LoopNest(std::int64_t run, std::int64_t from, std::int64_t to)
        : run_(run), from_(from), to_(to) {}

    void add(Loop loop) {
        if (loop.n == 1) return;
        if (size_ == 0 && loop.from == run_ * from_ && loop.to == run_ * to_) {
            run_ *= loop.n;
            return;
        }
        if (size_ > 0) {
            Loop& inner = loops_[size_ - 1];
            if (loop.from == inner.n * inner.from && loop.to == inner.n * inner.to) {
                inner.n *= loop.n;
                return;
            }
        }
        loops_[size_++] = loop;
    }

    std::int64_t run() const { return run_; }
    int size() const { return size_; }
    Loop loop(int i) const { return i < size_ ? loops_[i] : Loop{1, 0, 0}; }

    // Calls body(from_offset, to_offset) for every turn of the loops beyond the two innermost.
    template <class Body>
    void outer(const Body& body) const {
        const Loop third = loop(2), fourth = loop(3);
        for (std::int64_t i = 0; i < fourth.n; ++i)
            for (std::int64_t j = 0; j < third.n; ++j)
                body(i * fourth.from + j * third.from, i * fourth.to + j * third.to);
    }

    // Calls body(from_offset, to_offset) for every run.
    template <class Body>
    void all(const Body& body) const {
        const Loop first = loop(0), second = loop(1);
        outer([&](std::int64_t from, std::int64_t to) {
            for (std::int64_t i = 0; i < second.n; ++i)
                for (std::int64_t j = 0; j < first.n; ++j)
                    body(from + i * second.from + j * first.from,
                         to + i * second.to + j * first.to);
        });
    }

   private:
    Loop loops_[5] = {};
    int size_ = 0;
    std::int64_t run_;
    std::int64_t from_, to_;
};

// Where taps come from and results go; index pointers are null without indices.
struct Ends {
    const std::byte* from;
    const std::byte* from_index;
    std::byte* to;
    std::byte* to_index;
};

inline const std::byte* moved(const std::byte* p, std::int64_t by) { return p ? p + by : nullptr; }
inline std::byte* moved(std::byte* p, std::int64_t by) { return p ? p + by : nullptr; }

struct Taps {
    std::int64_t stride;  // bytes
    std::int64_t all, first, last;
    std::int64_t tail = 0;  // see RowsArgs
};

// Combines the taps of every window of the nest.
void call_rows(const StageContext& c, const LoopNest& nest, const Ends& ends, const Taps& taps);

// `n` windows of `taps` neighbours, `stride` elements apart, on every line of the nest.
struct LineWindows {
    std::int64_t n;
    std::int64_t taps;
    std::int64_t stride;
};
void call_slide(const StageContext& c, const LoopNest& nest, const Ends& ends,
                const LineWindows& windows);

// Runs of a few elements across the lanes, pixels: windows at every position of the line, in whole
// vectors, from which those asked for are picked, take less than a loop over pixels.
inline constexpr std::int64_t kWidePixel = 32;  // bytes
inline bool picks_pixels(std::int64_t pixel, std::int64_t windows, std::int64_t stride) {
    return pixel <= kWidePixel && windows > 4 && stride > 1 && stride <= 4;
}

// Copies n pixels that lie `step` bytes apart. Of src, two vectors more may be read.
void pick_pixels(const KernelTable& kernels, const std::byte* src, std::byte* dst, std::int64_t n, std::int64_t pixel,
                 std::int64_t step);

// What is left to do after doubling: one last combination, per position of the run.
struct Doubled {
    const std::byte* from;
    const std::byte* from_index;
    Taps taps;
};

// Every position stands for kPiece taps, `unit` elements apart, already.
struct Run {
    std::byte* values;
    std::byte* index;
    std::int64_t elements;
    std::int64_t unit;
    // Sums: those of the last k % kPiece taps of every window, laid out as the run is; null for none.
    std::byte* rest;
};
inline constexpr std::int64_t kPiece = 4;

// Combines what windows of k >= kPiece taps need; spoils the run, which is in scratch. `windows` are
// the loops over them, where source and result both are laid out as the run is.
Doubled double_run(const StageContext& c, const Run& run, std::int64_t k, const LoopNest& windows);

// Taps at the end of a window that sums need apart.
inline std::int64_t rest_taps(const StageContext& c, std::int64_t k) {
    return c.combine == Combine::kSum ? k % kPiece : 0;
}

// Taps `tap_bytes` apart, `n` windows side by side.
void combine_runs(const StageContext& c, const Ends& ends, std::int64_t n, std::int64_t tap_bytes,
                  std::int64_t taps);

// Loops over all axes but `axis`, and the planes.
LoopNest loops_beside(const StageContext& c, int axis, const Field& from, const Field& to);

// Windows of one axis that have the same taps.
void pool_windows(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
                  const Field& to, Range windows, TapRange taps);

// pool_axis for the axis along the lanes.
void pool_along(const StageContext& c, const AxisGeometry& g, const Field& from, const Field& to);

}  // namespace poolcore
