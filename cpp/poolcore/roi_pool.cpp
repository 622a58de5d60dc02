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

// Best keys, and where each lies across.
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
        across_ = roi_across(*job_.spec, bins_[0].all().size(), bins_[1].all().size());
        all_along_ = along().all().hi;
        const bool omits = job_.spec->nan_policy == NanPolicy::kOmit;
        nan_ = omits ? std::numeric_limits<Key>::min() : std::numeric_limits<Key>::max();
        window_ = {reinterpret_cast<Key*>(scratch.take(kRoiWindow * 8)),
                   reinterpret_cast<Place*>(scratch.take(kRoiWindow * 8))};
        bin_ = {reinterpret_cast<Key*>(scratch.take(kRoiLanes * 8)),
                reinterpret_cast<Place*>(scratch.take(kRoiLanes * 8))};
        bin_along_ = reinterpret_cast<std::int64_t*>(scratch.take(kRoiLanes * 8));
        // join() compares with them before it says that there was nothing.
        std::memset(bin_.key, 0, kRoiLanes * 8);
        std::memset(bin_.place, 0, kRoiLanes * 8);
        for (int i = 0; i < 2; ++i) {
            kept_[i] = reinterpret_cast<Reach*>(scratch.take(kKeptBins * sizeof(Reach)));
            for (std::int64_t j = 0; j < std::min(bins_[i].bins, kKeptBins); ++j)
                kept_[i][j] = bins_[i].bin(j);
        }
    }
    static std::int64_t scratch_bytes() {
        return 2 * Scratch::footprint(kRoiWindow * 8) + 3 * Scratch::footprint(kRoiLanes * 8) +
               2 * Scratch::footprint(kKeptBins * sizeof(Reach));
    }

    void run() {
        const std::int64_t bins = bins_[across_].bins;
        const std::int64_t lo = task_.first_bin(bins), hi = task_.last_bin(bins);
        const std::int64_t step = job_.lanes ? kRoiLanes : 1;
        for (std::int64_t c = task_.first; c < task_.last; c += step) {
            lanes_ = std::min(step, task_.last - c);
            plane_ = task_.in + c * job_.in_stride.channel;
            for (std::int64_t a = lo; a < hi; ++a) {
                rows_ = bin(across_, a);
                filled_ = {0, 0};
                pool_line(c, a);
                if (look_.stopped()) return;
            }
        }
    }

   private:
    static constexpr std::int64_t kKeptBins = 1024;

    const BinAxis& along() const { return bins_[1 - across_]; }
    Reach bin(int axis, std::int64_t j) const {
        return j < kKeptBins ? kept_[axis][j] : bins_[axis].bin(j);
    }

    // All bins along, for the elements rows_ across.
    void pool_line(std::int64_t c, std::int64_t a) {
        for (std::int64_t b = 0; b < along().bins; ++b) {
            const Reach range = bin(1 - across_, b);
            const bool empty = rows_.size() == 0 || range.size() == 0;
            for (std::int64_t x = range.lo; x < range.hi && !empty;) {
                if (!filled_.holds(x)) fill(x);
                const std::int64_t end = std::min(range.hi, filled_.hi);
                if (lanes_ == 1)
                    join_line(x, end, x == range.lo);
                else
                    for (std::int64_t i = x; i < end; ++i) join(i, i == range.lo);
                x = end;
            }
            if (look_.stops(range.size() + 1)) return;
            store(c, a, b, empty);
        }
    }

    const std::byte* element(std::int64_t across, std::int64_t along) const {
        return plane_ + across * job_.in_stride.plane[across_] +
               along * job_.in_stride.plane[1 - across_];
    }

    // The window from x on: the best of the bin's elements across, the first of equal ones.
    void fill(std::int64_t x) {
        filled_ = {x, std::min(x + kRoiWindow / lanes_, all_along_)};
        const std::int64_t n = filled_.hi - filled_.lo;
        const std::int64_t stride = job_.in_stride.plane[1 - across_];
        for (std::int64_t r = rows_.lo; r < rows_.hi; ++r) {
            const auto place = static_cast<Place>(r);
            const std::byte* p = element(r, x);
            if (lanes_ == 1) {
                meet(p, stride, n, place, window_, r == rows_.lo);
            } else {
                for (std::int64_t i = 0; i < n; ++i)
                    meet(p + i * stride, job_.in_stride.channel, lanes_, place,
                         {window_.key + i * lanes_, window_.place + i * lanes_}, r == rows_.lo);
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

    // Element x of the window into the bin. Of equal keys the first in row-major order stays.
    void join(std::int64_t x, bool first) {
        const Key* key = window_.key + (x - filled_.lo) * lanes_;
        const Place* place = window_.place + (x - filled_.lo) * lanes_;
        const bool rows_across = across_ == 0;
        for (std::int64_t l = 0; l < lanes_; ++l) {
            const bool earlier = rows_across && key[l] == bin_.key[l] && place[l] < bin_.place[l];
            const bool better = first || key[l] > bin_.key[l] || earlier;
            bin_.key[l] = better ? key[l] : bin_.key[l];
            bin_.place[l] = better ? place[l] : bin_.place[l];
            bin_along_[l] = better ? x : bin_along_[l];
        }
    }

    // The same for elements [x, end) of one channel.
    void join_line(std::int64_t x, std::int64_t end, bool first) {
        const Key* key = window_.key + (x - filled_.lo);
        const Place* place = window_.place + (x - filled_.lo);
        const bool rows_across = across_ == 0;
        std::int64_t best = first ? 0 : -1;
        Key most = first ? key[0] : bin_.key[0];
        Place where = first ? place[0] : bin_.place[0];
        for (std::int64_t i = 0; i < end - x; ++i) {
            const bool earlier = rows_across && key[i] == most && place[i] < where;
            if (key[i] <= most && !earlier) continue;
            most = key[i];
            where = place[i];
            best = i;
        }
        if (best < 0) return;
        bin_.key[0] = most;
        bin_.place[0] = where;
        bin_along_[0] = x + best;
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
    Reach* kept_[2];  // bins, as many as there is room for
    std::int64_t all_along_;  // where the last bin ends
    Reach rows_;    // of the bin across
    Reach filled_;  // elements along that the window holds
    StopPoll look_;
};

template <class E, class Place>
void pool_task(void* context, std::int64_t number, int) {
    const RoiTask task(*static_cast<const RoiJob*>(context), number);
    TaskScratch scratch(RoiPooler<E, Place>::scratch_bytes());
    RoiPooler<E, Place>(task, *scratch).run();
}

// Places as wide as the keys let the compiler compare both in the same vectors.
template <class E>
RoiTaskKind with_places(std::int64_t longest) {
    using Narrow = std::int32_t;
    if constexpr (sizeof(typename E::Key) == 4)
        if (longest <= std::numeric_limits<Narrow>::max())
            return {pool_task<E, Narrow>, RoiPooler<E, Narrow>::scratch_bytes()};
    return {pool_task<E, std::int64_t>, RoiPooler<E, std::int64_t>::scratch_bytes()};
}

using I32 = std::int32_t;
using I64 = std::int64_t;

}  // namespace

RoiTaskKind roi_pool_task(DType dtype, std::int64_t longest) {
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
