// Numbers divided by one number: floats with the bits of the division in less time, and integers,
// rounded.
#pragma once

#include "kernels/kernel_table.hpp"
#include "kernels/ops.hpp"

namespace poolcore {
namespace {

// Vectors of double for which a product and two fused steps take less than a division.
template <int N>
inline constexpr bool kRefines =
#if defined(__AVX512F__)
    N == 8;
#elif defined(__FMA__)
    N == 4;
#else
    false;
#endif

// c + a*b, or with Minus c - a*b, in one rounding.
template <bool Minus, int N>
[[gnu::always_inline]] inline Vec<double, N> fused(Vec<double, N> a, Vec<double, N> b,
                                                   Vec<double, N> c) {
    static_assert(kRefines<N>);
#if defined(__AVX512F__)
    using V = Vec<double, N>;
    if constexpr (Minus) return (V)_mm512_fnmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
    else return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
    using V = Vec<double, N>;
    if constexpr (Minus) return (V)_mm256_fnmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
    else return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return Minus ? c - a * b : c + a * b;
#endif
}

// a / divisor, for divisors that are whole numbers or 0.
template <class T>
class Quotient {
   public:
    explicit Quotient(double whole)
        : divisor_(static_cast<T>(whole)),
          reciprocal_(divisor_ == 0 ? T(0) : T(1) / divisor_),
          multiplies_(divisor_ != 0 && is_power(divisor_)),
          refines_(divisor_ != 0 && __builtin_fabs(whole) <= 0x1p48) {}

    // A product with the reciprocal of a power of two is the quotient.
    template <int N>
    [[gnu::always_inline]] Vec<T, N> of(Vec<T, N> a) const {
        return multiplies_ ? a * reciprocal_ : a / divisor_;
    }

    // The same of whole numbers up to 2^51, as doubles.
    //
    // With u = 2^-53: q = a * reciprocal is off by two roundings, an ulp or so. The rest e = a - q *
    // divisor is a multiple of an ulp of q, and below 1.1 * divisor of them: it is exact. q + e *
    // reciprocal is rounded once (to nearest), from what differs from the quotient by less than 1.1 * u
    // ulps. A quotient of whole numbers lies half an ulp over `divisor`, or more, from the places where
    // rounding changes sides, and on none of them, as that would take 54 bits of a: so what is rounded
    // lies on the quotient's side.
    template <int N>
    [[gnu::always_inline]] Vec<T, N> of_whole(Vec<T, N> a) const {
        if constexpr (__is_same(T, double) && kRefines<N>) {
            if (refines_) {
                const auto q = a * reciprocal_;
                const auto rest = fused<true, N>(q, Vec<T, N>{} + divisor_, a);
                return fused<false, N>(rest, Vec<T, N>{} + reciprocal_, q);
            }
        }
        return of<N>(a);
    }

   private:
    static bool is_power(T x) {
        constexpr int mantissa = sizeof(T) == 4 ? 23 : 52;
        using U = Unsigned<T>;
        return (__builtin_bit_cast(U, x) & ((U(1) << mantissa) - 1)) == 0;
    }

    T divisor_, reciprocal_;
    bool multiplies_, refines_;
};

// In place of a quotient, where sums are wanted.
struct Undivided {
    explicit Undivided(double) {}
};

// floor, trunc, half-up or half-even of sum / divisor, from whole numbers; divisor > 0.
template <class Int>
inline Int rounded_quotient(Int sum, Int divisor, Rounding rounding) {
    Int q = sum / divisor;
    Int r = sum % divisor;
    if (rounding == Rounding::kTrunc) return q;
    if (r < 0) {
        r += divisor;
        --q;
    }
    const bool half = r == divisor - r;
    const bool above = r > divisor - r;
    switch (rounding) {
        case Rounding::kHalfUp: return q + (above || half ? 1 : 0);
        case Rounding::kHalfEven: return q + (above || (half && q % 2 != 0) ? 1 : 0);
        default: return q;
    }
}

// The same of vectors, for divisors 2^shift: the floor of the quotient, and one more where what the
// rest has behind the point says so. Nothing overflows: rest and what is added are below 2^(shift + 1).
template <class A>
class Shifted {
   public:
    static bool takes(std::int64_t divisor) {
        return divisor > 0 && (divisor & (divisor - 1)) == 0 &&
               divisor <= std::int64_t(1) << (8 * sizeof(A) - 2);
    }
    Shifted(std::int64_t divisor, Rounding rounding)
        : shift_(__builtin_ctzll(static_cast<unsigned long long>(divisor))),
          mask_(static_cast<A>(divisor - 1)) {
        const bool even = rounding == Rounding::kHalfEven && shift_ > 0;
        const bool half = even || rounding == Rounding::kHalfUp;
        more_ = static_cast<A>(half ? divisor / 2 - (even ? 1 : 0) : 0);
        odd_ = even ? 1 : 0;
        below_ = rounding == Rounding::kTrunc ? mask_ : A(0);
    }

    // Saturated.
    template <class Out, int N>
    [[gnu::always_inline]] Vec<Out, N> mean(Vec<A, N> sum) const {
        using V = Vec<A, N>;
        V mean = static_cast<V>(sum >> shift_);
        V rest = static_cast<V>(sum & splat<A, N>(mask_));
        rest = static_cast<V>(rest + splat<A, N>(more_));
        rest = static_cast<V>(rest + static_cast<V>(mean & splat<A, N>(odd_)));
        if constexpr (lowest<A>() != 0)
            rest = static_cast<V>(rest + (sum < V{} ? splat<A, N>(below_) : V{}));
        mean = static_cast<V>(mean + static_cast<V>(rest >> shift_));
        using Wide = __int128;
        if constexpr (static_cast<Wide>(lowest<Out>()) > static_cast<Wide>(lowest<A>())) {
            const V low = splat<A, N>(static_cast<A>(lowest<Out>()));
            mean = mean < low ? low : mean;
        }
        if constexpr (static_cast<Wide>(highest<Out>()) < static_cast<Wide>(highest<A>())) {
            const V high = splat<A, N>(static_cast<A>(highest<Out>()));
            mean = mean > high ? high : mean;
        }
        return converted<Out, A, N>(mean);
    }

   private:
    int shift_;
    A mask_, more_, odd_, below_;
};

}  // namespace
}  // namespace poolcore
