// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/attention_products.hpp"

namespace traindyno {

BlockProducts products_for(const AttentionShape& shape,
                           DType type,
                           std::int64_t rows,
                           std::int64_t columns) {
    const std::int64_t d = shape.head_size;
    const std::int64_t qkv = shape.qkv_width();
    const std::int64_t kv = shape.kv_width();
    const std::int64_t context = shape.context_width();
    const auto row_product = [&](std::int64_t stride_a) {  // [rows, d] x [columns, d]^T
        return GemmShape{.m = rows,
                         .n = columns,
                         .k = d,
                         .transpose_b = Transpose::yes,
                         .stride_a = stride_a,
                         .stride_b = kv,
                         .stride_c = columns,
                         .type_a = type,
                         .type_b = type};
    };
    const GemmShape weighted{.m = rows,  // += [rows, columns] x [columns, d]
                             .n = d,
                             .k = columns,
                             .accumulate = Accumulate::yes,
                             .stride_a = columns,
                             .stride_b = kv,
                             .stride_c = d,
                             .type_a = type,
                             .type_b = type};
    const auto gathered = [&](std::int64_t stride_b) {  // += [rows, columns]^T x [rows, d]
        return GemmShape{.m = columns,
                         .n = d,
                         .k = rows,
                         .transpose_a = Transpose::yes,
                         .accumulate = Accumulate::yes,
                         .stride_a = columns,
                         .stride_b = stride_b,
                         .stride_c = d,
                         .type_a = type,
                         .type_b = type};
    };
    return {.scores = Gemm{row_product(qkv)},
            .context = Gemm{weighted},
            .grad_probabilities = Gemm{row_product(context)},
            .grad_value = Gemm{gathered(context)},
            .grad_query = Gemm{weighted},
            .grad_key = Gemm{gathered(qkv)}};
}

}  // namespace traindyno
