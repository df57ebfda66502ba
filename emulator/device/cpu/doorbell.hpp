// SPDX-License-Identifier: Apache-2.0
// Lets a thread sleep until another one reports news, or until a deadline.
#pragma once

#include <atomic>
#include <cstdint>

#include "emulator/base/units.hpp"

namespace traindyno {

/// An event counter. Waiting without losing news: read `rings()`, look at the state, and if it is
/// not yet as wanted `sleep(that count, deadline)`: it returns at once when the bell rang since.
class Doorbell {
  public:
    [[nodiscard]] std::uint32_t rings() const { return rings_.load(); }

    void ring();

    /// Returns once the bell has rung more than `seen` times or `deadline` has passed; may return
    /// earlier.
    void sleep(std::uint32_t seen, SimTime deadline);

  private:
    // std::condition_variable would cost the ringing thread a lock per operation.
    std::atomic<std::uint32_t> rings_{0};
    std::atomic<std::uint32_t> sleepers_{0};
};

}  // namespace traindyno
