// The core on small arrays between guard pages: every element type, operation, width up to four
// vectors and three, both ends, all targets, against naive.hpp bit by bit.
#include <algorithm>
#include <numeric>

#include "cases.hpp"
#include "jobs.hpp"
#include "poolcore/error.hpp"

using namespace cases;
using poolcore::AxisParams;
using poolcore::Target;

namespace {

constexpr std::size_t kArena = 1 << 18;

AxisParams random_axis(Random& random, std::int64_t in, bool allow_padding) {
    AxisParams p;
    for (;;) {
        p.kernel = random.chance(70) ? random.between(1, 3) : random.between(1, 9);
        p.stride = random.chance(60) ? random.between(1, 2) : random.between(1, 5);
        p.dilation = random.chance(80) ? 1 : random.between(2, 4);
        const std::int64_t e = p.dilation * (p.kernel - 1) + 1;
        p.pad_lo = allow_padding && random.chance(50) ? random.below(e) : 0;
        p.pad_hi = allow_padding && random.chance(50) ? random.below(e) : 0;
        if (in + p.pad_lo + p.pad_hi >= e) return p;
    }
}

// Shapes with `width` in the axis of the lanes: pooled (NCHW, bare planes, 1 to 3 axes) or not
// (channels last).
void random_shape(Case& c, std::int64_t width, Random& random) {
    auto& spec = c.question.spec;
    const bool channels_last = random.chance(25);
    spec.n_axes = static_cast<int>(random.between(1, 3));
    const auto batch_axes = random.between(0, 2);
    for (int i = 0; i < batch_axes; ++i) c.in.shape.push_back(random.between(1, 3));
    for (int a = 0; a < spec.n_axes; ++a) {
        spec.axes[a] = static_cast<int>(c.in.shape.size());
        const bool last = a == spec.n_axes - 1;
        c.in.shape.push_back(last && !channels_last ? width : random.between(1, 5));
    }
    if (channels_last) c.in.shape.push_back(width);
}

bool random_options(Case& c, Random& random) {
    auto& spec = c.question.spec;
    const bool order = spec.op == Op::kMax || spec.op == Op::kMin;
    spec.ceil_mode = random.chance(30);
    spec.count_include_pad = random.chance(50);
    spec.return_indices = order && random.chance(50);
    spec.nan_policy = random.chance(30) ? NanPolicy::kOmit : NanPolicy::kPropagate;
    if (spec.op == Op::kAvg && random.chance(15)) {
        spec.has_divisor = true;
        const std::int64_t divisors[] = {-3, 7, 1 << 24, (1 << 24) + 1};
        spec.divisor = divisors[random.below(4)];
    }
    spec.rounding = static_cast<poolcore::Rounding>(random.below(4));
    DType& out = c.question.out;
    out = c.question.in;
    if (order) return true;
    const bool floats = poolcore::is_float(out);
    if (random.chance(30)) {
        spec.has_dtype = true;
        const auto types = floats ? 4 : poolcore::kNumDTypes - 1;
        spec.dtype = static_cast<DType>(poolcore::kNumDTypes - 1 - random.below(types));
        out = spec.dtype;
        return spec.op == Op::kSum || poolcore::is_float(out) || !spec.has_divisor;
    }
    if (floats) return true;
    const bool is_unsigned = !poolcore::is_signed(out) && out != DType::kBool;
    out = is_unsigned ? DType::kUInt64 : DType::kInt64;
    if (spec.op == Op::kAvg) out = DType::kFloat64;
    return true;
}

// False when the dice gave something illegal.
bool random_case(Case& c, DType dtype, Op op, std::int64_t width, Random& random) {
    auto& spec = c.question.spec;
    c.question.in = c.in.dtype = dtype;
    spec.op = op;
    random_shape(c, width, random);
    if (!random_options(c, random)) return false;
    c.out.shape = c.in.shape;
    // An integer mean must not meet a window without a tap; padding and dilation can make one.
    const bool integer_mean = op == Op::kAvg && !poolcore::is_float(c.question.out);
    for (int a = 0; a < spec.n_axes; ++a) {
        const auto axis = static_cast<std::size_t>(spec.axes[a]);
        spec.params[a] = random_axis(random, c.in.shape[axis], !integer_mean);
        c.out.shape[axis] =
            naive::out_length(c.in.shape[axis], spec.params[a], spec.ceil_mode);
        if (c.out.shape[axis] < 1) return false;
    }
    std::vector<std::size_t> order(c.in.shape.size());
    std::iota(order.begin(), order.end(), 0U);
    if (random.chance(20)) std::swap(order[0], order.back());
    const bool odd = random.chance(25);
    c.in = make_layout(dtype, c.in.shape, order, odd, random.chance(10), random);
    const bool odd_out = random.chance(20);
    c.out = make_layout(c.question.out, c.out.shape, order, odd_out, false, random);
    c.index = make_layout(DType::kInt64, c.out.shape, order, odd_out, false, random);
    c.flush = random.chance(50) ? guard::Flush::kFront : guard::Flush::kBack;
    c.gap = random.chance(50) ? 0 : static_cast<std::size_t>(random.below(64));
    return c.in.bytes + 64 < kArena && c.index.bytes + 64 < kArena;
}

void sweep_widths(DType dtype, Op op) {
    const auto item = static_cast<std::int64_t>(poolcore::item_size(dtype));
    const std::int64_t lanes = 64 / item;  // of the widest target
    Random random(static_cast<std::uint64_t>(dtype) * 16 + static_cast<std::uint64_t>(op));
    Bench bench(kArena);
    const auto targets = usable_targets();
    for (std::int64_t width = 1; width <= 4 * lanes + 3; ++width) {
        for (long done = 0; done < check::rounds(2);) {
            Case c;
            if (!random_case(c, dtype, op, width, random)) continue;
            ++done;
            bench.prepare(c, random, static_cast<int>(random.below(3)) * 6);
            for (const Target target : targets) {
                poolcore::set_target(poolcore::name(target));
                bench.run_and_compare(1);
            }
        }
    }
    poolcore::set_target("auto");
}

void sweep_types(Op op) {
    for (int i = 0; i < poolcore::kNumDTypes; ++i) sweep_widths(static_cast<DType>(i), op);
}

// A float32 image big enough for threads and for more than one task.
struct Image {
    std::vector<float> in;
    std::vector<float> out;
    poolcore::StridedView x;
    poolcore::MutableView y;
    poolcore::PoolPlan plan;

