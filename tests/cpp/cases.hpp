// One pooling problem laid out between guard pages: random parameters, layouts and data, and the
// comparison of what the core wrote with what naive.hpp expects.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "guard.hpp"
#include "naive.hpp"
#include "poolcore/cpu.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/run.hpp"
#include "wide_state.hpp"

namespace cases {

using poolcore::DType;
using poolcore::NanPolicy;
using poolcore::Op;

// Random numbers that are the same everywhere (std:: distributions are not).
class Random {
   public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    // From bytes while there are any, two for each number, then from a seed.
    Random(const std::uint8_t* data, std::size_t size) : engine_(1), data_(data), size_(size) {}
    std::uint64_t bits() {
        if (size_ < 2) return engine_();
        const std::uint64_t taken = data_[0] | static_cast<unsigned>(data_[1]) << 8;
        data_ += 2;
        size_ -= 2;
        return taken << 1 | taken >> 15 | taken << 48;
    }
    std::int64_t below(std::int64_t n) {
        return static_cast<std::int64_t>((bits() >> 1) % static_cast<std::uint64_t>(n));
    }
    std::int64_t between(std::int64_t lo, std::int64_t hi) { return lo + below(hi - lo + 1); }
    bool chance(int percent) { return below(100) < percent; }

   private:
    std::mt19937_64 engine_;
    const std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

inline std::vector<poolcore::Target> usable_targets() {
    std::vector<poolcore::Target> targets;
    for (int i = 0; i < poolcore::kNumTargets; ++i) {
        const auto target = static_cast<poolcore::Target>(i);
        if (poolcore::is_built(target) && poolcore::cpu_supports(target)) targets.push_back(target);
    }
    return targets;
}

// Shape and byte strides of an array before it has memory.
struct Layout {
    DType dtype = DType::kFloat32;
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> strides;
    std::size_t origin = 0;  // of element 0, from the first byte
    std::size_t bytes = 0;

    std::int64_t elements() const {
        std::int64_t n = 1;
        for (const auto s : shape) n *= s;
        return n;
    }
    template <class View>
    View at(decltype(View::data) first_byte) const {
        View view;
        view.data = first_byte + origin;
        view.dtype = dtype;
        view.rank = static_cast<int>(shape.size());
        for (std::size_t i = 0; i < shape.size(); ++i) {
            view.shape[i] = shape[i];
            view.strides[i] = strides[i];
        }
        return view;
    }
};

// Axes from the outermost in memory to the innermost. `odd` reverses axes and leaves gaps, some
// of them no multiple of the element size; `repeat` may give an axis stride 0.
inline Layout make_layout(DType dtype, const std::vector<std::int64_t>& shape,
                          const std::vector<std::size_t>& order, bool odd, bool repeat,
                          Random& random) {
    Layout layout{dtype, shape, std::vector<std::int64_t>(shape.size()), 0, 0};
    const auto item = static_cast<std::int64_t>(poolcore::item_size(dtype));
    std::int64_t pitch = item;
    std::int64_t below_zero = 0;
    std::int64_t reach = item;
    for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
        const std::int64_t n = shape[*axis];
        if (repeat && random.chance(15)) continue;  // stride 0
        if (odd && random.chance(30)) pitch += random.chance(50) ? random.between(1, 9) : item;
        const bool backwards = odd && random.chance(30);
        layout.strides[*axis] = backwards ? -pitch : pitch;
        if (backwards) below_zero += (n - 1) * pitch;
        reach += (n - 1) * pitch;
        pitch *= n;
    }
    layout.origin = static_cast<std::size_t>(below_zero);
    layout.bytes = static_cast<std::size_t>(reach);
    return layout;
}

struct Case {
    naive::Question question;
    Layout in, out, index;
    guard::Flush flush = guard::Flush::kBack;
    std::size_t gap = 0;  // bytes between the arrays and the guard: moves the alignment

