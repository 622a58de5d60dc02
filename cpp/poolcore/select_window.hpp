// One window of x, or a row of like windows, as integer keys whose order is that of the values.
// A key has the width of the element, so one template serves all types of a width. Nothing is
// read outside the window; a window may be read more than once, and another thread that writes
// to x meanwhile changes the answer, never the memory touched. The run family only.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "poolcore/threads.hpp"

namespace poolcore {

// The taps of one window inside x: three counts and the bytes from one tap to the next.
struct TapGrid {
    const std::byte* base = nullptr;
    std::int64_t count[3] = {1, 1, 1};
    std::int64_t step[3] = {0, 0, 0};
    std::int64_t taps() const { return count[0] * count[1] * count[2]; }
};

// From elements to keys. Integers: the bits, with the top one flipped where the key's own sign is
// not the type's. Floats: the bits of a negative number reversed below its sign, so that -0.0
// comes just before +0.0 and the NaNs beyond both infinities.
template <class K, bool kFloat>
struct Coder {
    using U = std::make_unsigned_t<K>;
    U flip = 0;
    K infinity = 0;        // floats: the key of +infinity
    bool omits_nan = false;
    bool has_skip = false;  // a label without a vote
    K skip = 0;

    K encode(const std::byte* p) const {
        K bits;
        std::memcpy(&bits, p, sizeof bits);
        return encode(bits);
    }
    K encode(K bits) const {
        if constexpr (kFloat) {
            constexpr int sign = 8 * sizeof(K) - 1;
            return static_cast<K>(bits ^ ((bits >> sign) & std::numeric_limits<K>::max()));
        } else {
            return static_cast<K>(static_cast<U>(bits) ^ flip);
        }
    }
    // The element's bits again: the change undoes itself.
    K decode(K key) const { return encode(key); }
    bool is_nan(K key) const { return kFloat && (key > infinity || key < K(~infinity)); }
};

// Taps between two looks for a stop.
inline constexpr std::int64_t kTapsPerLook = 1 << 16;

// Calls each(address) for every tap. False when the job is to stop.
template <class Each>
bool for_taps(const TapGrid& g, const Each& each) {
    std::int64_t left = kTapsPerLook;
    for (std::int64_t a = 0; a < g.count[0]; ++a)
        for (std::int64_t b = 0; b < g.count[1]; ++b) {
            const std::byte* p = g.base + a * g.step[0] + b * g.step[1];
            for (std::int64_t done = 0; done < g.count[2];) {
                const std::int64_t end = left < g.count[2] - done ? done + left : g.count[2];
                left -= end - done;
                for (; done < end; ++done) each(p + done * g.step[2]);
                if (left > 0) continue;
                if (stop_requested()) return false;
                left = kTapsPerLook;
            }
        }
    return true;
}

// Windows side by side that are sorted together, one lane each.
inline constexpr int kSortLanes = 64;
inline constexpr int kSortChunk = 16;

// Taps up to which sorting networks beat a window at a time.
inline constexpr int kSortTaps = 64;

// The rows of a network: row t holds tap t of every lane.
template <class K>
struct Rows {
    K* data;
    int lanes;  // in use, rounded up to whole chunks
    K* row(std::int64_t t) const { return data + t * kSortLanes; }
};

// Lanes from `p`, `step` bytes apart, into a row.
template <class K, bool kFloat>
inline void gather_row(const Coder<K, kFloat>& coder, const std::byte* p, std::int64_t step,
                       int lanes, K* __restrict row) {
    constexpr std::int64_t item = sizeof(K);
    if (step == item) {
        for (int l = 0; l < lanes; ++l) row[l] = coder.encode(p + l * item);
    } else if (step == 2 * item) {
        for (int l = 0; l < lanes; ++l) row[l] = coder.encode(p + l * 2 * item);
    } else {
        for (int l = 0; l < lanes; ++l) row[l] = coder.encode(p + l * step);
    }
}

template <class K, bool kFloat>
inline void gather_rows(const Coder<K, kFloat>& coder, const TapGrid& g, std::int64_t lane_step,
                        int lanes, const Rows<K>& rows) {
    std::int64_t t = 0;
    for_taps(g, [&](const std::byte* p) {
        gather_row(coder, p, lane_step, lanes, rows.row(t++));
    });
}

template <class K>
inline void exchange(const Rows<K>& rows, std::int64_t i, std::int64_t j) {
    K* __restrict low = rows.row(i);
    K* __restrict high = rows.row(j);
    const int lanes = rows.lanes;  // bytes may alias the field
    for (int c = 0; c < lanes; c += kSortChunk)
        for (int l = c; l < c + kSortChunk; ++l) {
            const K a = low[l];
            const K b = high[l];
            low[l] = a < b ? a : b;
            high[l] = a < b ? b : a;
        }
}

// Batcher's merge exchange: sorts every lane, whatever the number of taps.
template <class K>
void sort_rows(const Rows<K>& rows, std::int64_t n) {
    std::int64_t top = 1;
    while (2 * top < n) top *= 2;
    for (std::int64_t p = top; p > 0; p /= 2) {
        std::int64_t r = 0;
        std::int64_t d = p;
        for (std::int64_t q = top; d > 0; q /= 2) {
            for (std::int64_t i = 0; i < n - d; ++i)
                if ((i & p) == r) exchange(rows, i, i + d);
            d = q > p ? q - p : 0;
            r = p;
        }
    }
}

// Whether the windows of all lanes hold one value each.
template <class K>
bool all_uniform(const Rows<K>& rows, std::int64_t n, int lanes) {
    const K* first = rows.row(0);
    for (std::int64_t t = 1; t < n; ++t) {
        const K* row = rows.row(t);
        K differ = 0;
        for (int l = 0; l < lanes; ++l) differ = static_cast<K>(differ | (row[l] ^ first[l]));
        if (differ != 0) return false;
    }
    return true;
}

// The commonest key of every lane of sorted rows; of equally common ones the smallest.
template <class K>
void pick_mode(const Rows<K> rows, std::int64_t n, K* __restrict result) {
    for (int c = 0; c < rows.lanes; c += kSortChunk) {
        K run[kSortChunk];
        K most[kSortChunk];
        for (int l = 0; l < kSortChunk; ++l) {
            run[l] = most[l] = 1;
            result[c + l] = rows.row(0)[c + l];
        }
        for (std::int64_t t = 1; t < n; ++t) {
            const K* before = rows.row(t - 1) + c;
            const K* now = rows.row(t) + c;
            for (int l = 0; l < kSortChunk; ++l) {
                run[l] = static_cast<K>(now[l] == before[l] ? run[l] + 1 : 1);
                const bool better = run[l] > most[l];
                most[l] = better ? run[l] : most[l];
                result[c + l] = better ? now[l] : result[c + l];
            }
        }
    }
}

}  // namespace poolcore
