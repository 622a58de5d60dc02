// What the kernels that find medians are called with; see kernel_table.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace poolcore {

// How elements become keys, integers as wide that order as the values do: floats with the bits of a
// negative number reversed below its sign, integers with the bits of `flip` inverted.
struct KeyOrder {
    std::int64_t flip;
    std::int64_t infinity;  // floats: the key of +infinity
};

// keys: dst[p*n1 + q][x] = key of src[p][q][x], p < n0, q < n1, x < n; rows of dst are contiguous,
// dst_stride apart. `nan` is set when a NaN was met. dst overlaps no source.
struct KeysArgs {
    const std::byte* src;
    std::byte* dst;
    std::int64_t n0, n1, n;
    std::int64_t src_stride0, src_stride1, src_step;
    std::int64_t dst_stride;
    KeyOrder order;
    bool* nan;
};

// exchanges: step after step the lesser and the greater of the keys at a and b, `n` + extra bytes
// of them, to low and high; all are offsets into the scratch, and a negative one means that the
// result is not wanted. Whole vectors are read and written, so rows are a vector longer. low and
// high may begin where a or b does, or before it in the same row.
struct ExchangeStep {
    std::int32_t a, b, low, high, extra;
};
struct ExchangesArgs {
    std::byte* scratch;
    const ExchangeStep* step;
    std::int64_t steps, n;
};

// rank: dst = the least of all terms, `n` bytes; a term is the greater of the keys at a and b,
// offsets into the scratch. Whole vectors are read and written. With `decodes` keys become elements
// again, -0.0 becoming +0.0. dst overlaps nothing that is read.
struct RankStep {
    std::int32_t a, b;
};
struct RankArgs {
    const std::byte* scratch;
    std::byte* dst;
    const RankStep* term;
    std::int64_t terms, n;
    KeyOrder order;
    bool decodes;
};

using KeysKernel = void (*)(const KeysArgs&);
using ExchangesKernel = void (*)(const ExchangesArgs&);
using RankKernel = void (*)(const RankArgs&);

}  // namespace poolcore
