// SPDX-License-Identifier: Apache-2.0
// `describe` tells the well-known figures of GPT-3, and the memory and traffic of a rank.
#include "emulator/cli/describe.hpp"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "emulator/base/error.hpp"

namespace traindyno {
namespace {

using Json = nlohmann::json;

DescribeRequest request_for(const std::string& model) {
    DescribeRequest request{.model = load_model(model), .layout = {}, .setup = {}};
    for (const std::string& name : machine_names()) {
        request.machines.push_back(load_machine(name));
    }
    return request;
}

/// The line of `text` that contains `part`; empty when there is none.
std::string line_with(const std::string& text, const std::string& part) {
    const std::size_t at = text.find(part);
    if (at == std::string::npos) {
        return "";
    }
    const std::size_t begin = text.rfind('\n', at) + 1;
    return text.substr(begin, text.find('\n', at) - begin);
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST(Describe, tells_what_gpt3_cost) {
    const std::string text = describe_text(request_for("gpt3-175b"));
    EXPECT_TRUE(contains(text, "gpt3-175b: 174.6 B parameters")) << text;
    EXPECT_TRUE(contains(text, "3.15e23 FLOP for 300 B tokens")) << text;
    // 3.15e23 / 28e12 and / 312e12, in years of 365 days.
    EXPECT_TRUE(contains(line_with(text, "NVIDIA V100  "), "357 years")) << text;
    EXPECT_TRUE(contains(line_with(text, "NVIDIA A100"), "32 years")) << text;
    // 6 N D with the exact count; 72 l h^2 (1 + s/(6h) + V/(12 l h)) per token.
    EXPECT_TRUE(contains(text, "3.14e23 FLOP for 300 B tokens")) << text;
    EXPECT_TRUE(contains(text, "3.23e23 FLOP for 300 B tokens")) << text;
}

TEST(Describe, leaves_out_the_named_size_of_a_model_that_has_none) {
    DescribeRequest request = request_for("gpt3-125m");
    request.model.nominal_parameters = 0;
    const std::string text = describe_text(request);
    EXPECT_FALSE(contains(text, "the size in its name")) << text;
    // 6 x 125,226,240 x 300e9
    EXPECT_TRUE(contains(text, "2.25e20 FLOP for 300 B tokens: 6 N D with every parameter"))
        << text;
}

TEST(Describe, tells_what_experts_there_are_and_what_of_them_is_active) {
    DescribeRequest request = request_for("mixtral-8x7b");
    request.layout = {.ep = 8, .dp = 8};
    request.setup.global_batch = 8;
    request.left_out = {"some_key: something"};
    const std::string text = describe_text(request);
    EXPECT_TRUE(contains(text, "mixtral-8x7b: 46.7 B parameters")) << text;
    EXPECT_TRUE(contains(text, "8 experts of width 14336 per layer, of which each token visits 2"))
        << text;
    EXPECT_TRUE(contains(text, "12.9 B parameters")) << text;
    EXPECT_TRUE(contains(text, "6 N D with every active parameter")) << text;
    EXPECT_TRUE(contains(text, "left out: some_key: something")) << text;
    // 32 layers, forward and backward, of 32768 tokens x 2 experts x 4096 columns in fp32
    EXPECT_TRUE(contains(line_with(text, "all_to_all"), " 128   128.0 GiB   112.0 GiB")) << text;
    const Json json = Json::parse(describe_json(request));
    EXPECT_EQ(json["active_parameters"], active_parameters(request.model));
    EXPECT_EQ(json["left_out"].size(), 1U);
    const std::string deepseek = describe_text(request_for("deepseek-v3-like"));
    EXPECT_TRUE(contains(deepseek, "visits 8, and 1 that every token visits; the first 3 layers"))
        << deepseek;
}

TEST(Describe, follows_the_requested_tokens) {
    DescribeRequest request = request_for("gpt3-125m");
    request.tokens = 1e12;
    EXPECT_TRUE(
        contains(describe_text(request), "7.50e20 FLOP for 1 T tokens"));  // 6 x 125e6 x 1e12
}

TEST(Describe, shows_proportions_of_shrunk_models_only) {
    DescribeRequest request = request_for("gpt3-125m");
    EXPECT_FALSE(contains(describe_text(request), "Proportions"));
    const Model original = request.model;
    request.model = apply(original, {.shrink = 4});
    request.proportions = proportions(original, request.model);
    const std::string text = describe_text(request);
    EXPECT_TRUE(contains(line_with(text, "ffn / hidden"), "kept")) << text;
    EXPECT_TRUE(contains(line_with(text, "TP bytes per FLOP"), "changed")) << text;
}

TEST(Describe, lists_the_gpus_of_this_machine) {
    DescribeRequest request = request_for("gpt3-125m");
    request.gpus = {.devices = {{.ordinal = 0,
                                 .name = "NVIDIA H200",
                                 .uuid = "GPU-0a",
                                 .pci_bus_id = "0000:1b:00.0",
                                 .capability = 90,
                                 .multiprocessors = 132,
                                 .memory = Bytes{143'771 * (std::int64_t{1} << 20)}},
                                {.ordinal = 1,
                                 .name = "NVIDIA H100",
                                 .uuid = "GPU-0b",
                                 .pci_bus_id = "0000:c2:00.0",
                                 .capability = 90,
                                 .multiprocessors = 132,
                                 .memory = Bytes{81'559 * (std::int64_t{1} << 20)}}},
                    .libraries = {{.name = "NCCL", .version = "2.28.9"}},
                    .problem = ""};
    const std::string text = describe_text(request);
    EXPECT_TRUE(contains(text,
                         "  GPU 0: NVIDIA H200, sm_90, 132 SMs, 140.4 GiB, GPU-0a, 0000:1b:00.0\n"
                         "  GPU 1: NVIDIA H100"))
        << text;
    EXPECT_TRUE(contains(text, "\n  GPU libraries: NCCL 2.28.9\n")) << text;
    const Json devices = Json::parse(describe_json(request)).at("devices");
    ASSERT_EQ(devices.size(), 2U);
    EXPECT_EQ(devices.at(0).at("uuid"), "GPU-0a");
    EXPECT_EQ(devices.at(0).at("capability"), 90);
    EXPECT_EQ(devices.at(0).at("memory_bytes"), 143'771 * (std::int64_t{1} << 20));
    EXPECT_EQ(devices.at(1).at("ordinal"), 1);
}

TEST(Describe, says_in_one_line_why_there_is_no_gpu) {
    DescribeRequest request = request_for("gpt3-125m");
    request.gpus.problem = "no CUDA device is visible";
    const std::string text = describe_text(request);
    EXPECT_TRUE(contains(text, "\n  GPU: none (no CUDA device is visible)\n")) << text;
    EXPECT_FALSE(contains(text, "GPU libraries"));
    EXPECT_EQ(Json::parse(describe_json(request)).at("devices"), Json::array());
}

TEST(Describe, has_no_traffic_on_one_rank) {
    const DescribeRequest request = request_for("gpt3-125m");
    EXPECT_TRUE(contains(describe_text(request), "Traffic: none (one rank)"));
    EXPECT_TRUE(Json::parse(describe_json(request)).at("volumes").empty());
}

TEST(Describe, names_the_devices_with_enough_memory) {
    const std::string small = line_with(describe_text(request_for("gpt3-125m")), "fits ");
    EXPECT_TRUE(contains(small, "V100") && contains(small, "GB200")) << small;
    EXPECT_TRUE(
        contains(describe_text(request_for("gpt3-175b")), "fits none of the devices above"));
}

TEST(Describe, counts_the_bytes_that_tensors_are_stored_in) {
    DescribeRequest request = request_for("gpt3-125m");
    const auto memory = [&](Precision precision) {
        request.setup.precision = precision;
        return Json::parse(describe_json(request)).at("memory_bytes");
    };
    const auto heading = [&](Precision precision) {
        request.setup.precision = precision;
        return line_with(describe_text(request), "Memory of a rank");
    };
    EXPECT_EQ(memory(Precision::fp8), memory(Precision::bf16));
    EXPECT_TRUE(contains(heading(Precision::bf16), ", bf16, ")) << heading(Precision::bf16);
    EXPECT_TRUE(contains(heading(Precision::fp8), ", fp8 (bf16 tensors), "))
        << heading(Precision::fp8);
}

TEST(DescribeJson, holds_the_published_figures) {
    const Json json = Json::parse(describe_json(request_for("gpt3-175b")));
    const std::int64_t h = 12288;
    EXPECT_EQ(json.at("parameters"), 96 * (12 * h * h + 13 * h) + 50257 * h + 2048 * h + 2 * h);
    const double per_token =
        72.0 * 96 * 12288 * 12288 * (1 + 2048 / (6.0 * 12288) + 50257 / (12.0 * 96 * 12288));
    EXPECT_NEAR(json.at("flops_per_token").get<double>(), per_token, 1e-12 * per_token);
    EXPECT_DOUBLE_EQ(json.at("training").at("tokens"), 300e9);
    EXPECT_DOUBLE_EQ(json.at("training").at("flops"), 3.15e23);
    const Json& devices = json.at("single_device_years");
    EXPECT_EQ(devices.size(), 1 + machine_names().size());
    for (const Json& device : devices) {
        const double expected =
            3.15e23 / (device.at("tflops").get<double>() * 1e12) / (365.0 * 86400);
        EXPECT_DOUBLE_EQ(device.at("years"), expected);
    }
}

TEST(DescribeJson, adds_up_the_memory_of_the_fullest_rank) {
    DescribeRequest request = request_for("gpt3-125m");
    request.layout = {.tp = 2, .dp = 1, .pp = 2};
    const Json json = Json::parse(describe_json(request));
    std::int64_t sum = 0;
    for (const auto& [name, bytes] : json.at("memory_bytes").items()) {
        sum += name == "total" ? 0 : bytes.get<std::int64_t>();
    }
    EXPECT_GT(sum, 0);
    EXPECT_EQ(json.at("memory_bytes").at("total"), sum);
}

TEST(DescribeJson, counts_the_four_tensor_parallel_all_reduces_of_a_layer) {
    DescribeRequest request = request_for("gpt3-125m");
    request.layout.tp = 2;
    const Json json = Json::parse(describe_json(request));
    const Json& volumes = json.at("volumes");
    const auto tp = std::find_if(volumes.begin(), volumes.end(), [](const Json& volume) {
        return volume.at("group") == "tp" && volume.at("op") == "all_reduce";
    });
    ASSERT_NE(tp, volumes.end()) << json.dump(2);
    // At least 12 layers x 4 all-reduces of s x h fp32 values; embedding and loss add to it.
    EXPECT_GE(tp->at("bytes_per_rank_per_step").get<std::int64_t>(), 12 * 4 * 2048 * 768 * 4);
    EXPECT_GE(tp->at("count").get<std::int64_t>(), 12 * 4);
    // A ring of two sends as many bytes as the payload has.
    EXPECT_EQ(tp->at("bytes_sent_per_rank_per_step"), tp->at("bytes_per_rank_per_step"));
}

TEST(Describe, refuses_what_cannot_be_trained) {
    DescribeRequest request = request_for("gpt3-125m");
    request.layout.tp = 5;  // does not divide 12 heads
    EXPECT_THROW((void)describe_text(request), ConfigError);
}

}  // namespace
}  // namespace traindyno
