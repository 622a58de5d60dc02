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
    bool operator==(const Covering&) const = default;
};

struct WindowRange {
    std::int64_t lo = 0;
    std::int64_t hi = 0;
    std::int64_t size() const { return std::max<std::int64_t>(hi - lo, 0); }
};

// Tap j of window o falls on o*stride - pad_lo + j*dilation. So the taps that fall on element p
// are those with j*dilation = p + pad_lo modulo the stride: one of every `period`.
// Adaptive windows turn round: element p lies in the windows [floor(p*o/n), ceil((p+1)*o/n)), which
// is what window p of n windows would cover on an axis of o elements.
class Cover {
   public:
    explicit Cover(const AxisGeometry& geometry) : g_(geometry) {
        if (adaptive()) {
            turned_.in = g_.out;
            turned_.out = g_.in;
            turned_.stride = g_.period;
            turned_.period = g_.stride;
            turned_.kernel =
                g_.period / g_.stride + std::min<std::int64_t>(g_.period % g_.stride, 2);
            return;
        }
        common_ = std::gcd(g_.stride, g_.dilation);
        period_ = g_.stride / common_;
        step_ = g_.dilation / common_;
        inverse_ = inverse(step_ % period_, period_);
    }

    const AxisGeometry& geometry() const { return g_; }
    // No two neighbours need be covered alike; all windows exist.
    bool adaptive() const { return g_.period > 1; }
    // Elements so far apart are covered by windows side by side.
    std::int64_t phases() const { return adaptive() ? 1 : g_.stride; }
    std::int64_t step() const { return step_; }
    // As many windows as cover any element.
    std::int64_t most() const {
        return adaptive() ? turned_.kernel : (g_.kernel - 1) / period_ + 1;
    }
    // At most so many windows, existing or not, are around `n` neighbours.
    std::int64_t most_around(std::int64_t n) const {
        if (adaptive()) {
            const auto wide = static_cast<__int128>(n) * g_.period / g_.stride + 2;
            return static_cast<std::int64_t>(std::min<__int128>(wide, g_.out));
        }
        const bool absurd = n - 1 > INT64_MAX - g_.effective();
        const std::int64_t reach = absurd ? INT64_MAX : n - 1 + g_.effective();
        return std::min(g_.out, (reach - 1) / g_.stride + 2);
    }
    bool trivial() const { return g_.in == 1 && g_.kernel == 1 && g_.out == 1; }

    Covering at(std::int64_t p) const {
        if (adaptive()) return {turned_.start(p), turned_.length(p), 0, turned_.length(p)};
        const std::int64_t q = p + g_.pad_lo;
        if (g_.stride == 1 && g_.dilation == 1)
            return clipped({q - (g_.kernel - 1), g_.kernel, 0, 0});
        std::int64_t tap = q % g_.stride;  // without dilation, which spares the wide division
        if (g_.dilation != 1) {
            if (q % common_ != 0) return {};
            const auto wide = static_cast<__int128>(q / common_ % period_) * inverse_;
            tap = static_cast<std::int64_t>(wide % period_);
        }
        if (tap >= g_.kernel) return {};
        Covering c;
        c.count = (g_.kernel - 1 - tap) / period_ + 1;
        const std::int64_t last_tap = tap + (c.count - 1) * period_;
        c.first = (q - last_tap * g_.dilation) / g_.stride;  // without a remainder
        return clipped(c);
    }

    // Those of `n` elements from p on.
    void list(std::int64_t p, std::int64_t n, Covering* to) const {
        if (!adaptive()) {
            for (std::int64_t i = 0; i < n; ++i) to[i] = at(p + i);
            return;
        }
        AdaptiveWindows windows(turned_, p);
        for (std::int64_t i = 0; i < n; ++i, windows.next())
            to[i] = {windows.start(), windows.length(), 0, windows.length()};
    }

    // From the first to the last window over the elements [p0, p1), whether they exist or not.
    WindowRange around(std::int64_t p0, std::int64_t p1) const {
        if (adaptive()) return {turned_.start(p0), turned_.start(p1 - 1) + turned_.length(p1 - 1)};
        const std::int64_t low = p0 + g_.pad_lo - (g_.effective() - 1);
        const std::int64_t from = low > 0 ? (low - 1) / g_.stride + 1 : low / g_.stride;
        return {from, (p1 - 1 + g_.pad_lo) / g_.stride + 1};
    }
    WindowRange existing(std::int64_t p0, std::int64_t p1) const {
        const WindowRange all = around(p0, p1);
        return {std::max<std::int64_t>(all.lo, 0), std::min(all.hi, g_.out)};
    }
    // Whether places for all would be empty for the most part.
    bool few_exist(std::int64_t p0, std::int64_t p1) const {
        return around(p0, p1).size() > 2 * existing(p0, p1).size() + 64;
    }

   private:
    // With those that exist.
    Covering clipped(Covering c) const {
        const auto steps = [this](std::int64_t n) { return step_ == 1 ? n : n / step_; };
        c.lo = c.first < 0 ? steps(-c.first + step_ - 1) : 0;
        c.hi = c.first < g_.out ? std::min(c.count, steps(g_.out - 1 - c.first) + 1) : 0;
        if (c.lo >= c.hi) c.lo = c.hi = 0;
        return c;
    }

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
        const std::int64_t rest = x1 % m;
        return rest < 0 ? rest + m : rest;
    }

    AxisGeometry g_;
    AxisGeometry turned_;  // adaptive: n and o exchanged
    std::int64_t common_ = 1, period_ = 1, step_ = 1, inverse_ = 0;
};

}  // namespace poolcore
