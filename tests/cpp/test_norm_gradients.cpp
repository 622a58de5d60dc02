// Gradients of norms and generalised means between guard pages against single windows in long
// double, and the same bits however the work is cut.
#include <cmath>
#include <cstring>
#include <vector>

#include "check.hpp"
#include "gradient_case.hpp"
#include "poolcore/norm_backward.hpp"

using namespace poolcore;
using namespace gradients;

namespace {

// To the first of the largest magnitudes; nowhere if that is 0.
void give_largest(const Case& c, const naive::Window& window, double grad,
                  std::vector<Given>& plane) {
    const naive::Tap* first = nullptr;
    for (const naive::Tap& tap : window.taps)
        if (tap.real && (first == nullptr || std::fabs(value_of(c, tap)) >
                                                 std::fabs(value_of(c, *first))))
            first = &tap;
    if (first == nullptr || value_of(c, *first) == 0) return;
    Given& to = plane[static_cast<std::size_t>(first->index)];
    to.sum += value_of(c, *first) < 0 ? -grad : grad;
    to.size += std::fabs(grad);
}

void give(const Case& c, const naive::Window& window, double grad, std::vector<Given>& plane) {
    const PoolSpec& spec = c.question.spec;
    if (std::isinf(spec.power)) return give_largest(c, window, grad, plane);
    const bool mean = spec.op == Op::kGem;
    const auto size = [&](const naive::Tap& tap) {
        const long double x = value_of(c, tap);
        return mean ? std::max(x, static_cast<long double>(spec.floor)) : std::fabs(x);
    };
    const auto p = static_cast<long double>(spec.power);
    long double total = 0, taps = 0, most = 0;
    for (const naive::Tap& tap : window.taps)
        if (tap.real) most = std::max(most, size(tap));
    for (const naive::Tap& tap : window.taps) {
        if (!tap.real || most == 0) continue;
        total += std::pow(size(tap) / most, p);
        taps += 1;
    }
    const long double y = most * std::pow(mean ? total / taps : total, 1 / p);
    if (y == 0) return;
    for (const naive::Tap& tap : window.taps) {
        if (!tap.real || size(tap) == 0) continue;
        const long double x = value_of(c, tap);
        if (mean && x < static_cast<long double>(spec.floor)) continue;
        const long double share = std::pow(size(tap) / y, p - 1) / (mean ? taps : 1);
        Given& to = plane[static_cast<std::size_t>(tap.index)];
        to.sum += (mean || x > 0 ? 1 : -1) * grad * share;
        to.size += std::fabs(grad) * share;
    }
}

std::vector<double> contents(const Case& c, const Arrays& a) {
    std::vector<double> all;
    cases::for_each(c.in.shape,
                    [&](const Place& at, std::size_t) { all.push_back(a.out.read(at)); });
    return all;
}

// Boxes of all sizes, and norms that are remembered or not.
void check_cuts(const Case& c, Arrays& a, int threads) {
    const auto x = a.x.view<StridedView>();
    const PoolPlan plan = make_plan(c.question.spec, x);
    RunControl control;
    control.threads = threads;
    std::vector<double> before;
    for (const NormLimits& limits :
         {NormLimits{}, {1, 1}, {1, 1000}, {7, 5}, {40, 1 << 20}, {1 << 20, 1}}) {
        CHECK(norm_backward(plan, a.grad.view<StridedView>(), x, a.out.view<MutableView>(),
                            control, limits) == RunStatus::kDone);
        const std::vector<double> got = contents(c, a);
        if (!before.empty())
            CHECK(std::memcmp(got.data(), before.data(), got.size() * sizeof(double)) == 0);
        before = got;
    }
    check_out(c, a, give, 4 + 2 * std::min(c.question.spec.power, 100.0));
}

double random_value(DType type, bool extreme, Random& random) {
    if (type == DType::kBool) return static_cast<double>(random.below(2));
    const auto whole = static_cast<double>(random.between(0, 60));
    if (!is_float(type)) return whole;
    if (random.chance(5)) return 0;
    const double value = whole / 8 - 4;
    return extreme && random.chance(40) ? std::ldexp(value, random.chance(50) ? 700 : -700) : value;
}

constexpr double kPowers[] = {0.5, 1, 1.5, 2, 3, 4.25, 30, __builtin_inf()};

void check_gradient(const Case& c, Arrays& a, DType grad, Random& random) {
    const bool extreme = c.question.in == DType::kFloat64 && random.chance(50);
    // Float32 and wider, which hold whatever comes.
    const DType out = is_float(grad) ? grad : DType::kFloat64;
    fill(c, a, grad, out, [&] { return random_value(c.question.in, extreme, random); }, random);
    check_cuts(c, a, static_cast<int>(random.between(1, 3)));
}

TEST(gradients_between_guards) {
    Random random(29);
    Arrays arrays;
    constexpr DType kGrads[] = {DType::kFloat64, DType::kFloat32, DType::kFloat64, DType::kInt8,
                                DType::kUInt16, DType::kFloat16, DType::kBFloat16};
    for (const auto target : cases::usable_targets()) {
        set_target(name(target));
        for (long i = 0; i < check::rounds(300); ++i) {
            Case c;
            c.question.in = static_cast<DType>(i % kNumDTypes);
            if (random.chance(30)) c.question.in = DType::kFloat64;
            c.question.spec.ceil_mode = random.chance(30);
            c.question.spec.power = kPowers[random.below(8)];
            cases::random_shape(c, random.between(1, 20), random);
            if (!roll(c, Op::kLp, random)) continue;
            check_gradient(c, arrays, kGrads[random.below(7)], random);
        }
    }
    set_target("auto");
}

// Norms of windows that lie over several boxes are remembered.
TEST(gradients_of_large_windows) {
    Random random(31);
    Arrays arrays;
    for (const Plane& p : {Plane{33, 40, 31, 3, 2}, {1, 600, 200, 2, 0}, {30, 30, 21, 1, 10},
                           {90, 80, 2, 3, 0}, {50, 60, 1, 7, 0}})
        for (const double power : {1.0, 1.5, 2.0, 30.0, __builtin_inf()}) {
            Case c = case_of(p, Op::kLp);
            c.question.spec.power = power;
            check_gradient(c, arrays, DType::kFloat64, random);
        }
}

TEST(gradients_of_means) {
    Random random(37);
    Arrays arrays;
    for (const std::int64_t n : {1, 5, 30, 90})
        for (const double power : kPowers) {
            if (std::isinf(power)) continue;
            Case c = case_of({n, n + 1, 1, 1, 0}, Op::kGem);
            auto& spec = c.question.spec;
            for (std::size_t a = 0; a < 2; ++a) {
                spec.params[a].kernel = spec.params[a].stride = c.in.shape[a + 1];
                c.out.shape[a + 1] = 1;
            }
            spec.power = power;
            spec.floor = 0.25;
            for (const DType type : {DType::kFloat32, DType::kFloat64, DType::kInt16}) {
                c.question.in = type;
                check_gradient(c, arrays, DType::kFloat64, random);
            }
        }
}

struct Interrupted {
    const PoolPlan& plan;
    const StridedView &grad, &x;
    const MutableView& out;
    int polls = 0;
};

// A signal handler that makes a call of its own: that one is carried out whatever becomes of the
// call that was interrupted.
bool handle(void* context) {
    Interrupted& call = *static_cast<Interrupted*>(context);
    RunControl control;
    control.threads = 1;
    CHECK(norm_backward(call.plan, call.grad, call.x, call.out, control) == RunStatus::kDone);
    return ++call.polls == 3;
}

TEST(a_handler_that_pools) {
    Random random(41);
    Arrays inner, outer;
    const Case c = case_of({9, 9, 2, 2, 0}, Op::kLp), large = case_of({90, 90, 60, 1, 0}, Op::kLp);
    const auto one = [] { return 1e-300; };
    fill(c, inner, DType::kFloat64, DType::kFloat64, one, random);
    const auto small = inner.x.view<StridedView>(), grad = inner.grad.view<StridedView>();
    const auto out = inner.out.view<MutableView>();
    const PoolPlan plan = make_plan(c.question.spec, small);
    Case tiny = large;  // whose powers leave the range, which takes long
    tiny.question.in = DType::kFloat64;
    tiny.question.spec.power = 3;
    fill(tiny, outer, DType::kFloat64, DType::kFloat64, one, random);
    const auto x = outer.x.view<StridedView>();
    for (const int threads : {1, 3}) {
        Interrupted call{plan, grad, small, out};
        RunControl control{threads, handle, &call};
        CHECK(norm_backward(make_plan(tiny.question.spec, x), outer.grad.view<StridedView>(), x,
                            outer.out.view<MutableView>(), control) == RunStatus::kCancelled);
        CHECK(call.polls == 3);
    }
}

}  // namespace

TEST_MAIN()
