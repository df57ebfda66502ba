// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/gemm_plans/gemm_key.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

constexpr std::int32_t largest_alignment = 256;  // cudaMalloc's, and cuBLASLt's default

struct Rule {
    bool kept = false;
    const char* text = "";
};

GemmType type_of(DType type) {
    switch (type) {
        case DType::fp32:
            return GemmType::fp32;
        case DType::bf16:
            return GemmType::bf16;
        case DType::fp16:
            return GemmType::fp16;
        case DType::fp64:
        case DType::int32:
        case DType::int64:
            break;
    }
    TD_EXPECT(type == DType::fp32 || type == DType::bf16 || type == DType::fp16);
    return GemmType::fp32;
}

bool types_fit(const GemmKey& key) {
    const bool fp8 = is_fp8(key.type_a);
    if (fp8 != is_fp8(key.type_b) || (!fp8 && key.type_a != key.type_b)) {
        return false;
    }
    if (key.type_a == GemmType::e5m2 && key.type_b == GemmType::e5m2) {
        return false;
    }
    return key.type_c == GemmType::fp32 || key.type_c == (fp8 ? GemmType::bf16 : key.type_a);
}

bool compute_fits(const GemmKey& key) {
    switch (key.compute) {
        case ComputeMode::fp32:
            return true;
        case ComputeMode::tf32:
            return key.type_a == GemmType::fp32;
        case ComputeMode::fast_fp8:
            return is_fp8(key.type_a);
    }
    return false;
}

bool alignment_fits(const GemmKey& key) {
    const std::int64_t widest =
        std::max({element_size(key.type_a), element_size(key.type_b), element_size(key.type_c)});
    return key.alignment >= widest && key.alignment <= largest_alignment &&
           std::has_single_bit(static_cast<std::uint32_t>(key.alignment));
}

}  // namespace

GemmKey key_of(const MatMul& op, Precision precision, DType gradient) {
    const DType storage = storage_type(precision);
    GemmKey key{.m = op.m,
                .n = op.n,
                .k = op.k,
                .transpose_a = op.transpose_a,
                .transpose_b = op.transpose_b,
                .accumulate = op.accumulate,
                .type_a = type_of(dtype_of(op.a.space, storage)),
                .type_b = type_of(dtype_of(op.b.space, storage)),
                .type_c = type_of(dtype_of(op.c.space, storage, gradient))};
    if (precision == Precision::tf32) {
        key.compute = ComputeMode::tf32;
    }
    return key;
}

std::optional<std::string> broken_rule(const GemmKey& key) {
    const bool fp8 = is_fp8(key.type_a) || is_fp8(key.type_b);
    const Epilogue e = key.epilogue;
    // cuBLAS documentation, cublasLtMatmul: requirements of fp8 kernels, EPILOGUE_AUX_LD.
    const std::array rules{
        Rule{key.m > 0 && key.n > 0 && key.k > 0, "m, n and k are positive"},
        Rule{types_fit(key),
             "A and B have one type of fp32, bf16 and fp16, or are fp8 and not both e5m2; C has "
             "that type (bf16 for fp8) or fp32"},
        Rule{compute_fits(key), "tf32 needs fp32 operands, fast_fp8 needs fp8 operands"},
        Rule{alignment_fits(key),
             "the alignment is a power of two up to 256 and at least an element of A, B and C"},
        Rule{key.reserved_sms >= 0, "reserved_sms is not negative"},
        Rule{key.accumulate == Accumulate::no || e == Epilogue::none || e == Epilogue::bgrad_a,
             "only products without epilogue or with bgrad_a accumulate"},
        Rule{!uses_aux(e) || key.n % 8 == 0, "rows of aux are a multiple of 8 elements (n)"},
        Rule{!fp8 || (key.transpose_a == Transpose::no && key.transpose_b == Transpose::yes),
             "fp8 needs A[m,k] as it is and B[n,k] transposed"},
        Rule{!fp8 || (key.k % 16 == 0 && key.n % 16 == 0), "fp8 needs k and n in multiples of 16"},
        Rule{!fp8 || key.alignment >= 16, "fp8 needs an alignment of 16 bytes"},
        Rule{!fp8 || e == Epilogue::none || e == Epilogue::bias,
             "fp8 has no epilogue but none and bias"}};
    const auto* broken =
        std::find_if(rules.begin(), rules.end(), [](const Rule& rule) { return !rule.kept; });
    if (broken == rules.end()) {
        return std::nullopt;
    }
    return fmt::format("{}: {}", broken->text, to_text(key));
}

GemmType vector_type(const GemmKey& key) {
    return is_fp8(key.type_a) ? GemmType::bf16 : key.type_c;
}

std::int64_t vector_elements(const GemmKey& key) {
    return key.epilogue == Epilogue::bgrad_a ? key.m : key.n;
}

std::int32_t alignment_of(std::initializer_list<const void*> pointers) {
    std::uintptr_t bits = 0;
    for (const void* pointer : pointers) {
        bits |= reinterpret_cast<std::uintptr_t>(pointer);
    }
    return alignment_at(static_cast<std::int64_t>(bits));
}

std::int32_t alignment_at(std::int64_t bytes) {
    const std::uint64_t bits = static_cast<std::uint64_t>(bytes) | largest_alignment;
    return static_cast<std::int32_t>(bits & (~bits + 1));  // the lowest bit that is set
}

}  // namespace traindyno
