// Regions of interest on small arrays between guard pages: boxes of every size and place, on all
// targets and some threads, against sums over single samples.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cases.hpp"
#include "check.hpp"
#include "guard.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/roi.hpp"

using namespace poolcore;
using cases::Random;

namespace {

constexpr std::size_t kArena = 1 << 16;

// A dense array in the order of its axes, between guard pages.
struct Dense {
    explicit Dense(bool read_only) : arena(kArena, read_only) {}

    void place(DType dtype, const std::int64_t* shape, Random& random) {
        view.dtype = dtype;
        view.rank = 4;
        auto step = static_cast<std::int64_t>(item_size(dtype));
        for (int i = 3; i >= 0; --i) {
            view.shape[i] = shape[i];
            view.strides[i] = step;
            step *= shape[i];
        }
        const auto flush = random.chance(50) ? guard::Flush::kFront : guard::Flush::kBack;
        bytes = static_cast<std::size_t>(step);
        view.data = arena.place(bytes, flush, static_cast<std::size_t>(random.below(3)));
        arena.fill();
    }
    std::int64_t offset(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w,
                        bool last) const {
        const std::int64_t at[4] = {n, last ? h : c, last ? w : h, last ? c : w};
        std::int64_t offset = 0;
        for (int i = 0; i < 4; ++i) offset += at[i] * view.strides[i];
        return offset;
    }
    StridedView seen() const {
        StridedView other;
        other.data = view.data;
        other.dtype = view.dtype;
        other.rank = view.rank;
        std::copy_n(view.shape, 4, other.shape);
        std::copy_n(view.strides, 4, other.strides);
        return other;
    }
    double value(std::int64_t offset) const {
        const naive::Number n = naive::read(view.data + offset, view.dtype);
        return is_float(view.dtype) ? n.real : static_cast<double>(n.whole);
    }

    guard::Arena arena;
    MutableView view;
    std::size_t bytes = 0;
};

struct Question {
    RoiSpec spec;
    std::vector<double> boxes;
    std::int64_t in[4], out[4];  // shapes
    DType dtype;

    explicit Question(Random& random) {
        constexpr DType types[] = {DType::kFloat32, DType::kFloat64, DType::kInt16, DType::kUInt8,
                                   DType::kFloat16};
        dtype = types[random.below(5)];
        spec.mode = static_cast<RoiMode>(random.below(3));
        spec.channels_last = random.chance(40);
        spec.aligned = random.chance(50);
        spec.nan_policy = random.chance(30) ? NanPolicy::kOmit : NanPolicy::kPropagate;
        constexpr std::int64_t samplings[] = {-1, 0, 1, 2, 3, 40, std::int64_t{1} << 54, INT64_MAX};
        spec.sampling = samplings[random.below(8)];
        spec.scale = random.chance(50) ? 1 : 0.25;
        for (std::int64_t& n : spec.size) n = random.between(1, 4);
        const bool large = random.chance(15);  // samples far apart, and corners far off
        const std::int64_t channels = large ? 1 : random.chance(30) ? random.between(4, 70) : 2;
        if (large)
            shape(in, 1, 1, random.chance(50) ? 1 : 2000, random.chance(50) ? 1 : 3);
        else
            shape(in, random.between(1, 2), channels, random.between(1, 7), random.between(1, 7));
        if (random.chance(50)) std::swap(in[spec.plane_axis(0)], in[spec.plane_axis(1)]);
        spec.n_boxes = random.between(1, 3);
        shape(out, spec.n_boxes, channels, spec.size[0], spec.size[1]);
        constexpr double sizes[] = {1, 4, 10, 100, 1e6, 0x1p+60, 1e300};
        for (std::int64_t i = 0; i < spec.n_boxes; ++i) {
            boxes.push_back(static_cast<double>(random.below(in[0])));
            const double size = sizes[random.below(7)] / spec.scale;
            const double moved = large ? static_cast<double>(random.between(0, 2000)) : 0;
            for (int j = 0; j < 4; ++j)
                boxes.push_back(static_cast<double>(random.between(-8, 24)) / 16 * size + moved);
        }
        spec.boxes = boxes.data();
    }

