// SPDX-License-Identifier: Apache-2.0
// What cuBLASLt is told. Descriptors can be made without a GPU.
#include "emulator/device/cuda/gemm/gemm_descriptors.hpp"

#include <cstdint>
#include <limits>
#include <utility>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

constexpr int h200_multiprocessors = 132;

template <class T>
T attribute(const GemmDescriptors& descriptors, cublasLtMatmulDescAttributes_t name) {
    T value{};
    std::size_t written = 0;
    TD_CUBLASLT(cublasLtMatmulDescGetAttribute(
        descriptors.operation(), name, &value, sizeof(value), &written));
    EXPECT_EQ(written, sizeof(value));
    return value;
}

template <class T>
T attribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name) {
    T value{};
    std::size_t written = 0;
    TD_CUBLASLT(cublasLtMatrixLayoutGetAttribute(layout, name, &value, sizeof(value), &written));
    EXPECT_EQ(written, sizeof(value));
    return value;
}

void expect_layout(cublasLtMatrixLayout_t layout,
                   std::uint64_t rows,
                   std::uint64_t columns,
                   cudaDataType_t type) {
    EXPECT_EQ(attribute<std::uint64_t>(layout, CUBLASLT_MATRIX_LAYOUT_ROWS), rows);
    EXPECT_EQ(attribute<std::uint64_t>(layout, CUBLASLT_MATRIX_LAYOUT_COLS), columns);
    EXPECT_EQ(attribute<std::int64_t>(layout, CUBLASLT_MATRIX_LAYOUT_LD),
              static_cast<std::int64_t>(rows));
    EXPECT_EQ(attribute<std::uint32_t>(layout, CUBLASLT_MATRIX_LAYOUT_TYPE),
              static_cast<std::uint32_t>(type));
}

TEST(GemmDescriptors, describe_the_forward_product_with_gelu) {
    const GemmKey key{.m = 24,
                      .n = 40,
                      .k = 56,
                      .transpose_b = Transpose::yes,
                      .epilogue = Epilogue::gelu_aux_bias,
                      .reserved_sms = 16,
                      .alignment = 64};
    const GemmDescriptors d(key, h200_multiprocessors);
    expect_layout(d.first(), 56, 40, CUDA_R_16BF);
    expect_layout(d.second(), 56, 24, CUDA_R_16BF);
    expect_layout(d.result(), 40, 24, CUDA_R_16BF);
    EXPECT_EQ(attribute<std::int32_t>(d, CUBLASLT_MATMUL_DESC_TRANSA), CUBLAS_OP_T);
    EXPECT_EQ(attribute<std::int32_t>(d, CUBLASLT_MATMUL_DESC_TRANSB), CUBLAS_OP_N);
    EXPECT_EQ(attribute<std::int32_t>(d, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE), CUBLAS_COMPUTE_32F);
    EXPECT_EQ(attribute<std::uint32_t>(d, CUBLASLT_MATMUL_DESC_EPILOGUE),
              std::uint32_t{CUBLASLT_EPILOGUE_GELU_AUX_BIAS});
    EXPECT_EQ(attribute<std::int32_t>(d, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE), CUDA_R_16BF);
    EXPECT_EQ(attribute<std::int64_t>(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD), 40);
    EXPECT_EQ(attribute<std::int32_t>(d, CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET), 132 - 16);
    EXPECT_EQ(attribute<std::uint64_t>(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER), 64U)
        << "the heuristics read the alignment from it";
}

TEST(GemmDescriptors, describe_the_weight_gradient_with_bias_gradient) {
    const GemmKey key{.m = 40,
                      .n = 56,
                      .k = 24,
                      .transpose_a = Transpose::yes,
                      .accumulate = Accumulate::yes,
                      .type_c = GemmType::fp32,
                      .epilogue = Epilogue::bgrad_a};
    const GemmDescriptors d(key, h200_multiprocessors);
    expect_layout(d.first(), 56, 24, CUDA_R_16BF);
    expect_layout(d.second(), 40, 24, CUDA_R_16BF);
    expect_layout(d.result(), 56, 40, CUDA_R_32F);
    EXPECT_EQ(attribute<std::int32_t>(d, CUBLASLT_MATMUL_DESC_TRANSA), CUBLAS_OP_N);
    EXPECT_EQ(attribute<std::int32_t>(d, CUBLASLT_MATMUL_DESC_TRANSB), CUBLAS_OP_T);
    EXPECT_EQ(attribute<std::uint32_t>(d, CUBLASLT_MATMUL_DESC_EPILOGUE),
              std::uint32_t{CUBLASLT_EPILOGUE_BGRADB});
    EXPECT_EQ(attribute<std::int32_t>(d, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE), CUDA_R_32F);
    EXPECT_EQ(attribute<std::int32_t>(d, CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET), 0);
}

