// SPDX-License-Identifier: Apache-2.0
// What every block of a pipeline stage is written from.
#pragma once

#include <cstdint>
#include <optional>

#include "emulator/program/expert_routes.hpp"
#include "emulator/program/local_shape.hpp"
#include "emulator/program/parameter_map.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

enum class Mlp : std::uint8_t { gelu, swiglu };
enum class WeightGradients : std::uint8_t {
    at_once,
    deferred,  ///< those of a layer's linear layers and their biases run in a block of their own
};

/// Of a rank with a part of every sequence.
struct ContextParallel {
    GroupId group;
    std::int64_t ranks = 1;
    std::int64_t rank = 0;  ///< position of this one
    ContextExchange exchange = ContextExchange::ring;
    ContextBalance balance = ContextBalance::zigzag;
};

struct StageContext {
    LocalShape shape;
    ParameterMap parameters;
    Sharding sharding;
    DType storage = DType::fp32;   ///< of weights and activations
    DType gradient = DType::fp32;  ///< of main gradients
    Recompute recompute = Recompute::none;
    Mlp mlp = Mlp::gelu;
    Positions positions = Positions::learned;
    WeightGradients weight_gradients = WeightGradients::at_once;
    std::optional<GroupId> tp;          ///< absent when tensor parallelism is 1
    std::optional<ContextParallel> cp;  ///< absent when context parallelism is 1
    std::optional<GroupId> ep;          ///< absent when expert parallelism is 1
    ExpertRoutes routes{};
    std::int64_t expert_position = 0;  ///< of this rank in the expert-parallel group

    /// Whether each tensor-parallel rank has its own part of the tokens outside linear layers.
    [[nodiscard]] bool sequence_parallel() const { return shape.own_tokens < shape.tokens; }
};

/// A [tokens, n] activation where tensor-parallel products meet what lies between them: the rows of
/// this rank, and those of all. The same slice without sequence parallelism. With it rank r of tp
/// has part r of each of `LocalShape::chunks` equal chunks of all rows, one behind the other, so
/// that gathering or scattering a chunk moves one contiguous piece on either side.
struct TokenRows {
    Slice own;
    Slice all;
};

}  // namespace traindyno