    // So many boxes of one bin, their corners of any bits that are finite numbers.
    void take_any_boxes(std::int64_t n, Random& random) {
        const double sizes[] = {0, -0.0, 5e-324, 1e-310, 1, 0x1p31, 0x1p53, 0x1p63, 1e30, 1.7e308};
        boxes.clear();
        for (std::int64_t i = 0; i < n; ++i) {
            boxes.push_back(static_cast<double>(random.below(in[0])));
            while (boxes.size() % 5 != 0) {
                double corner = random.chance(50) ? std::bit_cast<double>(random.bits())
                                                  : sizes[random.below(10)];
                if (random.chance(30)) corner = -corner;
                if (std::isfinite(corner)) boxes.push_back(corner);
            }
        }
        spec.boxes = boxes.data();
        spec.n_boxes = n;
        spec.size[0] = spec.size[1] = 1;
        shape(out, n, in[spec.channel_axis()], 1, 1);
    }

   private:
    void shape(std::int64_t* to, std::int64_t n, std::int64_t c, std::int64_t h,
               std::int64_t w) const {
        to[0] = n;
        to[spec.channel_axis()] = c;
        to[spec.plane_axis(0)] = h;
        to[spec.plane_axis(1)] = w;
    }
};

// Where the samples of a bin lie along an axis; empty if they are too many to look at.
std::vector<double> samples(const Question& q, std::int64_t box, int axis, std::int64_t bin) {
    const double* corners = q.boxes.data() + 5 * box;
    const auto placed = [&](int at) {
        return std::clamp(corners[at] * q.spec.scale, -0x1p61, 0x1p61) - (q.spec.aligned ? 0.5 : 0);
    };
    const double start = placed(2 - axis);
    double size = placed(4 - axis) - start;
    if (!q.spec.aligned) size = std::max(size, 1.0);
    const double step = size / static_cast<double>(q.spec.size[axis]);
    const double grid =
        q.spec.sampling > 0 ? static_cast<double>(q.spec.sampling) : std::max(std::ceil(step), 0.0);
    std::vector<double> found;
    if (grid > 64) return found;
    for (double i = 0; i < grid; ++i)
        found.push_back(start + static_cast<double>(bin) * step + (i + 0.5) * step / grid);
    return found;
}

bool too_many(const Question& q, std::int64_t box) {
    for (int axis = 0; axis < 2; ++axis) {
        const double* corners = q.boxes.data() + 5 * box;
        const double size = (corners[4 - axis] - corners[2 - axis]) * q.spec.scale;
        if (q.spec.sampling > 64 || (q.spec.sampling < 1 && !(size < 60))) return true;
    }
    return false;
}

struct Corner {
    std::int64_t at;
    double weight;
};
std::vector<Corner> corners_of(double y, std::int64_t length) {
    if (y < -1 || y > static_cast<double>(length)) return {};
    y = std::max(y, 0.0);
    const auto at = static_cast<std::int64_t>(y);
    if (at >= length - 1) return {{length - 1, 1}};
    const double part = y - static_cast<double>(at);
    return {{at, 1 - part}, {at + 1, part}};
}

// One result of kAlignMean or kAlignMax, from samples; x holds no NaN.
double aligned(const Question& q, const Dense& x, std::int64_t k, std::int64_t c, std::int64_t a,
               std::int64_t b) {
    const auto image = static_cast<std::int64_t>(q.boxes[static_cast<std::size_t>(5 * k)]);
    const std::vector<double> down = samples(q, k, 0, a), over = samples(q, k, 1, b);
    if (down.empty() || over.empty()) return 0;
    double sum = 0, most = -HUGE_VAL;
    for (const double y : down)
        for (const double column : over) {
            double value = 0;
            for (const Corner& r : corners_of(y, q.in[q.spec.plane_axis(0)]))
                for (const Corner& s : corners_of(column, q.in[q.spec.plane_axis(1)]))
                    value += r.weight * s.weight *
                             x.value(x.offset(image, c, r.at, s.at, q.spec.channels_last));
            sum += value;
            most = std::max(most, value);
        }
    const auto count = static_cast<double>(down.size() * over.size());
    return q.spec.mode == RoiMode::kAlignMean ? sum / count : most;
}

void fill(Dense& x, Random& random) {
    const std::size_t size = item_size(x.view.dtype);
    for (std::size_t at = 0; at < x.bytes; at += size) {
        const auto whole = random.between(0, 100);
        const naive::Number number{static_cast<double>(whole), whole};
        cases::write_bits(x.arena.writable() + at, naive::bits_of(number, x.view.dtype),
                          x.view.dtype);
    }
}

void check_values(const Question& q, const Dense& x, const Dense& y, const Dense& index) {
    const bool last = q.spec.channels_last;
    const double unit = is_float(q.dtype) ? (item_size(q.dtype) == 2 ? 0.1 : 1e-4) : 1e-9;
    const std::int64_t channels = q.in[q.spec.channel_axis()];
    for (std::int64_t k = 0; k < q.spec.n_boxes; ++k)
        for (std::int64_t c = 0; c < channels; c += channels > 4 ? 13 : 1)
            for (std::int64_t a = 0; a < q.spec.size[0]; ++a)
                for (std::int64_t b = 0; b < q.spec.size[1]; ++b) {
                    const double got = y.value(y.offset(k, c, a, b, last));
                    CHECK(got >= 0 && got <= 100 + unit);
                    if (q.spec.mode != RoiMode::kPool) {
                        if (!too_many(q, k))
                            CHECK(std::abs(got - aligned(q, x, k, c, a, b)) <= unit);
                        continue;
                    }
                    const auto at =
                        static_cast<std::int64_t>(index.value(index.offset(k, c, a, b, last)));
                    const std::int64_t width = q.in[q.spec.plane_axis(1)];
                    const auto image = static_cast<std::int64_t>(
                        q.boxes[static_cast<std::size_t>(5 * k)]);
                    const double found =
                        at < 0 ? 0 : x.value(x.offset(image, c, at / width, at % width, last));
                    CHECK(at >= -1 && at < width * q.in[q.spec.plane_axis(0)]);
                    CHECK(got == found);
                }
}

// <y, y'> = <x, gradient(y')> as means and maxima are linear where they are; of values, the sum.
void check_gradient(const Question& q, const Dense& x, const Dense& y, const Dense& index,
                    const RunControl& control, Dense& back, Random& random) {
    if (item_size(q.dtype) != 8) return;
    back.place(q.dtype, q.in, random);
    const StridedView grad = y.seen(), places = index.seen(), source = x.seen();
    const RoiSource from{q.spec.mode == RoiMode::kPool ? &places : nullptr, &source};
    CHECK(run_roi_gradient(q.spec, grad, from, back.view, control) == RunStatus::kDone);
    CHECK(!back.arena.touched());
    double given = 0, gathered = 0, size = 0;
    for (std::size_t at = 0; at < y.bytes; at += 8) {
        const double v = y.value(static_cast<std::int64_t>(at));
        given += v * v;
    }
    for (std::size_t at = 0; at < x.bytes; at += 8) {
        const auto offset = static_cast<std::int64_t>(at);
        gathered += x.value(offset) * back.value(offset);
        size += std::abs(x.value(offset) * back.value(offset));
    }
    CHECK(std::abs(given - gathered) <= 1e-9 * (size + given));
}

TEST(boxes_of_every_size) {
    Random random(1);
    Dense x(true), y(false), index(false), back(false);
    const long rounds = check::rounds(1500);
    for (long i = 0; i < rounds; ++i) {
        const Question q(random);
        x.place(q.dtype, q.in, random);
        fill(x, random);
        y.place(roi_dtype(q.spec.mode, q.dtype), q.out, random);
        index.place(DType::kInt64, q.out, random);
        RunControl control;
        control.threads = static_cast<int>(random.between(1, 3));
        const bool pools = q.spec.mode == RoiMode::kPool;
        CHECK(run_roi(q.spec, x.seen(), y.view, pools ? &index.view : nullptr, control) ==
              RunStatus::kDone);
        CHECK(!y.arena.touched() && !index.arena.touched());
        check_values(q, x, y, index);
        check_gradient(q, x, y, index, control, back, random);
    }
}

// A million in the long form.
TEST(boxes_of_any_numbers) {
    Random random(2);
    Dense x(true), y(false), index(false);
    const long rounds = check::rounds(200);
    for (long i = 0; i < rounds; ++i) {
        Question q(random);
        q.take_any_boxes(100, random);
        x.place(q.dtype, q.in, random);
        fill(x, random);
        y.place(roi_dtype(q.spec.mode, q.dtype), q.out, random);
        index.place(DType::kInt64, q.out, random);
        const bool pools = q.spec.mode == RoiMode::kPool;
        CHECK(run_roi(q.spec, x.seen(), y.view, pools ? &index.view : nullptr, {}) ==
              RunStatus::kDone);
        CHECK(!y.arena.touched() && !index.arena.touched());
        for (std::size_t at = 0; at < y.bytes; at += item_size(y.view.dtype)) {
            const double value = y.value(static_cast<std::int64_t>(at));
            CHECK(value >= 0 && value <= 100.1);
        }
    }
    std::printf("     %ld boxes\n", rounds * 100);
}

}  // namespace

TEST_MAIN()
