// SPDX-License-Identifier: Apache-2.0
// Owner of one raw library handle (MPI_Comm, hwloc topology, stream ...).
#pragma once

#include <utility>

namespace traindyno {

/// `Traits` supplies `using Handle`, `static Handle null()` and `static void destroy(Handle)
/// noexcept`. A moved-from owner holds `null()` and destroys nothing.
template <class Traits>
class UniqueHandle {
  public:
    using Handle = typename Traits::Handle;

    UniqueHandle() = default;

    explicit UniqueHandle(Handle handle) : handle_(handle) {}

    UniqueHandle(UniqueHandle&& other) noexcept
        : handle_(std::exchange(other.handle_, Traits::null())) {}

    UniqueHandle& operator=(UniqueHandle&& other) noexcept {
        if (this != &other) {
            reset(std::exchange(other.handle_, Traits::null()));
        }
        return *this;
    }

    UniqueHandle(const UniqueHandle&) = delete;
    UniqueHandle& operator=(const UniqueHandle&) = delete;

    ~UniqueHandle() { reset(Traits::null()); }

    [[nodiscard]] Handle get() const { return handle_; }

    [[nodiscard]] bool empty() const { return handle_ == Traits::null(); }

    void reset(Handle next) noexcept {
        if (!empty()) {
            Traits::destroy(handle_);
        }
        handle_ = next;
    }

  private:
    Handle handle_ = Traits::null();
};

}  // namespace traindyno
