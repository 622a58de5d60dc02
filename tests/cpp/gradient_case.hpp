// Gradients that need x, between guard pages, against what single windows give to their taps in long
// double.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "guarded_array.hpp"
#include "random_case.hpp"

namespace gradients {

using cases::Case;
using cases::DType;
using cases::Random;
using guarded::Array;
using Place = std::vector<std::int64_t>;

struct Arrays {
    Array grad{true}, x{true}, out{false};
};

// What an element is given in all, and the magnitudes of what that is the sum of.
struct Given {
    long double sum = 0, size = 0;
};

// What one window gives to its taps, by their flat positions in the plane.
using Give = void (*)(const Case& c, const naive::Window& window, double grad,
                      std::vector<Given>& plane);

inline long double value_of(const Case& c, const naive::Tap& tap) {
    return poolcore::is_float(c.question.in)
               ? static_cast<long double>(tap.value.real)
               : static_cast<long double>(static_cast<double>(tap.value.whole));
}

// Windows of x, which has a shape; false when the dice gave something illegal.
inline bool roll(Case& c, poolcore::Op op, Random& random) {
    auto& spec = c.question.spec;
    spec.op = op;
    c.out.shape = c.in.shape;
    for (int a = 0; a < spec.n_axes; ++a) {
        const auto axis = static_cast<std::size_t>(spec.axes[a]);
        spec.params[a] = cases::random_axis(random, c.in.shape[axis], true);
        c.out.shape[axis] = naive::out_length(c.in.shape[axis], spec.params[a], spec.ceil_mode);
        if (c.out.shape[axis] < 1) return false;
    }
    return true;
}

// The position of the plane of `at` among all, by the axes that are not pooled.
inline std::size_t plane_of(const Case& c, const Place& at) {
    std::size_t plane = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
        const auto& spec = c.question.spec;
        const int* const end = spec.axes + spec.n_axes;
        if (std::find(spec.axes, end, static_cast<int>(i)) == end)
            plane = plane * static_cast<std::size_t>(c.in.shape[i]) +
                    static_cast<std::size_t>(at[i]);
    }
    return plane;
}

inline std::size_t flat_of(const Case& c, const Place& at) {
    std::size_t flat = 0;
    for (int a = 0; a < c.question.spec.n_axes; ++a) {
        const auto axis = static_cast<std::size_t>(c.question.spec.axes[a]);
        flat = flat * static_cast<std::size_t>(c.in.shape[axis]) +
               static_cast<std::size_t>(at[axis]);
    }
    return flat;
}

// All planes, from single windows.
inline std::vector<std::vector<Given>> naive_gradient(const Case& c, const Arrays& a, Give give) {
    std::size_t plane = 1, elements = 1;
    for (const auto n : c.in.shape) elements *= static_cast<std::size_t>(n);
    for (int i = 0; i < c.question.spec.n_axes; ++i)
        plane *= static_cast<std::size_t>(
            c.in.shape[static_cast<std::size_t>(c.question.spec.axes[i])]);
    std::vector<std::vector<Given>> all(elements / plane, std::vector<Given>(plane));
    const auto x = a.x.view<poolcore::StridedView>();
    cases::for_each(c.out.shape, [&](const Place& at, std::size_t) {
        give(c, naive::window_at(c.question, x, at), a.grad.read(at), all[plane_of(c, at)]);
    });
    return all;
}

inline long double unit(DType type) {
    if (type == DType::kFloat16) return 0x1p-10L;
    if (type == DType::kBFloat16) return 0x1p-7L;
    return type == DType::kFloat32 ? 0x1p-23L : 0x1p-49L;
}

// The least number above 0, and a bound of all.
inline long double least(DType type) {
    if (type == DType::kFloat16) return 0x1p-24L;
    if (type == DType::kBFloat16) return 0x1p-133L;
    return type == DType::kFloat32 ? 0x1p-149L : 0x1p-1074L;
}
inline long double bound(DType type) {
    if (type == DType::kFloat16) return 0x1p16L;
    return type == DType::kFloat64 ? 0x1p1024L : 0x1p128L;
}

// Arrays of the types and random layouts, x of such values and gradients of a few sizes.
template <class Value>
void fill(const Case& c, Arrays& a, DType grad, DType out, const Value& value, Random& random) {
    a.x.place(guarded::random_layout(c.question.in, c.in.shape, true, random), random);
    a.grad.place(guarded::random_layout(grad, c.out.shape, true, random), random);
    a.out.place(guarded::random_layout(out, c.in.shape, false, random), random);
    cases::for_each(c.in.shape,
                    [&](const Place& at, std::size_t) { a.x.write(at, value()); });
    cases::for_each(c.out.shape, [&](const Place& at, std::size_t) {
        const auto whole = static_cast<double>(random.between(0, 16));
        a.grad.write(at, poolcore::is_float(grad) ? whole / 4 - 2 : whole);
    });
}

// Compares a.out with what the windows give, `ulps` units of its type of the sum of magnitudes.
inline void check_out(const Case& c, const Arrays& a, Give give, long double ulps = 1) {
    const auto want = naive_gradient(c, a, give);
    const DType out = a.out.layout.dtype;
    bool same = !a.out.arena.touched();
    cases::for_each(c.in.shape, [&](const Place& at, std::size_t) {
        const Given& given = want[plane_of(c, at)][flat_of(c, at)];
        const long double got = a.out.read(at);
        const long double room = ulps * given.size * unit(out) + 2 * least(out);
        if (std::isnan(given.sum)) same = same && std::isnan(got);
        else if (std::isinf(got)) same = same && std::abs(given.sum) >= bound(out) - room;
        else same = same && std::abs(got - given.sum) <= room;
    });
    if (same) return;
    Case shown = c;
    shown.in = a.x.layout;
    shown.out = a.out.layout;
    check::fail(__FILE__, __LINE__, std::string(name(poolcore::target_in_use())) +
                                        ": gradient of " + name(a.grad.layout.dtype) + ", " +
                                        shown.text());
}

inline DType random_float(Random& random) {
    constexpr DType kFloats[] = {DType::kFloat16, DType::kBFloat16, DType::kFloat32,
                                 DType::kFloat64};
    return kFloats[random.below(4)];
}

// Some planes of one axis beside the two that are pooled.
struct Plane {
    std::int64_t h, w, kernel, stride, pad;
};
inline Case case_of(const Plane& p, poolcore::Op op) {
    Case c;
    auto& spec = c.question.spec;
    c.question.in = DType::kFloat32;
    spec.n_axes = 2;
    spec.axes[0] = 1;
    spec.axes[1] = 2;
    spec.op = op;
    c.in.shape = c.out.shape = {2, p.h, p.w};
    for (std::size_t a = 0; a < 2; ++a) {
        const bool flat = c.in.shape[a + 1] == 1;
        spec.params[a] = {flat ? 1 : p.kernel, p.stride, 1, flat ? 0 : p.pad, flat ? 0 : p.pad};
        c.out.shape[a + 1] = naive::out_length(c.in.shape[a + 1], spec.params[a], false);
    }
    return c;
}

}  // namespace gradients
