// Stochastic pooling on small arrays between guard pages: every element type, random windows,
// strides and samples, all targets, against one window at a time in plain loops. The samples are
// the test's own, so every draw is known to the bit.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "guarded_array.hpp"
#include "poolcore/error.hpp"
#include "poolcore/stochastic.hpp"
#include "random_case.hpp"

using namespace cases;
using guarded::Array;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Arrays {
    Array x{true}, samples{true}, out{false}, indices{false};
};

// A tap as the rule sees it.
struct Real {
    double value;
    naive::Number number;
    std::int64_t index;
};

std::vector<Real> reals(const naive::Window& window, DType type) {
    std::vector<Real> found;
    for (const naive::Tap& tap : window.taps) {
        if (!tap.real) continue;
        const double value =
            poolcore::is_float(type) ? tap.value.real : static_cast<double>(tap.value.whole);
        found.push_back({value, tap.value, tap.index});
    }
    return found;
}

// The first tap with which the running sum exceeds the sample's share, or the last above 0.
const Real& chosen(const std::vector<Real>& taps, double sample) {
    double total = 0, scale = 1;
    for (const Real& tap : taps)
        if (!std::isnan(tap.value)) total += tap.value;
    if (std::isinf(total)) {
        scale = 0x1p-64;
        total = 0;
        for (const Real& tap : taps)
            if (!std::isnan(tap.value)) total += tap.value * scale;
    }
    double running = 0;
    const Real* last = nullptr;
    for (const Real& tap : taps) {
        if (!(tap.value > 0)) continue;
        running += tap.value * scale;
        last = &tap;
        if (running > sample * total) break;
    }
    return *last;
}

naive::Result drawn(const std::vector<Real>& taps, double sample, bool omit) {
    if (taps.empty()) return {{}, -1};
    const Real* number = nullptr;
    bool positive = false;
    for (const Real& tap : taps) {
        if (std::isnan(tap.value)) {
            if (!omit) return {tap.number, tap.index};
            continue;
        }
        if (!number) number = &tap;
        positive = positive || tap.value > 0;
    }
    if (!number) return {taps[0].number, taps[0].index};
    if (!positive) return {{}, number->index};
    const Real& tap = chosen(taps, sample);
    return {tap.number, tap.index};
}

double expected_mean(const std::vector<Real>& taps, bool omit) {
    double most = 0, total = 0, squares = 0;
    bool numbers = taps.empty();
    for (const Real& tap : taps) {
        if (std::isnan(tap.value)) {
            if (!omit) return tap.value;
            continue;
        }
        numbers = true;
        most = std::max(most, tap.value);
    }
    if (!numbers) return std::nan("");
    if (most == 0) return 0;
    const int exponent = std::ilogb(most);
    for (const Real& tap : taps) {
        if (!(tap.value > 0)) continue;
        const double near = std::ldexp(tap.value, -exponent);
        total += near;
        squares += near * near;
    }
    return std::ldexp(squares / total, exponent);
}

// Ties, zeros of both signs, NaN, and floats whose sums leave the range.
double random_value(DType type, Random& random) {
    if (type == DType::kBool) return static_cast<double>(random.below(2));
    if (!poolcore::is_float(type))
        return static_cast<double>(random.chance(30) ? 0 : random.between(0, 100));
    if (random.chance(8)) return std::nan("");
    if (random.chance(25)) return random.chance(50) ? 0.0 : -0.0;
    if (type == DType::kFloat64 && random.chance(5)) return 1.5e308;
    return static_cast<double>(random.between(1, 200)) / 8;
}

double random_sample(Random& random) {
    if (random.chance(10)) return 0;
    if (random.chance(10)) return 1 - 0x1p-53;
    return static_cast<double>(random.bits() >> 11) * 0x1p-53;
}

struct Problem {
    Case c;
    bool mean = false;
    DType out_type;

