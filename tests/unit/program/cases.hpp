// SPDX-License-Identifier: Apache-2.0
// Small models, layouts and setups that the tests of step programs build.
#pragma once

#include <string>
#include <vector>

#include "emulator/program/build.hpp"

namespace traindyno {

/// GPT shape: layernorm, biases, learned positions, GELU, tied embeddings.
inline Model small_gpt(std::int64_t layers) {
    return {.name = "small-gpt",
            .layers = layers,
            .hidden = 64,
            .heads = 8,
            .kv_heads = 8,
            .head_size = 8,
            .ffn = 256,
            .seq = 16,
            .vocab = 1000};
}

/// Llama shape: grouped queries, rmsnorm, no biases, rotary positions, SwiGLU, two tables.
inline Model small_llama(std::int64_t layers) {
    return {.name = "small-llama",
            .layers = layers,
            .hidden = 96,
            .heads = 8,
            .kv_heads = 4,
            .head_size = 16,
            .ffn = 160,
            .seq = 8,
            .vocab = 500,
            .gated_mlp = true,
            .tied_embeddings = false,
            .norm = Norm::rmsnorm,
            .positions = Positions::rotary,
            .bias = LinearBias::none};
}

/// `micro_batches` micro-batches of `micro_batch` sequences on every replica.
inline TrainingSetup setup_of(const Layout& layout,
                              std::int64_t micro_batches,
                              std::int64_t micro_batch = 1) {
    return {.micro_batch = micro_batch, .global_batch = layout.dp * micro_batches * micro_batch};
}

inline std::vector<StepProgram> build_all(const Model& model,
                                          const Layout& layout,
                                          const TrainingSetup& setup) {
    std::vector<StepProgram> programs;
    for (std::int64_t rank = 0; rank < layout.ranks(); ++rank) {
        programs.push_back(build_step(model, layout, setup, WorldRank{rank}));
    }
    return programs;
}

/// One point of the grid, with text that names it in failures.
struct Case {
    Model model;
    Layout layout;
    TrainingSetup setup;

    [[nodiscard]] std::string sharding_text() const {
        return " zero " + std::string(to_string(setup.zero)) + " overlap parameters " +
               std::string(to_string(setup.overlap_parameters)) + " prefetch " +
               std::to_string(setup.prefetch) + " gradients " +
               std::string(to_string(setup.gradient_type)) + " reduced " +
               std::string(to_string(setup.gradient_reduction)) + " memory " +
               std::string(to_string(setup.memory));
    }

    [[nodiscard]] std::string text() const {
        return model.name + " " + to_string(layout) + " micro-batches " +
               std::to_string(micro_batches(layout, setup)) + " recompute " +
               std::string(to_string(setup.recompute)) + " schedule " +
               std::string(to_string(setup.schedule)) + " overlap " +
               std::string(to_string(setup.overlap_gradients)) + "/" +
               std::string(to_string(setup.overlap_p2p)) + " sequence parallel " +
               std::string(to_string(setup.sequence_parallel)) + " overlap " +
               std::string(to_string(setup.overlap_tp)) + sharding_text();
    }
};

/// Every layout of up to `most_ranks` ranks with data parallelism, with every ZeRO stage, shard
/// size, way to reduce gradients and overlap; schedules, types, prefetch depths and memory modes in
/// turn.
std::vector<Case> sharded_grid(std::int64_t most_ranks,
                               const std::vector<std::int64_t>& micro_batch_counts);

/// Every layout of up to `most_ranks` ranks (tp a power of two) with the given micro-batch counts,
/// all schedules, recomputations and overlaps, with and without sequence parallelism, both shapes.
std::vector<Case> grid(std::int64_t most_ranks,
                       const std::vector<std::int64_t>& micro_batch_counts);

}  // namespace traindyno
