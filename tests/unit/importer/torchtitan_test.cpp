// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/importer/imported.hpp"

namespace traindyno {
namespace {

Imported imported_from(const std::string& text) {
    const auto path = std::filesystem::path(testing::TempDir()) / "titan.toml";
    std::ofstream(path) << text;
    return import_torchtitan(path.string());
}

std::string setting(const Imported& imported, const std::string& flag) {
    const auto found = imported.settings.find(flag);
    return found == imported.settings.end() ? "(none)" : found->second.value;
}

constexpr const char* model = "[model]\nname = \"llama3\"\nflavor = \"8B\"\n";

TEST(Torchtitan, trains_with_fsdp_unless_told_otherwise) {
    const Imported imported =
        imported_from(std::string(model) +
                      "[training]\nlocal_batch_size = 2\nseq_len = 8192\nsteps = 10\n"
                      "[parallelism]\ntensor_parallel_degree = 8\n[metrics]\nlog_freq = 1\n"
                      "[activation_checkpoint]\nmode = \"full\"\n");
    EXPECT_EQ(imported.model.value().layers, 32);
    EXPECT_EQ(setting(imported, "seq"), "8192");
    EXPECT_EQ(setting(imported, "zero"), "3");
    EXPECT_EQ(setting(imported, "tp"), "8");
    EXPECT_EQ(setting(imported, "sequence-parallel"), "on");
    EXPECT_EQ(setting(imported, "micro-batch"), "2");
    EXPECT_EQ(setting(imported, "batch-per-replica"), "2");
    EXPECT_EQ(setting(imported, "precision"), "bf16");
    EXPECT_EQ(setting(imported, "recompute"), "full");
    EXPECT_TRUE(imported.unknown.empty());
    EXPECT_EQ(imported.without_effect,
              (std::vector<std::string>{"metrics.log_freq", "training.steps"}));
}

TEST(Torchtitan, shards_inside_replicas) {
    const std::string start = std::string(model) + "[parallelism]\n";
    const Imported hybrid =
        imported_from(start +
                      "data_parallel_replicate_degree = 2\ndata_parallel_shard_degree = 4\n"
                      "context_parallel_degree = 2\n");
    EXPECT_EQ(setting(hybrid, "shard"), "8");
    EXPECT_EQ(setting(hybrid, "cp"), "2");
    EXPECT_EQ(setting(imported_from(start + "data_parallel_shard_degree = 1\n"), "zero"), "0");
    const Imported open = imported_from(start + "data_parallel_replicate_degree = 2\n");
    EXPECT_EQ(setting(open, "shard"), "(none)");
    EXPECT_FALSE(open.not_emulated.empty());
}

TEST(Torchtitan, knows_its_schedules) {
    const auto schedule = [](const std::string& name) {
        return imported_from(std::string(model) +
                             "[parallelism]\npipeline_parallel_degree = 4\n"
                             "pipeline_parallel_layers_per_stage = 2\n"
                             "pipeline_parallel_schedule = \"" +
                             name + "\"\n");
    };
    EXPECT_EQ(setting(schedule("1F1B"), "schedule"), "1f1b");
    EXPECT_EQ(setting(schedule("GPipe"), "schedule"), "gpipe");
    EXPECT_EQ(setting(schedule("Interleaved1F1B"), "schedule"), "interleaved");
    EXPECT_EQ(setting(schedule("Interleaved1F1B"), "virtual-stages"), "4");
    EXPECT_EQ(setting(schedule("ZBVZeroBubble"), "schedule"), "zero-bubble");
    EXPECT_EQ(setting(schedule("1F1B"), "micro-batch"), "1");
}

TEST(Torchtitan, lists_what_it_does_not_use) {
    const Imported imported = imported_from(
        "[model]\nname = \"mymodel\"\nflavor = \"3B\"\n[parallelism]\nnew_degree = 2\n");
    EXPECT_FALSE(imported.model.has_value());
    ASSERT_EQ(imported.unknown.size(), 2U);
    EXPECT_NE(imported.unknown[0].find("mymodel-3b"), std::string::npos);
    EXPECT_EQ(imported.unknown[1], "parallelism.new_degree = 2");
}

TEST(Torchtitan, names_file_line_and_key_of_a_mistake) {
    try {
        (void)imported_from(std::string(model) + "[parallelism]\ntensor_parallel_degree = \"x\"\n");
        FAIL();
    } catch (const ConfigError& error) {
        EXPECT_NE(
            std::string(error.what()).find("titan.toml:5: parallelism.tensor_parallel_degree"),
            std::string::npos)
            << error.what();
    }
    EXPECT_THROW((void)imported_from("[model"), ConfigError);
    EXPECT_THROW((void)import_torchtitan("/no/such/file.toml"), ConfigError);
}

}  // namespace
}  // namespace traindyno
