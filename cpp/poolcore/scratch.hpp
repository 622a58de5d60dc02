// A worker's scratch memory: a stack of aligned blocks, each followed by room for one vector
// past its end, because in-place kernels may write so far.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>

#include "poolcore/error.hpp"

namespace poolcore {

inline constexpr std::int64_t kScratchAlign = 64;
inline constexpr std::int64_t kScratchSlack = 128;

// Scratch one worker may use; with it a call stays under 1 MiB a thread.
inline constexpr std::int64_t kScratchLimit = 512 * 1024;
// What it reserves at most, and keeps.
inline constexpr std::int64_t kScratchMost = 2 * kScratchLimit;

class Scratch {
   public:
    Scratch() = default;
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { drop(); }

    // Empties the stack and makes sure that it holds `bytes`.
    void reserve(std::int64_t bytes) {
        used_ = 0;
        if (bytes <= capacity_) return;
        drop();
        memory_ = static_cast<std::byte*>(::operator new(
            static_cast<std::size_t>(bytes), std::align_val_t{kScratchAlign}, std::nothrow));
        if (!memory_)
            throw PoolError(ErrorKind::kMemory,
                            "no memory for " + std::to_string(bytes) + " bytes of scratch");
        capacity_ = bytes;
    }

    // What take(bytes) uses up.
    static std::int64_t footprint(std::int64_t bytes) {
        return (bytes + kScratchSlack + kScratchAlign - 1) / kScratchAlign * kScratchAlign;
    }

    std::byte* take(std::int64_t bytes) {
        const std::int64_t size = footprint(bytes);
        if (size > capacity_ - used_)
            throw PoolError(ErrorKind::kMemory, "scratch of " + std::to_string(capacity_) +
                                                    " bytes is too small; this is a bug");
        std::byte* block = memory_ + used_;
        used_ += size;
        return block;
    }

    std::int64_t mark() const { return used_; }
    void release(std::int64_t mark) { used_ = mark; }
    std::int64_t capacity() const { return capacity_; }

    void drop() {
        ::operator delete(memory_, std::align_val_t{kScratchAlign});
        memory_ = nullptr;
        capacity_ = 0;
    }

   private:

    std::byte* memory_ = nullptr;
    std::int64_t capacity_ = 0;
    std::int64_t used_ = 0;
};

// `bytes` of scratch for one task: this thread's, kept from call to call, since fresh memory costs
// page faults. A task that polls may be interrupted by a signal handler, and that may call the
// library: within a task that holds the thread's scratch, another gets its own.
class TaskScratch {
   public:
    explicit TaskScratch(std::int64_t bytes);
    ~TaskScratch();
    TaskScratch(const TaskScratch&) = delete;
    TaskScratch& operator=(const TaskScratch&) = delete;
    Scratch& operator*() { return scratch_; }

   private:
    void give_back();

    Scratch own_;
    Scratch& scratch_;
};

struct ThreadState;  // see scratch_thread.hpp

// While it lives this thread's tasks find so much scratch; then no more than kScratchMost is kept.
// A job takes it for every thread before the first task of that thread, so that memory does not end
// when others have begun to write.
class HeldScratch {
   public:
    explicit HeldScratch(std::int64_t bytes);  // throws as Scratch::reserve does
    ~HeldScratch();
    HeldScratch(const HeldScratch&) = delete;
    HeldScratch& operator=(const HeldScratch&) = delete;

   private:
    ThreadState& state_;
    const bool outermost_;
};

}  // namespace poolcore
