#include "poolcore/nan_scan.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "poolcore/box.hpp"
#include "poolcore/element.hpp"
#include "poolcore/error.hpp"

namespace poolcore {
namespace {

// Elements between two looks for a stop, and in one task.
constexpr std::int64_t kBlock = 64 * 1024;

template <class U>
U bits_at(const std::byte* p) {
    U bits;
    std::memcpy(&bits, p, sizeof bits);
    return bits;
}

// A float is NaN when its bits without the sign exceed those of infinity.
template <class U>
bool any_nan(const std::byte* p, std::int64_t n, std::int64_t stride, U infinity) {
    constexpr U magnitude = static_cast<U>(static_cast<U>(~U(0)) >> 1);
    U found = 0;
    if (stride == static_cast<std::int64_t>(sizeof(U))) {
        for (std::int64_t i = 0; i < n; ++i) {
            const U bits = bits_at<U>(p + i * static_cast<std::int64_t>(sizeof(U)));
            found = static_cast<U>(found | ((bits & magnitude) > infinity ? 1 : 0));
        }
    } else {
        for (std::int64_t i = 0; i < n; ++i)
            found = static_cast<U>(
                found | ((bits_at<U>(p + i * stride) & magnitude) > infinity ? 1 : 0));
    }
    return found != 0;
}

bool any_nan(DType t, const std::byte* p, std::int64_t n, std::int64_t stride) {
    switch (t) {
        case DType::kFloat16: return any_nan<std::uint16_t>(p, n, stride, 0x7c00u);
        case DType::kBFloat16: return any_nan<std::uint16_t>(p, n, stride, 0x7f80u);
        case DType::kFloat32: return any_nan<std::uint32_t>(p, n, stride, 0x7f800000u);
        default: return any_nan<std::uint64_t>(p, n, stride, 0x7ff0000000000000u);
    }
}

// Numbers below 0 and infinities: bits with a sign, but for those of -0.0 and NaN, or infinity's.
template <class U>
bool any_without_weight(const std::byte* p, std::int64_t n, std::int64_t stride, U infinity) {
    constexpr U magnitude = static_cast<U>(static_cast<U>(~U(0)) >> 1);
    bool found = false;
    for (std::int64_t i = 0; i < n; ++i) {
        const U bits = bits_at<U>(p + i * stride);
        const U size = bits & magnitude;
        found = found || size == infinity || (bits != size && size != 0 && size < infinity);
    }
    return found;
}

template <class T>
bool any_below_zero(const std::byte* p, std::int64_t n, std::int64_t stride) {
    bool found = false;
    for (std::int64_t i = 0; i < n; ++i) found = found || bits_at<T>(p + i * stride) < 0;
    return found;
}

bool any_without_weight(DType t, const std::byte* p, std::int64_t n, std::int64_t stride) {
    switch (t) {
        case DType::kFloat16: return any_without_weight<std::uint16_t>(p, n, stride, 0x7c00u);
        case DType::kBFloat16: return any_without_weight<std::uint16_t>(p, n, stride, 0x7f80u);
        case DType::kFloat32: return any_without_weight<std::uint32_t>(p, n, stride, 0x7f800000u);
        case DType::kFloat64:
            return any_without_weight<std::uint64_t>(p, n, stride, 0x7ff0000000000000u);
        case DType::kInt8: return any_below_zero<std::int8_t>(p, n, stride);
        case DType::kInt16: return any_below_zero<std::int16_t>(p, n, stride);
        case DType::kInt32: return any_below_zero<std::int32_t>(p, n, stride);
        case DType::kInt64: return any_below_zero<std::int64_t>(p, n, stride);
        default: return false;
    }
}

bool any_unwanted(Unwanted what, DType t, const std::byte* p, std::int64_t n,
                  std::int64_t stride) {
    return what == Unwanted::kNan ? any_nan(t, p, n, stride)
                                  : any_without_weight(t, p, n, stride);
}

// The array as lines of its nearest axis. Order does not matter to "is there any".
struct Lines {
    const StridedView* in;
    Unwanted what;
    int along;           // the axis of the lines
    std::int64_t lines;  // how many
    std::int64_t per_task;
    std::int64_t blocks;  // tasks that one line is cut into
    std::atomic<bool> found{false};

    std::int64_t n() const { return in->shape[along]; }

