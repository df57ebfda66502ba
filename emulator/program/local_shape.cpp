// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/local_shape.hpp"

#include "emulator/program/build.hpp"
#include "emulator/program/stage_layers.hpp"

namespace traindyno {

LocalShape local_shape(const Model& model,
                       const Layout& layout,
                       const TrainingSetup& setup,
                       Stage stage) {
    const std::int64_t heads = model.heads / layout.tp;
    const std::int64_t kv_heads = model.kv_heads / layout.tp;
    const std::int64_t ffn = model.ffn / layout.tp;
    const std::int64_t expert_ffn = model.expert_ffn / layout.tp;
    const std::int64_t shared_ffn = model.shared_experts * expert_ffn;
    const std::int64_t ups = model.gated_mlp ? 2 : 1;
    const std::int64_t seq = model.seq / layout.cp;
    const std::int64_t tokens = setup.micro_batch * seq;
    const bool cut = setup.sequence_parallel == SequenceParallel::on;
    return {.batch = setup.micro_batch,
            .seq = seq,
            .positions = model.seq,
            .tokens = tokens,
            .own_tokens = cut ? tokens / layout.tp : tokens,
            .chunks = setup.overlap_tp == Overlap::on ? layout.tp : 1,
            .hidden = model.hidden,
            .heads = heads,
            .kv_heads = kv_heads,
            .head_size = model.head_size,
            .attention_width = heads * model.head_size,
            .qkv_width = (heads + 2 * kv_heads) * model.head_size,
            .rotary_width = (heads + kv_heads) * model.head_size,
            .ffn = ffn,
            .up_width = ups * ffn,
            .vocab = padded_vocab(model, layout) / layout.tp,
            .layers = layers_of_stage(model, layout, setup, stage),
            .dense_layers = dense_layers_of_stage(model, layout, setup, stage),
            .experts = model.experts,
            .local_experts = model.experts / layout.ep,
            .top_k = model.top_k,
            .expert_ffn = expert_ffn,
            .expert_up_width = ups * expert_ffn,
            .shared_ffn = shared_ffn,
            .shared_up_width = ups * shared_ffn};
}

}  // namespace traindyno
