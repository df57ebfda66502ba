// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/gemm_plans/column_major.hpp"

namespace traindyno {

ColumnMajorProduct column_major(const GemmKey& key) {
    const bool turn_a = key.transpose_a == Transpose::yes;
    const bool turn_b = key.transpose_b == Transpose::yes;
    return {.first = {.rows = turn_b ? key.k : key.n,
                      .columns = turn_b ? key.n : key.k,
                      .type = key.type_b},
            .second = {.rows = turn_a ? key.m : key.k,
                       .columns = turn_a ? key.k : key.m,
                       .type = key.type_a},
            .result = {.rows = key.n, .columns = key.m, .type = key.type_c},
            .transpose_first = key.transpose_b,
            .transpose_second = key.transpose_a};
}

}  // namespace traindyno
