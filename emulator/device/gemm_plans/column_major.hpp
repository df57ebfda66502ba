// SPDX-License-Identifier: Apache-2.0
// A row-major product as the column-major one that cuBLASLt computes.
#pragma once

#include <cstdint>

#include "emulator/device/gemm_plans/gemm_key.hpp"

namespace traindyno {

/// A stored matrix; element (i, j) lies at i + j * rows.
struct ColumnMajor {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    GemmType type = GemmType::fp32;

    friend bool operator==(const ColumnMajor&, const ColumnMajor&) = default;
};

/// Read by columns, a row-major matrix is its transpose. So C^T[n,m] = op(B)^T[n,k] op(A)^T[k,m] is
/// computed: cuBLASLt's first factor is our B, its second is our A, each transposed where MatMul
/// transposes it, since both readings turn it around once. Its rows are our n, the output features
/// of a linear layer: what it keeps per row of the result (bias, bias gradient of dgelu_bgrad) has
/// n elements, its aux matrix is our row-major x[m,n], and its bias gradient over the second factor
/// is our bgrad_a, of m elements.
struct ColumnMajorProduct {
    ColumnMajor first;
    ColumnMajor second;
    ColumnMajor result;
    Transpose transpose_first = Transpose::no;
    Transpose transpose_second = Transpose::no;

    friend bool operator==(const ColumnMajorProduct&, const ColumnMajorProduct&) = default;
};

[[nodiscard]] ColumnMajorProduct column_major(const GemmKey& key);

}  // namespace traindyno
