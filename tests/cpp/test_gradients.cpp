// scatter, gather and spread on small arrays between guard pages: every element type, random
// strides, all targets. Whole numbers, which add up alike in any order; the order is the Python
// tests' matter.
#include <algorithm>
#include <utility>

#include "cases.hpp"
#include "guarded_array.hpp"
#include "jobs.hpp"
#include "poolcore/error.hpp"
#include "poolcore/scatter.hpp"
#include "poolcore/spread.hpp"

using namespace cases;
using guarded::Array;
using guarded::random_layout;
using guarded::Shape;

namespace {

// Shapes of the results of a pooling and of its input, alike but for `n_axes` axes from `first`.
struct Problem {
    int n_axes;
    int first;
    Shape pooled, input;
    DType type;

    explicit Problem(Random& random) {
        n_axes = static_cast<int>(random.between(1, 3));
        first = static_cast<int>(random.between(0, 2));
        const auto after = random.between(0, 1);
        std::int64_t room = 400;  // elements, so that the naive loops stay short
        for (int i = 0; i < first + n_axes + after; ++i) {
            const std::int64_t most = std::min<std::int64_t>(room, random.chance(20) ? 40 : 4);
            pooled.push_back(random.between(1, most));
            const bool axis = i >= first && i < first + n_axes;
            input.push_back(axis ? random.between(1, most) : pooled.back());
            room /= std::max(pooled.back(), input.back());
        }
        type = static_cast<DType>(random.between(1, poolcore::kNumDTypes - 1));
    }

