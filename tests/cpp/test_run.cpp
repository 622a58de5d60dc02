// The core on small arrays between guard pages: every element type, operation, width up to four
// vectors and three, both ends, all targets, against naive.hpp bit by bit.
#include <algorithm>

#include "jobs.hpp"
#include "poolcore/error.hpp"
#include "random_case.hpp"

using namespace cases;
using poolcore::Target;

namespace {

// How many calls were compared.
long sweep_widths(DType dtype, Op op) {
    const auto item = static_cast<std::int64_t>(poolcore::item_size(dtype));
    const std::int64_t lanes = 64 / item;  // of the widest target
    Random random(static_cast<std::uint64_t>(dtype) * 16 + static_cast<std::uint64_t>(op));
    Bench bench(kArena);
    const auto targets = usable_targets();
    long calls = 0;
    for (std::int64_t width = 1; width <= 4 * lanes + 3; ++width) {
        for (long done = 0; done < check::rounds(2);) {
            Case c;
            if (!random_case(c, dtype, op, width, random)) continue;
            ++done;
            bench.prepare(c, random, static_cast<int>(random.below(3)) * 6);
            for (const Target target : targets) {
                poolcore::set_target(poolcore::name(target));
                bench.run_and_compare(1);
                ++calls;
            }
        }
    }
    poolcore::set_target("auto");
    return calls;
}

void sweep_types(Op op) {
    long calls = 0;
    for (int i = 0; i < poolcore::kNumDTypes; ++i) calls += sweep_widths(static_cast<DType>(i), op);
    std::printf("     %ld calls between guard pages\n", calls);
    CHECK(calls >= check::rounds(3000) * static_cast<long>(usable_targets().size()));
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
