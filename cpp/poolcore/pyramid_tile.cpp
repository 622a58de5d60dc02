#include "poolcore/pyramid_tile.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace poolcore {
namespace {

constexpr std::int64_t size_of(DType t) { return static_cast<std::int64_t>(item_size(t)); }

constexpr std::int64_t halves(std::int64_t n) { return (n + 1) / 2; }

// The kernels' name of a type that sums have.
Work work_of(DType t) {
    switch (t) {
        case DType::kInt16: return Work::kI16;
        case DType::kUInt16: return Work::kU16;
        case DType::kInt32: return Work::kI32;
        case DType::kFloat32: return Work::kF32;
        case DType::kFloat64: return Work::kF64;
        default: return Work::kI64;
    }
}

constexpr int at(DType t) { return static_cast<int>(t); }
int at(Work w) { return static_cast<int>(w); }
constexpr int kSumOf = static_cast<int>(Combine::kSum);

// How many elements along an axis of x are under element `i` of a level.
std::int64_t covered(std::int64_t length, int level, std::int64_t i) {
    const std::int64_t whole = std::int64_t(1) << level;
    return std::min(whole, length - (i << level));
}

// The type of the sums of floats at the first two levels: see docs/numerics.md.
DType sums_of_floats(const PyramidPlan& plan) {
    const bool wide = plan.in_dtype == DType::kFloat64 || plan.spec.dtype == DType::kFloat64;
    return wide ? DType::kFloat64 : DType::kFloat32;
}

}  // namespace

DType pyramid_sums(DType in, int level) {
    if (is_float(in)) return DType::kFloat64;
    const std::int64_t bits = 8 * size_of(in) + 2 * level;
    if (bits <= 16) return is_signed(in) ? DType::kInt16 : DType::kUInt16;
    return bits <= 31 ? DType::kInt32 : DType::kInt64;
}

// ---- sums ----

RowsKernel PyramidTile::rows_kernel(DType from, DType to) const {
    return (from == to ? kernels_.rows[kSumOf] : kernels_.widen[at(from)])[at(work_of(to))];
}

// Sums of two neighbours on `taps` rows, 1 or 2, for from.rows / taps rows of results: `dst` is the
// first of them, in a sheet of halves(from.n).
void PyramidTile::halve_pairs(const Sheet& from, DType to, std::int64_t taps, std::byte* dst) {
    const std::int64_t n = from.n / 2, stride = halves(from.n) * size_of(to);
    if (n == 0) return;
    if (from.dtype == to) {
        WindowArgs w{};
        w.src = from.data, w.dst = dst;
        w.n0 = 1, w.n1 = from.rows / taps, w.n = n;
        w.src_stride1 = taps * from.stride, w.dst_stride1 = stride;
        w.row_stride = from.stride;
        w.rows = taps, w.taps = w.stride = 2;
        kernels_.window[kSumOf][at(work_of(to))](w);
        return;
    }
    NarrowArgs a{};
    a.src = from.data, a.dst = dst;
    a.n0 = 1, a.n1 = from.rows / taps, a.n = n;
    a.src_stride1 = taps * from.stride, a.dst_stride1 = stride;
    a.row_stride = from.stride;
    a.rows = taps, a.taps = 2, a.pairs = true;
    kernels_.narrow[static_cast<int>(Narrow::kSum)][at(from.dtype)](a);
}

// The same of a last column without a neighbour.
void PyramidTile::halve_last(const Sheet& from, DType to, std::int64_t taps, std::byte* dst) {
    if (from.n % 2 == 0) return;
    RowsArgs r{};
    r.src = from.data + (from.n - 1) * size_of(from.dtype);
    r.dst = dst + from.n / 2 * size_of(to);
    r.n0 = 1, r.n1 = from.rows / taps, r.n = 1;
    r.src_stride1 = taps * from.stride, r.dst_stride1 = halves(from.n) * size_of(to);
    r.tap_stride = from.stride;
    r.taps = r.last = taps;
    rows_kernel(from.dtype, to)(r);
}

// The sums of the next level.
Sheet PyramidTile::halved(const Sheet& from, DType to, std::byte* dst) {
    const Sheet result{dst, halves(from.n) * size_of(to), halves(from.rows), halves(from.n), to};
    const bool native = from.dtype == to;
    if (native ? !kernels_.window[kSumOf][at(work_of(to))] : is_float(to))
        return summed(from, 1, to, dst, result.stride);
    Sheet part = from;
    part.rows = from.rows / 2 * 2;
    halve_pairs(part, to, 2, dst);
    halve_last(part, to, 2, dst);
    if (part.rows == from.rows) return result;
    part.data += part.rows * from.stride;
    part.rows = 1;
    dst += (result.rows - 1) * result.stride;
    halve_pairs(part, to, 1, dst);
    halve_last(part, to, 1, dst);
    return result;
}

