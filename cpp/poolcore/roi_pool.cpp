// RoI max pooling. Elements become keys whose integer order is that of the values, -0 and +0
// alike; a result is the element itself, copied from its place.
#include <cstring>
#include <limits>
#include <type_traits>

#include "poolcore/roi_axis.hpp"
#include "poolcore/roi_job.hpp"
#include "poolcore/scratch.hpp"

namespace poolcore {
namespace {

// Bits `T` of an integer, with its sign bit flipped by `Flip`, or of a float.
template <class T, class K, std::int64_t Flip = 0>
struct IntegerKey {
    using Key = K;
    static constexpr std::int64_t size = sizeof(T);
    static Key load(const std::byte* p, Key) {
        T bits;
        std::memcpy(&bits, p, sizeof bits);
        return static_cast<Key>(static_cast<Key>(bits) ^ static_cast<Key>(Flip));
    }
};
template <class T, class K, std::int64_t Infinity>
struct FloatKey {
    using Key = K;
    static constexpr std::int64_t size = sizeof(T);
    static Key load(const std::byte* p, Key nan) {
        T bits;
        std::memcpy(&bits, p, sizeof bits);
        const Key magnitude = static_cast<Key>(bits) & std::numeric_limits<T>::max();
        const Key value = bits < 0 ? -magnitude : magnitude;
        return magnitude > static_cast<Key>(Infinity) ? nan : value;
    }
};

// Best keys of a window, and where each lies across.
template <class Key, class Place>
struct Best {
    Key* key;
    Place* place;
};

// The best element of every bin of a task's channels, lanes of them side by side.
template <class E, class Place>
class RoiPooler {
   public:
    using Key = typename E::Key;

    RoiPooler(const RoiTask& task, Scratch& scratch)
        : task_(task),
          job_(task.job),
          bins_{BinAxis(*job_.spec, 0, task.box, job_.length[0]),
                BinAxis(*job_.spec, 1, task.box, job_.length[1])} {
        across_ = roi_across(*job_.spec, bins_[0].end(bins_[0].bins - 1) - bins_[0].begin(0),
                             bins_[1].end(bins_[1].bins - 1) - bins_[1].begin(0));
        const bool omits = job_.spec->nan_policy == NanPolicy::kOmit;
        nan_ = omits ? std::numeric_limits<Key>::min() : std::numeric_limits<Key>::max();
        window_ = {reinterpret_cast<Key*>(scratch.take(kRoiWindow * 8)),
                   reinterpret_cast<Place*>(scratch.take(kRoiWindow * 8))};
        bin_ = {reinterpret_cast<Key*>(scratch.take(kRoiLanes * 8)),
                reinterpret_cast<Place*>(scratch.take(kRoiLanes * 8))};
        bin_along_ = reinterpret_cast<std::int64_t*>(scratch.take(kRoiLanes * 8));
    }
    static std::int64_t scratch_bytes() {
        return 2 * Scratch::footprint(kRoiWindow * 8) + 3 * Scratch::footprint(kRoiLanes * 8);
    }

    void run() {
        const BinAxis& across = bins_[across_];
        const std::int64_t step = job_.lanes ? kRoiLanes : 1;
        for (std::int64_t c = task_.first; c < task_.last; c += step) {
            lanes_ = std::min(step, task_.last - c);
            plane_ = task_.in + c * job_.in_stride.channel;
            filled_ = {0, 0};
            for (std::int64_t a = task_.first_bin(across.bins); a < task_.last_bin(across.bins);
                 ++a) {
                first_ = across.begin(a);
                last_ = across.end(a);
                if (a == task_.first_bin(across.bins) || first_ != across.begin(a - 1) ||
                    last_ != across.end(a - 1))
                    filled_ = {0, 0};
                pool_line(c, a);
                if (look_.stopped()) return;
            }
        }
    }

   private:
    struct Range {
        std::int64_t lo, hi;
    };

    // All bins along, for the elements [first_, last_) across.
    void pool_line(std::int64_t c, std::int64_t a) {
        const BinAxis& along = bins_[1 - across_];
        for (std::int64_t b = 0; b < along.bins; ++b) {
            const std::int64_t lo = along.begin(b), hi = along.end(b);
            const bool empty = first_ >= last_ || lo >= hi;
            for (std::int64_t x = lo; x < hi && !empty; ++x) {
                if (x < filled_.lo || x >= filled_.hi) fill(x);
                join(x - filled_.lo, x, x == lo);
            }
            if (look_.stops(hi - lo + 1)) return;
            store(c, a, b, empty);
        }
    }

    const std::byte* element(std::int64_t across, std::int64_t along) const {
        return plane_ + across * job_.in_stride.plane[across_] +
               along * job_.in_stride.plane[1 - across_];
    }

    // The window from x on: the best of the bin's elements across, the first of equal ones.
    void fill(std::int64_t x) {
        const BinAxis& along = bins_[1 - across_];
        filled_ = {x, std::min(x + kRoiWindow / lanes_, along.end(along.bins - 1))};
        const std::int64_t n = filled_.hi - filled_.lo;
        const std::int64_t stride = job_.in_stride.plane[1 - across_];
        for (std::int64_t r = first_; r < last_; ++r) {
            const auto place = static_cast<Place>(r);
            const std::byte* p = element(r, x);
            if (lanes_ == 1) {
                meet(p, stride, n, place, window_, r == first_);
            } else {
                for (std::int64_t i = 0; i < n; ++i)
                    meet(p + i * stride, job_.in_stride.channel, lanes_, place,
                         {window_.key + i * lanes_, window_.place + i * lanes_}, r == first_);
            }
            if (look_.stops(n * lanes_)) return;
        }
    }

