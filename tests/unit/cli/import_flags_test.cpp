// SPDX-License-Identifier: Apache-2.0
// Imported settings become flags that exist, and lose against what the user says.
#include "emulator/cli/import_flags.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "emulator/cli/flag_table.hpp"
#include "emulator/cli/request.hpp"

namespace traindyno {
namespace {

constexpr const char* megatron =
    "--num-layers 4 --hidden-size 64 --num-attention-heads 4 --seq-length 32 --vocab-size 1000 "
    "--micro-batch-size 2 --global-batch-size 8 --bf16 --overlap-grad-reduce --my-switch 1 "
    "--hidden-dropout 0.1 --lr 1";

Flags flags_with(std::map<std::string, std::string> values, Command command = Command::run) {
    Flags flags{.command = command, .values = {}, .points = {}, .positionals = {}};
    values.try_emplace("megatron-args", megatron);
    for (const auto& [name, text] : values) {
        flags.values[name] = {.text = text, .origin = "--" + name};
    }
    Problems problems;
    apply_imports(flags, problems);
    problems.throw_if_any();
    return flags;
}

MeasureRequest request_of(const Flags& flags, std::int64_t ranks) {
    Problems problems;
    return measure_request(flags, ranks, {}, problems);
}

TEST(ImportFlags, describe_the_workload) {
    const MeasureRequest request =
        request_of(flags_with({{"device", "timed"}, {"machine", "dgx-h100"}}), 2);
    EXPECT_EQ(request.workload.model.name, "megatron-import");
    EXPECT_EQ(request.workload.model.layers, 4);
    EXPECT_EQ(request.workload.setup.micro_batch, 2);
    EXPECT_EQ(request.workload.setup.precision, Precision::bf16);
    EXPECT_EQ(request.workload.setup.bucket, Bytes{160'000'000});
    EXPECT_EQ(request.points.back().global_batch, 8);
}

TEST(ImportFlags, yield_to_what_the_user_says) {
    const MeasureRequest request = request_of(
        flags_with({{"micro-batch", "1"}, {"precision", "fp32"}, {"model", "gpt3-125m"}}), 2);
    EXPECT_EQ(request.workload.setup.micro_batch, 1);
    EXPECT_EQ(request.workload.setup.precision, Precision::fp32);
    EXPECT_EQ(request.workload.model.name, "gpt3-125m");
    EXPECT_EQ(request.workload.setup.bucket, Bytes{160'000'000});
}

TEST(ImportFlags, leave_the_batch_to_weak_scaling) {
    const Flags weak = flags_with({}, Command::scale);
    EXPECT_FALSE(weak.given("global-batch"));
    EXPECT_NE(import_gaps(weak).front().find("--global-batch-size 8"), std::string::npos);
    EXPECT_TRUE(flags_with({{"scaling", "strong"}}, Command::scale).given("global-batch"));
}

TEST(ImportFlags, list_what_is_left_over) {
    const Flags flags = flags_with({});
    const std::vector<std::string> gaps = import_gaps(flags);
    ASSERT_EQ(gaps.size(), 2U);
    EXPECT_EQ(gaps[0], "Megatron-LM: not emulated: --hidden-dropout 0.1 (dropout is not computed)");
    EXPECT_EQ(gaps[1], "Megatron-LM: unknown, not used: --my-switch 1");
    EXPECT_EQ(import_notes(flags),
              std::vector<std::string>{"Megatron-LM: without effect here: --lr"});
}

TEST(ImportFlags, set_only_flags_that_exist) {
    const Flags flags = flags_with(
        {{"megatron-args",
          std::string(megatron) +
              " --tensor-model-parallel-size 2 --pipeline-model-parallel-size 2 "
              "--context-parallel-size 2 --expert-model-parallel-size 2 --sequence-parallel "
              "--tp-comm-overlap --cp-comm-type p2p --num-virtual-stages-per-pipeline-rank 2 "
              "--decoder-first-pipeline-num-layers 1 --use-distributed-optimizer "
              "--overlap-param-gather --grad-reduce-in-bf16 --recompute-activations "
              "--moe-expert-capacity-factor 1"}});
    for (const auto& [name, value] : flags.values) {
        EXPECT_TRUE(
            std::any_of(flag_table().begin(),
                        flag_table().end(),
                        [&, wanted = name](const FlagSpec& spec) { return spec.name == wanted; }))
            << name;
    }
}

}  // namespace
}  // namespace traindyno
