// SPDX-License-Identifier: Apache-2.0
// The flags of GPUs: what they set, what they refuse, and when a GPU is taken at all.
#include "emulator/cli/gpu_request.hpp"

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "tests/unit/cli/flags_of.hpp"

namespace traindyno {
namespace {

using Values = std::map<std::string, std::string>;

GpuInventory one_gpu(const std::string& name) {
    return {.devices = {{.ordinal = 0,
                         .name = name,
                         .uuid = "GPU-1",
                         .pci_bus_id = "0000:1b:00.0",
                         .capability = 90,
                         .multiprocessors = 132,
                         .memory = Bytes{std::int64_t{141} << 30}}},
            .libraries = {},
            .problem = ""};
}

const GpuInventory no_gpu{.devices = {}, .libraries = {}, .problem = "no driver"};

MeasureRequest request(const Values& values, const GpuInventory& gpus = one_gpu("NVIDIA H200")) {
    Problems problems;
    return measure_request(flags_of(values), 1, gpus, problems);
}

std::string refusal(const Values& values, const GpuInventory& gpus = one_gpu("NVIDIA H200")) {
    try {
        (void)request(values, gpus);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

GroupTraffic traffic(const MeasureRequest& request, GroupKind kind) {
    return request.gpu.groups[static_cast<std::size_t>(kind)];
}

TEST(Device, is_a_gpu_where_there_is_one_unless_told_otherwise) {
    EXPECT_EQ(request({}).device, DeviceKind::cuda);
    EXPECT_EQ(request({{"device", "auto"}}).device, DeviceKind::cuda);
    EXPECT_EQ(request({{"device", "cpu"}}).device, DeviceKind::cpu);
    EXPECT_EQ(request({}, no_gpu).device, DeviceKind::cpu);
    EXPECT_EQ(request({{"device", "auto"}}, no_gpu).device, DeviceKind::cpu);
}

TEST(Device, cuda_without_a_gpu_is_refused_with_the_reason) {
    const std::string text = refusal({{"device", "cuda"}}, no_gpu);
    EXPECT_NE(text.find("--device"), std::string::npos) << text;
    EXPECT_NE(text.find("no driver"), std::string::npos) << text;
}

TEST(Device, is_looked_for_only_where_it_may_be_used) {
    EXPECT_TRUE(may_use_gpu(flags_of({})));
    EXPECT_TRUE(may_use_gpu(flags_of({{"device", "auto"}})));
    EXPECT_TRUE(may_use_gpu(flags_of({{"device", "cuda"}})));
    EXPECT_FALSE(may_use_gpu(flags_of({{"device", "cpu"}})));
    EXPECT_FALSE(may_use_gpu(flags_of({{"device", "timed"}})));
}

TEST(GpuOptions, have_defaults_that_train_in_bf16_over_nccl) {
    const MeasureRequest made = request({});
    EXPECT_EQ(made.workload.setup.precision, Precision::bf16);
    EXPECT_EQ(made.gpu.device.precision, Precision::bf16);
    EXPECT_EQ(made.gpu.device.data, InputData::normal);
    EXPECT_EQ(made.gpu.device.reserved_sms, 0);
    EXPECT_EQ(made.gpu.collectives, GpuCollectives::nccl);
    EXPECT_EQ(made.gpu.launch, StepLaunch::eager);
    EXPECT_EQ(traffic(made, GroupKind::dp).priority, StreamPriority::highest);
    EXPECT_EQ(traffic(made, GroupKind::dp).registration, Registration::off);
    EXPECT_EQ(traffic(made, GroupKind::dp).nccl.sharing, GpuSharing::refused);
}

TEST(GpuOptions, follow_their_flags) {
    const MeasureRequest made = request({{"precision", "fp8"},
                                         {"graph", "on"},
                                         {"data", "zeros"},
                                         {"nccl-ctas", "tp=16,dp=4"},
                                         {"nccl-priority", "dp=normal"},
                                         {"nccl-register", "on"},
                                         {"plan-cache", "plans.json"},
                                         {"share-gpu", "on"},
                                         {"seed", "7"},
                                         {"timeout", "30"}});
    EXPECT_EQ(made.gpu.device.precision, Precision::fp8);
    EXPECT_EQ(made.gpu.device.data, InputData::zeros);
    EXPECT_EQ(made.gpu.device.seed, 7U);
    EXPECT_EQ(made.gpu.device.plan_cache, "plans.json");
    EXPECT_EQ(made.gpu.launch, StepLaunch::graph);
    EXPECT_EQ(traffic(made, GroupKind::tp).nccl.max_ctas, 16);
    EXPECT_EQ(traffic(made, GroupKind::dp).nccl.max_ctas, 4);
    EXPECT_EQ(traffic(made, GroupKind::pp).nccl.max_ctas, 0);
    EXPECT_EQ(traffic(made, GroupKind::dp).priority, StreamPriority::normal);
    EXPECT_EQ(traffic(made, GroupKind::tp).priority, StreamPriority::highest);
    EXPECT_EQ(traffic(made, GroupKind::tp).registration, Registration::on);
    EXPECT_EQ(traffic(made, GroupKind::pp).nccl.sharing, GpuSharing::allowed);
    EXPECT_EQ(traffic(made, GroupKind::pp).nccl.timeout, std::chrono::seconds{30});
    EXPECT_EQ(request({{"collectives", "mpi"}}).gpu.collectives, GpuCollectives::mpi);
}

TEST(GpuOptions, leave_products_what_data_parallel_reductions_do_not_hold) {
    EXPECT_EQ(request({{"nccl-ctas", "dp=8"}}).gpu.device.reserved_sms, 8);
    EXPECT_EQ(request({{"nccl-ctas", "dp=8"}, {"reserve-sms", "2"}}).gpu.device.reserved_sms, 2);
}

TEST(GpuOptions, know_the_peak_of_a_gpu_that_a_profile_describes) {
    const FlopRate bf16 = gemm_rate(load_machine("dgx-h200"), Precision::bf16).peak;
    EXPECT_EQ(request({}).gpu.device.peak, bf16);
    EXPECT_EQ(request({}, one_gpu("NVIDIA Unheard-of")).gpu.device.peak, FlopRate{0});
    EXPECT_EQ(request({{"machine", "dgx-a100"}}).gpu.device.peak,
              gemm_rate(load_machine("dgx-a100"), Precision::bf16).peak);
}

TEST(GpuOptions, refuse_what_cannot_be_meant) {
    struct Case {
        Values values;
        std::string mentions;
    };

    const std::vector<Case> cases{
        {{{"graph", "on"}, {"collectives", "mpi"}}, "--graph"},
        {{{"collectives", "gloo"}}, "'gloo'"},
        {{{"data", "ones"}}, "'ones'"},
        {{{"nccl-ctas", "tp"}}, "'tp'"},
        {{{"nccl-ctas", "sp=4"}}, "'sp=4'"},
        {{{"nccl-ctas", "dp=0"}}, "'dp=0'"},
        {{{"nccl-ctas", "dp=65"}}, "'dp=65'"},
        {{{"nccl-priority", "dp=low"}}, "'dp=low'"},
        {{{"reserve-sms", "-1"}}, "--reserve-sms"},
        {{{"reserve-sms", "1000"}}, "--reserve-sms"},
    };
    for (const Case& each : cases) {
        const std::string text = refusal(each.values);
        EXPECT_NE(text.find(each.mentions), std::string::npos) << each.mentions << ": " << text;
    }
}

TEST(GpuOptions, report_a_wrong_value_once) {
    const std::string text = refusal({{"nccl-register", "maybe"}});
    EXPECT_NE(text.find("'maybe'"), std::string::npos) << text;
    EXPECT_EQ(text.find("'maybe'"), text.rfind("'maybe'")) << text;
}

TEST(GpuOptions, are_refused_where_nothing_runs_on_a_gpu) {
    for (const char* name : {"graph", "share-gpu"}) {
        EXPECT_NE(refusal({{"device", "cpu"}, {name, "on"}}).find("--device cuda"),
                  std::string::npos)
            << name;
    }
    EXPECT_NE(refusal({{"device", "cpu"}, {"data", "zeros"}}).find("--data"), std::string::npos);
    EXPECT_NE(refusal({{"device", "cpu"}, {"collectives", "nccl"}}).find("--collectives"),
              std::string::npos);
    EXPECT_EQ(refusal({{"device", "cpu"}, {"collectives", "mpi"}}), "");
    EXPECT_EQ(refusal({{"device", "cpu"}, {"collectives", "auto"}}), "");
    EXPECT_NE(refusal({{"tuning", "tuning.toml"}}).find("--tuning"), std::string::npos);
}

TEST(MachineWithDevice, is_found_by_the_model_in_the_name) {
    EXPECT_EQ(machine_with_device("NVIDIA H200")->name, "dgx-h200");
    EXPECT_EQ(machine_with_device("NVIDIA H100 80GB HBM3")->name, "dgx-h100");
    EXPECT_EQ(machine_with_device("NVIDIA A100-SXM4-80GB")->name, "dgx-a100");
    EXPECT_EQ(machine_with_device("Tesla V100-SXM2-16GB")->name, "dgx-2");
    EXPECT_EQ(machine_with_device("NVIDIA GeForce"), std::nullopt);
}

TEST(GpuRequest, refuses_chunks_whose_messages_nccl_does_not_carry) {
    const Values chunks{{"pp", "1"}, {"schedule", "interleaved"}, {"virtual-stages", "2"}};
    EXPECT_NE(refusal(chunks).find("--virtual-stages: 2 chunks per stage do not go with NCCL"),
              std::string::npos);
    Values over_mpi = chunks;
    over_mpi["collectives"] = "mpi";
    EXPECT_EQ(refusal(over_mpi).find("do not go with NCCL"), std::string::npos);
}

}  // namespace
}  // namespace traindyno
