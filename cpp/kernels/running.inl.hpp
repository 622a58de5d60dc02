// running: extrema of long windows across rows in time that does not depend on the window. See
// RunningArgs for the contract. Taps are cut into blocks as long as a window, so every window is
// the end of one block and the beginning of the next: running extrema from the end of each block
// backwards and from its beginning on (van Herk 1992, Gil and Werman 1993).
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

// U vectors side by side at element x.
template <class O, int N, int U>
struct RunningColumn {
    using V = Vec<typename O::T, N>;
    static constexpr std::int64_t size = sizeof(V);

    const RunningArgs& a;
    std::int64_t x;

    [[gnu::always_inline]] V tap(std::int64_t t, int u) const {
        if (t < a.first || t >= a.last) return splat<typename O::T, N>(O::identity());
        return load<V>(a.src + x + (t - a.first) * a.tap_stride + u * size);
    }
    [[gnu::always_inline]] std::byte* window(std::int64_t w, int u) const {
        return a.dst + x + w * a.dst_stride + u * size;
    }
    [[gnu::always_inline]] std::byte* ending(std::int64_t j, int u) const {
        return a.scratch + (j * U + u) * size;
    }

    // ending(j): taps block + j to the end of the block.
    void run_backwards(std::int64_t block) const {
        V run[U];
        for (int u = 0; u < U; ++u) run[u] = tap(block + a.taps - 1, u);
        for (std::int64_t j = a.taps - 1;; --j) {
            for (int u = 0; u < U; ++u) store(ending(j, u), run[u]);
            if (j == 0) return;
            for (int u = 0; u < U; ++u) run[u] = O::combine(tap(block + j - 1, u), run[u]);
        }
    }

    void run() const {
        std::int64_t w = 0;
        for (std::int64_t block = 0; w < a.windows; block += a.taps) {
            if (w * a.stride >= block + a.taps) continue;
            run_backwards(block);
            if (w * a.stride == block) {
                for (int u = 0; u < U; ++u) store(window(w, u), load<V>(ending(0, u)));
                ++w;
            }
            V run[U];
            for (int u = 0; u < U; ++u) run[u] = tap(block + a.taps, u);
            for (std::int64_t j = 1; j < a.taps && w < a.windows; ++j) {
                if (j > 1)
                    for (int u = 0; u < U; ++u)
                        run[u] = O::combine(run[u], tap(block + a.taps + j - 1, u));
                if (w * a.stride != block + j) continue;
                for (int u = 0; u < U; ++u)
                    store(window(w, u), O::combine(load<V>(ending(j, u)), run[u]));
                ++w;
            }
        }
    }
};

template <class O>
void running(const RunningArgs& args) {
    using T = typename O::T;
    const RunningArgs a = args;
    constexpr int lanes = kLanes<T>;
    constexpr std::int64_t size = sizeof(T);
    std::int64_t x = 0;
    if (a.wide)
        for (; x + kRunningVectors * lanes <= a.n; x += kRunningVectors * lanes)
            RunningColumn<O, lanes, kRunningVectors>{a, x * size}.run();
    for (; x + lanes <= a.n; x += lanes) RunningColumn<O, lanes, 1>{a, x * size}.run();
    if (x == a.n) return;
    if (lanes > 1 && a.n >= lanes)
        return RunningColumn<O, lanes, 1>{a, (a.n - lanes) * size}.run();
    in_vectors<kShort<lanes>>(a.n, [&]<int N>(std::int64_t i) {
        RunningColumn<O, N, 1>{a, i * size}.run();
    });
}

}  // namespace
}  // namespace poolcore
