// SPDX-License-Identifier: Apache-2.0
// Strong integer identifiers: a world rank is not a group rank, and the compiler knows.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace traindyno {

template <class Tag>
class Id {
  public:
    constexpr Id() = default;

    constexpr explicit Id(std::int64_t value) : value_(static_cast<std::int32_t>(value)) {}

    [[nodiscard]] constexpr std::int32_t value() const { return value_; }

    [[nodiscard]] constexpr std::size_t index() const { return static_cast<std::size_t>(value_); }

    friend constexpr auto operator<=>(Id, Id) = default;

  private:
    std::int32_t value_ = 0;
};

using WorldRank = Id<struct WorldRankTag>;    ///< rank among the ranks of one study point
using GroupRank = Id<struct GroupRankTag>;    ///< rank inside one communication group
using GroupId = Id<struct GroupIdTag>;        ///< index into StepProgram::groups
using Stage = Id<struct StageTag>;            ///< pipeline stage, 0 holds the embedding
using MicroBatch = Id<struct MicroBatchTag>;  ///< micro-batch of the step, 0 first
using LayerIndex = Id<struct LayerIndexTag>;  ///< global transformer layer
using BlockId = Id<struct BlockIdTag>;        ///< index into StepProgram::blocks
using TaskId = Id<struct TaskIdTag>;          ///< index into StepProgram::tasks

}  // namespace traindyno

template <class Tag>
struct std::hash<traindyno::Id<Tag>> {
    std::size_t operator()(traindyno::Id<Tag> id) const noexcept {
        return std::hash<std::int32_t>{}(id.value());
    }
};
