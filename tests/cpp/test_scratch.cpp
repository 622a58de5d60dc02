// What a call takes of its scratch is what was reserved: long lines, windows of every length, each
// call on a thread of its own, which has no scratch left from another.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>

#include "poolcore/error.hpp"
#include "random_case.hpp"

using namespace cases;

namespace {

constexpr std::int64_t kMostElements = 1 << 18;

// Any length up to `most`, short ones as often as long ones.
std::int64_t random_length(std::int64_t most, Random& random) {
    const double power = std::log2(static_cast<double>(most)) *
                         static_cast<double>(random.below(1001)) / 1000;
    return std::clamp(static_cast<std::int64_t>(std::exp2(power)), std::int64_t{1}, most);
}

std::vector<std::int64_t> random_lengths(std::int64_t rank, Random& random) {
    std::vector<std::int64_t> shape(static_cast<std::size_t>(rank), 1);
    std::int64_t left = kMostElements;
    for (std::int64_t i = 0; i < rank; ++i) {
        const std::int64_t factor = random_length(left, random);
        shape[static_cast<std::size_t>(random.below(rank))] *= factor;
        left /= factor;
    }
    return shape;
}

struct Call {
    Layout in;
    poolcore::PoolSpec spec;
    std::byte fill{0};  // of every byte: all ones are NaN
};

poolcore::AxisParams random_window(std::int64_t n, Random& random) {
    poolcore::AxisParams p;
    if (random.chance(20)) p.dilation = random_length(std::max<std::int64_t>(1, n / 4), random);
    p.kernel = random_length(std::max<std::int64_t>(1, n / p.dilation), random);
    if (random.chance(60)) p.stride = random_length(2 * p.kernel, random);
    if (random.chance(30)) p.pad_lo = random_length(p.kernel, random) - 1;
    if (random.chance(30)) p.pad_hi = random_length(p.kernel, random) - 1;
    return p;
}

Call random_call(Random& random) {
    Call call;
    auto& spec = call.spec;
    const std::int64_t rank = random.between(1, 4);
    const auto shape = random_lengths(rank, random);
    std::vector<std::size_t> order(shape.size());
    std::iota(order.begin(), order.end(), 0U);
    if (random.chance(25)) std::swap(order[0], order.back());
    constexpr DType types[] = {DType::kBool,  DType::kUInt8,   DType::kInt16, DType::kUInt32,
                               DType::kInt64, DType::kFloat16, DType::kFloat32, DType::kFloat64};
    call.in = make_layout(types[random.below(8)], shape, order, random.chance(20), false, random);
    constexpr Op ops[] = {Op::kMax, Op::kMin, Op::kSum, Op::kAvg, Op::kLp};
    spec.op = ops[random.below(5)];
    spec.power = random.chance(50) ? 2 : 2.5;
    for (int axis = 0; axis < rank && spec.n_axes < poolcore::kMaxPooledAxes; ++axis) {
        if (spec.n_axes > 0 && random.chance(30)) continue;
        spec.axes[spec.n_axes] = axis;
        spec.params[spec.n_axes++] = random_window(shape[static_cast<std::size_t>(axis)], random);
    }
    spec.ceil_mode = random.chance(20);
    spec.count_include_pad = random.chance(50);
    spec.return_indices = (spec.op == Op::kMax || spec.op == Op::kMin) && random.chance(40);
    spec.nan_policy = random.chance(40) ? NanPolicy::kOmit : NanPolicy::kPropagate;
    if (call.in.dtype != DType::kBool && random.chance(30)) call.fill = std::byte{0xff};
    return call;
}

std::string text_of(const Call& call) {
    Case c;
    c.in = c.out = call.in;
    c.question.spec = call.spec;
    return c.text();
}

// What the core said of it, if anything; counts it in `pooled` if it came to its end.
std::string problem_of(const Call& call, long& pooled) {
    std::vector<std::byte> memory(call.in.bytes, call.fill);
    const auto x = call.in.at<poolcore::StridedView>(memory.data());
    std::string problem;
    std::thread([&] {
        try {
            const auto plan = poolcore::make_plan(call.spec, x);
            const std::vector<std::int64_t> shape(plan.out_shape, plan.out_shape + plan.rank);
            if (plan.out_elements > 4 * kMostElements) return;
            std::vector<std::size_t> order(shape.size());
            std::iota(order.begin(), order.end(), 0U);
            Random none(0);
            const Layout out = make_layout(plan.out_dtype, shape, order, false, false, none);
            const Layout index = make_layout(DType::kInt64, shape, order, false, false, none);
            std::vector<std::byte> results(out.bytes), places(index.bytes);
            const auto to = out.at<poolcore::MutableView>(results.data());
            const auto where = index.at<poolcore::MutableView>(places.data());
            poolcore::RunControl control;
            control.threads = 1;
            poolcore::run(plan, x, to, call.spec.return_indices ? &where : nullptr, control);
            ++pooled;
        } catch (const poolcore::PoolError& error) {
            if (error.kind() == poolcore::ErrorKind::kMemory) problem = error.what();
        }
    }).join();
    return problem;
}

}  // namespace

TEST(scratch_is_large_enough) {
    Random random(1);
    long failures = 0, pooled = 0;
    for (long i = 0; i < check::rounds(600); ++i) {
        const Call call = random_call(random);
        const std::string problem = problem_of(call, pooled);
        if (problem.empty()) continue;
        if (++failures <= 20) check::fail(__FILE__, __LINE__, problem + ": " + text_of(call));
    }
    CHECK(pooled > check::rounds(400));
}

TEST_MAIN()
