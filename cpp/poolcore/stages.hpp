// The moves of the engine on fields: blocks of lines, in scratch or in the caller's arrays.
// Whoever calls these has checked everything; only scratch can run out.
#pragma once

#include "poolcore/schedule.hpp"
#include "poolcore/scratch.hpp"

namespace poolcore {

// [plane][a][b][w][inner] elements. `origin` is the position of the first element along each
// axis, in input positions before the axis is pooled and in windows afterwards.
struct Field {
    std::byte* values = nullptr;  // never written when the field is x itself
    std::byte* index = nullptr;   // kArgMax only; same strides
    std::int64_t planes = 1;
    std::int64_t plane_stride = 0;  // bytes
    std::int64_t origin[kNumPhysical] = {0, 0, 0};
    std::int64_t extent[kNumPhysical] = {1, 1, 1};
    std::int64_t stride[kNumPhysical] = {0, 0, 0};  // bytes
    std::int64_t inner = 1;
    bool identity_tail = false;  // columns of kW past the one window hold the identity

    std::int64_t elements() const {
        return planes * extent[kA] * extent[kB] * extent[kW] * inner;
    }
};

struct StageContext {
    const KernelTable* kernels;
    Combine combine;
    Work work;
    Scratch* scratch;
    // Sums over another axis than the lanes may take elements of x as they are.
    bool widens = false;
    DType source = DType::kFloat32;
    std::int64_t element() const { return work_size(work); }
    std::int64_t source_element() const {
        return widens ? static_cast<std::int64_t>(item_size(source)) : element();
    }
    bool with_index() const { return combine == Combine::kArgMax; }
};

// Passes that follow each other over one piece of scratch are made on pieces of about this size,
// but no narrower than so many elements.
inline constexpr std::int64_t kNearBytes = 24 * 1024;
inline constexpr std::int64_t kNarrowest = 64;

// A tight field in scratch.
Field make_field(const StageContext& c, std::int64_t planes, const Range ranges[kNumPhysical],
                 std::int64_t inner);

// Whether so many long windows across the lanes are pooled by running extrema (few are not worth
// it), and what that takes of the scratch; no more than so many bytes.
bool uses_running(Combine combine, const AxisGeometry& g, std::int64_t windows);
std::int64_t running_scratch(const AxisGeometry& g, bool wide);
inline constexpr std::int64_t kRunningBytes = 128 * 1024;

// Pools one axis of `from` into the windows that `to` covers along it (to.origin, to.extent).
// All other axes of the two agree. Along kW with inner = 1, `from` holds every position of those
// windows, the padding included; along any other axis taps outside [0, in) are left out.
void pool_axis(const StageContext& c, const AxisGeometry& g, int axis, const Field& from,
               const Field& to);

// Whether kB and kW of such windows are pooled together, by one kernel without scratch.
bool pools_together(const Schedule& s, const AxisGeometry& b, const AxisGeometry& w);

// Whether pool_together may leave out the taps that these windows of kW lack at the edges of x.
bool together_takes_edges(const AxisGeometry& w, Range windows);

// What sums become means by, at once: the product of `rest` and the counts along kB and kW.
struct Means {
    const Schedule* schedule = nullptr;  // null: sums are wanted
    double rest = 0;
    bool fixed = false;  // a divisor that was given: no counts
    // Of the first window along kW, the last one, and all others. Where they differ, windows with
    // counts of their own lack a tap that `from` does not hold.
    double first = 1, middle = 1, last = 1;
    double common = 0;  // of all windows of the box; 0 where they differ

    explicit operator bool() const { return schedule != nullptr; }
    double of_rows(std::int64_t window) const;
};

// Both axes at once, the preconditions of pool_axis for each, but that `from` may lack the padding
// of kW where together_takes_edges.
void pool_together(const StageContext& c, const AxisGeometry& b, const AxisGeometry& w,
                   const Field& from, const Field& to, const Means& means);

// Every element of `earlier` becomes its combination with that of `later`; both tight, in scratch.
void combine_fields(const StageContext& c, const Field& earlier, const Field& later);

// `from` into a part of a larger field.
void copy_field(const StageContext& c, const Field& from, const Field& to);

// Fills columns [first, last) of axis kW with the identity.
void fill_identity(const StageContext& c, const Field& field, std::int64_t first,
                   std::int64_t last);

}  // namespace poolcore
