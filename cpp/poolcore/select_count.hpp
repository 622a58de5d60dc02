// Windows of any size in bounded memory: keys are counted digit by digit from the top, and the
// window is read again for every digit that has to be told apart. The run family only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "poolcore/select_window.hpp"

namespace poolcore {

template <class K>
inline constexpr int kDigitBits = sizeof(K) <= 2 ? 8 : sizeof(K) == 4 ? 11 : 13;
template <class K>
inline constexpr int kKeyBits = 8 * static_cast<int>(sizeof(K));
template <class K>
inline constexpr int kLevels = (kKeyBits<K> + kDigitBits<K> - 1) / kDigitBits<K>;
template <class K>
inline constexpr std::int64_t kBuckets = std::int64_t(1) << kDigitBits<K>;

// Memory that one worker lends to a window.
template <class K>
struct WindowScratch {
    K* keys = nullptr;  // room for so many
    std::int64_t capacity = 0;
    std::int64_t* counts = nullptr;  // kLevels<K> times kBuckets<K>, where counting is needed
};

// Two middle keys of a window, or the commonest one twice; nan where there is no key.
template <class K>
struct Chosen {
    K lo = 0;
    K hi = 0;
    bool nan = false;
};

template <class K, bool kFloat>
class Counter {
   public:
    Counter(const Coder<K, kFloat>& coder, const TapGrid& grid, const WindowScratch<K>& scratch)
        : coder_(coder), grid_(grid), scratch_(scratch) {}

    // The commonest key. A stopped job leaves any key.
    Chosen<K> mode() {
        best_count_ = 0;
        descend(0, 0);
        return {best_, best_, best_count_ == 0};
    }

    Chosen<K> median() {
        std::int64_t n = 0;
        bool nan = false;
        for_taps(grid_, [&](const std::byte* p) {
            const bool is = coder_.is_nan(coder_.encode(p));
            nan = nan || is;
            n += is ? 0 : 1;
        });
        if (n == 0 || (nan && !coder_.omits_nan)) return {0, 0, true};
        std::int64_t equal = 0;  // ranks from the wanted one to the last of the same key
        const K low = select((n - 1) / 2, equal);
        if (n % 2 == 1 || equal > 1) return {low, low, false};
        return {low, next_above(low), false};
    }

   private:
    using U = std::make_unsigned_t<K>;

    // Keys as unsigned numbers of the same order.
    static U rank_bits(K key) {
        constexpr U top = std::is_signed_v<K> ? U(U(1) << (kKeyBits<K> - 1)) : U(0);
        return static_cast<U>(static_cast<U>(key) ^ top);
    }
    static int shift_of(int level) { return std::max(0, kKeyBits<K> - (level + 1) * kDigitBits<K>); }
    static int bits_of(int level) {
        return std::min(kDigitBits<K>, kKeyBits<K> - level * kDigitBits<K>);
    }
    static bool has_prefix(U bits, int level, U prefix) {
        return level == 0 || (bits >> (shift_of(level) + bits_of(level))) == prefix;
    }
    static std::int64_t digit(U bits, int level) {
        return static_cast<std::int64_t>((bits >> shift_of(level)) &
                                         ((U(1) << bits_of(level)) - U(1)));
    }
    static U longer(U prefix, int level, std::int64_t next) {
        return static_cast<U>(level == 0 ? static_cast<U>(next)
                                         : (prefix << bits_of(level)) | static_cast<U>(next));
    }
    static K key_of(U rank) { return static_cast<K>(rank_bits(static_cast<K>(rank))); }

    bool votes(K key) const {
        if (coder_.has_skip && key == coder_.skip) return false;
        return !coder_.is_nan(key);
    }

    // Counts the digits of `level` of the keys with this prefix.
    std::int64_t* count(int level, U prefix) {
        std::int64_t* counts = scratch_.counts + level * kBuckets<K>;
        std::fill_n(counts, kBuckets<K>, 0);
        for_taps(grid_, [&](const std::byte* p) {
            const K key = coder_.encode(p);
            const U bits = rank_bits(key);
            if (has_prefix(bits, level, prefix) && votes(key)) ++counts[digit(bits, level)];
        });
        return counts;
    }

    K select(std::int64_t rank, std::int64_t& equal) {
        U prefix = 0;
        for (int level = 0; level < kLevels<K>; ++level) {
            const std::int64_t* counts = count(level, prefix);
            std::int64_t b = 0;
            for (; b + 1 < kBuckets<K> && rank >= counts[b]; ++b) rank -= counts[b];
            equal = counts[b] - rank;
            prefix = longer(prefix, level, b);
        }
        return key_of(prefix);
    }

    K next_above(K low) {
        K next = std::numeric_limits<K>::max();
        for_taps(grid_, [&](const std::byte* p) {
            const K key = coder_.encode(p);
            if (key > low && key < next && votes(key)) next = key;
        });
        return next;
    }

    void offer(K key, std::int64_t times) {
        if (times <= best_count_) return;
        best_ = key;
        best_count_ = times;
    }

    // Keys come in ascending order, so the first of equally common ones stays.
    void descend(int level, U prefix) {
        const std::int64_t* counts = count(level, prefix);
        for (std::int64_t b = 0; b < kBuckets<K>;) {
            if (counts[b] <= best_count_) {
                ++b;
            } else if (level + 1 == kLevels<K>) {
                offer(key_of(longer(prefix, level, b)), counts[b]);
                ++b;
            } else if (counts[b] > scratch_.capacity) {
                if (stop_requested()) return;
                descend(level + 1, longer(prefix, level, b));
                ++b;
            } else {
                b = sort_group(level, prefix, counts, b);
            }
        }
    }