    const std::byte* line(std::int64_t number) const {
        const std::byte* p = in->data;
        for (int i = in->rank - 1; i >= 0; --i) {
            if (i == along) continue;
            p += number % in->shape[i] * in->strides[i];
            number /= in->shape[i];
        }
        return p;
    }
};

void scan_task(void* context, std::int64_t task, int) {
    Lines& l = *static_cast<Lines*>(context);
    const std::int64_t stride = l.in->strides[l.along];
    const std::int64_t lo = task % l.blocks * kBlock;
    const std::int64_t n = l.blocks == 1 ? l.n() : std::min(kBlock, l.n() - lo);
    const std::int64_t first = task / l.blocks * l.per_task;
    const std::int64_t last = std::min(first + l.per_task, l.lines);
    for (std::int64_t i = first; i < last && !l.found.load(std::memory_order_relaxed); ++i)
        if (any_unwanted(l.what, l.in->dtype, l.line(i) + lo * stride, n, stride))
            l.found.store(true, std::memory_order_relaxed);
}

int nearest_axis(const StridedView& in) {
    int best = in.rank - 1;
    for (int i = in.rank - 1; i >= 0; --i) {
        if (in.shape[i] == 1) continue;
        if (in.shape[best] == 1 || std::abs(in.strides[i]) < std::abs(in.strides[best])) best = i;
    }
    return best;
}

[[noreturn]] void refuse(const PoolPlan& plan, Unwanted what, const std::int64_t* position,
                         const std::byte* element) {
    std::string at;
    for (int i = 0; i < plan.rank; ++i) at += (i ? ", " : "") + std::to_string(position[i]);
    const bool nan = what == Unwanted::kNan;
    char value[32] = "NaN";
    if (!nan)
        std::snprintf(value, sizeof value, "%g",
                      visit_element(plan.in_dtype, [&](auto e) { return e.value(element); }));
    throw PoolError(ErrorKind::kValue,
                    std::string(plan.spec.function) + ": x holds " + value + " at [" + at + "], " +
                        (nan ? "and nan_policy='raise' refuses it"
                             : "and weights must be finite and at least 0"));
}

struct Search {
    const PoolPlan& plan;
    const StridedView& in;
    Unwanted what;
};

// In row-major order, for the message.
void find_first(void* context, std::int64_t, int) {
    const Search& s = *static_cast<const Search*>(context);
    const StridedView& in = s.in;
    std::int64_t position[kMaxRank] = {};
    const int last = in.rank - 1;
    const std::byte* line = in.data;
    while (!stop_requested()) {
        for (std::int64_t i = 0; i < in.shape[last]; ++i) {
            if (i % kBlock == 0 && stop_requested()) return;
            const std::byte* const element = line + i * in.strides[last];
            if (!any_unwanted(s.what, in.dtype, element, 1, in.strides[last])) continue;
            position[last] = i;
            refuse(s.plan, s.what, position, element);
        }
        int axis = last - 1;
        for (; axis >= 0; --axis) {
            line += in.strides[axis];
            if (++position[axis] < in.shape[axis]) break;
            line -= position[axis] * in.strides[axis];
            position[axis] = 0;
        }
        if (axis < 0) return;
    }
}

struct Extent {
    std::int64_t n;
    std::int64_t stride;
};

// Sums of as many numbers of so many bits, and a sign, as a window has are below 2^50.
int small_bits(const PoolPlan& plan) {
    int bits = 50;
    for (std::int64_t taps = window_taps(plan); taps > 1; taps = (taps + 1) / 2) --bits;
    return bits;
}

// Whether an integer lies outside [-2^bits, 2^bits), or, unsigned, is 2^bits or more.
bool any_large(bool has_sign, const std::byte* p, std::int64_t n, std::int64_t stride, int bits) {
    const std::uint64_t bias = has_sign ? std::uint64_t(1) << bits : 0;
    std::uint64_t all = 0;
    if (stride == 8) {
        for (std::int64_t i = 0; i < n; ++i) all |= bits_at<std::uint64_t>(p + i * 8) + bias;
    } else {
        for (std::int64_t i = 0; i < n; ++i) all |= bits_at<std::uint64_t>(p + i * stride) + bias;
    }
    return all >> (bits + (has_sign ? 1 : 0)) != 0;
}

struct LineTest {
    DType dtype;
    int bits;

    bool operator()(const std::byte* p, std::int64_t n, std::int64_t stride) const {
        if (is_float(dtype)) return any_nan(dtype, p, n, stride);
        return any_large(is_signed(dtype), p, n, stride, bits);
    }
};

// Elements at p along `n_axes` extents, the first the innermost.
bool any(const LineTest& test, const std::byte* p, const Extent* axes, int n_axes) {
    if (n_axes == 1) return test(p, axes[0].n, axes[0].stride);
    const Extent& outer = axes[n_axes - 1];
    for (std::int64_t i = 0; i < outer.n; ++i)
        if (any(test, p + i * outer.stride, axes, n_axes - 1)) return true;
    return false;
}

}  // namespace

bool holds_special(const Schedule& s, const Box& box) {
    const std::byte* p = box.in;
    Extent axes[kNumPhysical + 2] = {};
    int n_axes = 0;
    const auto add = [&](std::int64_t n, std::int64_t stride) {
        if (n == 1) return;
        Extent* inner = n_axes > 0 ? &axes[n_axes - 1] : nullptr;
        if (inner && stride == inner->n * inner->stride) {
            inner->n *= n;
        } else {
            axes[n_axes++] = {n, stride};
        }
    };
    add(box.inner, s.inner.in_stride);
    for (int x = kW; x >= kA; --x) {
        const Range held = clipped(s.axis[x].geometry, box.windows[x]);
        if (held.size() == 0) return false;
        p += held.lo * s.axis[x].in_stride;
        add(held.size(), s.axis[x].in_stride);
    }
    if (s.n_batch > 0) add(box.planes, s.batch[s.n_batch - 1].in_stride);
    if (n_axes == 0) axes[n_axes++] = {1, 0};
    const LineTest test{s.plan->in_dtype, small_bits(*s.plan)};
    return any(test, p, axes, n_axes);
}

bool refuse(const PoolPlan& plan, const StridedView& in, Unwanted what, const ParallelJob& how) {
    Lines lines;
    lines.in = &in;
    lines.what = what;
    lines.along = nearest_axis(in);
    lines.lines = 1;
    for (int i = 0; i < in.rank; ++i) {
        if (in.shape[i] == 0) return true;
        if (i != lines.along) lines.lines *= in.shape[i];
    }
    lines.per_task = std::max<std::int64_t>(1, kBlock / lines.n());
    lines.blocks = (lines.n() + kBlock - 1) / kBlock;
    ParallelJob job = how;
    job.function = scan_task;
    job.context = &lines;
    job.n_tasks = (lines.lines + lines.per_task - 1) / lines.per_task * lines.blocks;
    if (!parallel_for(job)) return false;
    if (!lines.found.load(std::memory_order_relaxed)) return true;
    Search search{plan, in, what};
    job.function = find_first;
    job.context = &search;
    job.n_tasks = 1;
    return parallel_for(job);
}

}  // namespace poolcore
