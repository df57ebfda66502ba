// SPDX-License-Identifier: Apache-2.0
// Which of a stage's buffers each visit uses, and who used it before.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "emulator/program/schedule.hpp"

namespace traindyno {

/// Passes of a visit from which and up to which it needs a buffer.
struct Lifetime {
    Direction from = Direction::forward;
    Direction until = Direction::forward;
};

struct BufferUse {
    std::int64_t index = 0;
    std::optional<Visit> before;  ///< the buffer's previous user
};

/// Hands out `count` buffers in the order in which passes give them back, so that a buffer has been
/// free for as long as can be when it is used again.
class BufferRotation {
  public:
    BufferRotation() = default;

    /// `uses(chunk)` tells which visits need a buffer.
    template <class Uses>
    BufferRotation(const std::vector<Pass>& passes,
                   const Pipeline& pipeline,
                   Lifetime lifetime,
                   std::int64_t count,
                   Uses&& uses)
        : micro_batches_(pipeline.micro_batches),
          uses_(static_cast<std::size_t>(pipeline.micro_batches * pipeline.chunks)) {
        for (std::int64_t i = 0; i < count; ++i) {
            free_.push_back({.index = i, .before = {}});
        }
        for (const Pass& pass : passes) {
            if (uses(pass.visit.chunk)) {
                follow(pass, lifetime);
            }
        }
    }

    [[nodiscard]] const BufferUse& of(const Visit& visit) const { return uses_[index_of(visit)]; }

  private:
    void follow(const Pass& pass, Lifetime lifetime);

    [[nodiscard]] std::size_t index_of(const Visit& visit) const {
        return static_cast<std::size_t>(visit.chunk * micro_batches_ + visit.micro_batch);
    }

    std::int64_t micro_batches_ = 0;
    std::deque<BufferUse> free_;
    std::vector<BufferUse> uses_;
};

}  // namespace traindyno
