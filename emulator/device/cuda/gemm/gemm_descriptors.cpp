// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/gemm/gemm_descriptors.hpp"

#include <cstdint>
#include <string>

#include "emulator/device/gemm_plans/column_major.hpp"

namespace traindyno {

namespace {

template <class T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute, const T& value) {
    TD_CUBLASLT(cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof(value)));
}

template <class T>
void set(cublasLtMatmulPreference_t preference,
         cublasLtMatmulPreferenceAttributes_t attribute,
         const T& value) {
    TD_CUBLASLT(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)));
}

std::int32_t operation_of(Transpose transpose) {
    return transpose == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
}

std::uint32_t epilogue_of(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::none:
            return CUBLASLT_EPILOGUE_DEFAULT;
        case Epilogue::bias:
            return CUBLASLT_EPILOGUE_BIAS;
        case Epilogue::gelu_aux:
            return CUBLASLT_EPILOGUE_GELU_AUX;
        case Epilogue::gelu_aux_bias:
            return CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
        case Epilogue::dgelu:
            return CUBLASLT_EPILOGUE_DGELU;
        case Epilogue::dgelu_bgrad:
            return CUBLASLT_EPILOGUE_DGELU_BGRAD;
        case Epilogue::bgrad_a:
            return CUBLASLT_EPILOGUE_BGRADB;  // our A is its B: ColumnMajorProduct
    }
    TD_EXPECT(epilogue <= Epilogue::bgrad_a);
    return CUBLASLT_EPILOGUE_DEFAULT;
}

LtOperation make_operation(const GemmKey& key) {
    cublasLtMatmulDesc_t operation = nullptr;
    TD_CUBLASLT(cublasLtMatmulDescCreate(
        &operation,
        key.compute == ComputeMode::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
        CUDA_R_32F));
    return LtOperation(operation);
}

LtLayout make_layout(const ColumnMajor& matrix) {
    cublasLtMatrixLayout_t layout = nullptr;
    TD_CUBLASLT(cublasLtMatrixLayoutCreate(&layout,
                                           cuda_type(matrix.type),
                                           static_cast<std::uint64_t>(matrix.rows),
                                           static_cast<std::uint64_t>(matrix.columns),
                                           matrix.rows));
    return LtLayout(layout);
}

/// A pointer of the key's alignment. The heuristics read its value; nothing follows it.
template <class T>
T* placeholder(const GemmKey& key) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): it is a number
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(key.alignment));
}

const GemmKey& checked(const GemmKey& key, int multiprocessors) {
    if (const std::optional<std::string> rule = broken_rule(key)) {
        throw ContractError(*rule, Where::here());
    }
    TD_EXPECT(key.reserved_sms < multiprocessors);
    return key;
}

void expect_fit(const GemmKey& key, const GemmOperands& operands) {
    TD_EXPECT(operands.a != nullptr && operands.b != nullptr && operands.c != nullptr);
    TD_EXPECT((operands.vector != nullptr) == uses_vector(key.epilogue));
    TD_EXPECT((operands.aux != nullptr) == uses_aux(key.epilogue));
    TD_EXPECT((operands.scale_a != nullptr) == is_fp8(key.type_a));
    TD_EXPECT((operands.scale_b != nullptr) == is_fp8(key.type_b));
    TD_EXPECT(alignment_of({operands.a, operands.b, operands.c, operands.vector, operands.aux}) >=
              key.alignment);
}

}  // namespace

