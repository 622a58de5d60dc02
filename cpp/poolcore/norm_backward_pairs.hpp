// Loops over doubles two at a time, by the compiler's own vectors, which it makes of no loop with
// conditions in it by itself. Part of norm_backward.
#pragma once

#include <cstdint>
#include <cstring>

namespace poolcore {

using Pair [[gnu::vector_size(16)]] = double;

template <class V>
V get(const double* p) {
    V v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class V>
void put(double* p, V v) {
    std::memcpy(p, &v, sizeof v);
}

// Calls each(i, V()) for i below n: V is Pair, for the last one perhaps double.
template <class Each>
void in_pairs(std::int64_t n, const Each& each) {
    std::int64_t i = 0;
    for (; i + 2 <= n; i += 2) each(i, Pair{});
    if (i < n) each(i, 0.0);
}

// Whether each(i, V()), a condition or two, holds anywhere.
template <class Each>
bool any_of_pairs(std::int64_t n, const Each& each) {
    const Pair ones = {1, 1};
    Pair found = {0, 0};
    std::int64_t i = 0;
    for (; i + 2 <= n; i += 2) found = each(i, Pair{}) ? ones : found;
    return (i < n && each(i, 0.0)) || found[0] != 0 || found[1] != 0;
}

}  // namespace poolcore
