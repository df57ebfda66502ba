// SPDX-License-Identifier: Apache-2.0
// The JSON file of tuned plans, which several processes may write.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "emulator/device/gemm_plans/plan_cache.hpp"

namespace traindyno {

struct PlanFile {
    PlanTable plans;
    std::vector<std::string> notes;  ///< "problem (why) suggestion", one per damage
};

/// Empty when there is no such file.
[[nodiscard]] PlanFile read_plan_file(const std::filesystem::path& file);

/// Replaces the file by its plans and `added`; of two plans of one key, the added one stays.
/// Writers wait for each other; ConfigError when the file cannot be written.
void merge_into_plan_file(const std::filesystem::path& file, const PlanTable& added);

}  // namespace traindyno
