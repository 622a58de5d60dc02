// An array of a call in memory of its own between guard pages, of any strides and any type, and its
// elements as doubles.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "cases.hpp"

namespace guarded {

using cases::DType;
using cases::Layout;
using cases::Random;

inline constexpr std::size_t kArena = 1 << 18;
using Shape = std::vector<std::int64_t>;

// One array of the call in memory of its own.
struct Array {
    explicit Array(bool read_only) : arena(kArena, read_only) {}

    void place(const Layout& wanted, Random& random) {
        layout = wanted;
        const auto flush = random.chance(50) ? guard::Flush::kFront : guard::Flush::kBack;
        first = arena.place(layout.bytes, flush, static_cast<std::size_t>(random.below(9)));
        std::fill_n(arena.writable(), layout.bytes, std::byte{guard::Arena::kFill});
        arena.fill();
        std::fill_n(arena.writable(), layout.bytes, std::byte{guard::Arena::kFill});
    }
    template <class View>
    View view() const {
        return layout.at<View>(first);
    }
    void write(const Shape& at, double value) {
        const auto seen = view<poolcore::StridedView>();
        const bool real = poolcore::is_float(layout.dtype);
        const naive::Number number{value, real ? 0 : static_cast<std::int64_t>(value)};
        cases::write_bits(arena.writable() + (seen.data - first) + cases::offset_of(seen, at),
                          naive::bits_of(number, layout.dtype), layout.dtype);
    }
    double read(const Shape& at) const {
        const auto seen = view<poolcore::StridedView>();
        const naive::Number n = naive::read(seen.data + cases::offset_of(seen, at), layout.dtype);
        return poolcore::is_float(layout.dtype) ? n.real : static_cast<double>(n.whole);
    }

    guard::Arena arena;
    Layout layout;
    std::byte* first = nullptr;
};

inline Layout random_layout(DType type, const Shape& shape, bool repeat, Random& random) {
    std::vector<std::size_t> order(shape.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (std::size_t i = order.size(); i > 1; --i)
        if (random.chance(40))
            std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(
                                        static_cast<std::int64_t>(i)))]);
    return cases::make_layout(type, shape, order, random.chance(50), repeat, random);
}

}  // namespace guarded
