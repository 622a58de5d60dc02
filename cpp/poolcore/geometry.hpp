// Window arithmetic along one axis: output length, window positions, tap counts.
// Integers only (a test greps for floating types), every product and sum checked for overflow.
#pragma once

#include <cstdint>

namespace poolcore {

enum class PadMode : std::uint8_t { kExplicit, kValid, kSame, kSameLower };

// What a caller asked for along one pooled axis, as signed 64-bit numbers of any value.
struct AxisParams {
    std::int64_t kernel = 1;
    std::int64_t stride = 1;
    std::int64_t dilation = 1;
    std::int64_t pad_lo = 0;
    std::int64_t pad_hi = 0;
};

// From one window, or tap, to the next, in bytes. Where there is no next one in the input the
// product may be beyond 64 bits: it wraps, and nobody goes there.
constexpr std::int64_t wrapped(std::int64_t step, std::int64_t bytes) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(step) *
                                     static_cast<std::uint64_t>(bytes));
}

// Taps [first, last) of a window that fall inside the axis.
struct TapRange {
    std::int64_t first;
    std::int64_t last;
    std::int64_t count() const { return last > first ? last - first : 0; }
};

// Which taps that lie off the axis in every window are left out. kAll: all. kWholeBlocks: as many as
// leave every sum its order. The tree of a sum of `kernel` taps is made of whole blocks, of 2^m taps
// from a multiple of 2^m on; two of them hold all taps that are on the axis, where so many fit.
enum class Trim : std::uint8_t { kAll, kWholeBlocks };

// A legal axis: 1 <= kernel, stride, dilation, period; 0 <= pads < effective(); out >= 1.
// Adaptive windows have a period: window o covers [floor(o*stride/period), ceil((o+1)*stride/period))
// and window o + period lies `stride` further on; `kernel` is then the longest of them, and there is
// neither padding nor dilation.
struct AxisGeometry {
    std::int64_t in = 1;
    std::int64_t kernel = 1;
    std::int64_t stride = 1;
    std::int64_t dilation = 1;
    std::int64_t pad_lo = 0;
    std::int64_t pad_hi = 0;
    std::int64_t out = 1;
    std::int64_t period = 1;

    std::int64_t effective() const { return dilation * (kernel - 1) + 1; }
    // Position of tap 0 of window o; negative inside the left padding.
    std::int64_t start(std::int64_t o) const {
        return period == 1 ? o * stride - pad_lo : adaptive_start(o);
    }
    // Taps of window o, real or not.
    std::int64_t length(std::int64_t o) const {
        return period == 1 ? kernel : adaptive_end(o) - adaptive_start(o);
    }
    // Taps of window o inside [0, in).
    TapRange taps(std::int64_t o) const { return taps_within(o, 0, in); }
    // Taps of window o inside [-pad_lo, in + pad_hi): what count_include_pad divides by.
    TapRange padded_taps(std::int64_t o) const { return taps_within(o, -pad_lo, in + pad_hi); }
    // Windows [first, last) that lie wholly inside the axis; empty when first >= last.
    TapRange interior() const;
    // The same windows on the axis, without the taps that lie off it in all of them.
    AxisGeometry trimmed(Trim how) const;

   private:
    std::int64_t adaptive_start(std::int64_t o) const;
    std::int64_t adaptive_end(std::int64_t o) const;
    TapRange taps_within(std::int64_t o, std::int64_t lo, std::int64_t hi) const;
};

// Adaptive windows one after the other, without a division for each.
class AdaptiveWindows {
   public:
    // From window `o` on.
    AdaptiveWindows(const AxisGeometry& g, std::int64_t o);
    std::int64_t start() const { return start_; }
    std::int64_t length() const {
        const bool carries = rest_ >= period_ - part_;
        const bool even = rest_ == (part_ == 0 ? 0 : period_ - part_);  // the next one starts here
        return whole_ + (carries ? 1 : 0) + (even ? 0 : 1);
    }
    void next() {
        const bool carries = rest_ >= period_ - part_;
        start_ += whole_ + (carries ? 1 : 0);
        rest_ = carries ? rest_ - (period_ - part_) : rest_ + part_;
    }

   private:
    std::int64_t period_, whole_, part_;  // the stride is whole_ + part_ / period_,
    std::int64_t start_, rest_;           // and a window starts at start_ + rest_ / period_
};

// Names for error messages: `max_pool2d: padding[1]=4 must be ...`. `index` < 0 leaves out `[i]`.
struct AxisNames {
    const char* function;
    int index;
    std::int64_t axis;
    const char* kernel = "kernel_size";  // what the function calls it
};

// Checks the parameters and computes the output length.
// Throws PoolError(kValue) that names the argument, its value and what is allowed.
AxisGeometry make_axis_geometry(std::int64_t in, const AxisParams& params, PadMode mode,
                                bool ceil_mode, const AxisNames& names);

// As many windows as asked for, over all of the axis, each at least one element long. `size`
// is a number of any value, or kKeepSize for that of the axis; 0 gives an axis without windows,
// whose out is 0. Where `size` divides `in` the windows are ordinary ones side by side.
inline constexpr std::int64_t kKeepSize = INT64_MIN;
AxisGeometry make_adaptive_geometry(std::int64_t in, std::int64_t size, const AxisNames& names);

}  // namespace poolcore
