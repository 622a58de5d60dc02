#include "poolcore/median_network.hpp"

#include <algorithm>
#include <cstddef>

namespace poolcore {
namespace {

// A value is a line of lanes; a use of it starts some lanes further on.
struct Use {
    int value = -1;
    int shift = 0;
};
using Uses = std::vector<Use>;

// Ascending values of some columns next to each other, relative to the first column's shift, and
// how many were forgotten at both ends.
struct List {
    int first = 0;
    int columns = 0;
    Uses at;
    int below = 0;
    int above = 0;
};

class Builder {
   public:
    explicit Builder(const NetworkShape& shape) : shape_(shape), values_(shape.taps_loaded()) {}

    MedianNetwork build() {
        const int half = (shape_.columns + 1) / 2;
        const List left = list(0, half);
        List right;
        if (half < shape_.columns) right = moved(list(half, shape_.columns - half), half, 0);
        pick(left, right, low_rank(), low_);
        if (high_rank() != low_rank()) pick(left, right, high_rank(), high_);
        find_extents();
        return placed();
    }

   private:
    struct Pair {
        Use a, b;
        int low, high;
        int extra = -1;  // -1: nobody asks for it
    };
    struct Term {
        Use a, b;
    };

    int low_rank() const { return (shape_.taps() - 1) / 2; }
    int high_rank() const { return shape_.taps() / 2; }

    // ---- sorting and merging ----

    void exchange(Use& a, Use& b) {
        pairs_.push_back({a, b, values_, values_ + 1});
        a = {values_++, 0};
        b = {values_++, 0};
    }

    static Uses every_second(const Uses& x, std::size_t first) {
        Uses picked;
        for (std::size_t i = first; i < x.size(); i += 2) picked.push_back(x[i]);
        return picked;
    }

    Uses merged(const Uses& x, const Uses& y) {
        if (x.empty()) return y;
        if (y.empty()) return x;
        Uses all;
        if (x.size() == 1 && y.size() == 1) {
            all = {x[0], y[0]};
            exchange(all[0], all[1]);
            return all;
        }
        const Uses even = merged(every_second(x, 0), every_second(y, 0));
        const Uses odd = merged(every_second(x, 1), every_second(y, 1));
        all.push_back(even[0]);
        for (std::size_t i = 0; i < odd.size() || i + 1 < even.size(); ++i) {
            if (i < odd.size()) all.push_back(odd[i]);
            if (i + 1 < even.size()) all.push_back(even[i + 1]);
            if (i < odd.size() && i + 1 < even.size()) exchange(all[all.size() - 2], all.back());
        }
        return all;
    }

    Uses sorted(const Uses& x) {
        if (x.size() < 2) return x;
        const auto middle = x.begin() + static_cast<std::ptrdiff_t>((x.size() + 1) / 2);
        const Uses left = sorted(Uses(x.begin(), middle));
        return merged(left, sorted(Uses(middle, x.end())));
    }

    // ---- lists ----

    bool alike(int a, int b, int columns) const {
        for (int c = 0; c < columns; ++c) {
            const bool same = shape_.phase[a + c] == shape_.phase[b + c] &&
                              shape_.shift[a + c] - shape_.shift[a] ==
                                  shape_.shift[b + c] - shape_.shift[b];
            if (!same) return false;
        }
        return true;
    }

    // As seen from column `to`, of a list that begins at column `from`.
    List moved(List l, int from, int to) const {
        for (Use& use : l.at) use.shift += shape_.shift[from] - shape_.shift[to];
        return l;
    }

    List list(int first, int columns) {
        for (const List& l : lists_)
            if (l.columns == columns && alike(l.first, first, columns)) return l;
        List made;
        if (columns == 1) {
            const int input = shape_.phase[first] * shape_.rows;
            for (int r = 0; r < shape_.rows; ++r) made.at.push_back({input + r, 0});
            made.at = sorted(made.at);
        } else {
            const int half = (columns + 1) / 2;
            const List left = list(first, half);
            const List right = moved(list(first + half, columns - half), first + half, first);
            made.at = merged(left.at, right.at);
            made.below = left.below + right.below;
            made.above = left.above + right.above;
        }
        made.first = first;
        made.columns = columns;
        forget(made);
        lists_.push_back(made);
        return made;
    }

