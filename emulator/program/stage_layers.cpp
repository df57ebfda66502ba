// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/stage_layers.hpp"

#include <algorithm>

#include "emulator/program/build.hpp"

namespace traindyno {

Pipeline pipeline_of(const Layout& layout, const TrainingSetup& setup) {
    return {.schedule = setup.schedule,
            .micro_batches = micro_batches(layout, setup),
            .stages = layout.pp,
            .chunks = setup.virtual_stages};
}

std::vector<ModelChunk> chunks_of(const Model& model,
                                  const Layout& layout,
                                  const TrainingSetup& setup,
                                  Stage stage) {
    std::vector<ModelChunk> chunks;
    std::int64_t in_model = 0;
    std::int64_t in_stage = 0;
    const std::int64_t parts = layout.pp * setup.virtual_stages;
    for (std::int64_t part = 0; part < parts; ++part) {
        const std::int64_t layers = setup.stage_layers.empty()
                                        ? model.layers / parts
                                        : setup.stage_layers.at(static_cast<std::size_t>(part));
        if (part % layout.pp == stage.value()) {
            chunks.push_back({.first = in_model, .first_of_stage = in_stage, .layers = layers});
            in_stage += layers;
        }
        in_model += layers;
    }
    return chunks;
}

std::int64_t layers_of_stage(const Model& model,
                             const Layout& layout,
                             const TrainingSetup& setup,
                             Stage stage) {
    const ModelChunk last = chunks_of(model, layout, setup, stage).back();
    return last.first_of_stage + last.layers;
}

std::int64_t dense_layers_of_stage(const Model& model,
                                   const Layout& layout,
                                   const TrainingSetup& setup,
                                   Stage stage) {
    std::int64_t dense = 0;
    for (const ModelChunk& chunk : chunks_of(model, layout, setup, stage)) {
        dense += std::clamp<std::int64_t>(model.layers_with_mlp() - chunk.first, 0, chunk.layers);
    }
    return dense;
}

std::optional<std::vector<std::int64_t>> split_layers(std::int64_t layers,
                                                      std::int64_t parts,
                                                      const EdgeLayers& edges) {
    std::int64_t inner = parts;
    std::int64_t left = layers;
    for (const std::optional<std::int64_t>& edge : {edges.first, edges.last}) {
        inner -= edge ? 1 : 0;
        left -= edge.value_or(0);
    }
    if (inner < 0 || left < inner || (inner == 0 ? left != 0 : left % inner != 0)) {
        return std::nullopt;
    }
    std::vector<std::int64_t> split(static_cast<std::size_t>(parts), inner > 0 ? left / inner : 0);
    split.front() = edges.first.value_or(split.front());
    split.back() = edges.last.value_or(split.back());
    return split;
}

}  // namespace traindyno
