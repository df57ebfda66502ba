// SPDX-License-Identifier: Apache-2.0
#include "emulator/base/precision.hpp"

#include <gtest/gtest.h>

namespace traindyno {
namespace {

TEST(Precision, tells_what_memory_holds) {
    EXPECT_EQ(storage_type(Precision::fp32), DType::fp32);
    EXPECT_EQ(storage_type(Precision::tf32), DType::fp32);
    EXPECT_EQ(storage_type(Precision::bf16), DType::bf16);
    EXPECT_EQ(storage_type(Precision::fp16), DType::fp16);
    EXPECT_EQ(storage_type(Precision::fp8), DType::bf16);
}

TEST(Precision, is_described_with_its_tensors_where_they_differ) {
    EXPECT_EQ(described(Precision::fp32), "fp32");
    EXPECT_EQ(described(Precision::tf32), "tf32 (fp32 tensors)");
    EXPECT_EQ(described(Precision::bf16), "bf16");
    EXPECT_EQ(described(Precision::fp16), "fp16");
    EXPECT_EQ(described(Precision::fp8), "fp8 (bf16 tensors)");
}

}  // namespace
}  // namespace traindyno
