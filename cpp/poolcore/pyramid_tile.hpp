// A part of one plane, several levels of it at once. pyramid.cpp only.
#pragma once

#include "kernels/kernel_table.hpp"
#include "poolcore/pyramid.hpp"
#include "poolcore/scratch.hpp"

namespace poolcore {

// Rows of numbers side by side: of x, or of sums.
struct Sheet {
    const std::byte* data = nullptr;
    std::int64_t stride = 0;  // bytes from row to row
    std::int64_t rows = 0, n = 0;
    DType dtype = DType::kFloat32;
};

// A place in a plane, in elements of one level.
struct Spot {
    std::int64_t row = 0, column = 0;
    Spot above(int levels) const { return {row >> levels, column >> levels}; }
};

// What the sums of a level are handed up in.
DType pyramid_sums(DType in, int level);

// What a level is written to: the plane that a tile lies in.
struct LevelPlane {
    std::byte* data = nullptr;
    std::int64_t stride = 0;
};

// Levels start + 1 to top of a tile. It begins at a spot of level `start` where windows of `top`
// begin, too.
class PyramidTile {
   public:
    PyramidTile(const PyramidPlan& plan, const KernelTable& kernels, const LevelPlane* levels,
                int start, int top, Scratch& scratch)
        : plan_(plan), kernels_(kernels), levels_(levels), start_(start), top_(top),
          scratch_(scratch) {}

    // Writes the levels, and gives the sums of the last, in scratch; of floats, from level 2 on.
    Sheet climb(const Sheet& from, Spot spot);

    // Scratch for a tile of that size.
    static std::int64_t scratch_bytes(std::int64_t rows, std::int64_t n);

   private:
    Sheet first_sums(const Sheet& x, Spot spot);
    Sheet first_float_levels(const Sheet& x, Spot spot);
    void plain_float_levels(const Sheet& x, Spot spot, std::byte* dst, std::int64_t stride);

    Sheet halved(const Sheet& from, DType to, std::byte* dst);
    void halve_pairs(const Sheet& from, DType to, std::int64_t taps, std::byte* dst);
    void halve_last(const Sheet& from, DType to, std::int64_t taps, std::byte* dst);
    void sum_line(const Sheet& from, int times, DType to, std::byte* dst);
    Sheet summed(const Sheet& from, int times, DType to, std::byte* dst, std::int64_t stride);
    RowsKernel rows_kernel(DType from, DType to) const;

    void emit(int level, const Sheet& sums, Spot spot);
    void emit_rows(int level, const Sheet& sums, Spot spot, std::int64_t high);

    const PyramidPlan& plan_;
    const KernelTable& kernels_;
    const LevelPlane* levels_;  // [level - 1]
    int start_, top_;
    Scratch& scratch_;
    std::byte* now_ = nullptr;  // sums of a level
    std::byte* next_ = nullptr;
    std::byte* line_ = nullptr;
    std::byte* half_line_ = nullptr;
};

}  // namespace poolcore
