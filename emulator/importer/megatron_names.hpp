// SPDX-License-Identifier: Apache-2.0
// What Megatron-LM's arguments that become nothing here are about.
#pragma once

#include <optional>
#include <string_view>

namespace traindyno {

/// Whether the argument is known and no part of a step's work: paths, logging, seeds, rates, how
/// the processes start, kernels that compute the same.
[[nodiscard]] bool is_without_effect(std::string_view name);

/// Why the argument, which changes the step, is not reproduced; nothing where it is not known.
[[nodiscard]] std::optional<std::string_view> reason_not_emulated(std::string_view name);

}  // namespace traindyno
