// SPDX-License-Identifier: Apache-2.0
// Machine profiles: shipped ones match their datasheets, broken ones are explained, times follow.
#include "emulator/machine/profile.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/program/linear.hpp"
#include "tests/unit/base/scratch_folder.hpp"

namespace traindyno {
namespace {

constexpr const char* minimal = R"(device = "test device"
source = "made up"
ranks_per_node = 4
memory = "16GB"
memory_bandwidth = "100GB/s"
memory_efficiency = 0.5
launch_latency = "2us"
[[gemm]]
precision = "bf16"
peak = "10TFLOP/s"
efficiency = 0.5
[[links]]
name = "intra_node"
ranks = 4
bandwidth = "40GB/s"
latency = "1us"
[[links]]
name = "inter_node"
bandwidth = "80Gbps"
)";

MachineProfile test_machine() {
    const ScratchFolder scratch;
    return load_machine(scratch.write("test.toml", minimal));
}

std::string error_of(const std::string& text) {
    const ScratchFolder scratch;
    try {
        (void)load_machine(scratch.write("bad.toml", text));
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

std::string with(const std::string& old, const std::string& replacement) {
    std::string text = minimal;
    text.replace(text.find(old), old.size(), replacement);
    return text;
}

TEST(LoadMachine, reads_every_field) {
    const MachineProfile expected{
        .name = "test",
        .device = "test device",
        .source = "made up",
        .ranks_per_node = 4,
        .gemm = {{.precision = Precision::bf16, .peak = FlopRate{10e12}, .efficiency = 0.5}},
        .memory = Bytes{16'000'000'000},
        .memory_bandwidth = Bandwidth{100e9},
        .memory_efficiency = 0.5,
        .launch_latency = SimTime{2'000'000},
        .links = {{.name = "intra_node",
                   .ranks = 4,
                   .bandwidth = Bandwidth{40e9},
                   .latency = SimTime{1'000'000}},
                  {.name = "inter_node",
                   .ranks = 0,
                   .bandwidth = Bandwidth{10e9},
                   .latency = SimTime{0}}}};
    EXPECT_EQ(test_machine(), expected);
}

/// What datasheets and node descriptions say, in their units.
struct Published {
    double teraflops_16_bit;
    double tf32_teraflops;
    double fp8_teraflops;  ///< as timed: of the best there is where fp8 is not
    double memory_gb;
    double memory_gb_per_s;
    std::int64_t ranks_per_node;
    double near_gb_per_s;  ///< per direction, inside the node or rack
    double far_gb_per_s;

    friend bool operator==(const Published&, const Published&) = default;
};

Published published(const MachineProfile& machine) {
    const auto teraflops = [&](Precision precision) {
        return gemm_rate(machine, precision).peak.value() / 1e12;
    };
    return {.teraflops_16_bit = teraflops(Precision::bf16),
            .tf32_teraflops = teraflops(Precision::tf32),
            .fp8_teraflops = teraflops(Precision::fp8),
            .memory_gb = machine.memory.as_double() / 1e9,
            .memory_gb_per_s = machine.memory_bandwidth.value() / 1e9,
            .ranks_per_node = machine.ranks_per_node,
            .near_gb_per_s = machine.links.at(0).bandwidth.value() / 1e9,
            .far_gb_per_s = machine.links.at(1).bandwidth.value() / 1e9};
}

TEST(LoadMachine, knows_the_published_machines) {
    const std::map<std::string, Published> machines{
        {"dgx-2", {125, 15.7, 125, 32, 900, 16, 150, 6.25}},
        {"dgx-a100", {312, 156, 312, 80, 2039, 8, 300, 25}},
        {"dgx-h100", {989, 494.5, 1979, 80, 3350, 8, 450, 50}},
        {"dgx-h200", {989, 494.5, 1979, 141, 4800, 8, 450, 50}},
        {"dgx-b200", {2250, 1125, 4500, 180, 8000, 8, 900, 50}},
        {"gb200-nvl72", {2500, 1250, 5000, 186, 8000, 4, 900, 50}}};
    EXPECT_EQ(machine_names().size(), machines.size());
    for (const auto& [name, expected] : machines) {
        EXPECT_EQ(published(load_machine(name)), expected) << name;
    }
}

TEST(LoadMachine, gives_every_shipped_machine_fp32_and_fp16_and_slower_wider_types) {
    for (const std::string& name : machine_names()) {
        const MachineProfile machine = load_machine(name);
        EXPECT_EQ(substitution(machine, Precision::fp32), "");
        EXPECT_EQ(substitution(machine, Precision::fp16), "");
        FlopRate wider{0};
        for (const Precision precision :
             {Precision::fp32, Precision::tf32, Precision::fp16, Precision::fp8}) {
            const FlopRate peak = gemm_rate(machine, precision).peak;
            EXPECT_FALSE(peak < wider) << name << " " << to_string(precision);
            wider = peak;
        }
    }
}

TEST(LoadMachine, refuses_bare_numbers) {
    const std::string error = error_of(with("\"100GB/s\"", "\"100\""));
    EXPECT_NE(error.find("bad.toml:5: memory_bandwidth: '100' has no unit"), std::string::npos)
        << error;
    EXPECT_NE(error_of(with("\"16GB\"", "16")).find(":4: memory: is a whole number"),
              std::string::npos);
}

TEST(LoadMachine, refuses_what_no_machine_has) {
    struct Case {
        const char* old;
        const char* replacement;
        const char* message;
    };

    constexpr std::array cases{
        Case{"efficiency = 0.5\n[[links]]",
             "efficiency = 1.5\n[[links]]",
             "efficiency: 1.5 is not a share"},
        Case{"memory_efficiency = 0.5",
             "memory_efficiency = 0",
             "memory_efficiency: 0 is not a share"},
        Case{"memory_efficiency = 0.5",
             "memory_efficiency = nan",
             "memory_efficiency: is not finite"},
        Case{
            "ranks_per_node = 4", "ranks_per_node = 0", "ranks_per_node: 0 ranks are out of range"},
        Case{"ranks_per_node = 4", "ranks_per_node = -8", "ranks_per_node: -8 ranks"},
        Case{"\"10TFLOP/s\"", "\"0TFLOP/s\"", "peak: is too small"},
        Case{"\"10TFLOP/s\"", "\"10TFLOPS\"", "unknown unit 'TFLOPS'"},
        Case{"\"100GB/s\"", "\"0GB/s\"", "memory_bandwidth: is too small"},
        Case{"\"16GB\"", "\"0GB\"", "memory: is too small"},
        Case{"\"16GB\"", "\"-16GB\"", "'-16GB' is negative"},
        Case{"\"2us\"", "\"2min\"", "launch_latency: is longer than a second"},
        Case{"\"bf16\"", "\"int8\"", "precision: 'int8' is not a choice"},
        Case{"ranks = 4\nbandwidth", "ranks = 0\nbandwidth", "ranks: 0 reaches no farther"},
        Case{"memory_bandwidth", "memory_bandwith", "did you mean 'memory_bandwidth'?"},
        Case{"device = \"test device\"", "", "device: is missing"},
        Case{"latency = \"1us\"", "latencies = \"1us\"", "latencies: unknown key"}};
    for (const Case& item : cases) {
        const std::string error = error_of(with(item.old, item.replacement));
        EXPECT_NE(error.find(item.message), std::string::npos) << item.message << " in\n" << error;
    }
}

TEST(LoadMachine, needs_a_rate_and_each_only_once) {
    const std::string text = minimal;
    const std::size_t begin = text.find("[[gemm]]");
    const std::size_t end = text.find("[[links]]");
    const std::string gemm = text.substr(begin, end - begin);
    EXPECT_NE(error_of(text.substr(0, begin) + text.substr(end)).find("gemm: is missing"),
              std::string::npos);
    EXPECT_NE(
        error_of("gemm = []\n" + text.substr(0, begin) + text.substr(end)).find("gemm: is empty"),
        std::string::npos);
    EXPECT_NE(error_of(text + gemm).find("precision: bf16 is listed twice"), std::string::npos);
}

TEST(LoadMachine, reports_every_mistake_at_once) {
    const std::string error = error_of("colour = 'red'\nmemory = 1\n");
    for (const char* part : {"colour: unknown key",
                             "memory: is a whole number",
                             "device: is missing",
                             "source: is missing",
                             "memory_bandwidth: is missing",
                             "gemm: is missing"}) {
        EXPECT_NE(error.find(part), std::string::npos) << error;
    }
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 5) << error;
}

TEST(LoadMachine, suggests_the_machine_that_was_meant) {
    try {
        (void)load_machine("dgx-a10");
        FAIL() << "an unknown name was accepted";
    } catch (const ConfigError& error) {
        EXPECT_NE(std::string(error.what()).find("did you mean 'dgx-a100'?"), std::string::npos);
    }
}

TEST(GemmRate, of_a_missing_precision_follows_the_documented_order) {
    // Every set of listed precisions and every wanted one, against "same width, then the nearest
    // wider, then the nearest narrower".
    const auto width = [](Precision precision) {  // 0 is the widest
        constexpr std::array widths{0, 1, 2, 2, 3};
        return widths.at(static_cast<std::size_t>(precision));
    };
    constexpr std::size_t count = enum_count<Precision>;
    for (unsigned listed = 1; listed < 1U << count; ++listed) {
        MachineProfile machine = test_machine();
        machine.gemm.clear();
        for (std::size_t i = 0; i < count; ++i) {
            if ((listed >> i & 1U) != 0) {
                machine.gemm.push_back(
                    {.precision = static_cast<Precision>(i), .peak = FlopRate{1e12}});
            }
        }
        for (std::size_t i = 0; i < count; ++i) {
            const auto wanted = static_cast<Precision>(i);
            const Precision used = gemm_rate(machine, wanted).precision;
            const auto distance = [&](Precision precision) {
                const int narrower = width(precision) - width(wanted);
                return narrower > 0 ? 10 + narrower : -narrower;
            };
            EXPECT_EQ(used == wanted, (listed >> i & 1U) != 0) << listed << to_string(wanted);
            for (const GemmRate& other : machine.gemm) {
                EXPECT_LE(distance(used), distance(other.precision))
                    << listed << " for " << to_string(wanted) << ": " << to_string(used) << " not "
                    << to_string(other.precision);
            }
        }
    }
}

TEST(GemmRate, needs_one) {
    MachineProfile machine = test_machine();
    machine.gemm.clear();
    EXPECT_THROW((void)gemm_rate(machine, Precision::bf16), ContractError);
}

TEST(GemmRate, of_another_precision_is_admitted) {
    EXPECT_EQ(substitution(test_machine(), Precision::bf16), "");
    EXPECT_EQ(substitution(test_machine(), Precision::fp8),
              "test lists no fp8 rate: matrix products are timed at its bf16 rate");
}

TEST(OpTime, of_a_large_product_follows_the_sustained_rate) {
    const MatMul matmul{.m = 4096, .n = 4096, .k = 4096, .a = {}, .b = {}, .c = {}};
    const double seconds = 2 * 4096.0 * 4096 * 4096 / (10e12 * 0.5);
    EXPECT_EQ(op_time(test_machine(), matmul, Precision::bf16),
              SimTime{2'000'000} + from_seconds(seconds));
}

TEST(OpTime, of_a_thin_product_follows_the_memory) {
    const MatMul matmul{.m = 1, .n = 4096, .k = 4096, .a = {}, .b = {}, .c = {}};
    const double bytes = 2.0 * (4096 + 4096 * 4096 + 4096);
    EXPECT_EQ(op_time(test_machine(), matmul, Precision::bf16),
              SimTime{2'000'000} + from_seconds(bytes / (100e9 * 0.5)));
}

MachineProfile fp8_machine() {
    MachineProfile machine = test_machine();
    machine.gemm.push_back(
        {.precision = Precision::fp8, .peak = FlopRate{20e12}, .efficiency = 0.25});
    return machine;
}

/// The three products of a linear layer: 1024 tokens, 512 inputs, 8192 outputs.
std::array<MatMul, 3> linear_products() {
    const Linear linear{
        .tokens = 1024, .in = 512, .out = 8192, .weight = {.elements = 512LL * 8192}};
    const Slice x{.elements = 1024LL * 512};
    const Slice y{.elements = 1024LL * 8192};
    return {forward(linear, x, y), input_gradient(linear, y, x), weight_gradient(linear, x, y)};
}

TEST(OpTime, of_fp8_products_casts_each_tensor_once_to_both_layouts) {
    const auto products = linear_products();
    const double weight = 512.0 * 8192;
    const double x = 1024.0 * 512;
    const double y = 1024.0 * 8192;
    const double product = 2.0 * 1024 * 512 * 8192 / (20e12 * 0.25);
    const auto seconds = [&](const MatMul& op) {
        return to_seconds(op_time(fp8_machine(), op, Precision::fp8));
    };
    // 2 bytes read and 1 written at 50 GB/s; 1 more for a transpose. 2 us for each kernel.
    EXPECT_NEAR(seconds(products[0]), 3 * 2e-6 + 3 * (x + weight) / 50e9 + product, 1e-11);
    EXPECT_NEAR(seconds(products[1]), 2 * 2e-6 + (3 * y + weight) / 50e9 + product, 1e-11);
    EXPECT_NEAR(seconds(products[2]), 2e-6 + (y + x) / 50e9 + product, 1e-11);
    EXPECT_NEAR(seconds(products[0]) + seconds(products[1]) + seconds(products[2]),
                6 * 2e-6 + 4 * (x + y + weight) / 50e9 + 3 * product,
                1e-11);
}

TEST(OpTime, of_a_thin_fp8_product_reads_a_byte_per_operand_element) {
    const MatMul matmul{
        .m = 16, .n = 4096, .k = 4096, .transpose_b = Transpose::yes, .a = {}, .b = {}, .c = {}};
    const double operands = 16 * 4096 + 4096 * 4096;
    EXPECT_NEAR(to_seconds(op_time(fp8_machine(), matmul, Precision::fp8)),
                3 * 2e-6 + (3 * operands + operands + 2.0 * 16 * 4096) / 50e9,
                1e-11);
}

TEST(OpTime, of_sizes_that_fp8_products_do_not_take_is_that_of_bf16) {
    for (const auto& [m, n, k] : {std::array{24, 32, 32}, {32, 24, 32}, {32, 32, 24}}) {
        const MatMul matmul{.m = m, .n = n, .k = k, .a = {}, .b = {}, .c = {}};
        EXPECT_EQ(op_time(fp8_machine(), matmul, Precision::fp8),
                  op_time(fp8_machine(), matmul, Precision::bf16));
    }
}

TEST(OpTime, of_attention_and_adam_in_fp8_is_that_of_bf16) {
    const AttentionForward attention{.batch = 1,
                                     .seq = 4096,
                                     .heads = 4,
                                     .kv_heads = 4,
                                     .head_size = 64,
                                     .qkv = {},
                                     .context = {},
                                     .statistics = {}};
    const double seconds = 4 * 4096.0 * 4096 * 4 * 64 / (10e12 * 0.5);
    EXPECT_EQ(op_time(fp8_machine(), attention, Precision::fp8),
              SimTime{2'000'000} + from_seconds(seconds));
    EXPECT_EQ(op_time(fp8_machine(), OptimizerStep{.elements = 1'000'000}, Precision::fp8),
              SimTime{2'000'000} + from_seconds(30e6 / 50e9));
}

TEST(OpTime, of_tf32_moves_fp32_tensors) {
    EXPECT_EQ(op_time(test_machine(), OptimizerStep{.elements = 1'000'000}, Precision::tf32),
              SimTime{2'000'000} + from_seconds(32e6 / 50e9));
}

TEST(OpTime, of_adam_is_launch_plus_traffic) {
    EXPECT_EQ(op_time(test_machine(), OptimizerStep{.elements = 1'000'000}, Precision::bf16),
              SimTime{2'000'000} + from_seconds(30e6 / 50e9));
}

}  // namespace
}  // namespace traindyno