    std::string text() const;
};

inline std::string Case::text() const {
    std::string s = std::string(poolcore::name(in.dtype)) + "->" + poolcore::name(out.dtype);
    const auto& spec = question.spec;
    s += std::string(" op=") + std::to_string(static_cast<int>(spec.op)) + " in=";
    for (std::size_t i = 0; i < in.shape.size(); ++i) {
        s += std::to_string(in.shape[i]) + "/" + std::to_string(in.strides[i]) + " ";
    }
    for (int a = 0; a < spec.n_axes; ++a) {
        const auto& p = spec.params[a];
        s += "axis" + std::to_string(spec.axes[a]) + "(k" + std::to_string(p.kernel) + " s" +
             std::to_string(p.stride) + " d" + std::to_string(p.dilation) + " p" +
             std::to_string(p.pad_lo) + "," + std::to_string(p.pad_hi) + ") ";
    }
    s += std::string(spec.ceil_mode ? "ceil " : "") + (spec.count_include_pad ? "" : "exclude ") +
         (spec.return_indices ? "indices " : "") +
         (spec.has_divisor ? "divisor=" + std::to_string(spec.divisor) + " " : "") +
         "nan=" + std::to_string(static_cast<int>(spec.nan_policy)) +
         " rounding=" + std::to_string(static_cast<int>(spec.rounding)) + " out strides ";
    for (const auto stride : out.strides) s += std::to_string(stride) + " ";
    return s + (flush == guard::Flush::kFront ? "front+" : "back-") + std::to_string(gap);
}

// A random bit pattern that is likely to be interesting: ties, zeros of both signs, NaN, infinity,
// extremes.
inline std::uint64_t random_bits(DType type, Random& random, int nan_percent) {
    if (type == DType::kBool) return static_cast<std::uint64_t>(random.below(2));
    if (!poolcore::is_float(type)) {
        if (random.chance(30)) return naive::bits_of({0, random.between(0, 3)}, type);
        if (random.chance(20)) return naive::bits_of({0, naive::lowest(type)}, type);
        if (random.chance(20)) return naive::bits_of({0, naive::highest(type)}, type);
        return naive::bits_of({0, static_cast<std::int64_t>(random.bits())}, type);
    }
    const double inf = std::numeric_limits<double>::infinity();
    if (random.chance(nan_percent)) {
        if (random.chance(50)) return naive::bits_of({std::nan(""), 0}, type) | 1;
        return naive::bits_of({random.chance(50) ? inf : -inf, 0}, type);
    }
    if (random.chance(10)) return naive::bits_of({random.chance(50) ? 0.0 : -0.0, 0}, type);
    const double size = std::ldexp(static_cast<double>(random.between(-4096, 4096)),
                                   static_cast<int>(random.between(-16, -8)));
    return naive::bits_of({random.chance(20) ? std::round(size) : size, 0}, type);
}

inline void write_bits(std::byte* p, std::uint64_t bits, DType type) {
    std::memcpy(p, &bits, poolcore::item_size(type));  // little-endian, as all our targets are
}

inline std::uint64_t read_bits(const std::byte* p, DType type) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, p, poolcore::item_size(type));
    return bits;
}

// Calls visit(place, number) for every element in row-major order.
template <class Visit>
void for_each(const std::vector<std::int64_t>& shape, Visit visit) {
    std::vector<std::int64_t> place(shape.size(), 0);
    for (const auto n : shape) {
        if (n == 0) return;
    }
    for (std::size_t number = 0;; ++number) {
        visit(place, number);
        std::size_t axis = shape.size();
        while (axis > 0 && ++place[axis - 1] == shape[axis - 1]) place[--axis] = 0;
        if (axis == 0) return;
    }
}

template <class View>
std::ptrdiff_t offset_of(const View& view, const std::vector<std::int64_t>& place) {
    std::ptrdiff_t offset = 0;
    for (std::size_t i = 0; i < place.size(); ++i) offset += place[i] * view.strides[i];
    return offset;
}

// Memory for one case after the other.
class Bench {
   public:
    explicit Bench(std::size_t bytes) : in_(bytes, true), out_(bytes), index_(2 * bytes + 4096) {}

