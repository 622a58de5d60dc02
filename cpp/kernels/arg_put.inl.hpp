// How arg_window writes results: values as they are, codes of taps turned into flat indices.
#pragma once

#include "kernels/arg_ops.inl.hpp"

namespace poolcore {
namespace {

// Out of line: results that do not lie side by side are rare.
template <class T>
[[gnu::noinline]] void scatter(const std::byte* from, std::byte* to, std::int64_t step, int n) {
#pragma GCC unroll 1
    for (int i = 0; i < n; ++i) store(to + i * step, load<T>(from + i * std::int64_t(sizeof(T))));
}

template <class V, int... I>
[[gnu::always_inline]] inline V iota(Indices<I...>) {
    return V{I...};
}

// The index of lane i of a vector is that of lane 0 plus ramp[i].
template <int N>
inline constexpr int kIndexLanes = N < kLanes<std::int64_t> ? N : kLanes<std::int64_t>;

template <int N>
[[gnu::always_inline]] inline auto index_ramp(const ArgWindowArgs& a) {
    using Ramp = Vec<std::int64_t, kIndexLanes<N>>;
    if constexpr (N == 1) {
        return Ramp{0};
    } else {
        return iota<Ramp>(typename CountTo<kIndexLanes<N>>::type{}) * a.base_step;
    }
}

// Tap numbers to flat offsets: numbers below 256 are divided by multiplication.
template <class Bits, int N>
[[gnu::always_inline]] inline void decode(const ArgTaps& t, const std::byte* from,
                                          std::byte* to) {
    using U = Unsigned<Bits>;
    using W = std::uint32_t;
    constexpr int lanes = N < kLanes<W> ? N : kLanes<W>;
    const auto step = [&t](int i) { return splat<W, lanes>(static_cast<W>(t.step[i])); };
    const auto per = [&t](int i) { return splat<W, lanes>(static_cast<W>(t.reciprocal[i])); };
    for (int x = 0; x < N; x += lanes) {
        const auto tap = converted<W, lanes>(load<Vec<U, lanes>>(from + x * int(sizeof(U))));
        auto flat = tap * step(0) + ((tap * per(0)) >> 16) * step(1);
        if (t.reciprocal[1] != 0) flat += ((tap * per(1)) >> 16) * step(2);
        store(to + x * int(sizeof(W)), flat);
    }
}

template <class Bits, int N>
[[gnu::always_inline]] inline void put_indices(const ArgWindowArgs& a, Vec<Bits, N> where,
                                               Vec<std::int64_t, kIndexLanes<N>> ramp,
                                               std::byte* index, std::int64_t base) {
    using Wide = typename IntOf<sizeof(Bits) == 8 ? 8 : 4>::type;
    constexpr int lanes = kIndexLanes<N>;
    alignas(64) std::byte buffer[N * sizeof(Wide)];
    if constexpr (sizeof(Bits) >= 4) {
        store(buffer, where);
    } else {
        alignas(64) std::byte numbers[N * sizeof(Bits)];
        store(numbers, where);
        decode<Bits, N>(a.taps, numbers, buffer);
    }
    const bool side_by_side = a.index_step == 8;
    alignas(64) std::byte apart[N * 8];
    std::byte* to = side_by_side ? index : apart;
    for (int x = 0; x < N; x += lanes) {
        const auto offset = converted<std::int64_t, lanes>(
            load<Vec<Wide, lanes>>(buffer + x * int(sizeof(Wide))));
        store(to + x * 8, offset + ramp + splat<std::int64_t, lanes>(base + x * a.base_step));
    }
    if (!side_by_side) scatter<std::int64_t>(apart, index, a.index_step, N);
}

// Where one line of windows is read and written.
struct ArgLine {
    const std::byte* src;
    std::byte* dst;
    std::byte* index;
    std::int64_t base;
};

template <class P, int N>
[[gnu::always_inline]] inline void put(const ArgWindowArgs& a, const Best<P, N>& best,
                                       Vec<std::int64_t, kIndexLanes<N>> ramp,
                                       const ArgLine& line, std::int64_t x) {
    using Bits = typename P::Bits;
    constexpr std::int64_t size = sizeof(Bits);
    const auto value = P::template value<N>(best, a.order);
    if (a.dst_step == size) {
        store(line.dst + x * size, value);
    } else {
        alignas(64) std::byte apart[N * sizeof(Bits)];
        store(apart, value);
        scatter<Bits>(apart, line.dst + x * a.dst_step, a.dst_step, N);
    }
    put_indices<Bits, N>(a, best.where, ramp, line.index + x * a.index_step,
                         line.base + x * a.base_step);
}

}  // namespace
}  // namespace poolcore
