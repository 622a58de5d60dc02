// The gradient of SoftPool as tasks: of windows, which are measured, and of elements, which add up
// what the windows over them give.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.hpp"
#include "poolcore/gradient_boxes.hpp"
#include "poolcore/plan.hpp"
#include "poolcore/schedule.hpp"
#include "poolcore/soft_lanes.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

inline constexpr int kMostPlanes = 64;  // of a task

// A place along each axis: of an element, a window or a tap.
using SoftPlace = std::int64_t[kMaxPooledAxes];

// A part of some planes, and the windows over it.
struct SoftPart {
    Range planes{0, 1};
    Range elements[kMaxPooledAxes], windows[kMaxPooledAxes];

    std::int64_t windows_of_plane() const {
        return windows[0].size() * windows[1].size() * windows[2].size();
    }
};

// What a tap's slope takes to know of its window.
struct WindowSums {
    double most, total, mean;
};

struct SoftGradient {
    const PoolPlan& plan;
    const StridedView& grad;
    const StridedView& x;
    const MutableView& out;
    GradientAxes axis = {};
    int lane = kMaxPooledAxes - 1;  // the last axis with more than one window
    std::int64_t planes = 1;
    std::int64_t taps = 1;  // of the fullest window
    LoadRow load_x = nullptr, load_grad = nullptr;
    FinishKernel convert = nullptr;

    SoftPart part = {};          // what is at hand
    WindowSums* sums = nullptr;  // of its windows, plane by plane; null where tasks measure them
    std::int64_t planes_per_task = 1;
    std::int64_t windows_per_task = 1;  // along lanes, where windows are measured beforehand

    std::int64_t box_elements() const { return elements_of_box(axis); }
    std::int64_t boxes(int i) const { return axis[i].boxes(part.elements[i]); }
    std::int64_t element_tasks() const {
        const std::int64_t groups = (part.planes.size() + planes_per_task - 1) / planes_per_task;
        return groups * boxes(0) * boxes(1) * boxes(2);
    }
    std::int64_t lane_pieces() const {
        return (part.windows[lane].size() + windows_per_task - 1) / windows_per_task;
    }
    std::int64_t window_tasks() const {
        const std::int64_t rows = part.windows_of_plane() / part.windows[lane].size();
        return part.planes.size() * rows * lane_pieces();
    }
};

// Tasks of parallel_for; the context is a SoftGradient.
void measure_windows(void* context, std::int64_t task, int);
void gather_elements(void* context, std::int64_t task, int);
// Of either.
std::int64_t soft_gradient_scratch(const SoftGradient& job);

}  // namespace poolcore
