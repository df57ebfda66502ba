// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/importer/imported.hpp"
#include "tests/unit/importer/imported_setting.hpp"

namespace traindyno {
namespace {

Imported titan_from(const std::string& text) {
    const auto path = std::filesystem::path(testing::TempDir()) / "titan.toml";
    std::ofstream(path) << text;
    return import_torchtitan(path.string());
}

constexpr const char* model = "[model]\nname = \"llama3\"\nflavor = \"8B\"\n";

TEST(Torchtitan, trains_with_fsdp_unless_told_otherwise) {
    const Imported imported =
        titan_from(std::string(model) +
                   "[training]\nlocal_batch_size = 2\nseq_len = 8192\nsteps = 10\n"
                   "[parallelism]\ntensor_parallel_degree = 8\n[metrics]\nlog_freq = 1\n"
                   "[activation_checkpoint]\nmode = \"full\"\n");
    EXPECT_EQ(imported.model.value().layers, 32);
    EXPECT_EQ(test::setting(imported, "seq"), "8192");
    EXPECT_EQ(test::setting(imported, "zero"), "3");
    EXPECT_EQ(test::setting(imported, "tp"), "8");
    EXPECT_EQ(test::setting(imported, "sequence-parallel"), "on");
    EXPECT_EQ(test::setting(imported, "micro-batch"), "2");
    EXPECT_EQ(test::setting(imported, "batch-per-replica"), "2");
    EXPECT_EQ(test::setting(imported, "precision"), "bf16");
    EXPECT_EQ(test::setting(imported, "recompute"), "full");
    EXPECT_TRUE(imported.unknown.empty());
    EXPECT_EQ(imported.without_effect,
              (std::vector<std::string>{"metrics.log_freq", "training.steps"}));
}

TEST(Torchtitan, shards_inside_replicas) {
    const std::string start = std::string(model) + "[parallelism]\n";
    const Imported hybrid =
        titan_from(start +
                   "data_parallel_replicate_degree = 2\ndata_parallel_shard_degree = 4\n"
                   "context_parallel_degree = 2\n");
    EXPECT_EQ(test::setting(hybrid, "shard"), "8");
    EXPECT_EQ(test::setting(hybrid, "cp"), "2");
    EXPECT_EQ(test::setting(titan_from(start + "data_parallel_shard_degree = 1\n"), "zero"), "0");
    const Imported open = titan_from(start + "data_parallel_replicate_degree = 2\n");
    EXPECT_EQ(test::setting(open, "shard"), "(none)");
    EXPECT_FALSE(open.not_emulated.empty());
}

TEST(Torchtitan, knows_its_schedules) {
    const auto schedule = [](const std::string& name) {
        return titan_from(std::string(model) +
                          "[parallelism]\npipeline_parallel_degree = 4\n"
                          "pipeline_parallel_layers_per_stage = 2\n"
                          "pipeline_parallel_schedule = \"" +
                          name + "\"\n");
    };
    EXPECT_EQ(test::setting(schedule("1F1B"), "schedule"), "1f1b");
    EXPECT_EQ(test::setting(schedule("GPipe"), "schedule"), "gpipe");
    EXPECT_EQ(test::setting(schedule("Interleaved1F1B"), "schedule"), "interleaved");
    EXPECT_EQ(test::setting(schedule("Interleaved1F1B"), "virtual-stages"), "4");
    EXPECT_EQ(test::setting(schedule("ZBVZeroBubble"), "schedule"), "zero-bubble");
    EXPECT_EQ(test::setting(schedule("1F1B"), "micro-batch"), "1");
}

TEST(Torchtitan, lists_experts_that_are_not_cut_as_all_else) {
    const auto gap = [](const std::string& degrees) {
        std::string found;
        for (const std::string& text :
             titan_from(std::string(model) + "[parallelism]\n" + degrees).not_emulated) {
            found += text.starts_with("parallelism.expert_tensor") ? text : "";
        }
        return found;
    };
    const std::string experts = "expert_parallel_degree = 4\ntensor_parallel_degree = 2\n";
    EXPECT_TRUE(gap(experts).starts_with("parallelism.expert_tensor_parallel_degree = 1 (experts"));
    EXPECT_EQ(gap(experts + "expert_tensor_parallel_degree = 2\n"), "");
    EXPECT_EQ(gap("tensor_parallel_degree = 2\n"), "");
}

TEST(Torchtitan, lists_what_it_does_not_use) {
    const Imported imported =
        titan_from("[model]\nname = \"mymodel\"\nflavor = \"3B\"\n[parallelism]\nnew_degree = 2\n");
    EXPECT_FALSE(imported.model.has_value());
    ASSERT_EQ(imported.unknown.size(), 2U);
    EXPECT_NE(imported.unknown[0].find("mymodel-3b"), std::string::npos);
    EXPECT_EQ(imported.unknown[1], "parallelism.new_degree = 2");
}

TEST(Torchtitan, names_file_line_and_key_of_a_mistake) {
    try {
        (void)titan_from(std::string(model) + "[parallelism]\ntensor_parallel_degree = \"x\"\n");
        FAIL();
    } catch (const ConfigError& error) {
        EXPECT_NE(
            std::string(error.what()).find("titan.toml:5: parallelism.tensor_parallel_degree"),
            std::string::npos)
            << error.what();
    }
    EXPECT_THROW((void)titan_from("[model"), ConfigError);
    EXPECT_THROW((void)import_torchtitan("/no/such/file.toml"), ConfigError);
}

}  // namespace
}  // namespace traindyno
