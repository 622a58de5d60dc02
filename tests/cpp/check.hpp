// A test harness of one header: TEST(name) { CHECK(...); } and one TEST_MAIN() per file.
// A failed check is printed and counted, and the test goes on. Arguments of the executable:
// `--long` makes sweeps bigger, `--all` prints every failure, any other word runs the tests whose name contains it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

namespace check {

struct Test {
    const char* name;
    void (*function)();
};

struct Registry {
    std::vector<Test> tests;
    std::atomic<int> failures{0};
    std::atomic<int> printed{0};  // of this test
    bool long_form = false;
    int print_at_most = 20;  // enough to see the pattern; a sweep can fail a million times
    const char* program = "";
};

inline Registry& registry() {
    static Registry the_one;
    return the_one;
}

inline bool add(const char* name, void (*function)()) {
    registry().tests.push_back({name, function});
    return true;
}

// How many times a random sweep of `normal` rounds goes round.
inline long rounds(long normal) { return registry().long_form ? normal * 50 : normal; }

inline void fail(const char* file, int line, const std::string& message) {
    ++registry().failures;
    if (registry().printed.fetch_add(1) < registry().print_at_most) {
        std::fprintf(stderr, "%s:%d: %s\n", file, line, message.c_str());
    }
}

template <class A, class B>
void equal(const A& a, const B& b, const char* text, const char* file, int line) {
    if (a == b) return;
    std::ostringstream message;
    message << text << ": " << a << " is not " << b;
    fail(file, line, message.str());
}

inline int run(int argc, char** argv) {
    Registry& all = registry();
    all.program = argv[0];
    const char* filter = "";
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--long") == 0) {
            all.long_form = true;
        } else if (std::strcmp(argv[i], "--all") == 0) {
            all.print_at_most = 1 << 30;
        } else {
            filter = argv[i];
        }
    }
    int ran = 0;
    for (const Test& test : all.tests) {
        if (std::strstr(test.name, filter) == nullptr) continue;
        const int before = all.failures;
        all.printed = 0;
        const auto start = std::chrono::steady_clock::now();
        try {
            test.function();
        } catch (const std::exception& error) {
            fail(test.name, 0, std::string("exception: ") + error.what());
        }
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
        std::printf("%-4s %s (%.2f s)\n", all.failures == before ? "ok" : "FAIL", test.name,
                    spent.count());
        std::fflush(stdout);
        ++ran;
    }
    std::printf("%d tests, %d failed checks\n", ran, all.failures.load());
    return ran > 0 && all.failures == 0 ? 0 : 1;
}

}  // namespace check

#define TEST(name)                                                 \
    static void test_##name();                                     \
    static const bool added_##name = check::add(#name, test_##name); \
    static void test_##name()

#define TEST_MAIN() \
    int main(int argc, char** argv) { return check::run(argc, argv); }

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) check::fail(__FILE__, __LINE__, "not true: " #condition); \
    } while (false)

#define CHECK_EQ(a, b) check::equal((a), (b), #a " == " #b, __FILE__, __LINE__)

// Checks that `expression` throws a `Type` whose what() contains `text`.
#define CHECK_THROWS(expression, Type, text)                                             \
    do {                                                                                 \
        std::string caught_ = "nothing";                                                 \
        try {                                                                            \
            (void)(expression);                                                          \
        } catch (const Type& error_) {                                                   \
            caught_ = error_.what();                                                     \
            if (caught_.find(text) != std::string::npos) break;                          \
        } catch (const std::exception& other_) {                                         \
            caught_ = std::string("another type: ") + other_.what();                     \
        }                                                                                \
        check::fail(__FILE__, __LINE__, #expression " should throw " #Type " with '" +   \
                                            std::string(text) + "', threw: " + caught_); \
    } while (false)
