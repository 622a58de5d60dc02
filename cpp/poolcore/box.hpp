// One task: the outputs of one box, from x to the result.
#pragma once

#include "poolcore/schedule.hpp"
#include "poolcore/stages.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {

struct Box {
    const std::byte* in = nullptr;  // the element at position 0 of every pooled axis
    std::byte* out = nullptr;       // window 0 of every pooled axis
    std::byte* index = nullptr;
    std::int64_t planes = 1;
    Range windows[kNumPhysical] = {{0, 1}, {0, 1}, {0, 1}};
    std::int64_t inner = 1;
};

// Positions of x that these windows reach.
Range clipped(const AxisGeometry& g, Range windows);

// What one pass over the windows computes: the values, or the second accumulator beside them.
struct Pass {
    Combine combine;
    Work work;
    Change change;
    bool replace_nan;  // by nan_value
    double nan_value;
    bool* special = nullptr;  // set when x holds a value without a key, or too large a power
    const PoolSpec* powers = nullptr;  // elements become powers as this says
};

// Throws Stopped, or PoolError(kMemory).
void run_box(const Schedule& s, const KernelTable& kernels, const Box& box, Scratch& scratch);

// Part of run_box for windows that do not fit the scratch: pools the one window of the box into
// `to`, in pieces of the same tree. Throws PoolError(kMemory) if pieces pile up beyond scratch,
// Stopped between pieces when the job is to stop.
void pool_huge_window(const Schedule& s, const StageContext& c, const Pass& pass, const Box& box,
                      const Field& to);

// Copies columns of x into the scratch field `to` as the pass wants them; fills the columns of kW
// beyond [0, in) with the identity. `step` is the distance of neighbours in `to` along each axis,
// in positions of x; `base` the element of x at position 0.
struct Source {
    const std::byte* base;
    std::int64_t stride[kNumPhysical];
    std::int64_t plane_stride;
    std::int64_t inner_stride;
    std::int64_t in[kNumPhysical];
    // Flat index of position p along axis x: index_base + sum of p * plane_step[x].
    std::int64_t index_base;
    std::int64_t plane_step[kNumPhysical];
    DType dtype;
};

Source source_of(const Schedule& s, const Box& box);
void pack_field(const StageContext& c, const Pass& pass, const Source& source, const Field& to);

// The part of x that `ranges` names, as a field. Never written.
Field field_on_source(const Source& source, const Box& box, const Range ranges[kNumPhysical]);

// The results of the box in the caller's array, as a field.
Field field_on_output(const Schedule& s, const Box& box);

}  // namespace poolcore
