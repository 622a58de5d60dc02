// Which windows cover an element of an axis. Part of spread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "poolcore/geometry.hpp"

namespace poolcore {

// The windows over one element, by number: first, first + step, ... `count` of them, of which
// those with position in [lo, hi) of this list exist; the others lie before or after the output.
struct Covering {
    std::int64_t first = 0;
    std::int64_t count = 0;
    std::int64_t lo = 0;
    std::int64_t hi = 0;
};

struct WindowRange {
    std::int64_t lo = 0;
    std::int64_t hi = 0;
    std::int64_t size() const { return std::max<std::int64_t>(hi - lo, 0); }
};

// Tap j of window o falls on o*stride - pad_lo + j*dilation. So the taps that fall on element p
// are those with j*dilation = p + pad_lo modulo the stride: one of every `period`.
class Cover {
   public:
    explicit Cover(const AxisGeometry& geometry) : g_(geometry) {
        common_ = std::gcd(g_.stride, g_.dilation);
        period_ = g_.stride / common_;
        step_ = g_.dilation / common_;
        inverse_ = inverse(step_ % period_, period_);
    }

    const AxisGeometry& geometry() const { return g_; }
    std::int64_t step() const { return step_; }
    // As many windows as cover any element.
    std::int64_t most() const { return (g_.kernel - 1) / period_ + 1; }
    bool trivial() const { return g_.in == 1 && g_.kernel == 1 && g_.out == 1; }

    Covering at(std::int64_t p) const {
        const std::int64_t q = p + g_.pad_lo;
        if (q % common_ != 0) return {};
        const auto wide = static_cast<__int128>(q / common_ % period_) * inverse_;
        const auto tap = static_cast<std::int64_t>(wide % period_);
        if (tap >= g_.kernel) return {};
        Covering c;
        c.count = (g_.kernel - 1 - tap) / period_ + 1;
        const std::int64_t last_tap = tap + (c.count - 1) * period_;
        c.first = (q - last_tap * g_.dilation) / g_.stride;  // without a remainder
        c.lo = c.first < 0 ? (-c.first + step_ - 1) / step_ : 0;
        c.hi = c.first < g_.out ? std::min(c.count, (g_.out - 1 - c.first) / step_ + 1) : 0;
        if (c.lo >= c.hi) c.lo = c.hi = 0;
        return c;
    }

    // From the first to the last window over the elements [p0, p1), whether they exist or not.
    WindowRange around(std::int64_t p0, std::int64_t p1) const {
        const std::int64_t low = p0 + g_.pad_lo - (g_.effective() - 1);
        const std::int64_t from = low > 0 ? (low - 1) / g_.stride + 1 : low / g_.stride;
        return {from, (p1 - 1 + g_.pad_lo) / g_.stride + 1};
    }
    WindowRange existing(std::int64_t p0, std::int64_t p1) const {
        const WindowRange all = around(p0, p1);
        return {std::max<std::int64_t>(all.lo, 0), std::min(all.hi, g_.out)};
    }

   private:
    // x with a*x = 1 modulo m, for a and m without a common factor.
    static std::int64_t inverse(std::int64_t a, std::int64_t m) {
        std::int64_t r0 = m, r1 = a, x0 = 0, x1 = 1;
        while (r1 > 1) {
            const std::int64_t quotient = r0 / r1;
            std::int64_t next = r0 - quotient * r1;
            r0 = r1;
            r1 = next;
            next = x0 - quotient * x1;
            x0 = x1;
            x1 = next;
        }
        return m == 1 ? 0 : (x1 % m + m) % m;
    }

    AxisGeometry g_;
    std::int64_t common_, period_, step_, inverse_;
};

}  // namespace poolcore
