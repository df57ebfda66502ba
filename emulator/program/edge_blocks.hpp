// SPDX-License-Identifier: Apache-2.0
// What surrounds the layers: embedding on the first stage, final norm, logits and loss on the last.
#pragma once

#include "emulator/program/arena.hpp"
#include "emulator/program/block_writer.hpp"

namespace traindyno {

/// fp32 values in scalar space.
struct Scalars {
    Slice loss;
    Slice gradient_norm;
    Slice maximum;       ///< [t], last stage with tensor parallelism: statistics of each token's
    Slice target;        ///< [t]  logits that the shards of the vocabulary combine (largest logit,
    Slice exponentials;  ///< [t]  the target's logit, sum of exponentials)
    std::int64_t elements = 0;
};

[[nodiscard]] Scalars place_scalars(const StageContext& stage, bool last_stage);

/// Scratch that lives from head_forward to head_backward, which follow each other.
struct HeadBuffers {
    TokenRows normed;       ///< [t, h]
    Slice logits;           ///< [t, vocab], becomes the gradient of the logits
    TokenRows grad_normed;  ///< [t, h]
};

[[nodiscard]] HeadBuffers place_head(const StageContext& stage, Arena& scratch);

/// `output` is the layers' input; rows of other ranks take scratch.
[[nodiscard]] Block embedding_forward(const StageContext& stage,
                                      const Slice& output,
                                      Arena& scratch);
[[nodiscard]] Block embedding_backward(const StageContext& stage,
                                       const Slice& grad_output,
                                       Arena& scratch);

/// Final norm, logits and loss of `input`, the rows of this rank.
[[nodiscard]] Block head_forward(const StageContext& stage,
                                 const HeadBuffers& buffers,
                                 const Scalars& scalars,
                                 const Slice& input);
[[nodiscard]] Block head_backward(const StageContext& stage,
                                  const HeadBuffers& buffers,
                                  const Slice& input,
                                  const Slice& grad_input);

}  // namespace traindyno