    // As many buckets from `first` on as fit, those that cannot win left out: sorted, counted.
    // Returns the bucket after them.
    std::int64_t sort_group(int level, U prefix, const std::int64_t* counts, std::int64_t first) {
        std::int64_t total = 0;
        std::int64_t end = first;
        for (; end < kBuckets<K>; ++end) {
            if (counts[end] <= best_count_) continue;
            if (counts[end] > scratch_.capacity - total) break;
            total += counts[end];
        }
        std::int64_t n = 0;
        for_taps(grid_, [&](const std::byte* p) {
            const K key = coder_.encode(p);
            const U bits = rank_bits(key);
            if (!has_prefix(bits, level, prefix) || !votes(key)) return;
            const std::int64_t d = digit(bits, level);
            if (d >= first && d < end && counts[d] > best_count_ && n < scratch_.capacity)
                scratch_.keys[n++] = key;
        });
        offer_sorted(n);
        return end;
    }

   public:
    // Counts the first n keys of the scratch.
    void offer_sorted(std::int64_t n) {
        K* keys = scratch_.keys;
        std::sort(keys, keys + n);
        for (std::int64_t i = 0; i < n;) {
            std::int64_t end = i + 1;
            while (end < n && keys[end] == keys[i]) ++end;
            offer(keys[i], end - i);
            i = end;
        }
    }
    Chosen<K> best() const { return {best_, best_, best_count_ == 0}; }

   private:
    const Coder<K, kFloat>& coder_;
    const TapGrid& grid_;
    const WindowScratch<K>& scratch_;
    K best_ = 0;
    std::int64_t best_count_ = 0;
};

// Whether counting digits is the way for so many taps: bytes beyond the networks, others beyond
// the scratch.
template <class K>
bool counts_digits(std::int64_t taps, std::int64_t capacity) {
    return sizeof(K) == 1 ? taps > kSortTaps : taps > capacity;
}

// The keys of a window that fits the scratch. False when a NaN decides the window.
template <class K, bool kFloat>
bool gather_keys(const Coder<K, kFloat>& coder, const TapGrid& grid, K* keys, std::int64_t& n) {
    bool nan = false;
    std::int64_t found = 0;
    for_taps(grid, [&](const std::byte* p) {
        const K key = coder.encode(p);
        const bool is = coder.is_nan(key);
        nan = nan || is;
        if (!is && !(coder.has_skip && key == coder.skip)) keys[found++] = key;
    });
    n = found;
    return !nan || coder.omits_nan;
}

// Counts of few different keys, in slots by their hash. Labels mostly are few, and a look costs far
// less than a key's share of a sort.
template <class K>
class Tally {
   public:
    // False when there are too many different keys.
    bool add(const K* keys, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) {
            std::size_t s = slot(keys[i]);
            while (times_[s] != 0 && key_[s] != keys[i]) s = (s + 1) % kSlots;
            if (times_[s] == 0 && ++used_ > kSlots / 2) return false;
            key_[s] = keys[i];
            ++times_[s];
        }
        return true;
    }

    K commonest() const {
        std::size_t best = 0;
        for (std::size_t s = 1; s < kSlots; ++s) {
            const bool equal = times_[s] == times_[best];
            if (times_[s] > times_[best] || (equal && times_[s] != 0 && key_[s] < key_[best]))
                best = s;
        }
        return key_[best];
    }

   private:
    static constexpr std::size_t kSlots = 64;
    static std::size_t slot(K key) {
        return static_cast<std::size_t>(static_cast<std::uint64_t>(key) * 0x9e3779b97f4a7c15 >> 58);
    }

    K key_[kSlots] = {};
    std::int32_t times_[kSlots] = {};
    std::size_t used_ = 0;
};

template <class K, bool kFloat>
Chosen<K> window_mode(const Coder<K, kFloat>& coder, const TapGrid& grid,
                      const WindowScratch<K>& scratch) {
    Counter<K, kFloat> counter(coder, grid, scratch);
    if (counts_digits<K>(grid.taps(), scratch.capacity)) return counter.mode();
    std::int64_t n = 0;
    gather_keys(coder, grid, scratch.keys, n);
    if (n > 0 && std::all_of(scratch.keys, scratch.keys + n,
                             [&](K key) { return key == scratch.keys[0]; }))
        return {scratch.keys[0], scratch.keys[0], false};
    Tally<K> tally;
    if (n > kSortTaps && tally.add(scratch.keys, n)) {
        const K most = tally.commonest();
        return {most, most, false};
    }
    counter.offer_sorted(n);
    return counter.best();
}

template <class K, bool kFloat>
Chosen<K> window_median(const Coder<K, kFloat>& coder, const TapGrid& grid,
                        const WindowScratch<K>& scratch) {
    if (counts_digits<K>(grid.taps(), scratch.capacity))
        return Counter<K, kFloat>(coder, grid, scratch).median();
    std::int64_t n = 0;
    K* keys = scratch.keys;
    if (!gather_keys(coder, grid, keys, n) || n == 0) return {0, 0, true};
    K* middle = keys + n / 2;
    std::nth_element(keys, middle, keys + n);
    if (n % 2 == 1) return {*middle, *middle, false};
    return {*std::max_element(keys, middle), *middle, false};
}

}  // namespace poolcore
