// SPDX-License-Identifier: Apache-2.0
#include "emulator/importer/arguments.hpp"

#include <gtest/gtest.h>

namespace traindyno {
namespace {

using Values = std::vector<std::string>;

TEST(Arguments, take_the_words_behind_a_name) {
    const auto found = arguments_in("--bf16 --num-layers 96 --cp-comm-type p2p all_gather");
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].name, "--bf16");
    EXPECT_TRUE(found[0].values.empty());
    EXPECT_EQ(found[1].values, Values{"96"});
    EXPECT_EQ(found[2].values, (Values{"p2p", "all_gather"}));
}

TEST(Arguments, may_be_joined_to_their_value) {
    const auto found = arguments_in("--lr=1e-4 rest");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].name, "--lr");
    EXPECT_EQ(found[0].values, Values{"1e-4"});
}

TEST(Arguments, are_found_in_a_script_with_their_lines) {
    const auto found = arguments_in(
        "#!/bin/bash\n"
        "# --not-this 1\n"
        "TP=8\n"
        "SIZE=\"${HIDDEN:-4096}\"\n"
        "MODEL_ARGS=(\n"
        "    --hidden-size $SIZE   # --nor-this\n"
        "    --tensor-model-parallel-size ${TP}\n"
        ")\n"
        "torchrun --nnodes 2 pretrain.py \\\n"
        "    ${MODEL_ARGS[@]} --bf16 | tee log\n"
        "echo --done\n");
    ASSERT_EQ(found.size(), 5U);
    EXPECT_EQ(found[0].name, "--hidden-size");
    EXPECT_EQ(found[0].values, Values{"4096"});
    EXPECT_EQ(found[0].line, 6);
    EXPECT_EQ(found[1].values, Values{"8"});
    EXPECT_EQ(found[2].name, "--nnodes");
    EXPECT_EQ(found[3].name, "--bf16");
    EXPECT_EQ(found[3].line, 10);
    EXPECT_TRUE(found[3].values.empty());
    EXPECT_EQ(found[4].name, "--done");
}

TEST(Arguments, of_a_variable_are_split_where_it_is_not_quoted) {
    const auto found = arguments_in("OPTIONS=' --fp16 --seq-length 2048'\nrun $OPTIONS\n");
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].name, "--fp16");
    EXPECT_EQ(found[1].values, Values{"2048"});
}

TEST(Arguments, keep_variables_that_the_text_does_not_set) {
    const auto found = arguments_in("--seq-length $SEQ --save \"$OUT/run 1\" --x '$y'");
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].values, Values{"$SEQ"});
    EXPECT_EQ(found[1].values, Values{"$OUT/run 1"});
    EXPECT_EQ(found[2].values, Values{"$y"});
}

TEST(Arguments, survive_text_that_ends_in_the_middle) {
    for (const char* const text :
         {"", "--a '", "--a \"x", "--a ${", "--a $", "--a \\", "--", "(", "--a ([0]"}) {
        EXPECT_LE(arguments_in(text).size(), 1U) << text;
    }
}

}  // namespace
}  // namespace traindyno
