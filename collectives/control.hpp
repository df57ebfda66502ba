// SPDX-License-Identifier: Apache-2.0
// Control traffic between ranks: texts of any length, and barriers. All are collective and block.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "collectives/communicator.hpp"

namespace traindyno {

/// Tag of control messages; MPI guarantees tags up to 32767. Not for other traffic.
inline constexpr std::int32_t control_tag = 32767;

/// On `root` every member's text, in rank order; elsewhere empty.
[[nodiscard]] std::vector<std::string> gather_text(Communicator& group,
                                                   GroupRank root,
                                                   const std::string& text);

/// Every member's text, in rank order.
[[nodiscard]] std::vector<std::string> all_gather_text(Communicator& group,
                                                       const std::string& text);

/// The root's text.
[[nodiscard]] std::string broadcast_text(Communicator& group,
                                         GroupRank root,
                                         const std::string& text);

/// Element by element the largest of any member.
void take_largest(Communicator& group, std::span<double> values);

/// Returns once every member has called it: on the fastest path, or sleeping while it waits.
void barrier(Communicator& group, Urgency urgency);

}  // namespace traindyno
