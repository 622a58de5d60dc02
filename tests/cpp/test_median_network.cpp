// Networks that find medians, by the 0-1 principle: minima and maxima that find the middle of all
// zeros and ones find it of all numbers. Every bit of a word is a window of its own.
#include <bit>
#include <cstdint>
#include <random>
#include <vector>

#include "check.hpp"
#include "poolcore/median_network.hpp"

namespace {

using namespace poolcore;
using Word = std::uint64_t;

NetworkShape shape_of(int rows, int columns, int stride) {
    NetworkShape shape;
    shape.rows = rows;
    shape.columns = columns;
    shape.phases = stride < columns ? stride : columns;
    for (int c = 0; c < columns; ++c) {
        shape.phase[c] = c % stride;
        shape.shift[c] = c / stride;
    }
    return shape;
}

// Does to words what the kernels do to vectors.
class Machine {
   public:
    explicit Machine(const NetworkShape& shape)
        : network(median_network(shape)),
          rows_(static_cast<std::size_t>(network.rows),
                std::vector<Word>(static_cast<std::size_t>(network.longest + 1))) {}

    // Taps column by column. What other windows see must not matter, so it is noise.
    void load(const std::vector<Word>& taps) {
        for (auto& row : rows_)
            for (Word& w : row) w = noise_ = noise_ * 6364136223846793005u + 1442695040888963407u;
        const NetworkShape& s = network.shape;
        for (int c = 0; c < s.columns; ++c)
            for (int r = 0; r < s.rows; ++r)
                at({s.phase[c] * s.rows + r, s.shift[c]}) =
                    taps[static_cast<std::size_t>(c * s.rows + r)];
        for (const Exchange& e : network.exchanges)
            for (int x = 0; x <= e.extra; ++x) {
                const Word a = at({e.a.row, e.a.shift + x});
                const Word b = at({e.b.row, e.b.shift + x});
                if (e.low >= 0) at({e.low, x}) = a & b;
                if (e.high >= 0) at({e.high, x}) = a | b;
            }
    }

    Word ranked(const std::vector<RankTerm>& terms) {
        Word least = ~Word(0);
        for (const RankTerm& t : terms) least &= at(t.a) | (t.b.row < 0 ? 0 : at(t.b));
        return least;
    }
    Word low() { return ranked(network.low); }
    Word high() { return network.high.empty() ? low() : ranked(network.high); }

    const MedianNetwork network;

   private:
    Word& at(const NetworkRow& r) {
        return rows_.at(static_cast<std::size_t>(r.row)).at(static_cast<std::size_t>(r.shift));
    }