    // Value i of n has `below` + i of the list on one side; what would leave too few on the other
    // side of the wanted ranks is not one of them.
    void forget(List& l) const {
        const int n = static_cast<int>(l.at.size());
        const int last = std::min(n, high_rank() - l.below + 1);
        const int first = std::max(0, n + l.above - (shape_.taps() - low_rank()));
        l.at = Uses(l.at.begin() + first, l.at.begin() + last);
        l.below += first;
        l.above += n - last;
    }

    // The value of a rank among two lists: of all ways to take rank + 1 from their lower ends,
    // the one whose greatest is least.
    void pick(const List& x, const List& y, int rank, std::vector<Term>& terms) const {
        const int wanted = rank - x.below - y.below + 1;
        const int nx = static_cast<int>(x.at.size());
        const int ny = static_cast<int>(y.at.size());
        for (int i = std::max(0, wanted - ny); i <= std::min(nx, wanted); ++i) {
            Term term;
            if (i > 0) term.a = x.at[static_cast<std::size_t>(i - 1)];
            if (i < wanted) term.b = y.at[static_cast<std::size_t>(wanted - i - 1)];
            if (i == 0) std::swap(term.a, term.b);
            terms.push_back(term);
        }
    }

    // ---- rows ----

    void need(const Use& use, int lanes, int when) {
        if (use.value < 0) return;
        const auto v = static_cast<std::size_t>(use.value);
        extent_[v] = std::max(extent_[v], lanes + use.shift);
        last_[v] = std::max(last_[v], when);
    }

    // Lanes beyond the windows that are asked for, from the last use to the first.
    void find_extents() {
        extent_.assign(static_cast<std::size_t>(values_), -1);
        last_.assign(static_cast<std::size_t>(values_), -1);
        const int end = static_cast<int>(pairs_.size());
        for (const auto* terms : {&low_, &high_})
            for (const Term& term : *terms) {
                need(term.a, 0, end);
                need(term.b, 0, end);
            }
        for (int i = end - 1; i >= 0; --i) {
            Pair& p = pairs_[static_cast<std::size_t>(i)];
            p.extra = std::max(extent_[static_cast<std::size_t>(p.low)],
                               extent_[static_cast<std::size_t>(p.high)]);
            if (p.extra < 0) continue;
            need(p.a, p.extra, i);
            need(p.b, p.extra, i);
        }
    }

    NetworkRow row_of(const Use& use) const {
        if (use.value < 0) return {};
        return {rows_[static_cast<std::size_t>(use.value)], use.shift};
    }

    void release(const Use& use, int now) {
        const auto v = static_cast<std::size_t>(use.value);
        if (last_[v] != now) return;
        free_.push_back(rows_[v]);
        last_[v] = -1;
    }

    // A row for a value that is asked for.
    int take(int value, int& used) {
        const auto v = static_cast<std::size_t>(value);
        if (extent_[v] < 0) return -1;
        if (free_.empty()) free_.push_back(used++);
        rows_[v] = free_.back();
        free_.pop_back();
        return rows_[v];
    }

    MedianNetwork placed() {
        MedianNetwork network;
        network.shape = shape_;
        network.rows = shape_.taps_loaded();
        rows_.assign(static_cast<std::size_t>(values_), -1);
        network.extent.assign(static_cast<std::size_t>(shape_.phases), 0);
        for (int v = 0; v < network.rows; ++v) {
            const auto i = static_cast<std::size_t>(v);
            int& extent = network.extent[static_cast<std::size_t>(v / shape_.rows)];
            rows_[i] = v;
            extent = std::max(extent, extent_[i]);
            network.longest = std::max(network.longest, extent);
        }
        int now = 0;
        for (const Pair& p : pairs_) {
            if (p.extra >= 0) {
                Exchange e{row_of(p.a), row_of(p.b), -1, -1, p.extra};
                release(p.a, now);
                release(p.b, now);
                e.low = take(p.low, network.rows);
                e.high = take(p.high, network.rows);
                network.exchanges.push_back(e);
            }
            ++now;
        }
        for (const Term& t : low_) network.low.push_back({row_of(t.a), row_of(t.b)});
        for (const Term& t : high_) network.high.push_back({row_of(t.a), row_of(t.b)});
        return network;
    }

    const NetworkShape& shape_;
    int values_;
    std::vector<Pair> pairs_;
    std::vector<List> lists_;
    std::vector<Term> low_, high_;
    std::vector<int> extent_, last_, rows_, free_;
};

}  // namespace

MedianNetwork median_network(const NetworkShape& shape) { return Builder(shape).build(); }

}  // namespace poolcore
