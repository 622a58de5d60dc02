// The samples of a bin that may be its largest, and the search for it: of every run of samples
// between the same elements, only those at its ends count.
#pragma once

#include <cstring>
#include <limits>

#include "poolcore/roi_axis.hpp"
#include "poolcore/roi_job.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/select_emit.hpp"

namespace poolcore {

template <class T>
double plain_value(const std::byte* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return static_cast<double>(value);
}

template <DType kHalf>
double half_element_value(const std::byte* p) {
    std::int16_t bits;
    std::memcpy(&bits, p, sizeof bits);
    constexpr int infinity = kHalf == DType::kFloat16 ? 0x7c00 : 0x7f80;
    if ((bits & 0x7fff) > infinity) return std::numeric_limits<double>::quiet_NaN();
    return float_value(bits, kHalf);
}

// Candidates of one bin after another, kept while they are few.
class Candidates {
   public:
    static constexpr std::int64_t kMost = 4096;

    Candidates(const SampleAxis& axis, Scratch& scratch)
        : axis_(axis),
          kept_(reinterpret_cast<Candidate*>(scratch.take(kMost * sizeof(Candidate)))) {}
    static std::int64_t scratch_bytes() { return Scratch::footprint(kMost * sizeof(Candidate)); }

    void select(std::int64_t bin) {
        if (bin == bin_) return;
        bin_ = bin;
        n_ = 0;
        each_candidate(axis_, bin, [&](const Candidate& c) {
            if (n_ < kMost) kept_[n_] = c;
            ++n_;
        });
        const SampleAxis::Inside in = axis_.inside(bin);
        outside_ = in.count() < axis_.grid;
    }
    // The axis is another one now.
    void forget() { bin_ = -1; }
    // Whether some candidate reads an element of these.
    bool meets(const Reach& part) const {
        bool met = false;
        each([&](const Candidate& c) {
            met = met || part.holds(c.at) || (c.part > 0 && part.holds(c.at + 1));
        });
        return met;
    }
    bool outside() const { return outside_; }  // some sample is beyond the image

    template <class Each>
    void each(const Each& call) const {
        if (n_ > kMost) return each_candidate(axis_, bin_, call);
        for (std::int64_t i = 0; i < n_; ++i) call(kept_[i]);
    }

   private:
    const SampleAxis& axis_;
    Candidate* kept_;
    std::int64_t bin_ = -1;
    std::int64_t n_ = 0;
    bool outside_ = false;
};

// Between two values, neither of which is looked at without a part.
template <class First, class Second>
double between(double part, const First& first, const Second& second) {
    return part == 0 ? first() : (1 - part) * first() + part * second();
}

// A sample of a bin, by its candidates along both axes.
struct RoiSample {
    Candidate y, x;
};

// What the search found: a NaN, or the largest number, and the first sample that is it. Samples
// beyond the image are 0 without a place.
struct Largest {
    double value = 0;
    bool met = false;  // a number, or a sample beyond the image
    bool nan = false;
    bool placed = false;  // `sample` is set; if a NaN was met, to the first of these
    RoiSample sample{};
};

// Of the bin that the candidates are of, in one plane; without kPlace no sample is named.
template <double (*kElement)(const std::byte*), bool kPlace>
Largest find_largest(const std::byte* plane, const std::int64_t* stride, const Candidates& down,
                     const Candidates& over, StopPoll& look) {
    Largest found;
    found.met = down.outside() || over.outside();
    found.value = found.met ? 0 : -std::numeric_limits<double>::infinity();
    const auto meet = [&](const RoiSample& sample, double value) {
        const bool is_nan = value != value;
        if constexpr (kPlace) {
            const bool better = is_nan ? !found.nan
                                       : !found.nan && (!found.placed ? value >= found.value
                                                                      : value > found.value);
            if (better) found.sample = sample;
            found.placed = found.placed || better;
        }
        found.nan = found.nan || is_nan;
        found.met = found.met || !is_nan;
        found.value = value > found.value ? value : found.value;
    };
    down.each([&](const Candidate& y) {
        if (look.stopped()) return;
        const std::byte* row = plane + y.at * stride[0];
        std::int64_t n = 0;
        over.each([&](const Candidate& x) {
            // Between rows first, then between columns.
            const auto column = [&](const std::byte* p) {
                return between(y.part, [&] { return kElement(p); },
                               [&] { return kElement(p + stride[0]); });
            };
            const std::byte* p = row + x.at * stride[1];
            meet({y, x}, between(x.part, [&] { return column(p); },
                                 [&] { return column(p + stride[1]); }));
            ++n;
        });
        look.stops(n);
    });
    return found;
}

// Of<element>::get() for the elements of that type.
template <template <double (*)(const std::byte*)> class Of>
auto for_elements(DType dtype) {
    switch (dtype) {
        case DType::kInt8: return Of<plain_value<std::int8_t>>::get();
        case DType::kInt16: return Of<plain_value<std::int16_t>>::get();
        case DType::kUInt16: return Of<plain_value<std::uint16_t>>::get();
        case DType::kInt32: return Of<plain_value<std::int32_t>>::get();
        case DType::kUInt32: return Of<plain_value<std::uint32_t>>::get();
        case DType::kInt64: return Of<plain_value<std::int64_t>>::get();
        case DType::kUInt64: return Of<plain_value<std::uint64_t>>::get();
        case DType::kFloat16: return Of<half_element_value<DType::kFloat16>>::get();
        case DType::kBFloat16: return Of<half_element_value<DType::kBFloat16>>::get();
        case DType::kFloat32: return Of<plain_value<float>>::get();
        case DType::kFloat64: return Of<plain_value<double>>::get();
        default: return Of<plain_value<std::uint8_t>>::get();  // bool: 0 and 1
    }
}

}  // namespace poolcore
