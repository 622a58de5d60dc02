// What one box gives to the gradient of its image: one task holds a part of a plane, in some
// channels, as sums in float64 or, of integers, modulo 2**64, and boxes add to it in turn.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.hpp"
#include "poolcore/roi_axis.hpp"
#include "poolcore/roi_candidates.hpp"
#include "poolcore/roi_job.hpp"
#include "poolcore/roi_taps.hpp"
#include "poolcore/scratch.hpp"

namespace poolcore {

// Elements of a task's sums, channels included.
inline constexpr std::int64_t kRoiSums = 24 * 1024;
// Gradients that are read at a time.
inline constexpr std::int64_t kRoiRead = 256;
static_assert(kRoiRead >= kRoiLanes);

struct RoiGradientJob {
    const RoiSpec* spec = nullptr;
    const std::byte* grad = nullptr;
    const std::byte* index = nullptr;  // kPool
    const std::byte* x = nullptr;      // kAlignMax
    std::byte* out = nullptr;
    DType index_dtype = DType::kInt64, x_dtype = DType::kFloat64;
    RoiStrides grad_stride, index_stride, x_stride, out_stride;
    std::int64_t channels = 0, images = 0;
    std::int64_t length[2];
    std::int64_t lanes = 1;   // channels side by side
    std::int64_t part[2];     // rows and columns of a task
    std::int64_t parts[2];    // how many of them
    std::int64_t channels_per_task = 1, chunks = 1;
    const std::int64_t* boxes = nullptr;   // numbers of boxes, image by image:
    const std::int64_t* starts = nullptr;  // those of image i are starts[i] to starts[i + 1]
    PackKernel pack = nullptr;       // gradients as float64 or 64-bit integers
    FinishKernel convert = nullptr;  // from float64; null for integers
    std::size_t item = 8;            // bytes of a result

    std::int64_t n_tasks() const { return images * chunks * parts[0] * parts[1]; }
};

// Sums of a part of a plane, for `lanes` channels side by side.
struct RoiSums {
    Reach part[2];
    std::int64_t lanes = 1;
    std::byte* data = nullptr;

    std::int64_t count() const { return part[0].size() * part[1].size() * lanes; }
    // Sums from an element to the next along an axis.
    std::int64_t step(int axis) const { return axis == 1 ? lanes : lanes * part[1].size(); }
    std::int64_t offset(std::int64_t row, std::int64_t column) const {
        return (row - part[0].lo) * step(0) + (column - part[1].lo) * step(1);
    }
    double* real() const { return reinterpret_cast<double*>(data); }
    std::uint64_t* whole() const { return reinterpret_cast<std::uint64_t*>(data); }
};

// Reads n gradients or, with lanes, those of so many channels, `stride` bytes apart.
inline void read_gradients(const RoiGradientJob& job, const std::byte* p, std::int64_t stride,
                           std::int64_t n, std::byte* to) {
    PackArgs args{};
    args.src = p;
    args.dst = to;
    args.n0 = args.n1 = 1;
    args.n = n;
    args.src_stride = stride;
    job.pack(args);
}

// The gradient of kAlignMean.
class RoiGiveMean {
   public:
    RoiGiveMean(const RoiGradientJob& job, Scratch& scratch)
        : job_(job),
          tables_{TapTable(scratch), TapTable(scratch)},
          line_(reinterpret_cast<double*>(scratch.take(kRoiSums * 8))),
          read_(reinterpret_cast<double*>(scratch.take(kRoiRead * 8))) {}
    static std::int64_t scratch_bytes() {
        return 2 * TapTable::scratch_bytes() + Scratch::footprint(kRoiSums * 8) +
               Scratch::footprint(kRoiRead * 8);
    }

    // Whether box `number` reaches that part.
    bool select(std::int64_t number, const Reach* part);
    // Adds to channels [c, c + sums.lanes).
    void give(std::int64_t c, const RoiSums& sums, StopPoll& look);

   private:
    bool give_line(const std::byte* grad, std::int64_t lanes, StopPoll& look);

    const RoiGradientJob& job_;
    TapTable tables_[2];  // across, along
    SampleAxis axes_[2];
    int across_ = 0;
    std::int64_t number_ = 0;
    double count_ = 1;
    Reach along_;   // elements of the part within reach
    double* line_;  // what a line of bins gives along
    double* read_;
};

// The gradient of kAlignMax.
class RoiGiveLargest {
   public:
    RoiGiveLargest(const RoiGradientJob& job, Scratch& scratch);
    static std::int64_t scratch_bytes() { return 2 * Candidates::scratch_bytes(); }
    bool select(std::int64_t number, const Reach* part);
    void give(std::int64_t c, const RoiSums& sums, StopPoll& look);

   private:
    using Find = Largest (*)(const std::byte* plane, const std::int64_t* stride,
                             const Candidates& down, const Candidates& over, StopPoll& look);

    void give_bin(std::int64_t a, std::int64_t b, std::int64_t c, const RoiSums& sums,
                  StopPoll& look) const;

    const RoiGradientJob& job_;
    SampleAxis rows_, columns_;
    Candidates down_, over_;
    Find find_ = nullptr;
    std::int64_t number_ = 0;
};

// The gradient of kPool. False at an index outside the plane, which leaves the rest undone.
bool give_places(const RoiGradientJob& job, std::int64_t number, std::int64_t c,
                 const RoiSums& sums, StopPoll& look);

}  // namespace poolcore
