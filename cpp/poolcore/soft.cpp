#include "poolcore/soft.hpp"

#include <algorithm>
#include <cstring>

#include "poolcore/select_emit.hpp"
#include "poolcore/select_job.hpp"
#include "poolcore/soft_window.hpp"

namespace poolcore {
namespace {

// An element as a double; 64-bit integers are rounded to nearest.
template <class T>
double plain_element(const std::byte* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return static_cast<double>(value);
}

template <DType kHalf>
double half_element(const std::byte* p) {
    std::int16_t bits;
    std::memcpy(&bits, p, sizeof bits);
    constexpr int infinity = kHalf == DType::kFloat16 ? 0x7c00 : 0x7f80;
    if ((bits & 0x7fff) > infinity) return std::numeric_limits<double>::quiet_NaN();
    return float_value(bits, kHalf);
}

// Taps are added in the order of the caller's axes, so that no layout changes a bit.
template <double (*kElement)(const std::byte*)>
double soft_of(const TapGrid& grid, bool omit) {
    SoftWindow window;
    if (grid.taps() == 0) return window.value();
    const bool done = for_taps(grid, [&](const std::byte* p) {
        const double x = kElement(p);
        if (!omit || x == x) window.see(x);
    });
    if (done && window.wants_taps())
        for_taps(grid, [&](const std::byte* p) {
            const double x = kElement(p);
            if (!omit || x == x) window.add(x);
        });
    return window.value();
}

template <double (*kElement)(const std::byte*)>
void soft_task(void* context, std::int64_t task, int) {
    const auto& job = *static_cast<const SelectJob*>(context);
    const bool omit = job.plan->spec.nan_policy == NanPolicy::kOmit;
    const std::int64_t step = job.lane.out_stride;
    each_row(job, task, [&](const TapGrid& grid, std::byte* out, std::int64_t lo, std::int64_t hi) {
        for (std::int64_t o = lo; o < hi && !stop_requested(); o += kSortLanes) {
            double values[kSortLanes] = {};
            const int n = static_cast<int>(std::min<std::int64_t>(kSortLanes, hi - o));
            for (int l = 0; l < n; ++l) {
                TapGrid one = grid;
                place(job, job.lane, o + l, one);
                values[l] = soft_of<kElement>(one, omit);
            }
            convert_row(job.convert, values, {out + o * step, step, n});
        }
    });
}

TaskFunction task_of(DType dtype) {
    switch (dtype) {
        case DType::kInt8: return soft_task<plain_element<std::int8_t>>;
        case DType::kInt16: return soft_task<plain_element<std::int16_t>>;
        case DType::kUInt16: return soft_task<plain_element<std::uint16_t>>;
        case DType::kInt32: return soft_task<plain_element<std::int32_t>>;
        case DType::kUInt32: return soft_task<plain_element<std::uint32_t>>;
        case DType::kInt64: return soft_task<plain_element<std::int64_t>>;
        case DType::kUInt64: return soft_task<plain_element<std::uint64_t>>;
        case DType::kFloat16: return soft_task<half_element<DType::kFloat16>>;
        case DType::kBFloat16: return soft_task<half_element<DType::kBFloat16>>;
        case DType::kFloat32: return soft_task<plain_element<float>>;
        case DType::kFloat64: return soft_task<plain_element<double>>;
        default: return soft_task<plain_element<std::uint8_t>>;  // bool: 0 and 1
    }
}

}  // namespace

bool run_soft(const PoolPlan& plan, const StridedView& in, const MutableView& out,
              const ParallelJob& how) {
    SelectJob job = make_select_job(plan, in, out, TapOrder::kAxes);
    ParallelJob parallel = how;
    parallel.context = &job;
    parallel.n_tasks = job.n_tasks();
    parallel.function = task_of(plan.in_dtype);
    return parallel_for(parallel);
}

}  // namespace poolcore
