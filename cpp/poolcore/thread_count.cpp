// The process-wide number of threads: POOLCORE_NUM_THREADS, or as many as there are CPUs for this
// process, until someone sets it. Includes cpu, error and the standard headers only.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <string>
#include <system_error>

#include "poolcore/cpu.hpp"
#include "poolcore/error.hpp"
#include "poolcore/threads.hpp"

namespace poolcore {
namespace {

constinit std::atomic<int> thread_setting{0};  // 0: not read yet

int default_threads() {
    const char* text = std::getenv("POOLCORE_NUM_THREADS");
    if (text == nullptr || *text == '\0') return std::min(available_cpus(), kMaxThreads);
    const std::string value = text;
    int n = 0;
    const auto end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, n);
    if (error != std::errc{} || stop != end || n < 1) {
        throw PoolError(ErrorKind::kValue, "POOLCORE_NUM_THREADS='" + value +
                                               "' must be a whole number of at least 1");
    }
    return std::min(n, kMaxThreads);
}

}  // namespace

int get_num_threads() {
    int n = thread_setting.load(std::memory_order_relaxed);
    if (n != 0) return n;
    const int wanted = default_threads();
    // Keeps what another thread has set meanwhile.
    return thread_setting.compare_exchange_strong(n, wanted, std::memory_order_relaxed) ? wanted
                                                                                        : n;
}

void set_num_threads(int n) {
    if (n < 1) {
        throw PoolError(ErrorKind::kValue,
                        "set_num_threads: n=" + std::to_string(n) + " must be at least 1");
    }
    thread_setting.store(std::min(n, kMaxThreads), std::memory_order_relaxed);
}

}  // namespace poolcore
