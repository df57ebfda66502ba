// SPDX-License-Identifier: Apache-2.0
// What another trainer's configuration comes to here: a model, settings, and what was left over.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/model/model.hpp"

namespace traindyno {

/// Value of one of our flags, and where it comes from: "pretrain.sh:12: --num-layers".
struct ImportedSetting {
    std::string value;
    std::string origin;
};

struct Imported {
    std::optional<Model> model;                       ///< absent where the source describes none
    std::map<std::string, ImportedSetting> settings;  ///< by the flag's name without dashes
    /// What changes the step and is not reproduced: "--mtp-num-layers (no extra prediction
    /// layers)".
    std::vector<std::string> not_emulated;
    std::vector<std::string> without_effect;  ///< known, and no part of a step: paths, logging ...
    std::vector<std::string> unknown;         ///< not known here: may change the step or not
};

/// Megatron-LM's command line, or a launch script that holds it (megatron/training/arguments.py).
/// Absent arguments have Megatron's defaults. ConfigError names every wrong argument.
[[nodiscard]] Imported import_megatron(const std::string& arguments_or_file);

/// A TOML file of torchtitan (torchtitan/config/job_config.py).
[[nodiscard]] Imported import_torchtitan(const std::string& file);

/// DeepSpeed's JSON file: batch, precision and ZeRO (deepspeed.ai, docs/config-json). It holds no
/// model.
[[nodiscard]] Imported import_deepspeed(const std::string& file);

}  // namespace traindyno
