// RoIAlign with maxima: of every run of samples between the same elements, only those at its ends
// can be the largest.
#include <algorithm>
#include <cstring>
#include <limits>

#include "poolcore/roi_axis.hpp"
#include "poolcore/roi_job.hpp"
#include "poolcore/scratch.hpp"
#include "poolcore/select_emit.hpp"

namespace poolcore {
namespace {

constexpr std::int64_t kResults = 64;

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

template <double (*kElement)(const std::byte*)>
class RoiLargest {
   public:
    RoiLargest(const RoiTask& task, Scratch& scratch)
        : task_(task),
          job_(task.job),
          rows_(*job_.spec, 0, task.box, job_.length[0]),
          columns_(*job_.spec, 1, task.box, job_.length[1]),
          down_(rows_, scratch),
          over_(columns_, scratch),
          omit_(job_.spec->nan_policy == NanPolicy::kOmit) {}
    static std::int64_t scratch_bytes() { return 2 * Candidates::scratch_bytes(); }

    // Bins outermost, so that their candidates are found once for all channels.
    void run() {
        for (std::int64_t a = task_.first_bin(rows_.bins); a < task_.last_bin(rows_.bins); ++a) {
            down_.select(a);
            for (std::int64_t b = 0; b < columns_.bins; ++b) {
                over_.select(b);
                bin(a, b);
                if (look_.stopped()) return;
            }
        }
    }

   private:
    void bin(std::int64_t a, std::int64_t b) {
        for (std::int64_t c = task_.first; c < task_.last; c += kResults) {
            const std::int64_t n = std::min(kResults, task_.last - c);
            for (std::int64_t l = 0; l < n; ++l) {
                results_[l] = largest(task_.in + (c + l) * job_.in_stride.channel);
                if (look_.stopped()) return;
            }
            std::byte* out = task_.out + c * job_.out_stride.channel +
                             a * job_.out_stride.plane[0] + b * job_.out_stride.plane[1];
            convert_row(job_.convert, results_,
                        {out, job_.out_stride.channel, static_cast<int>(n)});
        }
    }

    double largest(const std::byte* plane) {
        if (rows_.grid == 0 || columns_.grid == 0) return 0;
        bool met = down_.outside() || over_.outside();
        double most = met ? 0 : -std::numeric_limits<double>::infinity();
        bool nan = false;
        down_.each([&](const Candidate& y) {
            const std::byte* row = plane + y.at * job_.in_stride.plane[0];
            over_.each([&](const Candidate& x) {
                const double value = sample(row, y.part, x);
                const bool is_nan = value != value;
                nan = nan || is_nan;
                met = met || !is_nan;
                most = value > most ? value : most;
            });
            look_.stops(columns_.bins);
        });
        const bool none = omit_ ? !met : nan;
        return none ? std::numeric_limits<double>::quiet_NaN() : most;
    }

    // Between rows first, then between columns.
    double sample(const std::byte* row, double part, const Candidate& x) const {
        const std::int64_t below = job_.in_stride.plane[0], right = job_.in_stride.plane[1];
        const auto column = [&](const std::byte* p) {
            return between(part, [&] { return kElement(p); }, [&] { return kElement(p + below); });
        };
        const std::byte* p = row + x.at * right;
        return between(x.part, [&] { return column(p); }, [&] { return column(p + right); });
    }

    const RoiTask& task_;
    const RoiJob& job_;
    SampleAxis rows_, columns_;
    Candidates down_, over_;
    bool omit_;
    double results_[kResults] = {};
    RoiLook look_;
};

template <double (*kElement)(const std::byte*)>
void largest_task(void* context, std::int64_t number, int) {
    const RoiTask task(*static_cast<const RoiJob*>(context), number);
    TaskScratch scratch(RoiLargest<kElement>::scratch_bytes());
    RoiLargest<kElement>(task, *scratch).run();
}

}  // namespace

TaskFunction roi_largest_task(DType dtype) {
    switch (dtype) {
        case DType::kInt8: return largest_task<plain_value<std::int8_t>>;
        case DType::kInt16: return largest_task<plain_value<std::int16_t>>;
        case DType::kUInt16: return largest_task<plain_value<std::uint16_t>>;
        case DType::kInt32: return largest_task<plain_value<std::int32_t>>;
        case DType::kUInt32: return largest_task<plain_value<std::uint32_t>>;
        case DType::kInt64: return largest_task<plain_value<std::int64_t>>;
        case DType::kUInt64: return largest_task<plain_value<std::uint64_t>>;
        case DType::kFloat16: return largest_task<half_element_value<DType::kFloat16>>;
        case DType::kBFloat16: return largest_task<half_element_value<DType::kBFloat16>>;
        case DType::kFloat32: return largest_task<plain_value<float>>;
        case DType::kFloat64: return largest_task<plain_value<double>>;
        default: return largest_task<plain_value<std::uint8_t>>;  // bool: 0 and 1
    }
}

}  // namespace poolcore
