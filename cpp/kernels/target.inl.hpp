// The body of every target_*.cpp: fills one KernelTable from the kernel templates.
// The including file defines POOLCORE_VECTOR_BYTES and POOLCORE_TABLE first.
#pragma once

#include <type_traits>

#include "kernels/arg_window.inl.hpp"
#include "kernels/extremes.inl.hpp"
#include "kernels/finish.inl.hpp"
#include "kernels/flat.inl.hpp"
#include "kernels/narrow.inl.hpp"
#include "kernels/pack.inl.hpp"
#include "kernels/planes.inl.hpp"
#include "kernels/powers.inl.hpp"
#include "kernels/running.inl.hpp"
#include "kernels/rows.inl.hpp"
#include "kernels/slide.inl.hpp"
#include "kernels/turn.inl.hpp"
#include "kernels/window.inl.hpp"

namespace poolcore {
namespace {

template <DType D>
struct ElementOf;
#define POOLCORE_ELEMENT(D, T)       \
    template <>                      \
    struct ElementOf<DType::D> {     \
        using type = T;              \
    };
POOLCORE_ELEMENT(kBool, std::uint8_t)
POOLCORE_ELEMENT(kInt8, std::int8_t)
POOLCORE_ELEMENT(kUInt8, std::uint8_t)
POOLCORE_ELEMENT(kInt16, std::int16_t)
POOLCORE_ELEMENT(kUInt16, std::uint16_t)
POOLCORE_ELEMENT(kInt32, std::int32_t)
POOLCORE_ELEMENT(kUInt32, std::uint32_t)
POOLCORE_ELEMENT(kInt64, std::int64_t)
POOLCORE_ELEMENT(kUInt64, std::uint64_t)
POOLCORE_ELEMENT(kFloat16, Float16)
POOLCORE_ELEMENT(kBFloat16, BFloat16)
POOLCORE_ELEMENT(kFloat32, float)
POOLCORE_ELEMENT(kFloat64, double)
#undef POOLCORE_ELEMENT

template <class T>
constexpr int work_of() {
    constexpr bool is_unsigned = static_cast<T>(-1) > T(0);
    if (kIsFloat<T>) return static_cast<int>(sizeof(T) == 4 ? Work::kF32 : Work::kF64);
    const int log2 = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return 2 * log2 + (is_unsigned ? 1 : 0);
}

template <class Enum>
constexpr int at(Enum e) {
    return static_cast<int>(e);
}

// Integers of 64 bits are rare: they take two kernels.
template <class T>
inline constexpr bool kHasWindow = kIsFloat<T> || sizeof(T) < 8;

template <class T>
constexpr void add_order(KernelTable& t) {
    constexpr int w = work_of<T>();
    t.rows[at(Combine::kMax)][w] = rows<MaxOp<T>>;
    t.rows[at(Combine::kMin)][w] = rows<MinOp<T>>;
    t.slide[at(Combine::kMax)][w] = slide<MaxOp<T>>;
    if constexpr (kHasWindow<T>) t.window[at(Combine::kMax)][w] = window<MaxOp<T>>;
    if constexpr (kHasWindow<T>) t.flat[at(Combine::kMax)][w] = flat<MaxOp<T>>;
    t.planes[at(Combine::kMax)][w] = extremes<MaxOp<T>>;
    t.planes[at(Combine::kMin)][w] = extremes<MinOp<T>>;
    t.running[at(Combine::kMax)][w] = running<MaxOp<T>>;
    if constexpr (kHasWindow<T>) t.window[at(Combine::kMin)][w] = window<MinOp<T>>;
    if constexpr (kHasWindow<T>) t.flat[at(Combine::kMin)][w] = flat<MinOp<T>>;
    t.running[at(Combine::kMin)][w] = running<MinOp<T>>;
    t.slide[at(Combine::kMin)][w] = slide<MinOp<T>>;
}

template <class T>
constexpr void add_omit(KernelTable& t) {
    constexpr int w = work_of<T>();
    t.rows[at(Combine::kMaxOmit)][w] = rows<OmitOp<T, true>>;
    t.rows[at(Combine::kMinOmit)][w] = rows<OmitOp<T, false>>;
    t.slide[at(Combine::kMaxOmit)][w] = slide<OmitOp<T, true>>;
    t.slide[at(Combine::kMinOmit)][w] = slide<OmitOp<T, false>>;
    t.window[at(Combine::kMaxOmit)][w] = window<OmitOp<T, true>>;
    t.flat[at(Combine::kMaxOmit)][w] = flat<OmitOp<T, true>>;
    t.planes[at(Combine::kMaxOmit)][w] = extremes<OmitOp<T, true>>;
    t.planes[at(Combine::kMinOmit)][w] = extremes<OmitOp<T, false>>;
    t.running[at(Combine::kMaxOmit)][w] = running<OmitOp<T, true>>;
    t.window[at(Combine::kMinOmit)][w] = window<OmitOp<T, false>>;
    t.flat[at(Combine::kMinOmit)][w] = flat<OmitOp<T, false>>;
    t.running[at(Combine::kMinOmit)][w] = running<OmitOp<T, false>>;
}

template <class T>
constexpr void add_sum(KernelTable& t) {
    constexpr int w = work_of<T>();
    t.rows[at(Combine::kSum)][w] = rows<SumOp<T>>;
    t.slide[at(Combine::kSum)][w] = slide<SumOp<T>>;
    if constexpr (kHasWindow<T>) t.window[at(Combine::kSum)][w] = window<SumOp<T>>;
    if constexpr (kHasWindow<T>) t.flat[at(Combine::kSum)][w] = flat<SumOp<T>>;
    t.planes[at(Combine::kSum)][w] = planes<SumOp<T>>;
}

template <class... T>
constexpr void add_sums(KernelTable& t) {
    (add_sum<T>(t), ...);
}

template <class T>
constexpr void add_arg(KernelTable& t) {
    constexpr int w = work_of<T>();
    t.rows[at(Combine::kArgMax)][w] = arg_rows<T>;
    t.slide[at(Combine::kArgMax)][w] = arg_slide<T>;
}

constexpr void add_arg_windows(KernelTable& t) {
    const auto add = [&t](ArgKind kind, ArgWindowKernel kernel) {
        t.arg_window[static_cast<int>(kind)] = kernel;
    };
    add(ArgKind::kI8, arg_window<ArgInt<std::int8_t>>);
    add(ArgKind::kI16, arg_window<ArgInt<std::int16_t>>);
    add(ArgKind::kI32, arg_window<ArgInt<std::int32_t>>);
    add(ArgKind::kI64, arg_window<ArgInt<std::int64_t>>);
    add(ArgKind::kF32, arg_window<ArgFloat<float, false>>);
    add(ArgKind::kF64, arg_window<ArgFloat<double, false>>);
    add(ArgKind::kF32Omit, arg_window<ArgFloat<float, true>>);
    add(ArgKind::kF64Omit, arg_window<ArgFloat<double, true>>);
    add(ArgKind::kHalf, arg_window<ArgHalf>);
}

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
constexpr void add_widen(KernelTable& t) {
    using T = typename ElementOf<D>::type;
    ((t.widen[at(D)][work_of<Works>()] = rows_any<SumOp<Works>, T>), ...);
}

constexpr void add_widens(KernelTable& t) {
    using std::int16_t;
    using std::int32_t;
    using std::int64_t;
    using std::uint16_t;
    add_widen<DType::kBool, uint16_t, int32_t, int64_t>(t);
    add_widen<DType::kUInt8, uint16_t, int32_t, int64_t>(t);
    add_widen<DType::kInt8, int16_t, int32_t, int64_t>(t);
    add_widen<DType::kInt16, int32_t, int64_t>(t);
    add_widen<DType::kUInt16, int32_t, int64_t>(t);
    add_widen<DType::kInt32, int64_t, double>(t);
    add_widen<DType::kUInt32, int64_t, double>(t);
    add_widen<DType::kInt64, double>(t);
    add_widen<DType::kUInt64, double>(t);
    add_widen<DType::kFloat16, float, double>(t);
    add_widen<DType::kBFloat16, float, double>(t);
    add_widen<DType::kFloat32, double>(t);
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

template <DType D>
constexpr void add_narrow_sum(KernelTable& t) {
    using E = typename ElementOf<D>::type;
    using Sum = SumOp<typename Widened<E>::Sum>;
    t.narrow[at(Narrow::kSum)][at(D)] = narrow<Sum, E, KeepSum<E>>;
    if constexpr (kIsHalf<E>) {
        t.narrow[at(Narrow::kMax)][at(D)] = narrow<MaxOp<float>, E, KeepHalf<E>>;
        t.narrow[at(Narrow::kMin)][at(D)] = narrow<MinOp<float>, E, KeepHalf<E>>;
        t.narrow[at(Narrow::kResult)][at(D)] = narrow<Sum, E, FinishHalf<E>>;
    } else if constexpr (D != DType::kBool && sizeof(E) == 1) {
        t.narrow[at(Narrow::kResult)][at(D)] = narrow<Sum, E, ByteMean<E>>;
    } else if constexpr (sizeof(E) == 2) {
        t.narrow[at(Narrow::kResult)][at(D)] = narrow<Sum, E, ShortMean<E>>;
    }
}

constexpr void add_narrows(KernelTable& t) {
    add_narrow_sum<DType::kInt8>(t);
    add_narrow_sum<DType::kUInt8>(t);
    add_narrow_sum<DType::kInt16>(t);
    add_narrow_sum<DType::kUInt16>(t);
    add_narrow_sum<DType::kInt32>(t);
    add_narrow_sum<DType::kUInt32>(t);
    add_narrow_sum<DType::kFloat16>(t);
    add_narrow_sum<DType::kBFloat16>(t);
    t.narrow[at(Narrow::kSum)][at(DType::kBool)] = t.narrow[at(Narrow::kSum)][at(DType::kUInt8)];
}

template <class... T>
constexpr void add_moves(KernelTable& t) {
    int size = 0;
    ((t.pick[size] = pick<T>, t.turn[size++] = turn<T>), ...);
}

constexpr KernelTable make_table() {
    KernelTable t{};
    t.vector_bytes = POOLCORE_VECTOR_BYTES;
    add_narrows(t);
    add_moves<std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t>(t);
    add_order<std::int8_t>(t);
    add_order<std::uint8_t>(t);
    add_order<std::int16_t>(t);
    add_order<std::uint16_t>(t);
    add_order<std::int32_t>(t);
    add_order<std::uint32_t>(t);
    add_order<std::int64_t>(t);
    add_order<std::uint64_t>(t);
    add_order<float>(t);
    add_order<double>(t);
    add_omit<float>(t);
    add_omit<double>(t);
    add_sums<std::int16_t, std::uint16_t, std::int32_t, std::int64_t, std::uint64_t>(t);
    add_sums<float, double>(t);
    add_arg<std::int32_t>(t);
    add_arg<std::uint32_t>(t);
    add_arg<std::int64_t>(t);
    add_arg<std::uint64_t>(t);
    add_arg<float>(t);
    add_arg<double>(t);
    add_arg_windows(t);
    add_packs(t);
    add_powers(t);
    add_widens(t);
    add_integer_finishes<std::int16_t>(t);
    add_integer_finishes<std::uint16_t>(t);
    add_integer_finishes<std::int32_t>(t);
    add_integer_finishes<std::int64_t>(t);
    add_integer_finishes<std::uint64_t>(t);
    add_float_finishes<float>(t);
    add_float_finishes<double>(t);
    add_order_finishes(t);
    return t;
}

}  // namespace

extern const KernelTable POOLCORE_TABLE;
constexpr KernelTable POOLCORE_TABLE = make_table();

}  // namespace poolcore
