// The body of every target_*.cpp: fills one KernelTable from the kernel templates.
// The including file defines POOLCORE_VECTOR_BYTES and POOLCORE_TABLE first.
#pragma once

#include <type_traits>

#include "kernels/arg_window.inl.hpp"
#include "kernels/extremes.inl.hpp"
#include "kernels/flat.inl.hpp"
#include "kernels/halve.inl.hpp"
#include "kernels/narrow.inl.hpp"
#include "kernels/network.inl.hpp"
#include "kernels/planes.inl.hpp"
#include "kernels/repeat.inl.hpp"
#include "kernels/running.inl.hpp"
#include "kernels/rows.inl.hpp"
#include "kernels/slide.inl.hpp"
#include "kernels/table_conversions.inl.hpp"
#include "kernels/turn.inl.hpp"
#include "kernels/window.inl.hpp"

namespace poolcore {
namespace {

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
    t.planes[at(Combine::kSum)][w] = planes<SumOp<T>, T>;
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

template <DType... D>
constexpr void add_halves(KernelTable& t) {
    ((t.halve[at(D)] = halve<typename ElementOf<D>::type>), ...);
    t.quarter[at(DType::kFloat32)] = quarter<float>;
    t.quarter[at(DType::kFloat64)] = quarter<double>;
}

template <class... T>
constexpr void add_moves(KernelTable& t) {
    int size = 0;
    ((t.pick[size] = pick<T>, t.repeat[size] = repeat<T>, t.turn[size++] = turn<T>), ...);
}

// Keys of floats are signed.
template <int Size, class T>
constexpr void add_network(KernelTable& t) {
    t.keys[0][Size] = keys<T, false>;
    t.exchanges[Size] = exchanges<T>;
    t.rank[0][Size] = rank<T, false>;
    if constexpr (Size > 0) t.keys[1][Size] = keys<T, true>;
    if constexpr (Size > 0) t.rank[1][Size] = rank<T, true>;
}

constexpr void add_networks(KernelTable& t) {
    add_network<0, std::uint8_t>(t);
    add_network<1, std::int16_t>(t);
    add_network<2, std::int32_t>(t);
    add_network<3, std::int64_t>(t);
}

constexpr KernelTable make_table() {
    KernelTable t{};
    t.vector_bytes = POOLCORE_VECTOR_BYTES;
    add_narrows(t);
    add_halves<DType::kInt8, DType::kUInt8, DType::kInt16, DType::kUInt16>(t);
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
    add_totals(t);
    add_integer_finishes<std::int16_t>(t);
    add_integer_finishes<std::uint16_t>(t);
    add_integer_finishes<std::int32_t>(t);
    add_integer_finishes<std::int64_t>(t);
    add_integer_finishes<std::uint64_t>(t);
    add_float_finishes<float>(t);
    add_float_finishes<double>(t);
    add_order_finishes(t);
    add_networks(t);
    return t;
}

}  // namespace

extern const KernelTable POOLCORE_TABLE;
constexpr KernelTable POOLCORE_TABLE = make_table();

}  // namespace poolcore
