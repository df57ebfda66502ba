// SPDX-License-Identifier: Apache-2.0
// Attention as the graphs of operations that cuDNN recognises and runs as one kernel.
#pragma once

#include <cstdint>

#include "emulator/base/dtype.hpp"
#include "emulator/device/attention_shape.hpp"
#include "emulator/device/cuda/attention/cudnn_graph.hpp"

namespace traindyno::cuda {

/// Identifiers of the tensors that need a device address. Queries, keys and values lie in one
/// matrix, each at its column, or keys and values in a matrix of their own (AttentionShape); so do
/// their gradients.
enum class SdpaTensor : std::int64_t {
    queries = 1,
    keys,
    values,
    context,
    statistics,
    grad_context,
    grad_queries,
    grad_keys,
    grad_values,
    projection,        ///< scratch [batch, heads, seq] fp32: <dO, O> of each row
    grad_queries_sum,  ///< scratch [batch, heads, seq, head_size] fp32
};

/// The patterns are those that NVIDIA's cudnn-frontend builds
/// (include/cudnn_frontend/node/scaled_dot_product_flash_attention.h), without padding, dropout and
/// bias. `storage` is bf16 or fp16.
[[nodiscard]] CudnnGraph forward_graph(const AttentionShape& shape, DType storage);
[[nodiscard]] CudnnGraph backward_graph(const AttentionShape& shape, DType storage);

}  // namespace traindyno::cuda
