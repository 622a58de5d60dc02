// Memory between two pages that nobody may touch: an array flush to either end faults on the first
// byte read or written past it, sanitizer or not.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

namespace guard {

enum class Flush { kFront, kBack };

class Arena {
   public:
    // At least so many usable bytes. `read_only` puts a second, unwritable view of the memory
    // between the guards, so that a write by who should only read faults too.
    explicit Arena(std::size_t bytes, bool read_only = false) {
        page_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        size_ = (bytes + page_ - 1) / page_ * page_;
        map(read_only);
        std::memset(write_, kFill, size_);
    }
    ~Arena() {
        munmap(between_ - page_, size_ + 2 * page_);
        if (write_ != between_) munmap(write_, size_);
    }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    // Where `bytes` bytes start that end (kBack) or begin (kFront) `gap` bytes from the guard.
    std::byte* place(std::size_t bytes, Flush flush, std::size_t gap) {
        if (bytes + gap > size_) throw std::bad_alloc();
        start_ = flush == Flush::kFront ? gap : size_ - bytes - gap;
        bytes_ = bytes;
        return between_ + start_;
    }
    // The placed bytes, for the test to write.
    std::byte* writable() { return write_ + start_; }
    // Fills everything but the placed bytes with the pattern again, as far as touched() looks.
    void fill() { std::memset(write_ + first(), kFill, last() - first()); }
    // True when a byte near the placed ones, outside them, has changed since fill().
    bool touched() const {
        for (std::size_t i = first(); i < last(); ++i) {
            if ((i < start_ || i >= start_ + bytes_) && write_[i] != std::byte{kFill}) return true;
        }
        return false;
    }

    static constexpr unsigned char kFill = 0x5a;

   private:
    static constexpr std::size_t kCanary = 256;

    std::size_t first() const { return start_ - std::min(start_, kCanary); }
    std::size_t last() const { return std::min(size_, start_ + bytes_ + kCanary); }

    void map(bool read_only) {
        void* all = mmap(nullptr, size_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED) throw std::bad_alloc();
        between_ = static_cast<std::byte*>(all) + page_;
        write_ = between_;
#if defined(__linux__)
        const int file = read_only ? memfd_create("guard", 0) : -1;
        if (file >= 0 && ftruncate(file, static_cast<off_t>(size_)) == 0) {
            mmap(between_, size_, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
            void* alias = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            close(file);
            if (alias == MAP_FAILED) throw std::bad_alloc();
            write_ = static_cast<std::byte*>(alias);
            return;
        }
#else
        (void)read_only;
#endif
        if (mprotect(between_, size_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    }

    std::size_t page_ = 0;
    std::size_t size_ = 0;
    std::byte* between_ = nullptr;  // what the code under test sees
    std::byte* write_ = nullptr;    // what the test writes through
    std::size_t start_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace guard
