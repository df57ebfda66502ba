// SPDX-License-Identifier: Apache-2.0
// Why a pipeline cannot run with given settings.
#pragma once

#include <string>
#include <vector>

#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// Appends "key: problem (why) suggestion" for everything wrong with stages, model chunks and
/// schedule. Sizes must be in range.
void check_pipeline(const Model& model,
                    const Layout& layout,
                    const TrainingSetup& setup,
                    std::vector<std::string>& problems);

}  // namespace traindyno
