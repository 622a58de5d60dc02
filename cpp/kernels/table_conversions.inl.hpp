// The part of a table between the array's types and the kernels' own: packing, widening, finishing.
#pragma once

#include <type_traits>

#include "kernels/finish.inl.hpp"
#include "kernels/pack.inl.hpp"
#include "kernels/planes.inl.hpp"
#include "kernels/powers.inl.hpp"
#include "kernels/rows.inl.hpp"
#include "kernels/table_types.hpp"
#include "kernels/totals.inl.hpp"

namespace poolcore {
namespace {

template <DType D, class W>
constexpr void add_pack(KernelTable& t) {
    using T = typename ElementOf<D>::type;
    constexpr int w = work_of<W>();
    t.pack[at(Change::kNone)][at(D)][w] = pack<T, W, Change::kNone>;
}

template <DType D, class W>
constexpr void add_reverse(KernelTable& t) {
    using T = typename ElementOf<D>::type;
    t.pack[at(Change::kReverse)][at(D)][work_of<W>()] = pack<T, W, Change::kReverse>;
    add_pack<D, W>(t);
}

template <DType D, class... Works>
constexpr void add_sliding(KernelTable& t) {
    using T = typename ElementOf<D>::type;
    ((t.sliding[at(D)][work_of<Works>()] = sliding<Works, T>), ...);
}

template <DType D, class... Works>
constexpr void add_widen(KernelTable& t) {
    using T = typename ElementOf<D>::type;
    ((t.widen[at(D)][work_of<Works>()] = rows_any<SumOp<Works>, T>), ...);
    ((t.wide_planes[at(D)][work_of<Works>()] = planes<SumOp<Works>, T>), ...);
}

template <DType D, class... Works>
constexpr void add_integer_widen(KernelTable& t) {
    add_widen<D, Works...>(t);
    add_sliding<D, Works...>(t);
}

constexpr void add_widens(KernelTable& t) {
    using std::int16_t;
    using std::int32_t;
    using std::int64_t;
    using std::uint16_t;
    add_integer_widen<DType::kBool, uint16_t, int32_t, int64_t>(t);
    add_integer_widen<DType::kUInt8, uint16_t, int32_t, int64_t>(t);
    add_integer_widen<DType::kInt8, int16_t, int32_t, int64_t>(t);
    add_integer_widen<DType::kInt16, int32_t, int64_t>(t);
    add_integer_widen<DType::kUInt16, int32_t, int64_t>(t);
    add_integer_widen<DType::kInt32, int64_t>(t);
    add_integer_widen<DType::kUInt32, int64_t>(t);
    add_widen<DType::kInt32, double>(t);
    add_widen<DType::kUInt32, double>(t);
    add_widen<DType::kInt64, double>(t);
    add_widen<DType::kUInt64, double>(t);
    add_widen<DType::kFloat16, float, double>(t);
    add_widen<DType::kBFloat16, float, double>(t);
    add_widen<DType::kFloat32, double>(t);
}

constexpr void add_totals(KernelTable& t) {
    add_sliding<DType::kInt16, std::int16_t>(t);
    add_sliding<DType::kUInt16, std::uint16_t>(t);
    add_sliding<DType::kInt32, std::int32_t>(t);
    add_sliding<DType::kInt64, std::int64_t>(t);
    add_sliding<DType::kUInt64, std::uint64_t>(t);
    t.spans[1] = spans<std::uint16_t>;
    t.spans[2] = spans<std::uint32_t>;
    t.spans[3] = spans<std::uint64_t>;
}

// What integers of type D are packed as: themselves, 32 bits for indices and short sums, 64.
template <DType D, class Narrow>
constexpr void add_integer_packs(KernelTable& t) {
    using T = typename ElementOf<D>::type;
    using Wide = std::int64_t;
    add_pack<D, T>(t);
    add_reverse<D, Narrow>(t);
    add_reverse<D, Wide>(t);
}

template <DType D>
constexpr void add_float_packs(KernelTable& t) {
    using T = typename ElementOf<D>::type;
    if constexpr (D != DType::kFloat64) add_reverse<D, float>(t);
    add_reverse<D, double>(t);
    t.pack[at(Change::kIsNan)][at(D)][static_cast<int>(Work::kF64)] =
        pack<T, double, Change::kIsNan>;
}

template <DType D>
constexpr void add_half_packs(KernelTable& t) {
    using T = typename ElementOf<D>::type;
    t.pack[at(Change::kLow32)][at(D)][static_cast<int>(Work::kU64)] =
        pack<T, std::uint64_t, Change::kLow32>;
    t.pack[at(Change::kHigh32)][at(D)][static_cast<int>(Work::kI64)] =
        pack<T, std::int64_t, Change::kHigh32>;
}

// Powers of integers are float64.
template <DType... D>
constexpr void add_power_packs(KernelTable& t) {
    (add_pack<D, double>(t), ...);
}

constexpr void add_powers(KernelTable& t) {
    t.power[static_cast<int>(Work::kF32)] = magnitudes;
    t.power[static_cast<int>(Work::kF64)] = power;
    add_power_packs<DType::kBool, DType::kInt8, DType::kUInt8, DType::kInt16, DType::kUInt16,
                    DType::kInt32, DType::kUInt32, DType::kInt64, DType::kUInt64>(t);
}

constexpr void add_packs(KernelTable& t) {
    add_pack<DType::kBool, std::uint16_t>(t);
    add_pack<DType::kUInt8, std::uint16_t>(t);
    add_pack<DType::kInt8, std::int16_t>(t);
    constexpr int key = static_cast<int>(Work::kI16);
    t.pack[at(Change::kKey)][at(DType::kFloat16)][key] = pack_keys<0x7c00>;
    t.pack[at(Change::kKey)][at(DType::kBFloat16)][key] = pack_keys<0x7f80>;
    t.finish[at(Finish::kOrderKey)][key][at(DType::kFloat16)] = finish_keys<0x7c00>;
    t.finish[at(Finish::kOrderKey)][key][at(DType::kBFloat16)] = finish_keys<0x7f80>;
    add_integer_packs<DType::kBool, std::int32_t>(t);
    add_integer_packs<DType::kInt8, std::int32_t>(t);
    add_integer_packs<DType::kUInt8, std::int32_t>(t);
    add_integer_packs<DType::kInt16, std::int32_t>(t);
    add_integer_packs<DType::kUInt16, std::int32_t>(t);
    add_integer_packs<DType::kInt32, std::int32_t>(t);
    add_integer_packs<DType::kUInt32, std::uint32_t>(t);
    add_pack<DType::kInt32, double>(t);
    add_pack<DType::kUInt32, double>(t);
    add_pack<DType::kInt64, double>(t);
    add_pack<DType::kUInt64, double>(t);
    add_reverse<DType::kInt64, std::int64_t>(t);
    add_reverse<DType::kUInt64, std::uint64_t>(t);
    add_half_packs<DType::kInt64>(t);
    add_half_packs<DType::kUInt64>(t);
    add_float_packs<DType::kFloat16>(t);
    add_float_packs<DType::kBFloat16>(t);
    add_float_packs<DType::kFloat32>(t);
    add_float_packs<DType::kFloat64>(t);
}

template <class A, DType D>
constexpr void add_finish(KernelTable& t) {
    using Out = typename ElementOf<D>::type;
    constexpr int w = work_of<A>();
    t.finish[at(Finish::kSum)][w][at(D)] = finish_sum<A, Out>;
    if constexpr (kIsFloat<A>) {
        t.finish[at(Finish::kMean)][w][at(D)] = finish_float_mean<A, Out>;
    } else {
        t.finish[at(Finish::kMean)][w][at(D)] = finish_int_mean<A, Out>;
    }
}

template <class A, DType D>
constexpr void add_order_finish(KernelTable& t) {
    using Element = typename ElementOf<D>::type;
    using Out = std::conditional_t<D == DType::kBool, Bool, Element>;
    constexpr int w = work_of<A>();
    t.finish[at(Finish::kOrder)][w][at(D)] = finish_order<A, Out, false>;
    t.finish[at(Finish::kOrderReverse)][w][at(D)] = finish_order<A, Out, true>;
}

template <class A>
constexpr void add_float_finishes(KernelTable& t) {
    add_finish<A, DType::kFloat16>(t);
    add_finish<A, DType::kBFloat16>(t);
    add_finish<A, DType::kFloat32>(t);
    add_finish<A, DType::kFloat64>(t);
}

template <class A>
constexpr void add_integer_finishes(KernelTable& t) {
    add_float_finishes<A>(t);
    add_finish<A, DType::kInt8>(t);
    add_finish<A, DType::kUInt8>(t);
    add_finish<A, DType::kInt16>(t);
    add_finish<A, DType::kUInt16>(t);
    add_finish<A, DType::kInt32>(t);
    add_finish<A, DType::kUInt32>(t);
    add_finish<A, DType::kInt64>(t);
    add_finish<A, DType::kUInt64>(t);
}

// Orders come back in the type they had; with indices small types were widened, to 32 bits or,
// in planes of 2^31 elements and more, to 64.
constexpr void add_order_finishes(KernelTable& t) {
    add_order_finish<std::uint8_t, DType::kBool>(t);
    add_order_finish<std::int8_t, DType::kInt8>(t);
    add_order_finish<std::uint8_t, DType::kUInt8>(t);
    add_order_finish<std::int16_t, DType::kInt16>(t);
    add_order_finish<std::uint16_t, DType::kUInt16>(t);
    add_order_finish<std::int32_t, DType::kBool>(t);
    add_order_finish<std::int32_t, DType::kInt8>(t);
    add_order_finish<std::int32_t, DType::kUInt8>(t);
    add_order_finish<std::int32_t, DType::kInt16>(t);
    add_order_finish<std::int32_t, DType::kUInt16>(t);
    add_order_finish<std::int32_t, DType::kInt32>(t);
    add_order_finish<std::uint32_t, DType::kUInt32>(t);
    add_order_finish<std::int64_t, DType::kInt64>(t);
    add_order_finish<std::uint64_t, DType::kUInt64>(t);
    add_order_finish<std::int64_t, DType::kBool>(t);
    add_order_finish<std::int64_t, DType::kInt8>(t);
    add_order_finish<std::int64_t, DType::kUInt8>(t);
    add_order_finish<std::int64_t, DType::kInt16>(t);
    add_order_finish<std::int64_t, DType::kUInt16>(t);
    add_order_finish<std::int64_t, DType::kInt32>(t);
    add_order_finish<std::int64_t, DType::kUInt32>(t);
    add_order_finish<double, DType::kFloat16>(t);
    add_order_finish<double, DType::kBFloat16>(t);
    add_order_finish<double, DType::kFloat32>(t);
    add_order_finish<float, DType::kFloat16>(t);
    add_order_finish<float, DType::kBFloat16>(t);
    add_order_finish<float, DType::kFloat32>(t);
    add_order_finish<double, DType::kFloat64>(t);
}

}  // namespace
}  // namespace poolcore
