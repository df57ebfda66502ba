// SPDX-License-Identifier: Apache-2.0
// Operations of several communicators that are advanced together.
#pragma once

#include <memory>
#include <vector>

#include "collectives/communicator.hpp"

namespace traindyno {

/// Whoever waits for one of the operations advances all: libraries that know nothing of each other
/// would else withhold from a peer what this rank does not wait for yet. From one thread.
class InFlight {
  public:
    /// The operation, complete already or as one of these. Its Pending keeps `all` alive.
    [[nodiscard]] static Pending add(const std::shared_ptr<InFlight>& all, Pending pending);

  private:
    struct Entry;
    class Operation;

    void advance();

    std::vector<std::shared_ptr<Entry>> entries_;
};

}  // namespace traindyno