    std::vector<std::vector<Word>> rows_;
    Word noise_ = 1;
};

// Where of `taps` ones and zeros, `ones` ones in each bit, the value of the rank is one.
template <class Ones>
Word expected(int taps, int rank, const Ones& ones) {
    Word word = 0;
    for (int b = 0; b < 64; ++b)
        if (ones(b) >= taps - rank) word |= Word(1) << b;
    return word;
}

// All 2**taps windows.
void check_all(const NetworkShape& shape) {
    constexpr Word counting[] = {0xaaaaaaaaaaaaaaaa, 0xcccccccccccccccc, 0xf0f0f0f0f0f0f0f0,
                                 0xff00ff00ff00ff00, 0xffff0000ffff0000, 0xffffffff00000000};
    Machine machine(shape);
    const int n = shape.taps();
    std::vector<Word> taps(static_cast<std::size_t>(n));
    for (Word high = 0; high < (n > 6 ? Word(1) << (n - 6) : 1); ++high) {
        for (int t = 0; t < n; ++t)
            taps[static_cast<std::size_t>(t)] =
                t < 6 ? counting[t] : (high >> (t - 6) & 1) != 0 ? ~Word(0) : 0;
        machine.load(taps);
        const auto ones = [&](int b) {
            const auto low = static_cast<Word>(b) & ((Word(1) << (n < 6 ? n : 6)) - 1);
            return std::popcount(low) + std::popcount(high);
        };
        CHECK_EQ(machine.low(), expected(n, (n - 1) / 2, ones));
        CHECK_EQ(machine.high(), expected(n, n / 2, ones));
    }
}

// All windows whose columns are sorted, as they are after the first exchanges.
void check_sorted_columns(const NetworkShape& shape) {
    Machine machine(shape);
    const int n = shape.taps();
    std::vector<int> counts(static_cast<std::size_t>(shape.columns));
    for (bool done = false; !done;) {
        std::vector<Word> taps(static_cast<std::size_t>(n));
        int ones[64] = {};
        for (int b = 0; b < 64 && !done; ++b) {
            for (int c = 0; c < shape.columns; ++c) {
                const int count = counts[static_cast<std::size_t>(c)];
                ones[b] += count;
                for (int r = shape.rows - count; r < shape.rows; ++r)
                    taps[static_cast<std::size_t>(c * shape.rows + r)] |= Word(1) << b;
            }
            std::size_t c = 0;
            while (c < counts.size() && counts[c] == shape.rows) counts[c++] = 0;
            done = c == counts.size();
            if (!done) ++counts[c];
        }
        machine.load(taps);
        const auto of = [&](int b) { return ones[b]; };
        CHECK_EQ(machine.low(), expected(n, (n - 1) / 2, of));
        CHECK_EQ(machine.high(), expected(n, n / 2, of));
    }
}

// Windows with as many ones as zeros or nearly, in random places.
void check_some(const NetworkShape& shape) {
    Machine machine(shape);
    std::mt19937_64 random(7);
    const int n = shape.taps();
    for (long round = 0; round < check::rounds(n > 32 ? 4 : 40); ++round) {
        std::vector<Word> taps(static_cast<std::size_t>(n));
        int ones[64] = {};
        for (int b = 0; b < 64; ++b) {
            const int wanted = n / 2 - 1 + static_cast<int>(random() % 4);
            for (int t = 0; t < n; ++t) {
                const auto left = static_cast<Word>(n - t);
                if (random() % left >= static_cast<Word>(wanted - ones[b])) continue;
                taps[static_cast<std::size_t>(t)] |= Word(1) << b;
                ++ones[b];
            }
        }
        machine.load(taps);
        const auto of = [&](int b) { return ones[b]; };
        CHECK_EQ(machine.low(), expected(n, (n - 1) / 2, of));
        CHECK_EQ(machine.high(), expected(n, n / 2, of));
    }
}

double combinations(int rows, int columns) {
    double n = 1;
    for (int c = 0; c < columns; ++c) n *= rows + 1;
    return n;
}

TEST(every_size) {
    for (int rows = 1; rows <= kNetworkTaps; ++rows)
        for (int columns = 1; rows * columns <= kNetworkTaps; ++columns)
            for (const int stride : {1, 2, kNetworkTaps}) {
                const NetworkShape shape = shape_of(rows, columns, stride);
                const bool long_form = check::registry().long_form;
                if (shape.taps() <= (long_form ? 25 : 12)) check_all(shape);
                if (combinations(rows, columns) < (long_form ? 3e6 : 5e3))
                    check_sorted_columns(shape);
                check_some(shape);
            }
}

TEST(common_sizes) {
    check_all(shape_of(5, 5, 1));
    check_sorted_columns(shape_of(9, 3, 1));
    if (check::registry().long_form) check_sorted_columns(shape_of(7, 7, 1));
    check_all(shape_of(9, 1, 1));  // the columns of 3x3x3
}

// Columns that are not a stride apart share nothing they do not have in common.
TEST(columns_far_apart) {
    NetworkShape shape = shape_of(2, 5, 1);
    for (int c = 0; c < 5; ++c) {
        shape.phase[c] = 0;
        shape.shift[c] = 3 * c;
    }
    check_all(shape);
    shape.shift[3] = 10;
    shape.shift[4] = 11;
    check_all(shape);
}

TEST(few_steps) {
    CHECK_EQ(median_network(shape_of(3, 3, 1)).exchanges.size(), std::size_t(9));
    CHECK_EQ(median_network(shape_of(5, 5, 1)).exchanges.size(), std::size_t(46));
    CHECK_EQ(median_network(shape_of(2, 2, 1)).exchanges.size(), std::size_t(1));
}

}  // namespace

TEST_MAIN()
