// SPDX-License-Identifier: Apache-2.0
// What closed forms of a stage's traffic are made of.
#pragma once

#include <cstdint>

#include "emulator/layout/layout.hpp"
#include "emulator/model/model.hpp"
#include "emulator/program/training_setup.hpp"

namespace traindyno {

/// The symbols of collectives/README.md for one stage.
struct Symbols {
    const Model& model;
    const Layout& layout;
    const TrainingSetup& setup;
    Stage stage;
    std::int64_t expert_position = 0;
    bool first = false;
    bool last = false;

    [[nodiscard]] std::int64_t stage_layers() const;

    [[nodiscard]] std::int64_t dense_layers() const;

    [[nodiscard]] std::int64_t expert_layers() const { return stage_layers() - dense_layers(); }

    [[nodiscard]] std::int64_t runs() const;

    [[nodiscard]] std::int64_t tokens() const { return setup.micro_batch * model.seq / layout.cp; }

    /// T h e
    [[nodiscard]] Bytes activation() const {
        return size_of(tokens() * model.hidden, storage_type(setup.precision));
    }

    /// Ranks that a micro-batch's tokens are cut among between products.
    [[nodiscard]] std::int64_t parts() const {
        return setup.sequence_parallel == SequenceParallel::on ? layout.tp : 1;
    }

    /// Of the rows that one rank has between layers.
    [[nodiscard]] Bytes own_activation() const { return Bytes{activation().value() / parts()}; }

    [[nodiscard]] std::int64_t norm() const {
        return (model.norm == Norm::layernorm ? 2 : 1) * model.hidden;
    }

    /// Of a layer, not cut by t: two norms and the biases of row-parallel layers.
    [[nodiscard]] std::int64_t layer_replicated() const {
        return 2 * norm() + (model.bias == LinearBias::all ? 2 * model.hidden : 0);
    }

    /// Of a layer with experts, likewise.
    [[nodiscard]] std::int64_t router() const { return model.hidden * model.experts; }

    [[nodiscard]] std::int64_t replicated_parameters() const {
        return stage_layers() * layer_replicated() + expert_layers() * router() +
               (last ? norm() : 0);
    }

    /// V_p h / tp
    [[nodiscard]] std::int64_t table() const;

    [[nodiscard]] std::int64_t positions() const {
        return model.positions == Positions::learned ? model.seq * model.hidden : 0;
    }

    /// First and last stage in one, which share the table.
    [[nodiscard]] bool shared_table() const { return first && last && model.tied_embeddings; }

    /// Without the experts, where the layer has some.
    [[nodiscard]] std::int64_t layer_parameters(LayerKind kind) const;

    /// Of the rank's experts in one layer.
    [[nodiscard]] std::int64_t experts() const {
        return model.experts / layout.ep * expert_parameters(model) / layout.tp;
    }

    [[nodiscard]] std::int64_t all_layers() const {
        return dense_layers() * layer_parameters(LayerKind::dense) +
               expert_layers() * (layer_parameters(LayerKind::experts) + experts());
    }

    /// Final norm, and an output table of its own.
    [[nodiscard]] std::int64_t output_parameters() const {
        return last ? norm() + (shared_table() ? 0 : table()) : 0;
    }

    [[nodiscard]] std::int64_t input_parameters() const {
        return first ? table() + positions() : 0;
    }

    [[nodiscard]] std::int64_t stage_parameters() const {
        return output_parameters() + all_layers() + input_parameters();
    }
};

}  // namespace traindyno
