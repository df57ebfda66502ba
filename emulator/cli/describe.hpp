// SPDX-License-Identifier: Apache-2.0
// What a model is and costs: parameters, FLOPs, years on one device, memory and traffic of a rank.
#pragma once

#include <string>
#include <vector>

#include "emulator/gpu/module.hpp"
#include "emulator/layout/layout.hpp"
#include "emulator/machine/profile.hpp"
#include "emulator/model/catalog.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

struct DescribeRequest {
    Model model;
    Layout layout;
    TrainingSetup setup;
    double tokens = 300e9;  ///< GPT-3's training run (arXiv:2005.14165, Table 2.1)
    std::vector<MachineProfile> machines = {};  ///< whose peaks and memory to compare with
    std::vector<Proportion> proportions = {};   ///< of a shrunk model; empty otherwise
    std::vector<std::string> left_out = {};     ///< left_out_of_model
    GpuInventory gpus = {};                     ///< of this machine
};

/// Both throw ConfigError when the model cannot be trained as requested.
[[nodiscard]] std::string describe_text(const DescribeRequest& request);

/// {model, parameters, active_parameters, flops_per_token, training, single_device_years,
/// memory_bytes, volumes, devices}; README, "describe".
[[nodiscard]] std::string describe_json(const DescribeRequest& request);

}  // namespace traindyno
