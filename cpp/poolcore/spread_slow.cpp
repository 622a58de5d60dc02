// Spread where the windows over one element do not fit the scratch: each element for itself, by
// the same trees of additions, so with the same bits. Time grows with the product of the windows.
#include <cstring>

#include "poolcore/spread_job.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kPollEvery = 1 << 14;  // windows

// T over the list of windows, those that do not exist being nothing: item i joins what lies left
// of it as the ones at the end of i say. Works in constant memory; `stopped` ends it early.
template <class T, class Item>
T tree_sum(const Covering& c, const bool& stopped, const Item& item) {
    T level[64];
    std::uint64_t filled = 0;
    for (std::int64_t i = c.lo; i < c.hi && !stopped; ++i) {
        T value = item(i);
        int at = 0;
        for (std::int64_t rest = i; rest & 1; rest >>= 1, ++at) {
            if (filled >> at & 1) value = level[at] + value;
            filled &= ~(std::uint64_t(1) << at);
        }
        level[at] = value;
        filled |= std::uint64_t(1) << at;
    }
    T sum = 0;
    bool any = false;
    for (int at = 0; at < 64; ++at) {
        if (!(filled >> at & 1)) continue;
        sum = any ? level[at] + sum : level[at];
        any = true;
    }
    return sum;
}

template <class T>
class Slow {
   public:
    Slow(const SpreadJob& job, const SpreadTask& task) : job_(job), task_(task) {}

    void run() {
        for (std::int64_t a = task_.lo[0]; a < task_.hi[0]; ++a)
            for (std::int64_t b = task_.lo[1]; b < task_.hi[1]; ++b)
                for (std::int64_t w = task_.lo[2]; w < task_.hi[2]; ++w)
                    for (std::int64_t lane = 0; lane < task_.lanes; ++lane) {
                        element(a, b, w, lane);
                        if (stopped_) return;
                    }
    }

   private:
    void element(std::int64_t a, std::int64_t b, std::int64_t w, std::int64_t lane) {
        const Cover* cover = job_.cover;
        const Covering ca = cover[0].at(a), cb = cover[1].at(b), cw = cover[2].at(w);
        const std::byte* plane = task_.grad + lane * job_.lane.grad;
        const T sum = tree_sum<T>(cw, stopped_, [&](std::int64_t k) {
            const std::int64_t ow = cw.first + k * cover[2].step();
            return tree_sum<T>(cb, stopped_, [&](std::int64_t j) {
                const std::int64_t ob = cb.first + j * cover[1].step();
                return tree_sum<T>(ca, stopped_, [&](std::int64_t i) {
                    return window(plane, ca.first + i * cover[0].step(), ob, ow);
                });
            });
        });
        FinishArgs args{};
        args.src = reinterpret_cast<const std::byte*>(&sum);
        args.dst = task_.out + a * job_.axis[0].out + b * job_.axis[1].out +
                   w * job_.axis[2].out + lane * job_.lane.out;
        args.n = 1;
        job_.finish(args);
    }

    // The divided gradient of one window.
    T window(const std::byte* plane, std::int64_t oa, std::int64_t ob, std::int64_t ow) {
        if (++since_poll_ >= kPollEvery) {
            since_poll_ = 0;
            stopped_ = stopped_ || stop_requested();
        }
        if (stopped_) return 0;
        std::byte raw[8], wide[8];
        PackArgs pack{};
        pack.src = plane + oa * job_.axis[0].grad + ob * job_.axis[1].grad + ow * job_.axis[2].grad;
        pack.dst = raw;
        pack.n0 = pack.n1 = pack.n = 1;
        job_.pack(pack);
        FinishArgs args{};
        args.n = 1;
        args.src = raw;
        args.dst = wide;
        args.dst_stride = sizeof(T);
        const double divisor = job_.divide ? job_.divisor(0, oa) * job_.divisor(1, ob) *
                                                 job_.divisor(2, ow) * job_.fixed_divisor()
                                           : 1;
        args.divisors = &divisor;
        args.scale = 1;
        for (const FinishKernel step : {job_.widen, job_.divide}) {
            if (!step) continue;
            step(args);
            std::memcpy(raw, wide, sizeof(T));
        }
        T value;
        std::memcpy(&value, raw, sizeof value);
        return value;
    }

    const SpreadJob& job_;
    const SpreadTask& task_;
    std::int64_t since_poll_ = 0;
    bool stopped_ = false;
};

}  // namespace

void spread_slowly(const SpreadJob& job, const SpreadTask& task) {
    switch (job.work) {
        case Work::kF32: return Slow<float>(job, task).run();
        case Work::kF64: return Slow<double>(job, task).run();
        default: return Slow<std::uint64_t>(job, task).run();
    }
}

}  // namespace poolcore
