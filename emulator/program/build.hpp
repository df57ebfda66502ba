// SPDX-License-Identifier: Apache-2.0
// Builds the step program of a rank from model, layout and training setup. Pure.
#pragma once

#include <string>
#include <vector>

#include "emulator/base/ids.hpp"
#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/step_program.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// Every reason why `model` cannot be trained with `layout` and `setup`. Empty when it can.
[[nodiscard]] std::vector<std::string> problems_of(const Model& model,
                                                   const Layout& layout,
                                                   const TrainingSetup& setup);

/// The step of `rank`. Throws ConfigError with everything from `problems_of`.
[[nodiscard]] StepProgram build_step(const Model& model,
                                     const Layout& layout,
                                     const TrainingSetup& setup,
                                     WorldRank rank);

/// Micro-batches per step and replica: global_batch / (dp * micro_batch).
[[nodiscard]] std::int64_t micro_batches(const Layout& layout, const TrainingSetup& setup);

/// Vocabulary padded so that tp divides it into equal parts (Megatron: multiple of 128 * tp).
[[nodiscard]] std::int64_t padded_vocab(const Model& model, const Layout& layout);

}  // namespace traindyno
