// SPDX-License-Identifier: Apache-2.0
// Every layout, type, accumulation and epilogue against the reference.
#include <array>
#include <cmath>
#include <iostream>
#include <tuple>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/gemm/gemm_library.hpp"
#include "tests/gpu/gemm/trial.hpp"
#include "tests/gpu/require_gpu.hpp"

namespace traindyno::test {
namespace {

struct Types {
    GemmType a = GemmType::fp32;
    GemmType b = GemmType::fp32;
    GemmType c = GemmType::fp32;
    ComputeMode compute = ComputeMode::fp32;
};

struct Shape {
    std::int64_t m = 0;
    std::int64_t n = 0;
    std::int64_t k = 0;
    std::int32_t alignment = 256;
};

constexpr std::array all_types{
    Types{},
    Types{.compute = ComputeMode::tf32},
    Types{GemmType::bf16, GemmType::bf16, GemmType::bf16},
    Types{GemmType::bf16, GemmType::bf16, GemmType::fp32},
    Types{GemmType::fp16, GemmType::fp16, GemmType::fp16},
    Types{GemmType::fp16, GemmType::fp16, GemmType::fp32},
    Types{GemmType::e4m3, GemmType::e4m3, GemmType::bf16, ComputeMode::fast_fp8},
    Types{GemmType::e4m3, GemmType::e4m3, GemmType::bf16},
    Types{GemmType::e5m2, GemmType::e4m3, GemmType::bf16},
    Types{GemmType::e5m2, GemmType::e4m3, GemmType::fp32},
    Types{GemmType::e4m3, GemmType::e5m2, GemmType::fp32}};

// Large enough for tensor cores; tiny; odd in every dimension; with pointers of 16 bytes.
constexpr std::array shapes{Shape{64, 96, 128},
                            Shape{1, 16, 16},
                            Shape{13, 17, 29, 4},
                            Shape{40, 24, 200, 16},
                            Shape{24, 48, 160, 16}};

constexpr std::array both_transposes{Transpose::no, Transpose::yes};

bool runs_fp8() {
    int major = 0;
    int minor = 0;
    TD_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
    TD_CUDA(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0));
    return major * 10 + minor >= 89;
}

/// What a transformer layer in bf16 asks for: no less will do.
bool must_run(const GemmKey& key) {
    if (key.epilogue == Epilogue::none) {
        return true;
    }
    if (key.type_c != GemmType::bf16 || is_fp8(key.type_a) || key.alignment < 256 || key.m < 16) {
        return false;
    }
    const bool plain_a = key.transpose_a == Transpose::no;
    const bool plain_b = key.transpose_b == Transpose::no;
    switch (key.epilogue) {
        case Epilogue::bias:
        case Epilogue::gelu_aux:
        case Epilogue::gelu_aux_bias:
            return plain_a && !plain_b;
        case Epilogue::dgelu:
        case Epilogue::dgelu_bgrad:
            return plain_a && plain_b;
        case Epilogue::bgrad_a:
            return !plain_a && plain_b && key.accumulate == Accumulate::no;
        case Epilogue::none:
            break;
    }
    return true;
}

class GemmProduct : public testing::TestWithParam<std::tuple<std::size_t, std::size_t>> {
  protected:
    static void TearDownTestSuite() { library().reset(); }

    static std::unique_ptr<GemmLibrary>& library() {
        static std::unique_ptr<GemmLibrary> shared;
        return shared;
    }

    void check(const GemmKey& key) {
        if (broken_rule(key)) {
            EXPECT_THROW(library()->prepare(key), ContractError) << to_text(key);
            return;
        }
        GemmPlan* plan = nullptr;
        try {
            plan = &library()->prepare(key);
        } catch (const LibraryError& error) {
            EXPECT_FALSE(must_run(key)) << error.what();
            EXPECT_TRUE(std::isinf(library()->measure(key)));
            std::cout << "not offered: " << to_text(key) << "\n";
            return;
        }
        Trial trial(key);
        library()->run(*plan, trial.operands(), trial.stream());
        trial.expect_outputs();
        ++ran_;
    }

    [[nodiscard]] int ran() const { return ran_; }

  private:
    int ran_ = 0;
};

TEST_P(GemmProduct, agrees_with_the_reference) {
    TD_REQUIRE_GPU();
    const Types types = all_types.at(std::get<0>(GetParam()));
    const Shape shape = shapes.at(std::get<1>(GetParam()));
    if (is_fp8(types.a) && !runs_fp8()) {
        GTEST_SKIP() << "no fp8: it needs compute capability 8.9";
    }
    if (!library()) {
        library() = std::make_unique<GemmLibrary>("");
    }
    for (const Transpose transpose_a : both_transposes) {
        for (const Transpose transpose_b : both_transposes) {
            for (const Accumulate accumulate : {Accumulate::no, Accumulate::yes}) {
                for (std::size_t e = 0; e < enum_count<Epilogue>; ++e) {
                    check({.m = shape.m,
                           .n = shape.n,
                           .k = shape.k,
                           .transpose_a = transpose_a,
                           .transpose_b = transpose_b,
                           .accumulate = accumulate,
                           .type_a = types.a,
                           .type_b = types.b,
                           .type_c = types.c,
                           .compute = types.compute,
                           .epilogue = static_cast<Epilogue>(e),
                           .alignment = shape.alignment});
                }
            }
        }
    }
    const bool fits_fp8 = shape.n % 16 == 0 && shape.k % 16 == 0;
    EXPECT_EQ(ran() > 0, !is_fp8(types.a) || fits_fp8);
}

INSTANTIATE_TEST_SUITE_P(TypesAndShapes,
                         GemmProduct,
                         testing::Combine(testing::Range<std::size_t>(0, all_types.size()),
                                          testing::Range<std::size_t>(0, shapes.size())));

}  // namespace
}  // namespace traindyno::test