    // Lays the case out, fills the input and works out what must come of it.
    void prepare(const Case& c, Random& random, int nan_percent) {
        case_ = c;
        failed_ = false;
        std::byte* const in = in_.place(c.in.bytes, c.flush, c.gap);
        for (std::size_t i = 0; i < c.in.bytes; ++i) in_.writable()[i] = std::byte{0x5a};
        in_view_ = c.in.at<poolcore::StridedView>(in);
        const auto to_writable = in_.writable() - in;
        for_each(c.in.shape, [&](const auto& place, std::size_t) {
            std::byte* p = const_cast<std::byte*>(in_view_.data) + offset_of(in_view_, place);
            write_bits(p + to_writable, random_bits(c.in.dtype, random, nan_percent), c.in.dtype);
        });
        out_view_ = c.out.at<poolcore::MutableView>(out_.place(c.out.bytes, c.flush, c.gap));
        index_view_ = c.index.at<poolcore::MutableView>(index_.place(c.index.bytes, c.flush, c.gap));
        expected_.clear();
        for_each(c.out.shape, [&](const auto& place, std::size_t) {
            const auto window = naive::window_at(c.question, in_view_, place);
            expected_.push_back(naive::pool_window(window, c.question));
        });
    }

    // Runs the core and compares.
    void run_and_compare(int threads) {
        out_.fill();
        index_.fill();
        std::memset(out_.writable(), guard::Arena::kFill, case_.out.bytes);
        const bool with_index = case_.question.spec.return_indices;
        const auto plan = poolcore::make_plan(case_.question.spec, in_view_);
        poolcore::RunControl control;
        control.threads = threads;
        auto status = poolcore::RunStatus::kCancelled;
        const bool wide = leaves_wide_state([&] {
            status = poolcore::run(plan, in_view_, out_view_,
                                   with_index ? &index_view_ : nullptr, control);
        });
        if (wide) fail("wide registers left in use");
        if (status != poolcore::RunStatus::kDone || plan.out_dtype != case_.out.dtype) fail("plan");
        for (std::size_t i = 0; i < case_.out.shape.size(); ++i) {
            if (plan.out_shape[i] != case_.out.shape[i]) fail("shape");
        }
        compare();
        if (out_.touched() || index_.touched()) fail("bytes around the result were written");
    }

    poolcore::StridedView in_view_;
    poolcore::MutableView out_view_;
    poolcore::MutableView index_view_;

   private:
    // The first difference of a case says enough.
    void fail(const std::string& what) {
        if (failed_) return;
        failed_ = true;
        check::fail(__FILE__, __LINE__, what + " on " +
                                            poolcore::name(poolcore::target_in_use()) + ": " +
                                            case_.text());
    }

    void compare() {
        const DType type = case_.out.dtype;
        const auto& spec = case_.question.spec;
        const bool any_nan = spec.op == Op::kMax || spec.op == Op::kMin;
        for_each(case_.out.shape, [&](const auto& place, std::size_t number) {
            const naive::Result& want = expected_[number];
            const std::byte* p = out_view_.data + offset_of(out_view_, place);
            const auto got_bits = read_bits(p, type);
            const auto want_bits = naive::bits_of(want.value, type);
            const bool both_nan = any_nan && poolcore::is_float(type) &&
                                  std::isnan(want.value.real) &&
                                  std::isnan(naive::read(p, type).real);
            if (got_bits != want_bits && !both_nan) {
                fail("element " + std::to_string(number) + ": bits " + std::to_string(got_bits) +
                     ", expected " + std::to_string(want_bits));
            }
            if (!spec.return_indices) return;
            const auto got = naive::load<std::int64_t>(index_view_.data +
                                                       offset_of(index_view_, place));
            if (got != want.index) {
                fail("element " + std::to_string(number) + ": index " + std::to_string(got) +
                     ", expected " + std::to_string(want.index));
            }
        });
    }

    Case case_;
    bool failed_ = false;
    guard::Arena in_, out_, index_;
    std::vector<naive::Result> expected_;
};

}  // namespace cases
