// SPDX-License-Identifier: Apache-2.0
// Writes the operations of one block in order and keeps track of what waits for what.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulator/program/linear.hpp"
#include "emulator/program/stage_context.hpp"

namespace traindyno {

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
    /// GELU, or SwiGLU of twice as many columns in `up`.
    void activation_forward(std::int64_t rows,
                            std::int64_t columns,
                            const Slice& up,
                            const Slice& activated);
    /// `reads`: up, gradient of what forward wrote.
    void activation_backward(std::int64_t rows,
                             std::int64_t columns,
                             const std::vector<Slice>& reads,
                             const Slice& dup);
    /// Waits for the operation before it, for `after` and, on its lane, for earlier communication.
    After communicate(Lane lane, const CommOp& op, const After& after = {});
    /// Later communication waits for `traffic` only where it says so: for what comes before it.
    void set_aside(const After& traffic);
    /// Empty without tensor parallelism.
    After all_reduce_over_tp(const Slice& buffer, Reduction reduction = Reduction::sum);

    /// The rows of all ranks from their own, chunk by chunk; per chunk what a reader of it waits
    /// for. Nothing to do without sequence parallelism.
    std::vector<After> gather_over_tp(const TokenRows& x);
    /// Sums `y.all` over the tensor group into the rows of each rank. Returns what a reader of
    /// `y.own` waits for.
    After reduce_over_tp(const TokenRows& y);

    /// y = x weight^T + bias, the weight cut by columns: y is this rank's share. Each chunk is
    /// multiplied when it is there.
    void column_parallel_forward(const BiasedLinear& layer, const TokenRows& x, const Slice& y);
    /// The same, the weight cut by rows: y is summed over the tensor group, each chunk while the
    /// next is multiplied, all after `after`. Returns what a reader of y waits for.
    After row_parallel_forward(const BiasedLinear& layer,
                               const Slice& x,
                               const TokenRows& y,
                               const After& after = {});
    /// x is gathered again, for the weight's gradient, while that of the input is computed; dx is
    /// summed over the tensor group while the weight's is.
    After column_parallel_backward(const BiasedLinear& layer,
                                   const TokenRows& x,
                                   const Slice& dy,
                                   const TokenRows& dx);
    void row_parallel_backward(const BiasedLinear& layer,
                               const Slice& x,
                               const TokenRows& dy,
                               const Slice& dx);
    /// What the two above leave out where weight gradients are deferred; both operands of a product
    /// are gathered again.
    void column_parallel_weight_gradient(const BiasedLinear& layer,
                                         const TokenRows& x,
                                         const Slice& dy);
    void row_parallel_weight_gradient(const BiasedLinear& layer,
                                      const Slice& x,
                                      const TokenRows& dy);

    [[nodiscard]] Block take() { return std::move(block_); }

  private:
    After reduce_chunk(const TokenRows& y, std::int64_t chunk);
    void add_bias(const BiasedLinear& layer, const Slice& y, const After& after);
    void add_bias_gradient(const BiasedLinear& layer, const Slice& dy);

    const StageContext& stage_;
    Phase phase_;
    WeightGradients weight_gradients_ = WeightGradients::at_once;
    After aside_;
    Block block_;
};

}  // namespace traindyno
