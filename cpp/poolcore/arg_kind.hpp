// What arg_window is for: which windows it takes, and how elements of a type are compared there,
// as bits: what is the least, what is NaN.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.hpp"
#include "poolcore/schedule.hpp"

namespace poolcore {

bool is_half(DType t);
std::uint64_t infinity_bits(DType t);
std::uint64_t sign_bit(DType t);

// The bits of what a window without elements gives.
std::uint64_t identity_bits(DType t, Op op);

ArgOrder order_of(const PoolSpec& spec, DType t);
ArgKind kind_of(const PoolSpec& spec, DType t);

// Fewer lanes than this are worth less than the windows of another axis gathered.
inline constexpr std::int64_t kFewLanes = 8;

// Whether the windows have few enough taps, near enough to each other.
bool takes_arg_window(const Schedule& s);

// Whether the kernel can go down the rows of kB and make the best of a row once for all windows.
bool can_share_rows(const Schedule& s);

}  // namespace poolcore
