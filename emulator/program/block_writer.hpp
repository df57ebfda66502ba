// SPDX-License-Identifier: Apache-2.0
// Writes the operations of one block in order and keeps track of what waits for what.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "emulator/program/linear.hpp"
#include "emulator/program/local_shape.hpp"
#include "emulator/program/parameter_map.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

enum class Mlp : std::uint8_t { gelu, swiglu };
enum class WeightGradients : std::uint8_t {
    at_once,
    deferred,  ///< those of a layer's linear layers and their biases run in a block of their own
};

/// What every block of a stage is written from.
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
    std::optional<GroupId> tp;  ///< absent when tensor parallelism is 1
};

/// Operations of the block under construction that another one waits for.
using After = std::vector<std::uint32_t>;

/// A linear layer with its bias; `bias` without elements means none.
struct BiasedLinear {
    Linear linear;
    Slice bias;
};

class BlockWriter {
  public:
    BlockWriter(std::string name, Phase phase, const StageContext& stage)
        : stage_(stage), phase_(phase), block_{.name = std::move(name), .ops = {}} {}

    void set_phase(Phase phase) { phase_ = phase; }

    /// Deferred: backward leaves out weight_and_bias_gradients, for another block.
    void set_weight_gradients(WeightGradients when) { weight_gradients_ = when; }

    void compute(const ComputeOp& op, const After& after = {});
    void elementwise(ElementwiseKind kind,
                     std::int64_t rows,
                     std::int64_t columns,
                     std::vector<Slice> reads,
                     std::vector<Slice> writes,
                     const After& after = {});
    /// Waits for the operation before it and, on its lane, for earlier communication.
    After communicate(Lane lane, const CommOp& op);
    /// Empty without tensor parallelism.
    After all_reduce_over_tp(const Slice& buffer, Reduction reduction = Reduction::sum);

    /// y = x weight^T + bias, the weight cut by columns: y is this rank's share.
    void column_parallel_forward(const BiasedLinear& layer, const Slice& x, const Slice& y);
    /// The same, the weight cut by rows: y is summed over the tensor group. Returns what a reader
    /// of y waits for.
    After row_parallel_forward(const BiasedLinear& layer, const Slice& x, const Slice& y);
    /// dx is summed over the tensor group while the weight's gradient is computed.
    After column_parallel_backward(const BiasedLinear& layer,
                                   const Slice& x,
                                   const Slice& dy,
                                   const Slice& dx);
    void row_parallel_backward(const BiasedLinear& layer,
                               const Slice& x,
                               const Slice& dy,
                               const Slice& dx);
    void weight_and_bias_gradients(const BiasedLinear& layer, const Slice& x, const Slice& dy);

    [[nodiscard]] Block take() { return std::move(block_); }

  private:
    void add_bias(const BiasedLinear& layer, const Slice& y, const After& after);

    const StageContext& stage_;
    Phase phase_;
    WeightGradients weight_gradients_ = WeightGradients::at_once;
    Block block_;
};

}  // namespace traindyno
