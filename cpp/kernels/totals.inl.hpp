// Sums of integers over long windows, in time that does not depend on the window: exact modulo the
// range of the type, so what comes may be added and what goes taken away. See SlidingArgs and
// SpansArgs for the contracts.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"
#include "kernels/pack.inl.hpp"

namespace poolcore {
namespace {

template <class T, class From>
void sliding(const SlidingArgs& args) {
    const SlidingArgs a = args;
    constexpr std::int64_t size = sizeof(T), from = sizeof(From);
    in_vectors<kLanes<T>>(a.n, [&]<int N>(std::int64_t x) {
        using U = Vec<Unsigned<T>, N>;
        const auto tap = [&](const std::byte* p, std::int64_t t) {
            return __builtin_bit_cast(U, load_as<T, From, N>(p + t * a.tap_stride + x * from));
        };
        U sum = load<U>(a.before + x * size);
        for (std::int64_t t = 0; t < a.come; ++t) sum = static_cast<U>(sum + tap(a.coming, t));
        for (std::int64_t t = 0; t < a.go; ++t) sum = static_cast<U>(sum - tap(a.going, t));
        store(a.dst + x * size, sum);
    });
}

template <int Step, class V, int... I>
[[gnu::always_inline]] inline V moved_up(V v, Indices<I...>) {
    constexpr int n = sizeof...(I);
    return __builtin_shufflevector(V{}, v, (I < Step ? I : n + I - Step)...);
}

// Every lane becomes the sum of itself and those before it.
template <class T, int N, int Step = 1>
[[gnu::always_inline]] inline Vec<T, N> added_up(Vec<T, N> v) {
    if constexpr (Step >= N) {
        return v;
    } else {
        return added_up<T, N, 2 * Step>(
            static_cast<Vec<T, N>>(v + moved_up<Step>(v, typename CountTo<N>::type{})));
    }
}

template <class V, int... I>
[[gnu::always_inline]] inline V last_everywhere(V v, Indices<I...>) {
    return __builtin_shufflevector(v, v, (static_cast<int>(sizeof...(I)) - 1 + 0 * I)...);
}

// Totals of the line up to every element and, of two of them, the difference. T is unsigned.
template <class T>
void spans(const SpansArgs& args) {
    const SpansArgs a = args;
    constexpr int lanes = kLanes<T>;
    constexpr std::int64_t size = sizeof(T);
    const std::int64_t n = a.n + a.taps - 1;
    std::byte* const totals = a.scratch + kLargestVector;  // up to element 0, 1, 2, ...
    store(totals - size, T(0));
    std::int64_t x = 0;
    T total = 0;
    if constexpr (lanes > 1) {
        Vec<T, lanes> all{};
        for (; x + lanes <= n; x += lanes) {
            const Vec<T, lanes> sums =
                added_up<T, lanes>(load<Vec<T, lanes>>(a.src + x * size)) + all;
            store(totals + x * size, sums);
            all = last_everywhere(sums, typename CountTo<lanes>::type{});
        }
        total = all[0];
    }
    for (; x < n; ++x) {
        total = static_cast<T>(total + load<T>(a.src + x * size));
        store(totals + x * size, total);
    }
    in_vectors<lanes>(a.n, [&]<int N>(std::int64_t i) {
        const std::byte* const before = totals + (i - 1) * size;
        using V = Vec<T, N>;
        store(a.dst + i * size, static_cast<V>(load<V>(before + a.taps * size) - load<V>(before)));
    });
}

}  // namespace
}  // namespace poolcore