GemmDescriptors::GemmDescriptors(const GemmKey& key, int multiprocessors)
    : key_(checked(key, multiprocessors)), operation_(make_operation(key)) {
    const ColumnMajorProduct product = column_major(key);
    first_ = make_layout(product.first);
    second_ = make_layout(product.second);
    result_ = make_layout(product.result);
    set(operation(), CUBLASLT_MATMUL_DESC_TRANSA, operation_of(product.transpose_first));
    set(operation(), CUBLASLT_MATMUL_DESC_TRANSB, operation_of(product.transpose_second));
    set(operation(), CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(key.epilogue));
    if (uses_vector(key.epilogue)) {
        const auto type = static_cast<std::int32_t>(cuda_type(vector_type(key)));
        set(operation(), CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type);
    }
    if (uses_aux(key.epilogue)) {
        set(operation(), CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, product.result.rows);
    }
    if (key.compute == ComputeMode::fast_fp8) {
        set(operation(), CUBLASLT_MATMUL_DESC_FAST_ACCUM, std::int8_t{1});
    }
    if (key.reserved_sms > 0) {
        const std::int32_t target = multiprocessors - key.reserved_sms;
        set(operation(), CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, target);
    }
    point_to({.vector = placeholder<void>(key),
              .aux = placeholder<void>(key),
              .scale_a = placeholder<float>(key),
              .scale_b = placeholder<float>(key)});
}

// NOLINTNEXTLINE(readability-make-member-function-const): it changes the operation
void GemmDescriptors::point_to(const GemmOperands& operands) {
    if (uses_vector(key_.epilogue)) {
        set(operation(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, operands.vector);
    }
    if (uses_aux(key_.epilogue)) {
        set(operation(), CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, operands.aux);
    }
    if (is_fp8(key_.type_a)) {  // then B is fp8, too; its A is our B
        set(operation(), CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, operands.scale_b);
        set(operation(), CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, operands.scale_a);
    }
}

std::vector<cublasLtMatmulAlgo_t> offered_algorithms(const LtSession& session,
                                                     const GemmDescriptors& descriptors,
                                                     int most) {
    cublasLtMatmulPreference_t raw = nullptr;
    TD_CUBLASLT(cublasLtMatmulPreferenceCreate(&raw));
    const LtPreference preference(raw);
    const auto workspace = static_cast<std::uint64_t>(session.workspace.size().value());
    set(raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
    const auto alignment = static_cast<std::uint32_t>(descriptors.key().alignment);
    for (const auto attribute : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                                 CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                 CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                                 CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
        set(raw, attribute, alignment);
    }
    std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<std::size_t>(most));
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(session.handle.get(),
                                                                 descriptors.operation(),
                                                                 descriptors.first(),
                                                                 descriptors.second(),
                                                                 descriptors.result(),
                                                                 descriptors.result(),
                                                                 preference.get(),
                                                                 most,
                                                                 results.data(),
                                                                 &count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) {
        return {};  // both are seen for combinations of types and epilogues that have no kernel
    }
    check_cublas_lt(status, "cublasLtMatmulAlgoGetHeuristic", Where::here());
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    for (const auto& result : results) {
        if (count-- > 0 && result.state == CUBLAS_STATUS_SUCCESS) {
            algorithms.push_back(result.algo);
        }
    }
    return algorithms;
}

bool can_run(const LtSession& session,
             const GemmDescriptors& descriptors,
             const cublasLtMatmulAlgo_t& algorithm) {
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status = cublasLtMatmulAlgoCheck(session.handle.get(),
                                                          descriptors.operation(),
                                                          descriptors.first(),
                                                          descriptors.second(),
                                                          descriptors.result(),
                                                          descriptors.result(),
                                                          &algorithm,
                                                          &result);
    return status == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= static_cast<std::size_t>(session.workspace.size().value());
}

cublasStatus_t launch(const LtSession& session,
                      GemmDescriptors& descriptors,
                      const cublasLtMatmulAlgo_t& algorithm,
                      const GemmOperands& operands,
                      cudaStream_t stream) {
    expect_fit(descriptors.key(), operands);
    descriptors.point_to(operands);
    const float alpha = 1;
    const float beta = descriptors.key().accumulate == Accumulate::yes ? 1 : 0;
    return cublasLtMatmul(session.handle.get(),
                          descriptors.operation(),
                          &alpha,
                          operands.b,
                          descriptors.first(),
                          operands.a,
                          descriptors.second(),
                          &beta,
                          operands.c,
                          descriptors.result(),
                          operands.c,
                          descriptors.result(),
                          &algorithm,
                          session.workspace.data(),
                          static_cast<std::size_t>(session.workspace.size().value()),
                          stream);
}

}  // namespace traindyno
