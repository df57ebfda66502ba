// SPDX-License-Identifier: Apache-2.0
// Collectives by algorithms of our own, over the messages of any communicator.
#pragma once

#include <memory>

#include "collectives/communicator.hpp"
#include "collectives/cost/algorithm.hpp"
#include "collectives/cost/chunking.hpp"

namespace traindyno {

/// What an operation is cut into; all members must say the same. chunking_for() unless tests want
/// something else.
using ChunkingRule = Chunking (*)(Algorithm algorithm,
                                  CollectiveOp op,
                                  std::int64_t bytes,
                                  std::int64_t ranks,
                                  std::int64_t element_size);

/// Collective: splits `over`, so that plans have tags of their own. Operations that `algorithm`
/// does not have are carried by algorithm_for(); unequal all_to_all is pairwise. send, recv and
/// abort are those of `over`. What is split from the result uses the same algorithm, and asking for
/// one operation advances those of all.
[[nodiscard]] std::unique_ptr<Communicator> make_planned_communicator(
    std::unique_ptr<Communicator> over, Algorithm algorithm, ChunkingRule chunking = &chunking_for);

}  // namespace traindyno
