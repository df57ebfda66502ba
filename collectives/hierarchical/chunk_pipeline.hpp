// SPDX-License-Identifier: Apache-2.0
// Chunks of operations on their way through legs, several in flight, in an order that all
// members share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "collectives/communicator.hpp"

namespace traindyno {

/// Where a chunk is reduced, exchanged and gathered. Every leg has a communicator of its own
/// (`finish` none), and posts chunks in the order in which they were added: the same on every
/// member, however the members' times differ. So no leg waits for another chunk's later leg.
enum class Leg : std::uint8_t { inside_first, across, inside_last, finish };

inline constexpr std::size_t leg_count = 4;

/// Posts one leg of a chunk; empty where the leg has nothing to do.
using ChunkSteps = std::array<std::function<Pending()>, leg_count>;

class ChunkPipeline {
  public:
    /// Chunks that were added together.
    struct Batch {
        std::size_t incomplete = 0;
        std::exception_ptr error;     ///< of its first chunk that failed
        std::vector<Pending> failed;  ///< go with the batch: their peers may never come
    };

    /// Of `depth` chunks in a leg at once the wire is busy while others are reduced and gathered.
    explicit ChunkPipeline(std::size_t depth) : depth_(depth) {}

    [[nodiscard]] std::shared_ptr<Batch> add(std::vector<ChunkSteps> chunks);
    /// Looks at what is in flight and posts what may be.
    void advance();
    /// Forgets the chunks of a batch whose buffers go away.
    void drop(const Batch& batch);

    [[nodiscard]] bool empty() const { return chunks_.empty(); }

  private:
    struct Chunk {
        ChunkSteps steps;
        std::shared_ptr<Batch> batch;
        std::size_t legs_done = 0;
        std::size_t legs_posted = 0;
        Pending pending;
    };

    [[nodiscard]] bool may_post(std::size_t leg) const;
    void post_in_order(std::size_t leg);
    /// Runs `step` of the chunk; what it throws becomes the batch's error and ends the chunk.
    static void attempt(Chunk& chunk, const std::function<void()>& step);

    std::size_t depth_;
    std::deque<Chunk> chunks_;  ///< incomplete ones, in the order they were added
};

}  // namespace traindyno
