// The weights of a box, kept in tables of bounded size: what does not fit is computed anew each
// time. Along one axis the places that are read may be few and far between; only these take part.
#pragma once

#include <cstdint>

#include "poolcore/roi_axis.hpp"
#include "poolcore/scratch.hpp"

namespace poolcore {

// Taps of all bins of an axis.
class TapTable {
   public:
    static constexpr std::int64_t kMostTaps = 4096;
    static constexpr std::int64_t kMostBins = 2048;

    explicit TapTable(Scratch& scratch)
        : taps_(reinterpret_cast<Tap*>(scratch.take(kMostTaps * sizeof(Tap)))),
          ends_(reinterpret_cast<std::int64_t*>(scratch.take((kMostBins + 1) * 8))) {}
    static std::int64_t scratch_bytes() {
        return Scratch::footprint(kMostTaps * sizeof(Tap)) +
               Scratch::footprint((kMostBins + 1) * 8);
    }

    void make(const SampleAxis& axis) {
        axis_ = &axis;
        std::int64_t n = 0;
        kept_ = axis.bins <= kMostBins;
        for (std::int64_t bin = 0; bin < axis.bins && kept_; ++bin) {
            ends_[bin] = n;
            each_tap(axis, bin, [&](const Tap& tap) {
                if (n < kMostTaps) taps_[n] = tap;
                ++n;
            });
            kept_ = n <= kMostTaps;
        }
        if (kept_) ends_[axis.bins] = n;
    }

    bool kept() const { return kept_; }
    Tap* begin() const { return taps_; }
    Tap* end() const { return taps_ + ends_[axis_->bins]; }

    template <class Each>
    void each(std::int64_t bin, const Each& call) const {
        if (!kept_) return each_tap(*axis_, bin, call);
        for (std::int64_t i = ends_[bin]; i < ends_[bin + 1]; ++i) call(taps_[i]);
    }

   private:
    const SampleAxis* axis_ = nullptr;
    bool kept_ = false;
    Tap* taps_;
    std::int64_t* ends_;  // of bin i - 1; the start of bin i
};

// Elements [first, first + n) of the image, from place `from` on of those that are read.
struct PlaceRun {
    std::int64_t first, n, from;
};

// Which elements along an axis are read.
class Places {
   public:
    explicit Places(Scratch& scratch)
        : runs_(reinterpret_cast<PlaceRun*>(scratch.take(kMostRuns * sizeof(PlaceRun)))) {}
    static std::int64_t scratch_bytes() {
        return Scratch::footprint(kMostRuns * sizeof(PlaceRun));
    }

    // Taps that are kept name places from now on, in place of elements.
    void make(const SampleAxis& axis, const TapTable& table, const Reach& reach) {
        shift_ = 0;
        const std::int64_t taps = table.kept() ? table.end() - table.begin() : 0;
        const bool few = taps > 0 && 8 * taps < reach.size();
        if (few && find_runs(axis, table)) return;
        runs_[0] = {reach.lo, reach.size(), 0};
        n_runs_ = reach.size() > 0 ? 1 : 0;
        shift_ = reach.lo;
    }
    std::int64_t count() const {
        return n_runs_ == 0 ? 0 : runs_[n_runs_ - 1].from + runs_[n_runs_ - 1].n;
    }
    // The place that a tap names.
    std::int64_t of(const Tap& tap) const { return tap.at - shift_; }

    // Calls each(element, place, n) for the places [lo, hi).
    template <class Each>
    void each(std::int64_t lo, std::int64_t hi, const Each& call) const {
        for (std::int64_t i = 0; i < n_runs_; ++i) {
            const PlaceRun& run = runs_[i];
            const std::int64_t first = std::max(lo, run.from);
            const std::int64_t last = std::min(hi, run.from + run.n);
            if (first < last) call(run.first + (first - run.from), first, last - first);
        }
    }

   private:
    static constexpr std::int64_t kMostRuns = 512;

    bool find_runs(const SampleAxis& axis, const TapTable& table) {
        if (axis.step < 0) return false;
        std::int64_t n = 0;
        PlaceRun run{-1, 0, 0};
        // Neighbouring bins may share elements. Of corners so far off that float64 misses whole
        // elements they may lie anyhow.
        for (const Tap* tap = table.begin(); tap != table.end(); ++tap) {
            if (tap->at < run.first) return false;
            if (run.first >= 0 && tap->at < run.first + run.n) continue;
            if (run.first >= 0 && tap->at == run.first + run.n) {
                ++run.n;
                continue;
            }
            if (run.first >= 0) {
                if (n == kMostRuns - 1) return false;
                runs_[n++] = run;
            }
            run = {tap->at, 1, run.from + run.n};
        }
        runs_[n++] = run;
        n_runs_ = n;
        name_places(table);
        return true;
    }

    void name_places(const TapTable& table) const {
        std::int64_t i = 0;
        for (Tap* tap = table.begin(); tap != table.end(); ++tap) {
            while (tap->at >= runs_[i].first + runs_[i].n) ++i;
            while (tap->at < runs_[i].first) --i;
            tap->at = runs_[i].from + (tap->at - runs_[i].first);
        }
    }

    PlaceRun* runs_;
    std::int64_t n_runs_ = 0;
    std::int64_t shift_ = 0;
};

}  // namespace poolcore