GemmKey fp8_key() {
    return {.m = 24,
            .n = 32,
            .k = 64,
            .transpose_b = Transpose::yes,
            .type_a = GemmType::e5m2,
            .type_b = GemmType::e4m3,
            .type_c = GemmType::fp32};
}

TEST(GemmDescriptors, describe_fp8_with_both_kinds_of_sums) {
    GemmKey key = fp8_key();
    key.epilogue = Epilogue::bias;
    const GemmDescriptors exact(key, h200_multiprocessors);
    expect_layout(exact.first(), 64, 32, CUDA_R_8F_E4M3);
    expect_layout(exact.second(), 64, 24, CUDA_R_8F_E5M2);
    EXPECT_EQ(attribute<std::int8_t>(exact, CUBLASLT_MATMUL_DESC_FAST_ACCUM), 0);
    EXPECT_EQ(attribute<std::int32_t>(exact, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE), CUDA_R_16BF);
    key.compute = ComputeMode::fast_fp8;
    const GemmDescriptors fast(key, h200_multiprocessors);
    EXPECT_EQ(attribute<std::int8_t>(fast, CUBLASLT_MATMUL_DESC_FAST_ACCUM), 1);
}

TEST(GemmDescriptors, describe_tf32) {
    const GemmKey key{.m = 8,
                      .n = 8,
                      .k = 8,
                      .type_a = GemmType::fp32,
                      .type_b = GemmType::fp32,
                      .type_c = GemmType::fp32,
                      .compute = ComputeMode::tf32};
    EXPECT_EQ(attribute<std::int32_t>(GemmDescriptors(key, 108), CUBLASLT_MATMUL_DESC_COMPUTE_TYPE),
              CUBLAS_COMPUTE_32F_FAST_TF32);
}

TEST(GemmDescriptors, swap_the_scales_with_the_operands) {
    GemmDescriptors d(fp8_key(), h200_multiprocessors);
    const float scales[2] = {};
    d.point_to({.scale_a = &scales[0], .scale_b = &scales[1]});
    EXPECT_EQ(attribute<const void*>(d, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER), &scales[1]);
    EXPECT_EQ(attribute<const void*>(d, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER), &scales[0]);
}

TEST(GemmDescriptors, refuse_a_key_that_breaks_a_rule) {
    GemmKey key = fp8_key();
    key.k = 40;
    EXPECT_THROW(GemmDescriptors(key, h200_multiprocessors), ContractError);
    key = fp8_key();
    key.reserved_sms = h200_multiprocessors;
    EXPECT_THROW(GemmDescriptors(key, h200_multiprocessors), ContractError);
}

TEST(GemmDescriptors, moved_from_hold_nothing) {
    GemmDescriptors from(fp8_key(), h200_multiprocessors);
    const GemmDescriptors to = std::move(from);
    EXPECT_NE(to.operation(), nullptr);
    EXPECT_EQ(from.operation(), nullptr);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(from.first(), nullptr);
}

TEST(GemmDescriptors, launch_nothing_with_operands_that_do_not_fit) {
    GemmDescriptors d(fp8_key(), h200_multiprocessors);
    const LtSession none;
    std::byte memory[512];
    const auto start = reinterpret_cast<std::uintptr_t>(&memory[0]);
    auto* const p = &memory[(256 - start % 256) % 256];
    const float scale = 1;
    const GemmOperands whole{.a = p, .b = p, .c = p, .scale_a = &scale, .scale_b = &scale};
    for (const auto change : {+[](GemmOperands& o) { o.a = nullptr; },
                              +[](GemmOperands& o) { o.scale_b = nullptr; },
                              +[](GemmOperands& o) { o.vector = o.c; },
                              +[](GemmOperands& o) { o.aux = o.c; },
                              +[](GemmOperands& o) { o.c = static_cast<std::byte*>(o.c) + 128; }}) {
        GemmOperands operands = whole;
        change(operands);
        EXPECT_THROW((void)launch(none, d, {}, operands, nullptr), ContractError);
    }
}

TEST(CublasLt, failures_name_the_library_and_the_call) {
    try {
        TD_CUBLASLT(CUBLAS_STATUS_NOT_SUPPORTED);
        FAIL();
    } catch (const LibraryError& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("cuBLASLt"), std::string::npos);
        EXPECT_NE(text.find("CUBLAS_STATUS_NOT_SUPPORTED"), std::string::npos);
    }
}

}  // namespace
}  // namespace traindyno
