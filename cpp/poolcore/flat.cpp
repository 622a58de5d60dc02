#include "poolcore/flat.hpp"

#include <algorithm>
#include <cstring>

namespace poolcore {
namespace {

// Rows longer than two of the largest vectors fill vectors by themselves.
constexpr std::int64_t kMostRow = 2 * kLargestVector;
// The planes that are pooled at once, and what they become, stay in the nearest cache.
constexpr std::int64_t kGroup = 8 * 1024;
constexpr std::int64_t kMostPlane = 2 * kGroup;
constexpr std::int64_t kFewestPlanes = 4;

// The windows along one axis. Every position of the axis is pooled, as the window whose tap
// `anchor` it is, from which those asked for are picked.
struct Line {
    std::int64_t extent, first, out, stride;
    std::int64_t taps, anchor;
};

Line line_of(const AxisGeometry& g, int axis, const Field& from, const Field& to) {
    const std::int64_t start = g.start(to.origin[axis]) - from.origin[axis];
    const std::int64_t anchor = std::max<std::int64_t>(0, -start);
    return {from.extent[axis], start + anchor, to.extent[axis], g.stride, g.kernel, anchor};
}

bool fits(const Line& l) {
    return (l.taps == 2 || l.taps == 3) && l.anchor <= 1 && l.stride <= 2 &&
           l.first + (l.out - 1) * l.stride < l.extent;
}

bool picks(const Line& l) { return l.stride != 1 || l.out != l.extent; }

// Taps reach so far beyond the planes, and vectors beyond those.
std::int64_t slack_of(std::int64_t row) {
    return (2 * row + 2 * kLargestVector + kScratchAlign - 1) / kScratchAlign * kScratchAlign;
}

std::int64_t places_of(std::int64_t plane, std::int64_t element) {
    return plane + kLargestVector / element;
}

// Rows and columns of the elements of a plane, on into the next.
template <class I>
void fill_places(std::byte* rows, std::byte* columns, std::int64_t height, std::int64_t width,
                 std::int64_t n) {
    I* const row_of = reinterpret_cast<I*>(rows);
    I* const column_of = reinterpret_cast<I*>(columns);
    std::int64_t row = 0;
    for (std::int64_t i = 0; i < n; i += width) {
        const std::int64_t m = std::min(width, n - i);
        for (std::int64_t x = 0; x < m; ++x) {
            row_of[i + x] = static_cast<I>(row);
            column_of[i + x] = static_cast<I>(x);
        }
        row = row + 1 == height ? 0 : row + 1;
    }
}

void fill_places(std::byte* rows, std::byte* columns, std::int64_t height, std::int64_t width,
                 std::int64_t element) {
    const std::int64_t n = places_of(height * width, element);
    switch (element) {
        case 1: return fill_places<std::int8_t>(rows, columns, height, width, n);
        case 2: return fill_places<std::int16_t>(rows, columns, height, width, n);
        case 4: return fill_places<std::int32_t>(rows, columns, height, width, n);
        default: return fill_places<std::int64_t>(rows, columns, height, width, n);
    }
}

// Pools groups of planes.
class Flat {
   public:
    Flat(const StageContext& c, const Line& b, const Line& w, double divisor)
        : c_(c), b_(b), w_(w), divisor_(divisor), size_(c.element()), row_(w.extent * size_),
          plane_(b.extent * row_), slack_(slack_of(row_)) {
        const std::int64_t table = places_of(b.extent * w.extent, size_) * size_;
        rows_ = c.scratch->take(table);
        columns_ = c.scratch->take(table);
        fill_places(rows_, columns_, b.extent, w.extent, size_);
    }

    void run(const Field& from, const Field& to) {
        const std::int64_t planes = from.planes * from.extent[kA];
        const std::int64_t each =
            even_share(planes, std::clamp<std::int64_t>(kGroup / plane_, 1, planes));
        std::byte* const copy = block(each);
        std::byte* const middle = block(each);
        std::byte* const all = picks(b_) || picks(w_) ? block(each) : nullptr;
        const bool sum = c_.combine == Combine::kSum;
        const std::int64_t before = sum ? b_.anchor * row_ : w_.anchor * size_;
        const std::int64_t after = sum ? (b_.taps - 1 - b_.anchor) * row_
                                       : (w_.taps - 1 - w_.anchor) * size_;
        for (std::int64_t p = 0; p < planes; p += each) {
            const std::int64_t n = std::min(each, planes - p);
            const std::byte* src = from.values + p * plane_;
            if (p * plane_ < before || (planes - p - n) * plane_ < after) {
                std::memcpy(copy, src, static_cast<std::size_t>(n * plane_));
                src = copy;
            }
            std::byte* const dst = to.values + p * b_.out * w_.out * size_;
            pass(sum ? b_ : w_, sum, src, middle, n, 0);
            pass(sum ? w_ : b_, !sum, middle, all ? all : dst, n, divisor_);
            if (all) pick(all, dst, n);
        }
    }

