// What a kernel is called with, and the table that names every kernel of one target.
// Kernels see pointers, sizes and these plain structs; strides are in bytes, pointers may be
// misaligned. Included by the kernels and by the core that calls them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/network_args.hpp"
#include "poolcore/types.hpp"

namespace poolcore {

// Element type inside the kernels. float16 and bfloat16 work as kF32, bool as kU8.
enum class Work : std::uint8_t { kI8, kU8, kI16, kU16, kI32, kU32, kI64, kU64, kF32, kF64 };
inline constexpr int kNumWorks = 10;

constexpr std::int64_t work_size(Work w) {
    constexpr std::int64_t sizes[kNumWorks] = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
    return sizes[static_cast<int>(w)];
}

// How taps become one value. kArgMax carries an index beside each value, in a signed integer of
// the value's width. kMaxOmit and kMinOmit, of floats only: NaN loses against any number.
enum class Combine : std::uint8_t { kMax, kMin, kSum, kArgMax, kMaxOmit, kMinOmit };
inline constexpr int kNumCombines = 6;

// rows: dst[p][q][x] = T over taps of src[p][q][x + j*tap_stride], for p < n0, q < n1, x < n.
// Only the taps [first, last) of a window of `taps` exist and src points at tap `first`; T is the
// canonical tree of docs/numerics.md, missing taps are the identity.
// dst may equal the first or the last source element for element (then tap_stride > 0 for the
// first, and a whole vector past n may be written); otherwise it overlaps no source.
// With `tail` other than 0 the last of 2 to 4 taps, all of which exist, lies so many bytes after src.
// widen takes the same, with elements of the array's type in src; dst overlaps no source.
struct RowsArgs {
    const std::byte* src;
    std::byte* dst;
    const std::byte* src_index;  // kArgMax only
    std::byte* dst_index;
    std::int64_t n0, n1, n;
    std::int64_t src_stride0, src_stride1;
    std::int64_t dst_stride0, dst_stride1;
    std::int64_t tap_stride;
    std::int64_t taps, first, last;
    std::int64_t tail = 0;
};

// slide: dst[p][q][i] = T over j < taps of src[p][q][i*stride + j], i < n; lanes are contiguous
// in src and dst. taps is 1 to 3, and 1 for kArgMax unless the stride is 2. dst overlaps no source.
struct SlideArgs {
    const std::byte* src;
    std::byte* dst;
    const std::byte* src_index;
    std::byte* dst_index;
    std::int64_t n0, n1, n;
    std::int64_t src_stride0, src_stride1;
    std::int64_t dst_stride0, dst_stride1;
    std::int64_t taps, stride;  // elements
};

// window: dst[p][q][i] = T over `rows` rows and `taps` neighbours of src[p][q][r][i*stride + j].
// rows is 1 to 3, taps 2 or 3, stride 1 or 2; the canonical order of docs/numerics.md. dst
// overlaps no source. With `lacks_first` the first window of every line lacks its first tap, which
// is not read; with `lacks_last` the last window its last. Then taps is 3, or 2 with stride 1
// and one of the two only, and means of those windows have divisors of their own.
struct WindowArgs {
    const std::byte* src;
    std::byte* dst;
    std::int64_t n0, n1, n;
    std::int64_t src_stride0, src_stride1;
    std::int64_t dst_stride0, dst_stride1;
    std::int64_t row_stride;  // bytes
    std::int64_t rows, taps, stride;
    bool lacks_first, lacks_last;
    double divisor;  // float sums: the results are means; 0 for none
    double first_divisor, last_divisor;
};

// flat: dst[i] = T over `taps` (2 or 3) taps j of src, the one at i + (j - anchor)*step bytes, i < n;
// anchor is 0 or 1. places[i % period], integers as wide as the elements, say where along the pooled
// axis element i stands; taps outside its [0, size) are the identity, but are read. places holds a
// vector more than a period. Lanes are contiguous; dst overlaps no source.
struct FlatArgs {
    const std::byte* src;
    std::byte* dst;
    const std::byte* places;
    std::int64_t n, period, size;
    std::int64_t step;
    std::int64_t taps, anchor;
    double divisor;  // float sums: the results are means; 0 for none
};

// pick: dst[p][q][i] = src[p][q][i*step], step 1 or 2, of elements of any type of that size; with
// threes every second group of three instead, n a multiple of three. dst is contiguous and overlaps
// no source, behind whose lines two vectors may be read.
struct PickArgs {
    const std::byte* src;
    std::byte* dst;
    std::int64_t n0, n1, n;
    std::int64_t src_stride0, src_stride1;
    std::int64_t step;
    bool threes;
};
inline constexpr int kNumSizes = 4;  // of elements: 1, 2, 4, 8 bytes

// turn: dst[x][r] = src[r][x], r < rows, x < n, of elements of any type of that size; rows of src and
// of dst are contiguous. dst overlaps no source.
struct TurnArgs {
    const std::byte* src;
    std::byte* dst;
    std::int64_t rows, n;
    std::int64_t src_stride, dst_stride;
};

// repeat: lines of src, `copies` times each, every element `times` times in a row and `rest` zeros
// behind them; then `rest_lines` lines of zeros as long. That of n0 planes of n1 lines of n elements
// of any type of that size; dst_stride1 leads from line to line of results, whose elements lie side
// by side, as those of a line of src do. dst overlaps no source.
struct RepeatArgs {
    const std::byte* src;
    std::byte* dst;
    std::int64_t n0, n1, n;
    std::int64_t src_stride0, src_stride1;
    std::int64_t dst_stride0, dst_stride1;
    std::int64_t copies, times;
    std::int64_t rest, rest_lines;
};

// running: dst[w][x] = T over taps w*stride + j, j < taps, of src[t][x]; tap t lies
// (t - first)*tap_stride bytes after src, and outside [first, last) it is the identity. Windows are
// dst_stride bytes apart, x < n side by side. `scratch` holds `taps` vectors, kRunningVectors times
// as many when `wide`. dst overlaps no source.
struct RunningArgs {
    const std::byte* src;
    std::byte* dst;
    std::byte* scratch;
    std::int64_t n, windows, taps, stride, first, last;
    std::int64_t tap_stride, dst_stride;
    bool wide;
};
inline constexpr int kRunningVectors = 4;
inline constexpr std::int64_t kLargestVector = 64;  // bytes, of all targets

// sliding: dst[x] = before[x] + `come` elements coming[x + t*tap_stride] - `go` elements of going,
// x < n, integers modulo the range of the type of dst. Taps are of the array's type; strides in
// bytes. dst overlaps no source.
struct SlidingArgs {
    const std::byte* coming;
    const std::byte* going;
    const std::byte* before;
    std::byte* dst;
    std::int64_t n, come, go, tap_stride;
};

// spans: dst[i] = the sum of src[i + j], j < taps, i < n, integers modulo the range of their type.
// `scratch` holds n + taps elements and two vectors. dst overlaps no source.
struct SpansArgs {
    const std::byte* src;
    std::byte* dst;
    std::byte* scratch;
    std::int64_t n, taps;
};

// planes: dst[p] = T over all elements of src[p][r][x], r < rows, x < n, p < planes; of equal zeros
// the first counts. Strides are positive. For sums rows go first, and what lies between elements may
// be read. dst is contiguous and overlaps no source.
// wide_planes takes the same, with elements of the array's type in src.
struct PlanesArgs {
    const std::byte* src;
    std::byte* dst;
    std::int64_t planes, rows, n;
    std::int64_t plane_stride, row_stride;
};

// What arg_window compares: see arg_ops.inl.hpp.
enum class ArgKind : std::uint8_t {
    kI8, kI16, kI32, kI64,  // bool and unsigned integers, too
    kF32, kF64,
    kF32Omit, kF64Omit,  // NaN loses against everything
    kHalf,               // float16 and bfloat16
};
inline constexpr int kNumArgKinds = 9;

// How bits become keys that are compared as signed integers or floats, the greatest wins.
struct ArgOrder {
    std::int64_t flip;      // the bits (of halves: of the key) that are inverted
    std::int16_t infinity;  // kHalf: magnitudes above are NaN,
    std::int16_t nan_key;   // whose key is this
};

// The taps of a window in row-major order: `rows` places, `offset` bytes after tap 0, with
// `neighbours` taps each side by side. With height > 1 that is the top row of the window only:
// window q is rows [row_first + q*row_step, + height) of the row_count rows, row_stride bytes
// apart, from src on; rows beyond them have no taps, but every window has some. `code` of a place:
// the flat offset from tap 0, code_step what a neighbour adds, row_code what a row adds; in kinds
// of 8 and 16 bits the number of the tap, from which the flat offset is n*step[0] +
// (n*reciprocal[0] >> 16)*step[1] + (n*reciprocal[1] >> 16)*step[2]; in planes reciprocal[1] is 0.
struct ArgTaps {
    const std::int64_t* offset;
    const std::int64_t* code;
    std::int64_t rows, neighbours, code_step;
    std::int64_t height, row_stride, row_code, row_step, row_first, row_count;
    std::int64_t reciprocal[2];
    std::int64_t step[3];
};
inline constexpr std::int64_t kMaxArgTaps = 255;
inline constexpr std::int64_t kMaxArgHeight = 32;

// arg_window: dst[p][q][x] = the best of the window whose tap 0 is src[p][q][x], p < n0, q < n1,
// x < n; index[p][q][x] its flat index as int64, tap 0 of the window being
// base + p*base_stride0 + q*base_stride1 + x*base_step. Steps lead from x to x + 1. With
// neighbours > 1 src_step is two elements. Results overlap no source.
struct ArgWindowArgs {
    const std::byte* src;
    std::byte* dst;
    std::byte* index;
    std::int64_t n0, n1, n;
    std::int64_t src_stride0, src_stride1, src_step;
    std::int64_t dst_stride0, dst_stride1, dst_step;
    std::int64_t index_stride0, index_stride1, index_step;
    std::int64_t base, base_stride0, base_stride1, base_step;
    ArgTaps taps;
    ArgOrder order;
};

// narrow: dst[p][q][i] = result of the T over `rows` rows and `taps` taps, 1 to 3 of each, of
// src[p][q][r][j]: tap j lies j*tap_stride bytes after element i, or, with `pairs`, is element
// 2*i + j of the row (taps 2 or 3). Results lie side by side; dst overlaps no source.
struct NarrowArgs {
    const std::byte* src;
    std::byte* dst;
    std::int64_t n0, n1, n;
    std::int64_t src_stride0, src_stride1;
    std::int64_t dst_stride0, dst_stride1;
    std::int64_t row_stride, tap_stride;  // bytes
    std::int64_t rows, taps;
    bool pairs;
    double divisor;  // kResult: 1 to 9 for integers; for floats at most 2^24, or 0 for sums
    Rounding rounding;
};

// halve: sums[r][i] = the four elements src[2*r .. 2*r+1][2*i .. 2*i+1] added, in the type that
// narrow adds them in, and means[r][i] = a quarter of that, rounded, in their own type; r < rows,
// i < n. Elements of a row lie side by side everywhere; results overlap no source.
struct HalveArgs {
    const std::byte* src;
    std::byte* sums;
    std::byte* means;
    std::int64_t rows, n;
    std::int64_t src_stride, sums_stride, means_stride;
    Rounding rounding;
};

// quarter: of floats, second[r][i] = T over src[4*r .. 4*r+3][4*i .. 4*i+3], and in `first`, which
// has twice as many rows and columns, the same of two by two, as sums or means; and sums[r][i], if
// given, the sums of `second` once more, in double throughout. As halve otherwise.
struct QuarterArgs {
    const std::byte* src;
    std::byte* first;
    std::byte* second;
    std::byte* sums;
    std::int64_t rows, n;
    std::int64_t src_stride, first_stride, second_stride, sums_stride;
    bool means;
};

// What narrow makes of a window: its maximum or minimum or, of its sum, the sum in the work type
// or the result in the type of the source (for integers: a mean).
enum class Narrow : std::uint8_t { kMax, kMin, kSum, kResult };
inline constexpr int kNumNarrows = 4;

// How pack changes a value on its way into the kernels.
enum class Change : std::uint8_t {
    kNone,     // convert to the work type
    kReverse,  // -x for floats, ~x for integers: min becomes max
    kIsNan,    // 1 where x is NaN, otherwise 0
    kLow32,    // the low half of a 64-bit integer, unsigned
    kHigh32,   // its high half, with the integer's sign
    kKey,      // 16-bit floats as integers of the same order; -0 and NaN are reported as special
};
inline constexpr int kNumChanges = 6;

// pack: gathers [n0][n1][n] elements of any strides into contiguous runs of the work type.
struct PackArgs {
    const std::byte* src;
    std::byte* dst;
    std::int64_t n0, n1, n;
    std::int64_t src_stride0, src_stride1, src_stride;
    std::int64_t dst_stride0, dst_stride1;
    bool replace_nan;
    double nan_value;
    bool* special;  // kKey only: set when a value was met that has no key
};

// What finish does with an accumulator.
enum class Finish : std::uint8_t {
    kOrder,         // convert
    kOrderReverse,  // undo kReverse, convert
    kOrderKey,      // undo kKey
    kSum,           // + 0, canonical NaN, convert
    kMean,          // + 0, divide, canonical NaN, convert or round
};
inline constexpr int kNumFinishes = 5;

// finish: dst[x] = result of acc[x], x < n. The divisor of x is divisors[x * count_step] * scale,
// or `divisor` when the table is null; reals are read alike. aux, if given, is the second
// accumulator: the number of NaN taps of a float window (the result is NaN when it equals reals *
// reals_scale > 0, and a mean loses so many from its divisor), or the sum of the low halves of
// 64-bit integers.
struct FinishArgs {
    const std::byte* src;
    std::byte* dst;
    std::int64_t n;
    std::int64_t dst_stride;
    const double* divisors;
    double scale;
    std::int64_t count_step;
    std::int64_t divisor;
    bool divisor_is_fixed;  // divisor_override: NaN taps leave it alone
    const std::byte* aux;   // kF64 counts or kU64 low sums
    const double* reals;
    double reals_scale;
    Rounding rounding;
    bool sums_fit_double;  // integer sums are below 2^50 in magnitude
};

// power: values[x] becomes its power, in place, x < n. Each is divided by `divisor`, less missing[x]
// if given; made |x|, or with `clamps` at least `floor`; raised to exponent + exponent_low, in
// (0, 2^60]. With drop_nan NaN becomes 0. `special`, if given, is set when the power of a positive
// number is above kHugePower or below kTinyPower.
struct PowerArgs {
    std::byte* values;
    std::int64_t n;
    double exponent, exponent_low;
    double divisor;
    double floor;
    bool clamps;
    bool drop_nan;
    const std::byte* missing;
    bool* special;
};
inline constexpr double kHugePower = 0x1p+900;
inline constexpr double kTinyPower = 0x1p-900;

using RowsKernel = void (*)(const RowsArgs&);
using SlideKernel = void (*)(const SlideArgs&);
using WindowKernel = void (*)(const WindowArgs&);
using RunningKernel = void (*)(const RunningArgs&);
using SlidingKernel = void (*)(const SlidingArgs&);
using SpansKernel = void (*)(const SpansArgs&);
using PlanesKernel = void (*)(const PlanesArgs&);
using FlatKernel = void (*)(const FlatArgs&);
using PickKernel = void (*)(const PickArgs&);
using TurnKernel = void (*)(const TurnArgs&);
using RepeatKernel = void (*)(const RepeatArgs&);
using ArgWindowKernel = void (*)(const ArgWindowArgs&);
using NarrowKernel = void (*)(const NarrowArgs&);
using HalveKernel = void (*)(const HalveArgs&);
using QuarterKernel = void (*)(const QuarterArgs&);
using PackKernel = void (*)(const PackArgs&);
using FinishKernel = void (*)(const FinishArgs&);
using PowerKernel = void (*)(const PowerArgs&);

// One constant object per target. A null entry is filled from the next narrower target.
struct KernelTable {
    std::int64_t vector_bytes;  // 0: none
    RowsKernel rows[kNumCombines][kNumWorks];
    RowsKernel widen[kNumDTypes][kNumWorks];  // sums of taps that are of another type
    SlideKernel slide[kNumCombines][kNumWorks];
    WindowKernel window[kNumCombines][kNumWorks];  // null for kArgMax and 64-bit integers
    RunningKernel running[kNumCombines][kNumWorks];  // null for kSum and kArgMax
    SlidingKernel sliding[kNumDTypes][kNumWorks];  // integers: as widen, and to the same type
    SpansKernel spans[kNumSizes];                  // by the logarithm of the element's size
    PlanesKernel planes[kNumCombines][kNumWorks];  // null for kArgMax
    PlanesKernel wide_planes[kNumDTypes][kNumWorks];  // sums of elements that are of another type
    FlatKernel flat[kNumCombines][kNumWorks];      // as window
    PickKernel pick[kNumSizes];                    // by the logarithm of the element's size
    TurnKernel turn[kNumSizes];
    RepeatKernel repeat[kNumSizes];
    ArgWindowKernel arg_window[kNumArgKinds];
    NarrowKernel narrow[kNumNarrows][kNumDTypes];  // null where a type is wide enough
    HalveKernel halve[kNumDTypes];      // of 8 and 16 bits
    QuarterKernel quarter[kNumDTypes];  // kFloat32, kFloat64
    PackKernel pack[kNumChanges][kNumDTypes][kNumWorks];
    FinishKernel finish[kNumFinishes][kNumWorks][kNumDTypes];
    PowerKernel power[kNumWorks];  // kF64; kF32: magnitudes alone
    KeysKernel keys[2][kNumSizes];  // of integers and of floats, by the logarithm of the size
    ExchangesKernel exchanges[kNumSizes];
    RankKernel rank[2][kNumSizes];
};

extern const KernelTable kScalarTable;
extern const KernelTable kV2Table;
extern const KernelTable kV3Table;
extern const KernelTable kV4Table;
extern const KernelTable kNeonTable;

}  // namespace poolcore
