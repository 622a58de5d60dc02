// The one exception the core throws. Only planning and data checks throw it, never a kernel.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace poolcore {

enum class ErrorKind { kValue, kType, kIndex, kMemory };

class PoolError : public std::exception {
   public:
    PoolError(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}
    const char* what() const noexcept override { return message_.c_str(); }
    ErrorKind kind() const noexcept { return kind_; }

   private:
    ErrorKind kind_;
    std::string message_;
};

}  // namespace poolcore