// All rows of a sheet added, and neighbours on the line after that, `times` times: T of the windows
// in the order of sums. What is missing at the end counts as 0.
void PyramidTile::sum_line(const Sheet& from, int times, DType to, std::byte* dst) {
    RowsArgs r{};
    r.src = from.data, r.dst = line_;
    r.n0 = r.n1 = 1, r.n = from.n;
    r.tap_stride = from.stride;
    r.taps = r.last = from.rows;
    rows_kernel(from.dtype, to)(r);
    std::int64_t n = (from.n + (1 << times) - 1) >> times << times;
    std::memset(line_ + from.n * size_of(to), 0,
                static_cast<std::size_t>((n - from.n) * size_of(to)));
    SlideArgs s{};
    s.src = line_, s.dst = times == 1 ? dst : half_line_;
    s.n0 = s.n1 = 1;
    s.taps = s.stride = 2;
    for (int i = 0; i < times; ++i) {
        s.n = n /= 2;
        kernels_.slide[kSumOf][at(work_of(to))](s);
        s.src = half_line_, s.dst = dst;
    }
}

// The sums of windows of 2^times along both axes, in rows that are `stride` bytes apart.
Sheet PyramidTile::summed(const Sheet& from, int times, DType to, std::byte* dst,
                          std::int64_t stride) {
    const std::int64_t high = std::int64_t(1) << times;
    const auto ceil = [&](std::int64_t n) { return (n + high - 1) >> times; };
    const Sheet result{dst, stride, ceil(from.rows), ceil(from.n), to};
    for (std::int64_t i = 0; i < result.rows; ++i) {
        Sheet band = from;
        band.data += i * high * from.stride;
        band.rows = std::min(high, from.rows - i * high);
        sum_line(band, times, to, dst + i * stride);
    }
    return result;
}

// ---- from sums to levels ----

// Rows that stand for `high` rows of x each.
void PyramidTile::emit_rows(int level, const Sheet& sums, Spot spot, std::int64_t high) {
    const PyramidSpec& spec = plan_.spec;
    const LevelPlane& out = levels_[level - 1];
    const std::int64_t width = plan_.in_shape[plan_.rank - 1], size = size_of(spec.dtype);
    const std::int64_t whole = covered(width, level, spot.column);
    const std::int64_t last = covered(width, level, spot.column + sums.n - 1);
    const Finish how = spec.means ? Finish::kMean : Finish::kSum;
    const FinishKernel finish =
        kernels_.finish[static_cast<int>(how)][at(work_of(sums.dtype))][at(spec.dtype)];
    const bool cut = spec.means && last != whole;
    FinishArgs a{};
    a.dst_stride = size;
    a.rounding = spec.rounding;
    a.sums_fit_double = 8 * size_of(plan_.in_dtype) + 2 * level <= 50;
    a.src = sums.data;
    a.dst = out.data + spot.row * out.stride + spot.column * size;
    a.n = cut ? sums.n - 1 : sums.n;
    a.divisor = high * whole;
    std::int64_t rows = sums.rows;
    const std::int64_t tight = sums.n * size_of(sums.dtype);
    if (!cut && out.stride == sums.n * size && sums.stride == tight) {
        a.n *= rows;
        rows = 1;
    }
    for (; rows > 0; --rows) {
        finish(a);
        if (cut) {
            FinishArgs edge = a;
            edge.src += a.n * size_of(sums.dtype), edge.dst += a.n * size;
            edge.n = 1;
            edge.divisor = high * last;
            finish(edge);
        }
        a.src += sums.stride, a.dst += out.stride;
    }
}

// Sums, the first of which belong to a spot of their level.
void PyramidTile::emit(int level, const Sheet& sums, Spot spot) {
    if (sums.rows == 0 || sums.n == 0) return;
    const std::int64_t height = plan_.in_shape[plan_.rank - 2], below = spot.row + sums.rows - 1;
    const std::int64_t high = covered(height, level, spot.row);
    const std::int64_t last = covered(height, level, below);
    Sheet part = sums;
    part.rows -= last != high ? 1 : 0;
    if (part.rows > 0) emit_rows(level, part, spot, high);
    if (part.rows == sums.rows) return;
    part.data += part.rows * part.stride;
    part.rows = 1;
    emit_rows(level, part, {below, spot.column}, last);
}

// ---- the first levels ----