    void meet(const std::byte* p, std::int64_t stride, std::int64_t n, Place place,
              Best<Key, Place> best, bool first) const {
        if (stride == E::size)
            meet_line<true>(p, stride, n, place, best, first);
        else
            meet_line<false>(p, stride, n, place, best, first);
    }

    template <bool kClose>
    void meet_line(const std::byte* p, std::int64_t stride, std::int64_t n, Place place,
                   Best<Key, Place> best, bool first) const {
        Key* __restrict key = best.key;
        Place* __restrict where = best.place;
        const Key nan = nan_;
        const std::int64_t step = kClose ? E::size : stride;
        if (first) {
            for (std::int64_t i = 0; i < n; ++i) {
                key[i] = E::load(p + i * step, nan);
                where[i] = place;
            }
            return;
        }
        for (std::int64_t i = 0; i < n; ++i) {
            const Key met = E::load(p + i * step, nan);
            const bool better = met > key[i];
            key[i] = better ? met : key[i];
            where[i] = better ? place : where[i];
        }
    }

    // Place `at` of the window into the bin. Of equal keys the first in row-major order stays.
    void join(std::int64_t at, std::int64_t x, bool first) {
        const Key* key = window_.key + at * lanes_;
        const Place* place = window_.place + at * lanes_;
        const bool rows_across = across_ == 0;
        for (std::int64_t l = 0; l < lanes_; ++l) {
            const bool earlier = rows_across && key[l] == bin_.key[l] && place[l] < bin_.place[l];
            const bool better = first || key[l] > bin_.key[l] || earlier;
            bin_.key[l] = better ? key[l] : bin_.key[l];
            bin_.place[l] = better ? place[l] : bin_.place[l];
            bin_along_[l] = better ? x : bin_along_[l];
        }
    }

    void store(std::int64_t c, std::int64_t a, std::int64_t b, bool empty) {
        constexpr std::byte zero[8] = {};
        const std::int64_t h = across_ == 0 ? a : b, w = across_ == 0 ? b : a;
        const auto at = [&](const RoiStrides& s) {
            return c * s.channel + h * s.plane[0] + w * s.plane[1];
        };
        std::byte* out = task_.out + at(job_.out_stride);
        for (std::int64_t l = 0; l < lanes_; ++l) {
            const std::byte* from = empty ? zero
                                          : element(bin_.place[l], bin_along_[l]) +
                                                l * job_.in_stride.channel;
            std::memcpy(out + l * job_.out_stride.channel, from, E::size);
        }
        if (task_.index == nullptr) return;
        std::byte* index = task_.index + at(job_.index_stride);
        for (std::int64_t l = 0; l < lanes_; ++l) {
            const auto place = static_cast<std::int64_t>(bin_.place[l]);
            const std::int64_t row = across_ == 0 ? place : bin_along_[l];
            const std::int64_t column = across_ == 0 ? bin_along_[l] : place;
            const std::int64_t flat = empty ? -1 : row * job_.length[1] + column;
            std::memcpy(index + l * job_.index_stride.channel, &flat, sizeof flat);
        }
    }

    const RoiTask& task_;
    const RoiJob& job_;
    BinAxis bins_[2];
    int across_ = 0;
    Key nan_;  // what stands for NaN
    Best<Key, Place> window_, bin_;
    std::int64_t* bin_along_;
    std::int64_t lanes_ = 1;
    const std::byte* plane_ = nullptr;
    std::int64_t first_ = 0, last_ = 0;
    Range filled_{0, 0};
    RoiLook look_;
};

template <class E, class Place>
void pool_task(void* context, std::int64_t number, int) {
    const RoiTask task(*static_cast<const RoiJob*>(context), number);
    TaskScratch scratch(RoiPooler<E, Place>::scratch_bytes());
    RoiPooler<E, Place>(task, *scratch).run();
}

// Places as wide as the keys let the compiler compare both in the same vectors.
template <class E>
TaskFunction with_places(std::int64_t longest) {
    if constexpr (sizeof(typename E::Key) == 4)
        if (longest <= std::numeric_limits<std::int32_t>::max()) return pool_task<E, std::int32_t>;
    return pool_task<E, std::int64_t>;
}

using I32 = std::int32_t;
using I64 = std::int64_t;

}  // namespace

TaskFunction roi_pool_task(DType dtype, std::int64_t longest) {
    constexpr std::int64_t top64 = std::numeric_limits<I64>::min();
    constexpr std::int64_t top32 = std::numeric_limits<I32>::min();
    constexpr std::int64_t wide = 0x7ff0000000000000;
    switch (dtype) {
        case DType::kInt8: return with_places<IntegerKey<std::int8_t, I32>>(longest);
        case DType::kInt16: return with_places<IntegerKey<std::int16_t, I32>>(longest);
        case DType::kUInt16: return with_places<IntegerKey<std::uint16_t, I32>>(longest);
        case DType::kInt32: return with_places<IntegerKey<I32, I32>>(longest);
        case DType::kUInt32: return with_places<IntegerKey<std::uint32_t, I32, top32>>(longest);
        case DType::kInt64: return with_places<IntegerKey<I64, I64>>(longest);
        case DType::kUInt64: return with_places<IntegerKey<std::uint64_t, I64, top64>>(longest);
        case DType::kFloat16: return with_places<FloatKey<std::int16_t, I32, 0x7c00>>(longest);
        case DType::kBFloat16: return with_places<FloatKey<std::int16_t, I32, 0x7f80>>(longest);
        case DType::kFloat32: return with_places<FloatKey<I32, I32, 0x7f800000>>(longest);
        case DType::kFloat64: return with_places<FloatKey<I64, I64, wide>>(longest);
        default: return with_places<IntegerKey<std::uint8_t, I32>>(longest);  // bool: 0 and 1
    }
}

}  // namespace poolcore
