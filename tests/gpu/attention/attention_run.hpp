// SPDX-License-Identifier: Apache-2.0
// One forward and backward attention on the GPU with poisoned outputs, operands on the host.
#pragma once

#include <vector>

#include "emulator/device/cuda/attention/attention.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno::cuda {

enum class Launch : std::uint8_t { eager, graph };

struct AttentionResults {
    std::vector<float> context;
    std::vector<float> statistics;
    std::vector<float> grad_qkv;
    std::vector<float> grad_keys_values;  ///< empty where keys are not apart
};

struct AttentionInputs {
    std::vector<float> qkv;
    std::vector<float> keys_values;  ///< empty where keys are not apart
    std::vector<float> grad_context;
};

/// Numbers in [-1, 1] that `storage` represents exactly.
[[nodiscard]] std::vector<float> exact_numbers(std::int64_t count, DType storage, unsigned seed);

[[nodiscard]] AttentionInputs inputs_of(const AttentionShape& shape, DType storage);

/// What backward reads instead of forward's results: those over more keys.
struct WholeAttention {
    std::vector<float> context;
    std::vector<float> statistics;
};

/// Every byte of the outputs and the workspace is 0xff before: a NaN in each type.
[[nodiscard]] AttentionResults run_attention(Attention& attention,
                                             const AttentionShape& shape,
                                             DType storage,
                                             const AttentionInputs& inputs,
                                             Launch launch,
                                             const WholeAttention* whole = nullptr);

}  // namespace traindyno::cuda
