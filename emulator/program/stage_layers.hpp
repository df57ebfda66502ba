// SPDX-License-Identifier: Apache-2.0
// Which layers each pipeline stage holds.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/schedule.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// Consecutive layers of the model on one stage.
struct ModelChunk {
    std::int64_t first = 0;           ///< in the model
    std::int64_t first_of_stage = 0;  ///< among the layers of the stage
    std::int64_t layers = 0;

    friend bool operator==(const ModelChunk&, const ModelChunk&) = default;
};

[[nodiscard]] Pipeline pipeline_of(const Layout& layout, const TrainingSetup& setup);

/// The chunks of `stage`, in the order of the model: chunk c is part c p + stage of p v parts
/// (Narayanan et al., SC'21, section 2.2). Valid setups only (problems_of).
[[nodiscard]] std::vector<ModelChunk> chunks_of(const Model& model,
                                                const Layout& layout,
                                                const TrainingSetup& setup,
                                                Stage stage);

[[nodiscard]] std::int64_t layers_of_stage(const Model& model,
                                           const Layout& layout,
                                           const TrainingSetup& setup,
                                           Stage stage);

/// Of them, those with an MLP: the first, as in the model.
[[nodiscard]] std::int64_t dense_layers_of_stage(const Model& model,
                                                 const Layout& layout,
                                                 const TrainingSetup& setup,
                                                 Stage stage);

/// Where only the first or the last part differs from the others (Megatron-LM's
/// --decoder-first-pipeline-num-layers and --decoder-last-pipeline-num-layers).
struct EdgeLayers {
    std::optional<std::int64_t> first;
    std::optional<std::int64_t> last;
};

/// TrainingSetup::stage_layers for `parts` parts whose inner ones are equal; nothing when the
/// layers left cannot be shared equally.
[[nodiscard]] std::optional<std::vector<std::int64_t>> split_layers(std::int64_t layers,
                                                                    std::int64_t parts,
                                                                    const EdgeLayers& edges);

}  // namespace traindyno
