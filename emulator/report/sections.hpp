// SPDX-License-Identifier: Apache-2.0
// The sections of the report, one function each; compose() puts them in order.
#pragma once

#include <optional>
#include <vector>

#include "emulator/report/document.hpp"

namespace traindyno {

[[nodiscard]] Section scaling_section(const Study& study);
[[nodiscard]] Section budget_section(const Study& study);
[[nodiscard]] Section loss_section(const Study& study);
[[nodiscard]] Section definitions_section(const Study& study);
[[nodiscard]] Section ranks_section(const Study& study);
[[nodiscard]] Section collectives_section(const Study& study);
[[nodiscard]] Section step_times_section(const Study& study);
[[nodiscard]] Section training_section(const Study& study);
[[nodiscard]] Section memory_section(const Study& study);
[[nodiscard]] Section checks_section(const Study& study);
/// Empty when no GPU was sampled.
[[nodiscard]] std::optional<Section> gpu_section(const Study& study);
[[nodiscard]] Section environment_section(const Study& study);

/// What environment_section() says about GPUs; nothing where there are none.
[[nodiscard]] std::vector<Content> gpu_environment(const EnvironmentInfo& environment);

}  // namespace traindyno
