// SPDX-License-Identifier: Apache-2.0
// Who calls libraries that may block, as a Watchdog sees it.
#pragma once

#include <string>

#include "emulator/base/units.hpp"

namespace traindyno {

class BlockingCaller {
  public:
    virtual ~BlockingCaller() = default;

    /// What is outstanding, one line each. For hang reports; another thread may call it only while
    /// blocked_since() is set.
    [[nodiscard]] virtual std::string outstanding() const = 0;

    /// Since when the calling thread has been inside a library call that may block; 0 = it is not.
    /// Asked by one other thread.
    [[nodiscard]] virtual SimTime blocked_since() const = 0;
};

}  // namespace traindyno