    Image(std::int64_t planes, std::int64_t side, Op op, NanPolicy policy, std::int64_t kernel)
        : in(static_cast<std::size_t>(planes * side * side)) {
        Random random(7);
        for (float& v : in) v = static_cast<float>(random.between(-999, 999)) / 7.0F;
        set(x, reinterpret_cast<const std::byte*>(in.data()), planes, side, side);
        poolcore::PoolSpec spec;
        spec.op = op;
        spec.nan_policy = policy;
        spec.n_axes = 2;
        for (int a = 0; a < 2; ++a) {
            spec.axes[a] = a + 1;
            spec.params[a] = {kernel, 1, 1, 0, 0};
        }
        plan = poolcore::make_plan(spec, x);
        out.resize(static_cast<std::size_t>(plan.out_elements));
        const auto o = plan.out_shape[1];
        set(y, reinterpret_cast<std::byte*>(out.data()), planes, o, o);
    }
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;

    template <class View>
    static void set(View& view, decltype(View::data) data, std::int64_t n, std::int64_t h,
                    std::int64_t w) {
        view.data = data;
        view.dtype = DType::kFloat32;
        view.rank = 3;
        const std::int64_t shape[] = {n, h, w};
        const std::int64_t strides[] = {h * w * 4, w * 4, 4};
        std::copy_n(shape, 3, view.shape);
        std::copy_n(strides, 3, view.strides);
    }
    poolcore::RunStatus run(const poolcore::RunControl& control) {
        return poolcore::run(plan, x, y, nullptr, control);
    }
};

}  // namespace

TEST(max_of_every_type_and_width) { sweep_types(Op::kMax); }
TEST(min_of_every_type_and_width) { sweep_types(Op::kMin); }
TEST(sum_of_every_type_and_width) { sweep_types(Op::kSum); }
TEST(mean_of_every_type_and_width) { sweep_types(Op::kAvg); }

