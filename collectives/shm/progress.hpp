// SPDX-License-Identifier: Apache-2.0
// All that a process has under way in the memory of one heap.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collectives/shm/group_queue.hpp"

namespace traindyno {

/// Whoever asks for one operation advances all: a rank that waits for one must not withhold another
/// from its peers.
class HeapProgress {
  public:
    /// `ranks` share this host. With more of them than processors, waiting makes way at once.
    explicit HeapProgress(std::int64_t ranks);

    /// Called with each operation: queues that have none left are forgotten.
    void add(const std::shared_ptr<GroupQueue>& queue);
    /// One piece of work on each group. Where all of them wait, this rank's processor goes to other
    /// processes.
    void advance();

    /// What this process carries besides: asked while everything here waits, since libraries only
    /// move messages when they are called.
    void also_ask(const std::shared_ptr<Pending>& elsewhere);

    /// There are more ranks than processors: another phase means that all must get one again.
    [[nodiscard]] bool crowded() const { return spins_ == 0; }

    /// How often in a row `advance` found nothing to do.
    [[nodiscard]] std::int64_t fruitless() const { return fruitless_; }

  private:
    void make_way();

    std::int64_t spins_;
    std::int64_t fruitless_ = 0;
    std::vector<std::shared_ptr<GroupQueue>> active_;
    std::vector<std::weak_ptr<Pending>> elsewhere_;
};

}  // namespace traindyno
