// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/gemm_plans/gemm_key.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

const GemmKey forward{.m = 2048, .n = 49152, .k = 12288, .transpose_b = Transpose::yes};

GemmKey fp8_forward() {
    GemmKey key = forward;
    key.type_a = GemmType::e4m3;
    key.type_b = GemmType::e4m3;
    key.compute = ComputeMode::fast_fp8;
    return key;
}

TEST(GemmKey, prints_what_its_header_says) {
    GemmKey key = forward;
    key.epilogue = Epilogue::bias;
    EXPECT_EQ(to_text(key),
              "m=2048 n=49152 k=12288 a=bf16 b=bf16^T c=bf16 compute=fp32 epilogue=bias "
              "reserved_sms=0 alignment=256");
}

TEST(GemmKey, is_read_back_from_its_text) {
    std::vector<GemmKey> keys;
    for (const Epilogue epilogue : {Epilogue::none,
                                    Epilogue::bias,
                                    Epilogue::gelu_aux,
                                    Epilogue::gelu_aux_bias,
                                    Epilogue::dgelu,
                                    Epilogue::dgelu_bgrad,
                                    Epilogue::bgrad_a}) {
        for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
            for (const Accumulate accumulate : {Accumulate::no, Accumulate::yes}) {
                keys.push_back({.m = 1,
                                .n = 1234567890123,
                                .k = 3,
                                .transpose_a = transpose,
                                .accumulate = accumulate,
                                .type_a = GemmType::e5m2,
                                .type_b = GemmType::e4m3,
                                .type_c = GemmType::fp32,
                                .compute = ComputeMode::fast_fp8,
                                .epilogue = epilogue,
                                .reserved_sms = 32,
                                .alignment = 16});
            }
        }
    }
    keys.push_back({.type_a = GemmType::fp32,
                    .type_b = GemmType::fp32,
                    .type_c = GemmType::fp32,
                    .compute = ComputeMode::tf32});
    keys.push_back({.type_a = GemmType::fp16, .type_b = GemmType::fp16, .type_c = GemmType::fp16});
    for (const GemmKey& key : keys) {
        EXPECT_EQ(parse_gemm_key(to_text(key)), key) << to_text(key);
    }
}

TEST(GemmKey, is_not_read_from_a_text_that_differs_anywhere) {
    const std::string text = to_text(forward);
    ASSERT_TRUE(parse_gemm_key(text));
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string other = text;
        other[i] = '?';
        EXPECT_FALSE(parse_gemm_key(other)) << other;
    }
    EXPECT_FALSE(parse_gemm_key(text + " more"));
    EXPECT_FALSE(parse_gemm_key(text.substr(0, text.rfind(' '))));
    EXPECT_FALSE(parse_gemm_key(""));
}

TEST(GemmKey, takes_types_from_the_spaces_of_the_operands) {
    const MatMul wgrad{.m = 2,
                       .n = 3,
                       .k = 4,
                       .transpose_a = Transpose::yes,
                       .accumulate = Accumulate::yes,
                       .a = {.space = Space::workspace},
                       .b = {.space = Space::saved},
                       .c = {.space = Space::gradient}};
    const GemmKey bf16 = key_of(wgrad, Precision::bf16);
    EXPECT_EQ(bf16,
              (GemmKey{.m = 2,
                       .n = 3,
                       .k = 4,
                       .transpose_a = Transpose::yes,
                       .accumulate = Accumulate::yes,
                       .type_c = GemmType::fp32}));
    EXPECT_EQ(key_of(wgrad, Precision::fp8), bf16);
    EXPECT_EQ(key_of(wgrad, Precision::bf16, DType::bf16).type_c, GemmType::bf16);
    EXPECT_EQ(key_of(wgrad, Precision::fp16).type_a, GemmType::fp16);
    EXPECT_EQ(key_of(wgrad, Precision::tf32).compute, ComputeMode::tf32);
    EXPECT_EQ(key_of(wgrad, Precision::tf32).type_b, GemmType::fp32);
    EXPECT_EQ(key_of(wgrad, Precision::fp32).compute, ComputeMode::fp32);
}

TEST(GemmKey, of_the_products_of_a_step_breaks_no_rule) {
    GemmKey wgrad{.m = 49152, .n = 12288, .k = 2048, .type_c = GemmType::fp32};
    wgrad.transpose_a = Transpose::yes;
    wgrad.accumulate = Accumulate::yes;
    wgrad.epilogue = Epilogue::bgrad_a;
    for (const GemmKey& key : {forward, wgrad, fp8_forward()}) {
        EXPECT_EQ(broken_rule(key), std::nullopt);
    }
}