// Level 1 of narrow integers, whose means are made with the sums where windows are whole.
Sheet PyramidTile::first_sums(const Sheet& x, Spot spot) {
    const DType to = pyramid_sums(x.dtype, 1);
    const Spot at_level = spot.above(1);
    const HalveKernel kernel = kernels_.halve[at(x.dtype)];
    if (!kernel || !plan_.spec.means || plan_.spec.dtype != x.dtype) {
        const Sheet sums = halved(x, to, next_);
        emit(1, sums, at_level);
        return sums;
    }
    const Sheet sums{next_, halves(x.n) * size_of(to), halves(x.rows), halves(x.n), to};
    const LevelPlane& out = levels_[0];
    HalveArgs a{};
    a.src = x.data, a.sums = next_;
    a.means = out.data + at_level.row * out.stride + at_level.column * size_of(x.dtype);
    a.rows = x.rows / 2, a.n = x.n / 2;
    a.src_stride = x.stride, a.sums_stride = sums.stride, a.means_stride = out.stride;
    a.rounding = plan_.spec.rounding;
    if (a.rows > 0 && a.n > 0) kernel(a);
    Sheet edge = x;
    edge.rows = 2 * a.rows;
    halve_last(edge, to, 2, next_);
    edge.data += edge.rows * x.stride;
    edge.rows = x.rows % 2;
    std::byte* dst = next_ + a.rows * sums.stride;
    if (edge.rows > 0) {
        halve_pairs(edge, to, 1, dst);
        halve_last(edge, to, 1, dst);
    }
    const std::byte* right = next_ + a.n * size_of(to);
    emit(1, {right, sums.stride, a.rows, x.n % 2, to}, {at_level.row, at_level.column + a.n});
    emit(1, {dst, sums.stride, edge.rows, sums.n, to}, {at_level.row + a.rows, at_level.column});
    return sums;
}

// Levels 1 and 2 of floats, both from x; the sums of level 2 in double go to `dst`, if anything is
// to be made of them.
void PyramidTile::plain_float_levels(const Sheet& x, Spot spot, std::byte* dst,
                                     std::int64_t stride) {
    if (x.rows == 0 || x.n == 0) return;
    const DType type = sums_of_floats(plan_);
    emit(1, halved(x, type, now_), spot.above(1));
    if (top_ == 1) return;
    const bool wide = type == DType::kFloat64;
    const std::int64_t tight = (x.n + 3) / 4 * size_of(type);
    emit(2, summed(x, 2, type, wide ? dst : now_, wide ? stride : tight), spot.above(2));
    if (plan_.spec.levels > 2 && !wide) summed(x, 2, DType::kFloat64, dst, stride);
}

Sheet PyramidTile::first_float_levels(const Sheet& x, Spot spot) {
    constexpr std::int64_t wide = size_of(DType::kFloat64);
    const std::int64_t size = size_of(x.dtype);
    const Sheet sums{next_, (x.n + 3) / 4 * wide, (x.rows + 3) / 4, (x.n + 3) / 4,
                     DType::kFloat64};
    const QuarterKernel kernel = kernels_.quarter[at(x.dtype)];
    QuarterArgs a{};
    a.rows = x.rows / 4, a.n = x.n / 4;
    if (!kernel || plan_.spec.dtype != x.dtype || top_ < 2 || a.rows == 0 || a.n == 0) {
        plain_float_levels(x, spot, next_, sums.stride);
        return sums;
    }
    const LevelPlane &first = levels_[0], &second = levels_[1];
    const Spot one = spot.above(1), two = spot.above(2);
    a.src = x.data;
    a.first = first.data + one.row * first.stride + one.column * size;
    a.second = second.data + two.row * second.stride + two.column * size;
    a.sums = plan_.spec.levels > 2 ? next_ : nullptr;
    a.src_stride = x.stride, a.first_stride = first.stride, a.second_stride = second.stride;
    a.sums_stride = sums.stride;
    a.means = plan_.spec.means;
    kernel(a);
    Sheet edge = x;
    edge.data += 4 * a.n * size;
    edge.rows = 4 * a.rows, edge.n = x.n % 4;
    plain_float_levels(edge, {spot.row, spot.column + 4 * a.n}, next_ + a.n * wide, sums.stride);
    edge = x;
    edge.data += 4 * a.rows * x.stride;
    edge.rows = x.rows % 4;
    plain_float_levels(edge, {spot.row + 4 * a.rows, spot.column}, next_ + a.rows * sums.stride,
                       sums.stride);
    return sums;
}

Sheet PyramidTile::climb(const Sheet& from, Spot spot) {
    const std::int64_t quarter = halves(from.rows) * halves(from.n) * size_of(DType::kFloat64);
    now_ = scratch_.take(quarter);
    next_ = scratch_.take(quarter);
    line_ = scratch_.take((from.n + 3) * size_of(DType::kFloat64));
    half_line_ = scratch_.take((halves(from.n) + 1) * size_of(DType::kFloat64));
    Sheet now = from;
    int level = start_;
    if (start_ == 0) {
        const bool floats = is_float(plan_.in_dtype);
        now = floats ? first_float_levels(from, spot) : first_sums(from, spot);
        level = floats ? std::min(top_, 2) : 1;
        std::swap(now_, next_);
    }
    for (++level; level <= top_; ++level) {
        now = halved(now, pyramid_sums(plan_.in_dtype, level), next_);
        emit(level, now, spot.above(level - start_));
        std::swap(now_, next_);
    }
    return now;
}

std::int64_t PyramidTile::scratch_bytes(std::int64_t rows, std::int64_t n) {
    constexpr std::int64_t size = size_of(DType::kFloat64);
    return 2 * Scratch::footprint(halves(rows) * halves(n) * size) +
           Scratch::footprint((n + 3) * size) + Scratch::footprint((halves(n) + 1) * size);
}

}  // namespace poolcore
