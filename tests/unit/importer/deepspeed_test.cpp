// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/importer/imported.hpp"
#include "tests/unit/importer/imported_setting.hpp"

namespace traindyno {
namespace {

Imported deepspeed_from(const std::string& text) {
    const auto path = std::filesystem::path(testing::TempDir()) / "ds.json";
    std::ofstream(path) << text;
    return import_deepspeed(path.string());
}

TEST(DeepSpeed, gives_batch_precision_and_zero) {
    const Imported imported = deepspeed_from(R"({
        "train_batch_size": 256, "train_micro_batch_size_per_gpu": 4,
        "bf16": {"enabled": true}, "gradient_clipping": 1.0, "steps_per_print": 100,
        "zero_optimization": {"stage": 3, "reduce_bucket_size": 1000000, "overlap_comm": true,
                              "offload_optimizer": {"device": "cpu"}, "new_key": 1}})");
    EXPECT_FALSE(imported.model.has_value());
    EXPECT_EQ(test::setting(imported, "global-batch"), "256");
    EXPECT_EQ(test::setting(imported, "micro-batch"), "4");
    EXPECT_EQ(test::setting(imported, "precision"), "bf16");
    EXPECT_EQ(test::setting(imported, "zero"), "3");
    EXPECT_EQ(test::setting(imported, "bucket"), "4000000B");
    EXPECT_EQ(test::setting(imported, "overlap-gradients"), "on");
    EXPECT_EQ(test::setting(imported, "gradient-reduction"), "every-micro-batch");
    ASSERT_EQ(imported.unknown.size(), 1U);
    EXPECT_EQ(imported.unknown[0], "zero_optimization.new_key = 1");
    ASSERT_EQ(imported.not_emulated.size(), 1U);
    EXPECT_NE(imported.not_emulated[0].find("offload_optimizer.device = cpu"), std::string::npos);
    EXPECT_EQ(imported.without_effect,
              (std::vector<std::string>{"gradient_clipping", "steps_per_print"}));
}

TEST(DeepSpeed, multiplies_micro_batches_where_no_batch_is_given) {
    const Imported imported = deepspeed_from(
        R"({"train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 8})");
    EXPECT_EQ(test::setting(imported, "batch-per-replica"), "16");
    EXPECT_EQ(test::setting(imported, "precision"), "fp32");
}

TEST(DeepSpeed, says_what_auto_leaves_open) {
    const Imported imported = deepspeed_from(R"({"train_batch_size": "auto"})");
    EXPECT_EQ(test::setting(imported, "global-batch"), "(none)");
    ASSERT_EQ(imported.not_emulated.size(), 1U);
    EXPECT_NE(imported.not_emulated[0].find("train_batch_size = auto"), std::string::npos);
}

TEST(DeepSpeed, refuses_files_that_are_none) {
    EXPECT_THROW((void)deepspeed_from("{"), ConfigError);
    EXPECT_THROW((void)deepspeed_from("[1]"), ConfigError);
    EXPECT_THROW((void)deepspeed_from(R"({"train_batch_size": -4})"), ConfigError);
    EXPECT_THROW((void)import_deepspeed("/no/such/file.json"), ConfigError);
}

}  // namespace
}  // namespace traindyno
