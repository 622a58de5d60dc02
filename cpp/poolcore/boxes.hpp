// A plan laid over memory and ready to be carried out, box by box. The run family only.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/kernel_table.hpp"
#include "poolcore/box.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/schedule.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

class Boxes {
   public:
    // The plan outlives the boxes. threads: how many share them; 0: as few boxes as fit.
    Boxes(const PoolPlan& plan, const StridedView& in, const MutableView& out,
          const MutableView* indices, int threads);
    Boxes(const Boxes&) = delete;
    Boxes& operator=(const Boxes&) = delete;

    const Schedule& schedule() const { return schedule_; }
    const KernelTable& kernels() const { return kernels_; }
    std::int64_t count() const { return schedule_.n_tasks; }
    std::int64_t scratch_bytes() const;

    // Throws as run_box does.
    void pool(std::int64_t number, Scratch& scratch) const;

    // All boxes on other memory, laid out alike, that has so many elements along the inner axis.
    void pool_all(const std::byte* in, std::byte* out, std::byte* index, std::int64_t inner,
                  Scratch& scratch) const;

   private:
    // A second accumulator takes a second pass. The same boxes for those that can do without: that
    // hold no NaN, or small integers only.
    struct Plain {
        PoolPlan plan;
        Schedule schedule;
    };

    const bool adaptive_;
    const Schedule schedule_;
    std::optional<Plain> plain_;
    const KernelTable& kernels_;
};

}  // namespace poolcore