    std::int64_t flat(const Shape& at) const {
        std::int64_t sum = 0;
        for (int i = first; i < first + n_axes; ++i)
            sum = sum * input[static_cast<std::size_t>(i)] + at[static_cast<std::size_t>(i)];
        return sum;
    }
    std::int64_t plane() const {
        std::int64_t n = 1;
        for (int i = first; i < first + n_axes; ++i) n *= input[static_cast<std::size_t>(i)];
        return n;
    }
    bool same_plane(const Shape& a, const Shape& b) const {
        for (int i = 0; i < static_cast<int>(a.size()); ++i) {
            const auto axis = static_cast<std::size_t>(i);
            if ((i < first || i >= first + n_axes) && a[axis] != b[axis]) return false;
        }
        return true;
    }
};

void check_result(const Array& out, const std::vector<double>& want, const std::string& what) {
    bool failed = out.arena.touched();
    for_each(out.layout.shape, [&](const auto& at, std::size_t number) {
        failed = failed || out.read(at) != want[number];
    });
    if (failed) check::fail(__FILE__, __LINE__, what + " of " + poolcore::name(out.layout.dtype));
}

DType random_index_type(Random& random) {
    constexpr DType types[] = {DType::kInt16, DType::kUInt16, DType::kInt32,
                               DType::kUInt32, DType::kInt64, DType::kUInt64};
    return types[random.below(6)];
}

struct Arrays {
    Array values{true}, indices{true}, out{false};
};

void one_scatter(Arrays& a, Random& random) {
    const Problem p(random);
    a.values.place(random_layout(p.type, p.pooled, false, random), random);
    a.indices.place(random_layout(random_index_type(random), p.pooled, false, random), random);
    a.out.place(random_layout(p.type, p.input, false, random), random);
    poolcore::ScatterSpec spec;
    spec.n_axes = p.n_axes;
    for (int i = 0; i < p.n_axes; ++i) spec.axes[i] = p.first + i;
    spec.add = random.chance(50);
    spec.fresh = random.chance(50);
    std::vector<double> want(static_cast<std::size_t>(a.out.layout.elements()), 0.0);
    const bool none = spec.add && poolcore::is_signed(a.indices.layout.dtype);
    for_each(p.pooled, [&](const auto& at, std::size_t) {
        const auto value = static_cast<double>(random.between(0, 3));
        const std::int64_t index = none && random.chance(10) ? -1 : random.below(p.plane());
        a.values.write(at, value);
        a.indices.write(at, static_cast<double>(index));
        for_each(p.input, [&](const auto& to, std::size_t number) {
            if (p.flat(to) != index || !p.same_plane(at, to)) return;
            want[number] = spec.add ? want[number] + value : value;
        });
    });
    const auto run = [&] {
        poolcore::RunControl control;
        control.threads = static_cast<int>(random.between(1, 3));
        return poolcore::scatter(spec, a.values.view<poolcore::StridedView>(),
                                 a.indices.view<poolcore::StridedView>(),
                                 a.out.view<poolcore::MutableView>(), control);
    };
    if (p.type != DType::kInt8 || !spec.add) {  // sums past 127 wrap around
        CHECK(run() == poolcore::RunStatus::kDone);
        check_result(a.out, want, "scatter");
    }
    Shape at;
    for (const auto n : p.pooled) at.push_back(random.below(n));
    a.indices.write(at, static_cast<double>(p.plane()));
    bool refused = false;
    try {
        run();
    } catch (const poolcore::PoolError& error) {
        refused = error.kind() == poolcore::ErrorKind::kIndex;
    }
    CHECK(refused);
    CHECK(!a.out.arena.touched());
}

// The values of `out` are those of the pooling, and `values` the planes that hold the places.
void one_gather(Arrays& a, Random& random) {
    const Problem p(random);
    a.values.place(random_layout(p.type, p.input, random.chance(30), random), random);
    a.indices.place(random_layout(random_index_type(random), p.pooled, false, random), random);
    a.out.place(random_layout(p.type, p.pooled, false, random), random);
    poolcore::ScatterSpec spec;
    spec.n_axes = p.n_axes;
    for (int i = 0; i < p.n_axes; ++i) spec.axes[i] = p.first + i;
    spec.fresh = random.chance(50);
    for_each(p.input, [&](const auto& at, std::size_t) {
        a.values.write(at, static_cast<double>(random.between(1, 100)));
    });
    const std::int64_t few = std::min<std::int64_t>(3, p.plane());
    const std::int64_t places = random.chance(50) ? p.plane() : few;
    std::vector<double> want(static_cast<std::size_t>(a.out.layout.elements()), 0.0);
    std::vector<std::pair<Shape, std::int64_t>> before;
    for_each(p.pooled, [&](const auto& at, std::size_t number) {
        const std::int64_t index = random.below(places);
        a.indices.write(at, static_cast<double>(index));
        for (std::size_t i = 0; i < before.size(); ++i)
            if (before[i].second == index && p.same_plane(before[i].first, at)) want[i] = 0;
        before.emplace_back(at, index);
        for_each(p.input, [&](const auto& from, std::size_t) {
            if (p.flat(from) == index && p.same_plane(at, from))
                want[number] = a.values.read(from);
        });
    });
    const auto run = [&] {
        poolcore::RunControl control;
        control.threads = static_cast<int>(random.between(1, 3));
        return poolcore::gather(spec, a.values.view<poolcore::StridedView>(),
                                a.indices.view<poolcore::StridedView>(),
                                a.out.view<poolcore::MutableView>(), control);
    };
    CHECK(run() == poolcore::RunStatus::kDone);
    check_result(a.out, want, "gather");
    Shape at;
    for (const auto n : p.pooled) at.push_back(random.below(n));
    a.indices.write(at, static_cast<double>(p.plane()));
    CHECK_THROWS(run(), poolcore::PoolError, "the size of a plane of");
    CHECK(!a.out.arena.touched());
}

bool random_windows(const Problem& p, poolcore::PoolSpec& spec, Random& random) {
    spec.op = Op::kSum;
    spec.n_axes = p.n_axes;
    spec.ceil_mode = random.chance(30);
    const bool adaptive = random.chance(40);
    if (adaptive) spec.windows = poolcore::WindowKind::kAdaptive;
    for (int i = 0; i < p.n_axes; ++i) {
        spec.axes[i] = p.first + i;
        auto& window = spec.params[i];
        if (adaptive) {
            window.kernel = p.pooled[static_cast<std::size_t>(p.first + i)];
            continue;
        }
        window.kernel = random.between(1, 4);
        window.stride = random.between(1, 4);
        window.dilation = random.chance(70) ? 1 : random.between(2, 4);
        const std::int64_t e = window.dilation * (window.kernel - 1) + 1;
        window.pad_lo = random.below(e);
        window.pad_hi = random.below(e);
        const auto n = p.input[static_cast<std::size_t>(p.first + i)];
        if (n + window.pad_lo + window.pad_hi < e) return false;
    }
    return true;
}

// Windows side by side, some elements behind the last.
void random_tiles(const Problem& p, poolcore::PoolSpec& spec, Random& random) {
    spec.op = Op::kSum;
    spec.n_axes = p.n_axes;
    for (int i = 0; i < p.n_axes; ++i) {
        const std::int64_t n = p.input[static_cast<std::size_t>(p.first + i)];
        spec.axes[i] = p.first + i;
        const std::int64_t most = random.chance(30) ? n : std::min<std::int64_t>(n, 5);
        spec.params[i].kernel = random.between(1, most);
        spec.params[i].stride = spec.params[i].kernel;
    }
    if (random.chance(50)) return;
    spec.op = Op::kAvg;
    spec.has_divisor = true;
    spec.divisor = 1;
}

void one_spread(Arrays& a, Random& random) {
    const Problem p(random);
    poolcore::PoolSpec spec;
    if (random.chance(40)) random_tiles(p, spec, random);
    else if (!random_windows(p, spec, random)) return;
    poolcore::StridedView input;
    input.dtype = p.type;
    input.rank = static_cast<int>(p.input.size());
    std::copy(p.input.begin(), p.input.end(), input.shape);
    const auto plan = poolcore::make_plan(spec, input);
    const Shape grad_shape(plan.out_shape, plan.out_shape + plan.rank);
    a.values.place(random_layout(p.type, grad_shape, false, random), random);
    a.out.place(random_layout(plan.out_dtype, p.input, false, random), random);
    std::vector<double> want(static_cast<std::size_t>(a.out.layout.elements()), 0.0);
    for_each(grad_shape, [&](const auto& at, std::size_t) {
        const auto value = static_cast<double>(random.between(0, 3));
        a.values.write(at, value);
        for_each(p.input, [&](const auto& to, std::size_t number) {
            bool covers = p.same_plane(at, to);
            for (int i = 0; covers && i < p.n_axes; ++i) {
                const auto axis = static_cast<std::size_t>(p.first + i);
                const auto& g = plan.geometry[i];
                const std::int64_t reach = to[axis] - g.start(at[axis]);
                covers = reach >= 0 && reach % g.dilation == 0 &&
                         reach / g.dilation < g.length(at[axis]);
            }
            if (covers) want[number] += value;
        });
    });
    poolcore::RunControl control;
    control.threads = static_cast<int>(random.between(1, 3));
    auto status = poolcore::RunStatus::kCancelled;
    CHECK(!leaves_wide_state([&] {
        status = poolcore::spread(plan, a.values.view<poolcore::StridedView>(),
                                  a.out.view<poolcore::MutableView>(), control);
    }));
    CHECK(status == poolcore::RunStatus::kDone);
    check_result(a.out, want, "spread");
}

template <class One>
void on_every_target(const One& one) {
    Random random(7);
    Arrays arrays;
    for (const auto target : usable_targets()) {
        poolcore::set_target(poolcore::name(target));
        for (long i = 0; i < check::rounds(600); ++i) one(arrays, random);
    }
    poolcore::set_target("auto");
}

}  // namespace

TEST(scatter_between_guards) { on_every_target(one_scatter); }
TEST(gather_between_guards) { on_every_target(one_gather); }
TEST(spread_between_guards) { on_every_target(one_spread); }

TEST_MAIN()