/// `change` makes `key` break a rule whose text holds `expected`.
void expect_broken(GemmKey key, void (*change)(GemmKey&), std::string_view expected) {
    ASSERT_EQ(broken_rule(key), std::nullopt);
    change(key);
    const std::optional<std::string> rule = broken_rule(key);
    ASSERT_TRUE(rule.has_value()) << expected;
    EXPECT_NE(rule->find(expected), std::string::npos) << *rule;
    EXPECT_NE(rule->find(to_text(key)), std::string::npos) << *rule;
}

TEST(GemmKey, names_the_rule_it_breaks) {
    expect_broken(
        forward, [](GemmKey& k) { k.m = 0; }, "positive");
    expect_broken(
        forward, [](GemmKey& k) { k.type_a = GemmType::fp16; }, "one type");
    expect_broken(
        forward, [](GemmKey& k) { k.type_c = GemmType::fp16; }, "one type");
    expect_broken(
        forward, [](GemmKey& k) { k.compute = ComputeMode::tf32; }, "tf32");
    expect_broken(
        forward, [](GemmKey& k) { k.compute = ComputeMode::fast_fp8; }, "fast_fp8");
    expect_broken(
        forward, [](GemmKey& k) { k.alignment = 24; }, "alignment");
    expect_broken(
        forward, [](GemmKey& k) { k.alignment = 1; }, "alignment");
    expect_broken(
        forward, [](GemmKey& k) { k.reserved_sms = -1; }, "reserved_sms");
    expect_broken(
        forward,
        [](GemmKey& k) {
            k.epilogue = Epilogue::bias;
            k.accumulate = Accumulate::yes;
        },
        "accumulate");
    expect_broken(
        forward,
        [](GemmKey& k) {
            k.epilogue = Epilogue::dgelu;
            k.n = 12;
        },
        "aux");
}

TEST(GemmKey, of_fp8_has_rules_of_its_own) {
    const GemmKey fp8 = fp8_forward();
    expect_broken(
        fp8, [](GemmKey& k) { k.transpose_b = Transpose::no; }, "B[n,k]");
    expect_broken(
        fp8, [](GemmKey& k) { k.transpose_a = Transpose::yes; }, "A[m,k]");
    expect_broken(
        fp8, [](GemmKey& k) { k.k += 8; }, "multiples of 16");
    expect_broken(
        fp8, [](GemmKey& k) { k.n += 8; }, "multiples of 16");
    expect_broken(
        fp8, [](GemmKey& k) { k.alignment = 8; }, "16 bytes");
    expect_broken(
        fp8, [](GemmKey& k) { k.epilogue = Epilogue::dgelu; }, "epilogue");
    expect_broken(
        fp8, [](GemmKey& k) { k.type_b = GemmType::bf16; }, "one type");
    expect_broken(
        fp8, [](GemmKey& k) { k.type_a = k.type_b = GemmType::e5m2; }, "both e5m2");
}

TEST(GemmKey, knows_the_vector_of_its_epilogue) {
    GemmKey key{.m = 3, .n = 16, .k = 7, .type_c = GemmType::fp32, .epilogue = Epilogue::bias};
    EXPECT_EQ(vector_elements(key), 16);
    EXPECT_EQ(vector_type(key), GemmType::fp32);
    key.epilogue = Epilogue::bgrad_a;
    EXPECT_EQ(vector_elements(key), 3);
    key.type_a = key.type_b = GemmType::e4m3;
    EXPECT_EQ(vector_type(key), GemmType::bf16);
}

TEST(Alignment, is_the_largest_power_of_two_that_divides_every_pointer) {
    const auto at = [](std::uintptr_t address) { return reinterpret_cast<const void*>(address); };
    EXPECT_EQ(alignment_of({at(4096), at(512)}), 256);
    EXPECT_EQ(alignment_of({at(4096), at(512 + 48)}), 16);
    EXPECT_EQ(alignment_of({at(6), at(4)}), 2);
    EXPECT_EQ(alignment_of({nullptr, at(64)}), 64);
}

TEST(Alignment, at_an_offset_is_what_divides_it) {
    EXPECT_EQ(alignment_at(0), 256);
    EXPECT_EQ(alignment_at(512 + 48), 16);
    EXPECT_EQ(alignment_at(std::int64_t{1} << 40), 256);
}

}  // namespace
}  // namespace traindyno
