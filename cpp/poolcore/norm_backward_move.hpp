// Loops of elements into scratch and back. Part of norm_backward.
#pragma once

#include <cstddef>
#include <cstdint>

#include "poolcore/moves.hpp"
#include "poolcore/norm_backward_job.hpp"

namespace poolcore {

// The innermost loop of more than one.
inline int run_of(const Loops& n) {
    int i = kLoops - 1;
    while (i > 0 && n[i] == 1) --i;
    return i;
}

inline LoopNest nest_of(const Loops& n, const Loops& from, const Loops& to) {
    int i = run_of(n);
    LoopNest nest(n[i], from[i], to[i]);
    while (--i >= 0) nest.add({n[i], from[i], to[i]});
    return nest;
}

// Some of an array as the kernel's type, of `size` bytes, side by side.
inline void load_loops(PackKernel kernel, const std::byte* src, const Loops& n, const Loops& step,
                       std::int64_t size, std::byte* dst) {
    const LoopNest nest = nest_of(n, step, dense_steps(n, size));
    PackArgs args{};
    args.n = nest.run();
    args.src_stride = step[run_of(n)];
    args.n0 = nest.loop(1).n;
    args.n1 = nest.loop(0).n;
    args.src_stride0 = nest.loop(1).from;
    args.src_stride1 = nest.loop(0).from;
    args.dst_stride0 = nest.loop(1).to;
    args.dst_stride1 = nest.loop(0).to;
    nest.outer([&](std::int64_t from, std::int64_t to) {
        args.src = src + from;
        args.dst = dst + to;
        kernel(args);
    });
}

// The same back into an array, rounded.
inline void store_loops(FinishKernel kernel, const std::byte* src, std::int64_t size,
                        const Loops& n, const Loops& step, std::byte* dst) {
    const LoopNest nest = nest_of(n, dense_steps(n, size), step);
    FinishArgs args{};
    args.n = nest.run();
    args.dst_stride = step[run_of(n)];
    nest.all([&](std::int64_t from, std::int64_t to) {
        args.src = src + from;
        args.dst = dst + to;
        kernel(args);
    });
}

}  // namespace poolcore