   private:
    std::byte* block(std::int64_t planes) const {
        return c_.scratch->take(planes * plane_ + 2 * slack_) + slack_;
    }

    void pass(const Line& line, bool down, const std::byte* src, std::byte* dst,
              std::int64_t planes, double divisor) const {
        FlatArgs a;
        a.src = src;
        a.dst = dst;
        a.places = down ? rows_ : columns_;
        a.period = plane_ / size_;
        a.n = planes * a.period;
        a.size = line.extent;
        a.step = down ? row_ : size_;
        a.taps = line.taps;
        a.anchor = line.anchor;
        a.divisor = divisor;
        c_.kernels->flat[static_cast<int>(c_.combine)][static_cast<int>(c_.work)](a);
    }

    void pick(const std::byte* all, std::byte* dst, std::int64_t planes) const {
        PickArgs a;
        a.src = all + b_.first * row_ + w_.first * size_;
        a.dst = dst;
        a.n0 = planes;
        a.n1 = b_.out;
        a.n = w_.out;
        a.src_stride0 = plane_;
        a.src_stride1 = wrapped(b_.stride, row_);
        a.step = w_.stride;
        a.threes = false;
        const int size = __builtin_ctzll(static_cast<unsigned long long>(size_));
        c_.kernels->pick[size](a);
    }

    const StageContext& c_;
    const Line b_, w_;
    const double divisor_;
    const std::int64_t size_, row_, plane_, slack_;
    std::byte* rows_ = nullptr;
    std::byte* columns_ = nullptr;
};

// Measured for each width of vectors, see docs/performance.md. Every position is pooled, so windows
// two apart must be short of lanes for twice the work.
bool pays(std::int64_t vector, std::int64_t element, bool order, const Line& b, const Line& w) {
    const std::int64_t row = w.extent * element;
    const bool wide = element >= 4;
    if (b.stride == 1 && w.stride == 1) return row <= (wide ? 2 * vector : vector);
    if (w.taps == 2 && (wide || w.extent > 16)) return false;
    return row <= (order && wide ? vector : std::min<std::int64_t>(vector, 32));
}

// Whether planes of such rows are small enough, and their places fit integers of that size.
bool is_small(std::int64_t height, std::int64_t width, std::int64_t element) {
    const std::int64_t row = times(width, element);
    return row <= kMostRow && times(height, row) <= kMostPlane && (element > 1 || height < 128);
}

}  // namespace

std::int64_t flat_scratch(const AxisGeometry& b, const AxisGeometry& w, std::int64_t element) {
    if (!is_small(b.in, w.in, element)) return 0;
    const std::int64_t table = Scratch::footprint(kMostPlane + kLargestVector);
    return 2 * table + 3 * Scratch::footprint(kMostPlane + 2 * slack_of(kMostRow));
}

bool is_dense(const Field& f, std::int64_t element) {
    const std::int64_t row = f.extent[kW] * element, plane = f.extent[kB] * row;
    return (f.extent[kW] == 1 || f.stride[kW] == element) &&
           (f.extent[kB] == 1 || f.stride[kB] == row) &&
           (f.extent[kA] == 1 || f.stride[kA] == plane) &&
           (f.planes == 1 || f.plane_stride == f.extent[kA] * plane);
}

bool pays_flat(const KernelTable& kernels, Combine combine, std::int64_t element,
               const AxisGeometry& b, const AxisGeometry& w, const Field& from, const Field& to) {
    if (!is_small(b.in, w.in, element)) return false;
    if (!is_small(from.extent[kB], from.extent[kW], element)) return false;
    if (from.planes * from.extent[kA] < kFewestPlanes) return false;
    const Line rows = line_of(b, kB, from, to), columns = line_of(w, kW, from, to);
    return fits(rows) && fits(columns) &&
           pays(kernels.vector_bytes, element, combine != Combine::kSum, rows, columns);
}

bool pool_flat(const StageContext& c, const AxisGeometry& b, const AxisGeometry& w,
               const Field& from, const Field& to, double divisor) {
    const std::int64_t element = c.element();
    if (!pays_flat(*c.kernels, c.combine, element, b, w, from, to)) return false;
    if (!is_dense(from, element) || !is_dense(to, element)) return false;
    const std::int64_t mark = c.scratch->mark();
    Flat(c, line_of(b, kB, from, to), line_of(w, kW, from, to), divisor).run(from, to);
    c.scratch->release(mark);
    return true;
}

}  // namespace poolcore
