// Levels of pyramids on small arrays between guard pages: every element type, random shapes, strides
// and sizes of parts, all targets, against one window at a time. Whole numbers and halves, whose sums
// are exact in any order; the order is the Python tests' matter.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "guarded_array.hpp"
#include "poolcore/error.hpp"
#include "poolcore/pyramid.hpp"
#include "random_case.hpp"

using namespace cases;
using guarded::Array;
using poolcore::PyramidSpec;

namespace {

struct Problem {
    DType in = DType::kFloat32;
    guarded::Shape shape;
    PyramidSpec spec;

    // False when the dice gave what is refused.
    bool roll(DType type, Random& random);
    std::string text() const;
    naive::Question question(int level) const;
    guarded::Shape shape_of(int level) const;
};

bool Problem::roll(DType type, Random& random) {
    in = type;
    shape.clear();
    for (std::int64_t i = random.between(0, 2); i > 0; --i) shape.push_back(random.between(1, 3));
    shape.push_back(random.chance(30) ? random.between(1, 3) : random.between(1, 40));
    shape.push_back(random.chance(30) ? random.between(1, 3) : random.between(1, 150));
    spec.means = random.chance(60);
    spec.levels = static_cast<int>(random.between(1, 8));
    spec.rounding = static_cast<poolcore::Rounding>(random.below(4));
    spec.tile = random.chance(50) ? 1 << 17 : random.between(0, 4000);
    const auto types = poolcore::is_float(in) ? 4 : poolcore::kNumDTypes - 1;
    spec.dtype = static_cast<DType>(poolcore::kNumDTypes - 1 - random.below(types));
    if (spec.means && !poolcore::is_float(in) && in != DType::kBool && random.chance(50))
        spec.dtype = in;
    std::int64_t elements = 1;
    for (const auto n : shape) elements *= n;
    const bool fits = 12 * elements < static_cast<std::int64_t>(guarded::kArena);
    return fits && in != DType::kInt64 && in != DType::kUInt64;
}

std::string Problem::text() const {
    std::string s = std::string(poolcore::name(in)) + "->" + poolcore::name(spec.dtype) + " of";
    for (const auto n : shape) s += " " + std::to_string(n);
    return s + (spec.means ? " means" : " sums") + " tile=" + std::to_string(spec.tile) +
           " rounding=" + std::to_string(static_cast<int>(spec.rounding)) + " on " +
           poolcore::name(poolcore::target_in_use());
}

naive::Question Problem::question(int level) const {
    naive::Question q;
    q.in = in;
    q.out = spec.dtype;
    q.spec.op = spec.means ? Op::kAvg : Op::kSum;
    q.spec.n_axes = 2;
    q.spec.ceil_mode = true;
    q.spec.count_include_pad = false;
    q.spec.rounding = spec.rounding;
    const std::int64_t size = std::int64_t{1} << level;
    for (int i = 0; i < 2; ++i) {
        q.spec.axes[i] = static_cast<int>(shape.size()) - 2 + i;
        q.spec.params[i] = {size, size, 1, 0, 0};
    }
    return q;
}

guarded::Shape Problem::shape_of(int level) const {
    guarded::Shape result = shape;
    const std::int64_t size = std::int64_t{1} << level;
    for (auto n = result.end() - 2; n != result.end(); ++n) *n = (*n + size - 1) / size;
    return result;
}

// Of any strides but along the last axis.
Layout layout_of(DType type, const guarded::Shape& shape, bool repeat, Random& random) {
    std::vector<std::size_t> order(shape.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const bool odd = random.chance(50);
    for (;;) {
        Layout layout = make_layout(type, shape, order, odd, repeat, random);
        const auto item = static_cast<std::int64_t>(poolcore::item_size(type));
        if (shape.back() == 1 || layout.strides.back() == item) return layout;
    }
}

double random_value(DType type, Random& random) {
    if (type == DType::kBool) return static_cast<double>(random.below(2));
    const bool is_signed = poolcore::is_signed(type);
    if (poolcore::is_float(type)) return static_cast<double>(random.between(-40, 40)) / 2;
    if (random.chance(30))
        return static_cast<double>(random.chance(50) ? naive::lowest(type) : naive::highest(type));
    return static_cast<double>(random.between(is_signed ? -100 : 0, 100));
}

struct Arrays {
    Array x{true};
    std::deque<Array> levels;
};

void place(const Problem& p, Arrays& a, Random& random) {
    a.x.place(layout_of(p.in, p.shape, true, random), random);
    for_each(p.shape,
             [&](const auto& at, std::size_t) { a.x.write(at, random_value(p.in, random)); });
    while (a.levels.size() < static_cast<std::size_t>(p.spec.levels)) a.levels.emplace_back(false);
    for (int level = 1; level <= p.spec.levels; ++level)
        a.levels[static_cast<std::size_t>(level - 1)].place(
            layout_of(p.spec.dtype, p.shape_of(level), false, random), random);
}

void run_and_compare(const Problem& p, Arrays& a, int threads) {
    const auto x = a.x.view<poolcore::StridedView>();
    std::vector<poolcore::MutableView> levels;
    for (int i = 0; i < p.spec.levels; ++i)
        levels.push_back(a.levels[static_cast<std::size_t>(i)].view<poolcore::MutableView>());
    poolcore::RunControl control;
    control.threads = threads;
    const auto plan = poolcore::make_pyramid_plan(p.spec, x);
    CHECK(poolcore::run_pyramid(plan, x, levels.data(), control) == poolcore::RunStatus::kDone);
    for (int level = 1; level <= p.spec.levels; ++level) {
        const auto& view = levels[static_cast<std::size_t>(level - 1)];
        const naive::Question q = p.question(level);
        bool same = !a.levels[static_cast<std::size_t>(level - 1)].arena.touched();
        for_each(p.shape_of(level), [&](const auto& at, std::size_t) {
            const naive::Window w = naive::window_at(q, x, at);
            const bool wide = poolcore::is_float(p.in) && level > 2;
            const auto want = wide ? naive::float_total<double>(w, q) : naive::pool_window(w, q);
            same = same && read_bits(view.data + offset_of(view, at), p.spec.dtype) ==
                               naive::bits_of(want.value, p.spec.dtype);
        });
        if (same) continue;
        check::fail(__FILE__, __LINE__, p.text() + " level " + std::to_string(level));
        return;
    }
}

TEST(random_pyramids) {
    Random random(5);
    Arrays arrays;
    for (const auto target : usable_targets()) {
        poolcore::set_target(poolcore::name(target));
        for (long i = 0; i < check::rounds(200); ++i) {
            Problem p;
            if (!p.roll(static_cast<DType>(i % poolcore::kNumDTypes), random)) continue;
            place(p, arrays, random);
            run_and_compare(p, arrays, static_cast<int>(random.between(1, 3)));
        }
    }
    poolcore::set_target("auto");
}

// Bytes that need all the room that their sums have, up to the last level of each type of sums.
TEST(sums_keep_to_their_types) {
    for (const DType type : {DType::kInt8, DType::kUInt8, DType::kUInt16}) {
        std::vector<std::uint16_t> x(4096 * 64, type == DType::kInt8 ? 0x8080 : 0xffff);
        const std::int64_t size = static_cast<std::int64_t>(poolcore::item_size(type));
        poolcore::StridedView in;
        in.data = reinterpret_cast<const std::byte*>(x.data());
        in.dtype = type;
        in.rank = 2;
        in.shape[0] = in.shape[1] = 4096;
        in.strides[0] = 0;
        in.strides[1] = size;
        PyramidSpec spec;
        spec.levels = 12;
        spec.dtype = type;
        spec.tile = 1 << 17;
        std::vector<std::vector<std::uint16_t>> memory;
        std::vector<poolcore::MutableView> levels;
        const auto plan = poolcore::make_pyramid_plan(spec, in);
        for (int level = 1; level <= spec.levels; ++level) {
            poolcore::MutableView view;
            view.rank = 2;
            view.dtype = type;
            view.shape[0] = view.shape[1] = plan.length(0, level);
            view.strides[0] = view.shape[1] * size;
            view.strides[1] = size;
            memory.emplace_back(static_cast<std::size_t>(view.shape[0] * view.shape[0]));
            view.data = reinterpret_cast<std::byte*>(memory.back().data());
            levels.push_back(view);
        }
        poolcore::RunControl control;
        CHECK(poolcore::run_pyramid(plan, in, levels.data(), control) ==
              poolcore::RunStatus::kDone);
        for (const auto& view : levels) {
            const std::byte* end = view.data + view.shape[0] * view.strides[0];
            CHECK(std::all_of<const std::byte*>(view.data, end, [&](std::byte b) {
                return b == (type == DType::kInt8 ? std::byte{0x80} : std::byte{0xff});
            }));
        }
    }
}

TEST(what_is_refused) {
    poolcore::StridedView in;
    in.rank = 2;
    in.shape[0] = in.shape[1] = 4;
    in.strides[0] = 4;
    in.strides[1] = 1;
    in.dtype = DType::kUInt8;
    const auto plan = [&](int levels) {
        PyramidSpec spec;
        spec.levels = levels;
        return poolcore::make_pyramid_plan(spec, in);
    };
    CHECK_EQ(plan(27).length(1, 1), 2);
    CHECK_THROWS(plan(0), poolcore::PoolError, "levels is out of range");
    CHECK_THROWS(plan(63), poolcore::PoolError, "levels is out of range");
    CHECK_THROWS(plan(28), poolcore::PoolError, "more than 62 bits");
    in.strides[1] = 2;
    CHECK_THROWS(plan(2), poolcore::PoolError, "side by side");
    in.shape[1] = 0;
    CHECK_THROWS(plan(2), poolcore::PoolError, "empty axis");
    in.rank = 1;
    CHECK_THROWS(plan(2), poolcore::PoolError, "two axes");
}

}  // namespace

TEST_MAIN()