TEST(same_bits_for_any_thread_count_and_target) {
    for (const Op op : {Op::kMax, Op::kMin, Op::kSum, Op::kAvg}) {
        for (const auto& [planes, side, kernel] :
             {std::tuple{1, 400, 3}, {64, 20, 5}, {3, 150, 31}, {1, 300, 280}}) {
            Image image(planes, side, op, NanPolicy::kPropagate, kernel);
            poolcore::RunControl control;
            std::vector<float> first;
            for (const Target target : usable_targets()) {
                poolcore::set_target(poolcore::name(target));
                for (const int threads : {1, 2, 7}) {
                    control.threads = threads;
                    std::fill(image.out.begin(), image.out.end(), -1.0F);
                    CHECK(image.run(control) == poolcore::RunStatus::kDone);
                    if (first.empty()) first = image.out;
                    CHECK(std::memcmp(first.data(), image.out.data(), first.size() * 4) == 0);
                }
            }
        }
    }
    poolcore::set_target("auto");
}

TEST(raise_leaves_the_result_alone) {
    for (const int threads : {1, 3}) {
        Image image(4, 150, Op::kMax, NanPolicy::kRaise, 2);
        poolcore::RunControl control;
        control.threads = threads;
        CHECK(image.run(control) == poolcore::RunStatus::kDone);
        image.in[2 * 150 * 150 + 3 * 150 + 5] = std::numeric_limits<float>::quiet_NaN();
        std::fill(image.out.begin(), image.out.end(), -12345.0F);
        CHECK_THROWS(image.run(control), poolcore::PoolError, "[2, 3, 5]");
        CHECK(std::all_of(image.out.begin(), image.out.end(), [](float v) { return v == -12345.0F; }));
    }
}

TEST(poll_cancels_a_run) {
    for (const int threads : {1, 2}) {
        Image image(200, 300, Op::kSum, NanPolicy::kPropagate, 250);
        poolcore::RunControl control;
        control.threads = threads;
        int polls = 0;
        control.poll_context = &polls;
        control.poll = [](void* context) { return ++*static_cast<int*>(context) == 2; };
        const auto start = std::chrono::steady_clock::now();
        const auto status = image.run(control);
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
        // Either it was cancelled at the second poll, or it was over before.
        CHECK((status == poolcore::RunStatus::kCancelled) == (polls == 2));
        CHECK(spent.count() < 5);
        control.poll = nullptr;
    }
}

// More elements than 32 bits can count, in memory that is one element.
TEST(views_longer_than_memory) {
    constexpr std::int64_t n = (std::int64_t{1} << 33) + 5;
    guard::Arena arena(64, true);
    std::byte* p = arena.place(4, guard::Flush::kBack, 0);
    const float value = 3;
    std::memcpy(arena.writable(), &value, 4);
    poolcore::StridedView x;
    x.data = p;
    x.rank = 1;
    x.shape[0] = n;
    x.strides[0] = 0;
    poolcore::PoolSpec spec;
    spec.n_axes = 1;
    spec.return_indices = true;
    spec.params[0] = {2, std::int64_t{1} << 32, (std::int64_t{1} << 32) + 1, 0, 0};
    const auto plan = poolcore::make_plan(spec, x);
    CHECK_EQ(plan.out_shape[0], 2);
    float values[2] = {};
    std::int64_t indices[2] = {};
    poolcore::MutableView y;
    y.data = reinterpret_cast<std::byte*>(values);
    y.rank = 1;
    y.shape[0] = 2;
    y.strides[0] = 4;
    poolcore::MutableView where = y;
    where.data = reinterpret_cast<std::byte*>(indices);
    where.dtype = DType::kInt64;
    where.strides[0] = 8;
    for (const Target target : usable_targets()) {
        poolcore::set_target(poolcore::name(target));
        CHECK(poolcore::run(plan, x, y, &where, {}) == poolcore::RunStatus::kDone);
        CHECK_EQ(values[0], 3.0F);
        CHECK_EQ(values[1], 3.0F);
        CHECK_EQ(indices[0], 0);
        CHECK_EQ(indices[1], std::int64_t{1} << 32);
    }
    poolcore::set_target("auto");
}

TEST(describe_says_what_will_run) {
    Image image(4, 64, Op::kMax, NanPolicy::kPropagate, 3);
    const std::string text = poolcore::describe(image.plan, image.x, image.y, 2);
    CHECK(text.find(poolcore::name(poolcore::target_in_use())) != std::string::npos);
    CHECK(text.find("tasks=") != std::string::npos);
}

TEST_MAIN()