    // False when the dice gave something illegal.
    bool roll(DType type, Random& random) {
        auto& spec = c.question.spec;
        c.question.in = type;
        mean = random.chance(40);
        spec.op = mean ? Op::kStochasticMean : Op::kStochastic;
        spec.return_indices = !mean && random.chance(60);
        spec.ceil_mode = random.chance(30);
        spec.nan_policy = random.chance(40) ? NanPolicy::kOmit : NanPolicy::kPropagate;
        random_shape(c, random.between(1, 30), random);
        c.out.shape = c.in.shape;
        for (int a = 0; a < spec.n_axes; ++a) {
            const auto axis = static_cast<std::size_t>(spec.axes[a]);
            spec.params[a] = random_axis(random, c.in.shape[axis], true);
            c.out.shape[axis] = naive::out_length(c.in.shape[axis], spec.params[a], spec.ceil_mode);
            if (c.out.shape[axis] < 1) return false;
        }
        out_type = mean && !poolcore::is_float(type) ? DType::kFloat64 : type;
        return true;
    }
};

void place(const Problem& p, Arrays& a, Random& random) {
    a.x.place(guarded::random_layout(p.c.question.in, p.c.in.shape, true, random), random);
    a.samples.place(guarded::random_layout(DType::kFloat64, p.c.out.shape, true, random), random);
    a.out.place(guarded::random_layout(p.out_type, p.c.out.shape, false, random), random);
    a.indices.place(guarded::random_layout(DType::kInt64, p.c.out.shape, false, random), random);
    for_each(p.c.in.shape, [&](const auto& at, std::size_t) {
        a.x.write(at, random_value(p.c.question.in, random));
    });
    for_each(p.c.out.shape,
             [&](const auto& at, std::size_t) { a.samples.write(at, random_sample(random)); });
}

poolcore::RunStatus run(const Problem& p, Arrays& a, int threads) {
    const auto x = a.x.view<poolcore::StridedView>();
    const auto samples = a.samples.view<poolcore::StridedView>();
    const auto out = a.out.view<poolcore::MutableView>();
    const auto indices = a.indices.view<poolcore::MutableView>();
    const auto plan = poolcore::make_plan(p.c.question.spec, x);
    CHECK(plan.out_dtype == p.out_type);
    poolcore::RunControl control;
    control.threads = threads;
    return poolcore::run_stochastic(plan, x, p.mean ? nullptr : &samples, out,
                                    plan.spec.return_indices ? &indices : nullptr, control);
}

void compare(const Problem& p, Arrays& a) {
    const auto& spec = p.c.question.spec;
    const auto x = a.x.view<poolcore::StridedView>();
    const auto out = a.out.view<poolcore::MutableView>();
    const bool omit = spec.nan_policy == NanPolicy::kOmit;
    bool same = !a.out.arena.touched() && !a.indices.arena.touched();
    for_each(p.c.out.shape, [&](const auto& at, std::size_t) {
        const auto taps = reals(naive::window_at(p.c.question, x, at), p.c.question.in);
        const naive::Result want = p.mean ? naive::Result{{expected_mean(taps, omit), 0}, 0}
                                          : drawn(taps, a.samples.read(at), omit);
        const std::byte* to = out.data + offset_of(out, at);
        const bool nan = poolcore::is_float(p.out_type) && std::isnan(want.value.real) &&
                         std::isnan(naive::read(to, p.out_type).real);
        same = same && (nan || read_bits(to, p.out_type) == naive::bits_of(want.value, p.out_type));
        if (spec.return_indices)
            same = same && a.indices.read(at) == static_cast<double>(want.index);
    });
    if (same) return;
    Case shown = p.c;
    shown.in = a.x.layout;
    shown.out = a.out.layout;
    check::fail(__FILE__, __LINE__,
                std::string(poolcore::name(poolcore::target_in_use())) + ": " + shown.text());
}

// A number that has no share: refused before anything is written.
void refuse(const Problem& p, Arrays& a, Random& random) {
    const DType type = p.c.question.in;
    if (!poolcore::is_signed(type)) return;
    std::vector<std::int64_t> at;
    for (const auto n : p.c.in.shape) at.push_back(random.below(n));
    a.x.write(at, poolcore::is_float(type) && random.chance(50) ? kInfinity : -1);
    const auto placed = a.out.layout.bytes;
    std::fill_n(a.out.arena.writable(), placed, std::byte{0x3c});
    CHECK_THROWS(run(p, a, 2), poolcore::PoolError, "weights must be");
    const std::byte* bytes = a.out.arena.writable();
    CHECK(std::all_of(bytes, bytes + placed, [](std::byte b) { return b == std::byte{0x3c}; }));
}

