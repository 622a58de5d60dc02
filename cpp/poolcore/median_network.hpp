// Which taps are compared with which to find the middle of windows side by side, and what
// neighbouring windows share. Built once for a call, run by the kernels of network.inl.hpp.
//
// A window is a few columns of like taps. Every column is sorted, once for all windows that hold
// it; columns next to each other are merged by halves, lists that windows share once, too; of the
// last two lists the middle ranks alone are picked. Sorting and merging is Batcher's odd-even
// merge. Values that cannot be in the middle of the window, since too many others of their list
// lie to one side, are forgotten on the way (forgetful selection), and so is every half of an
// exchange that nobody reads. The run family only.
#pragma once

#include <cstdint>
#include <vector>

namespace poolcore {

// Taps of a window, of which a network makes the best up to here.
inline constexpr int kNetworkTaps = 128;

// How the taps of a window lie: column c of window x is line shift[c] + x of phase[c].
struct NetworkShape {
    int rows = 1;  // taps of a column
    int columns = 1;
    int phases = 1;  // lines of columns in memory
    int phase[kNetworkTaps] = {};
    int shift[kNetworkTaps] = {};

    int taps() const { return rows * columns; }
    int taps_loaded() const { return rows * phases; }
};

// A row of the scratch, from lane `shift` on.
struct NetworkRow {
    int row = -1;  // -1: none
    int shift = 0;
};

// low and high become the lesser and the greater of a and b, lane by lane, `extra` more than there
// are windows. Either may be none; both may be the rows of a and b.
struct Exchange {
    NetworkRow a, b;
    int low, high;
    int extra;
};

// The greater of two, of which the least one of all terms is the wanted one. b may be none.
struct RankTerm {
    NetworkRow a, b;
};

struct MedianNetwork {
    NetworkShape shape;
    // Row q of phase p is loaded into row p*shape.rows + q, extent[p] lanes more than windows.
    std::vector<int> extent;
    std::vector<Exchange> exchanges;
    std::vector<RankTerm> low, high;  // high is empty where the number of taps is odd
    int rows = 0;                     // of scratch
    int longest = 0;                  // of the extents
};

MedianNetwork median_network(const NetworkShape& shape);

}  // namespace poolcore
