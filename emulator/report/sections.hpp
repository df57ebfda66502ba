// SPDX-License-Identifier: Apache-2.0
// The sections of the report, one function each; compose() puts them in order.
#pragma once

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
[[nodiscard]] Section environment_section(const Study& study);

}  // namespace traindyno