TEST(draws_and_means_of_random_windows) {
    Random random(11);
    Arrays arrays;
    for (const auto target : usable_targets()) {
        poolcore::set_target(poolcore::name(target));
        for (long i = 0; i < check::rounds(800); ++i) {
            Problem p;
            if (!p.roll(static_cast<DType>(i % poolcore::kNumDTypes), random)) continue;
            place(p, arrays, random);
            CHECK(run(p, arrays, static_cast<int>(random.between(1, 3))) ==
                  poolcore::RunStatus::kDone);
            compare(p, arrays);
            refuse(p, arrays, random);
        }
    }
    poolcore::set_target("auto");
}

// Each tap is drawn by exactly the samples of its share: [0, 1/8), [1/8, 1/2) and [1/2, 1).
TEST(shares_are_exact) {
    Random random(3);
    Arrays a;
    Problem p;
    p.out_type = p.c.question.in = DType::kFloat32;
    p.c.in.shape = {4};
    p.c.out.shape = {1};
    auto& spec = p.c.question.spec;
    spec.op = Op::kStochastic;
    spec.n_axes = 1;
    spec.params[0] = {4, 4, 1, 0, 0};
    spec.return_indices = true;
    place(p, a, random);
    const double weights[] = {1, 0, 3, 4};
    for (std::int64_t i = 0; i < 4; ++i) a.x.write({i}, weights[i]);
    for (int i = 0; i < 64; ++i) {
        a.samples.write({0}, i / 64.0);
        CHECK(run(p, a, 1) == poolcore::RunStatus::kDone);
        CHECK_EQ(a.indices.read({0}), i < 8 ? 0.0 : i < 32 ? 2.0 : 3.0);
        CHECK_EQ(a.out.read({0}), i < 8 ? 1.0 : i < 32 ? 3.0 : 4.0);
    }
}

// More rows of windows than a task takes, on several threads: the bits of one.
TEST(threads_change_nothing) {
    constexpr std::int64_t kSide = 300;
    Random random(5);
    std::vector<float> x(kSide * kSide);
    for (float& v : x) v = static_cast<float>(random.below(100));
    poolcore::PoolSpec spec;
    spec.op = Op::kStochastic;
    spec.n_axes = 2;
    spec.axes[1] = 1;
    for (auto& axis : spec.params) axis = {7, 2, 1, 3, 3};
    const Layout in = make_layout(DType::kFloat32, {kSide, kSide}, {0, 1}, false, false, random);
    const auto view = in.at<poolcore::StridedView>(reinterpret_cast<const std::byte*>(x.data()));
    const auto plan = poolcore::make_plan(spec, view);
    const std::vector<std::int64_t> shape(plan.out_shape, plan.out_shape + 2);
    std::vector<double> samples(static_cast<std::size_t>(plan.out_elements));
    for (double& u : samples) u = random_sample(random);
    const Layout drawn_by = make_layout(DType::kFloat64, shape, {0, 1}, false, false, random);
    const Layout out = make_layout(DType::kFloat32, shape, {0, 1}, false, false, random);
    const auto seen = drawn_by.at<poolcore::StridedView>(
        reinterpret_cast<const std::byte*>(samples.data()));
    std::vector<float> want;
    for (const int threads : {1, 2, 3, 7}) {
        std::vector<float> got(samples.size());
        const auto to = out.at<poolcore::MutableView>(reinterpret_cast<std::byte*>(got.data()));
        poolcore::RunControl control;
        control.threads = threads;
        CHECK(poolcore::run_stochastic(plan, view, &seen, to, nullptr, control) ==
              poolcore::RunStatus::kDone);
        if (threads == 1) want = got;
        CHECK(got == want);
    }
}

}  // namespace

TEST_MAIN()
