// Small planes, turned: rows too short for vectors of their own become lines across planes. A block
// of planes is brought into scratch with the planes innermost, pooled there as pixels of so many
// channels, and brought back. Bits are those of any other path. The run family only.
#pragma once

#include <cstdint>
#include <optional>

#include "poolcore/boxes.hpp"

namespace poolcore {

// The elements of a plane in memory: up to three loops around runs of neighbours.
struct PlaneLayout {
    std::int64_t run = 1;  // elements
    std::int64_t n[kMaxPooledAxes] = {1, 1, 1};
    std::int64_t stride[kMaxPooledAxes] = {0, 0, 0};  // bytes
    std::int64_t runs() const { return n[0] * n[1] * n[2]; }
};

// What holds one value for every element of x or for every window.
struct TurnedArray {
    PlaneLayout plane;
    std::int64_t rows = 1;  // of a plane
    std::int64_t row = 1;   // elements
    std::int64_t item = 0;  // bytes; 0: there is none
    std::int64_t pad = 0;   // bytes between rows of a block

    std::int64_t block_bytes(std::int64_t lanes) const {
        return rows * (row * item * lanes + pad);
    }
    // Of the element of a plane, in a block.
    std::int64_t place(std::int64_t element, std::int64_t lanes) const {
        return element * item * lanes + (pad > 0 ? element / row * pad : 0);
    }
};

class Turned {
   public:
    Turned(const PoolPlan& plan, const Schedule& laid, const TurnedArray arrays[3],
           std::int64_t lanes);

    std::int64_t count() const { return n_tasks_; }
    std::int64_t scratch_bytes() const;
    std::int64_t lanes() const { return lanes_; }
    const Boxes& boxes() const { return *boxes_; }

    // Throws as Boxes::pool does.
    void pool(std::int64_t number, Scratch& scratch) const;

   private:
    void turn(const TurnedArray& array, const TurnArgs& args) const;

    PoolPlan plan_;  // of planes that are innermost
    std::optional<Boxes> boxes_;
    const Schedule& laid_;
    TurnedArray in_, out_, index_;
    std::int64_t lanes_;  // planes of a block
    std::int64_t n_tasks_ = 1;
};

// Makes `turned` of a plan that was laid over these views as `laid` says, which outlives it; or does
// not, where that does not pay.
void choose_turned(const PoolPlan& plan, const StridedView& in, const MutableView& out,
                   const MutableView* indices, const Boxes& laid, int threads,
                   std::optional<Turned>& turned);

}  // namespace poolcore
