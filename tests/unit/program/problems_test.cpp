// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include <gtest/gtest.h>

#include "emulator/program/build.hpp"
#include "tests/unit/program/expert_cases.hpp"

namespace traindyno {

namespace {

struct Wrong {
    const char* key = "";  ///< what the message begins with
    Model model = small_gpt(4);
    Layout layout = {};
    TrainingSetup setup = {.micro_batch = 1, .global_batch = 8};
};

std::vector<Wrong> wrong_inputs() {
    std::vector<Wrong> list;
    const auto add = [&](const char* key, const auto& change) {
        Wrong wrong;
        wrong.key = key;
        change(wrong);
        list.push_back(wrong);
    };
    add("tp: 0", [](Wrong& w) { w.layout.tp = 0; });
    add("dp: -1", [](Wrong& w) { w.layout.dp = -1; });
    add("pp: 9223372036854775807",
        [](Wrong& w) { w.layout.pp = std::numeric_limits<std::int64_t>::max(); });
    add("cp: 3 does not cut seq 16 into 6 equal parts", [](Wrong& w) { w.layout.cp = 3; });
    add("cp: 3 does not cut seq 16 into 3 equal parts", [](Wrong& w) {
        w.layout.cp = 3;
        w.setup.context_balance = ContextBalance::contiguous;
    });
    add("cp: 2 does not go with experts", [](Wrong& w) {
        w.model = small_mixtral(4);
        w.layout.cp = 2;
    });
    add("precision: fp8 does not go with cp 2", [](Wrong& w) {
        w.layout.cp = 2;
        w.setup.precision = Precision::fp8;
    });
    add("tp: 8 does not divide seq / cp 4", [](Wrong& w) {
        w.layout.tp = 8;
        w.layout.cp = 4;
        w.setup.sequence_parallel = SequenceParallel::on;
    });
    add("ep: 2", [](Wrong& w) { w.layout.ep = 2; });
    add("tp: 16 does not divide heads", [](Wrong& w) { w.layout.tp = 16; });
    add("tp: 8 does not divide kv_heads", [](Wrong& w) {
        w.model = small_llama(4);
        w.layout.tp = 8;
    });
    add("tp: 2 does not divide ffn", [](Wrong& w) {
        w.model.ffn = 255;
        w.layout.tp = 2;
    });
    add("pp: 3", [](Wrong& w) { w.layout.pp = 3; });
    add("virtual_stages: 0", [](Wrong& w) { w.setup.virtual_stages = 0; });
    add("virtual_stages: 2 does not go with schedule 1f1b", [](Wrong& w) {
        w.layout.pp = 2;
        w.setup.virtual_stages = 2;
    });
    const auto interleave = [](Wrong& w, std::int64_t pp, std::int64_t chunks) {
        w.layout.pp = pp;
        w.setup.schedule = Schedule::interleaved;
        w.setup.virtual_stages = chunks;
    };
    add("virtual_stages: 2 needs more than one stage", [&](Wrong& w) { interleave(w, 1, 2); });
    add("virtual_stages: 3 x pp 2 = 6 does not divide layers 4",
        [&](Wrong& w) { interleave(w, 2, 3); });
    add("global_batch: 7 makes 7 micro-batches, no multiple of pp 2", [&](Wrong& w) {
        interleave(w, 2, 2);
        w.setup.global_batch = 7;
    });
    add("stage_layers: 2 counts are given for 4", [&](Wrong& w) {
        interleave(w, 2, 2);
        w.setup.stage_layers = {2, 2};
    });
    add("stage_layers: 0 layers are not possible", [](Wrong& w) {
        w.layout.pp = 2;
        w.setup.stage_layers = {0, 4};
    });
    add("stage_layers: 5 layers in all, the model has 4", [](Wrong& w) {
        w.layout.pp = 2;
        w.setup.stage_layers = {2, 3};
    });
    add("recompute: selective does not go with schedule zero-bubble", [](Wrong& w) {
        w.setup.schedule = Schedule::zero_bubble;
        w.setup.recompute = Recompute::selective;
    });
    add("precision: fp8 does not go with schedule zero-bubble", [](Wrong& w) {
        w.setup.schedule = Schedule::zero_bubble;
        w.setup.precision = Precision::fp8;
    });
    add("zero: 2 does not go with schedule zero-bubble", [](Wrong& w) {
        w.layout.dp = w.setup.global_batch = 2;  // one micro-batch, reduced layer by layer
        w.setup.schedule = Schedule::zero_bubble;
        w.setup.zero = Zero::gradients;
    });
    add("gradient_reduction: every-micro-batch does not go with schedule zero-bubble",
        [](Wrong& w) {
            w.layout.dp = 2;
            w.setup.schedule = Schedule::zero_bubble;
            w.setup.gradient_reduction = GradientReduction::every_micro_batch;
        });
    add("micro_batch: 0", [](Wrong& w) { w.setup.micro_batch = 0; });
    add("global_batch: -4", [](Wrong& w) { w.setup.global_batch = -4; });
    add("global_batch: 8", [](Wrong& w) { w.layout.dp = 3; });
    add("global_batch: 8", [](Wrong& w) { w.setup.micro_batch = 3; });
    add("micro_batch: 536870912",
        [](Wrong& w) { w.setup.micro_batch = w.setup.global_batch = 1 << 29; });
    add("global_batch: 1073741824", [](Wrong& w) { w.setup.global_batch = 1 << 30; });
    add("bucket: 3", [](Wrong& w) { w.setup.bucket = Bytes{3}; });
    const auto cut = [](Wrong& w) {
        w.layout.tp = 4;
        w.setup.sequence_parallel = SequenceParallel::on;
    };
    add("sequence_parallel: on", [&](Wrong& w) {
        cut(w);
        w.layout.tp = 1;
    });
    add("tp: 4 does not divide seq 18", [&](Wrong& w) {
        cut(w);
        w.model.seq = 18;
    });
    add("overlap_tp: on needs sequence_parallel", [&](Wrong& w) {
        cut(w);
        w.setup.sequence_parallel = SequenceParallel::off;
        w.setup.overlap_tp = Overlap::on;
    });
    add("overlap_tp: tp 4 x tp 4 does not divide the 24 tokens", [&](Wrong& w) {
        cut(w);
        w.model.seq = 24;
        w.setup.overlap_tp = Overlap::on;
    });
    add("overlap_tp: on is not possible with precision fp8", [&](Wrong& w) {
        cut(w);
        w.setup.overlap_tp = Overlap::on;
        w.setup.precision = Precision::fp8;
    });
    add("hidden: 0", [](Wrong& w) { w.model.hidden = 0; });
    add("shard: 2 is given with zero 0", [](Wrong& w) {
        w.layout.dp = 4;
        w.layout.shard = 2;
    });
    const auto add_sharded = [&](const char* key, Zero zero, const auto& change) {
        add(key, [&](Wrong& w) {
            w.layout.dp = 4;
            w.setup.zero = zero;
            change(w);
        });
    };
    add_sharded("shard: 1 shards nothing", Zero::gradients, [](Wrong& w) { w.layout.shard = 1; });
    add_sharded("shard: 3 does not divide", Zero::gradients, [](Wrong& w) { w.layout.shard = 3; });
    add_sharded("shard: -2 does not", Zero::gradients, [](Wrong& w) { w.layout.shard = -2; });
    add_sharded("gradient_reduction: every", Zero::optimizer, [](Wrong& w) {
        w.setup.gradient_reduction = GradientReduction::every_micro_batch;
    });
    add_sharded(
        "memory: aliased", Zero::optimizer, [](Wrong& w) { w.setup.memory = MemoryMode::aliased; });
    add_sharded("memory: aliased", Zero::parameters, [](Wrong& w) {
        w.setup.memory = MemoryMode::aliased;  // two micro-batches, reduced after the last
    });
    add_sharded(
        "precision: fp8", Zero::parameters, [](Wrong& w) { w.setup.precision = Precision::fp8; });
    add_sharded("prefetch: -1", Zero::parameters, [](Wrong& w) { w.setup.prefetch = -1; });
    add("gradient_type: bf16", [](Wrong& w) { w.setup.gradient_type = DType::bf16; });
    add("gradient_type: fp16", [](Wrong& w) {
        w.setup.precision = Precision::fp16;
        w.setup.gradient_type = DType::fp16;
    });
    return list;
}

}  // namespace

TEST(ProblemsOf, valid_input_is_none) {
    EXPECT_TRUE(problems_of(small_gpt(4),
                            {.tp = 2, .dp = 2, .pp = 2},
                            {.micro_batch = 2, .global_batch = 8})
                    .empty());
}

TEST(ProblemsOf, wrong_input_names_the_key_the_reason_and_a_way_out) {
    for (const Wrong& wrong : wrong_inputs()) {
        const auto problems = problems_of(wrong.model, wrong.layout, wrong.setup);
        ASSERT_FALSE(problems.empty()) << wrong.key;
        const std::string& text = problems.front();
        EXPECT_TRUE(text.starts_with(wrong.key)) << text;
        const std::size_t open = text.find(" (");
        const std::size_t close = text.find(") ", open);
        EXPECT_NE(open, std::string::npos) << text;
        EXPECT_NE(close, std::string::npos) << text;
    }
}

TEST(ProblemsOf, several_problems_are_told_at_once) {
    const auto problems = problems_of(small_gpt(4),
                                      {.tp = -2, .dp = 0},
                                      {.micro_batch = 0, .global_batch = 0, .bucket = Bytes{0}});
    EXPECT_EQ(problems.size(), 5U);
}

TEST(PaddedVocab, is_a_multiple_of_128_per_tensor_rank) {
    Model model = small_gpt(1);
    model.vocab = 50257;
    EXPECT_EQ(padded_vocab(model, {.tp = 1}), 50304);
    EXPECT_EQ(padded_vocab(model, {.tp = 8}), 51200);
    model.vocab = 51200;
    EXPECT_EQ(padded_vocab(model, {.tp = 8}), 51200);
}

TEST(MicroBatches, divide_the_global_batch) {
    EXPECT_EQ(micro_batches({.tp = 2, .dp = 4, .pp = 2}, {.micro_batch = 3, .global_batch = 60}),
              5);
}

}  // namespace traindyno
