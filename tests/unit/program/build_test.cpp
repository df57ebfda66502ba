// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/build.hpp"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/program/flops.hpp"
#include "emulator/program/verify.hpp"
#include "tests/unit/program/block_names.hpp"
#include "tests/unit/program/cases.hpp"

namespace traindyno {

namespace {

std::int64_t tasks_of(const StepProgram& program, std::string_view name) {
    return std::count_if(program.tasks.begin(), program.tasks.end(), [&](const Task& task) {
        return program.blocks[task.block.index()].name == name;
    });
}

}  // namespace

TEST(BuildStep, verifies_over_layouts_schedules_recomputation_overlap_and_shapes) {
    for (const Case& at : grid(8, {1, 2, 3, 8})) {
        const auto programs = build_all(at.model, at.layout, at.setup);
        ASSERT_EQ(verify(programs), std::vector<std::string>{}) << at.text();
    }
}

TEST(BuildStep, flops_of_all_ranks_are_the_closed_forms_with_padded_vocabulary) {
    for (const Case& at : grid(4, {1, 3})) {
        const Model& model = at.model;
        const auto h = static_cast<double>(model.hidden);
        const auto attention_width = static_cast<double>(model.heads * model.head_size);
        const auto kv_width = static_cast<double>(model.kv_heads * model.head_size);
        const auto ffn = static_cast<double>((model.gated_mlp ? 3 : 2) * model.ffn);
        const auto layers = static_cast<double>(model.layers);
        const auto tokens = static_cast<double>(at.setup.global_batch * model.seq);
        const double matrices = 2 * h * (2 * attention_width + 2 * kv_width + ffn);
        const double attention = 4 * static_cast<double>(model.seq) * attention_width;
        const double logits = 2 * h * static_cast<double>(padded_vocab(model, at.layout));

        std::array<double, enum_count<Phase>> found{};
        for (const StepProgram& program : build_all(model, at.layout, at.setup)) {
            for (std::size_t phase = 0; phase < found.size(); ++phase) {
                found.at(phase) += executed_flops(program, static_cast<Phase>(phase)).value();
            }
        }
        double again = 0;
        if (at.setup.recompute == Recompute::selective) {
            again = tokens * layers * attention;
        } else if (at.setup.recompute == Recompute::full) {
            again = tokens * layers * (matrices + attention);
        }
        // Backward multiplies each matrix twice and makes five score products for forward's two.
        const std::array<double, enum_count<Phase>> wanted{
            tokens * (layers * (matrices + attention) + logits),
            tokens * (layers * (2 * matrices + 2.5 * attention) + 2 * logits),
            again,
            0};
        EXPECT_EQ(found, wanted) << at.text();
    }
}

TEST(BuildStep, gpt_layers_have_megatrons_operations_in_order) {
    const Layout layout{.tp = 2};
    const StepProgram program = build_step(small_gpt(1), layout, setup_of(layout, 1), WorldRank{0});
    EXPECT_EQ(names_of(block_named(program, "layer_forward")),
              (std::vector<std::string>{"norm_forward",
                                        "matmul",
                                        "bias_add",
                                        "attention_forward",
                                        "matmul",
                                        "all_reduce",
                                        "bias_add",
                                        "residual_add",
                                        "norm_forward",
                                        "matmul",
                                        "bias_add",
                                        "gelu_forward",
                                        "matmul",
                                        "all_reduce",
                                        "bias_add",
                                        "residual_add"}));
    EXPECT_EQ(names_of(block_named(program, "layer_backward")),
              (std::vector<std::string>{
                  "matmul",     "matmul", "bias_gradient", "gelu_backward",      "matmul",
                  "all_reduce", "matmul", "bias_gradient", "norm_backward",      "residual_add",
                  "matmul",     "matmul", "bias_gradient", "attention_backward", "matmul",
                  "all_reduce", "matmul", "bias_gradient", "norm_backward",      "residual_add"}));
}

TEST(BuildStep, llama_layers_rotate_queries_and_keys_and_have_no_biases) {
    const Layout layout{};
    const Model model = small_llama(1);
    const StepProgram program = build_step(model, layout, setup_of(layout, 1), WorldRank{0});
    EXPECT_EQ(names_of(block_named(program, "layer_forward")),
              (std::vector<std::string>{"norm_forward",
                                        "matmul",
                                        "rotary_forward",
                                        "attention_forward",
                                        "matmul",
                                        "residual_add",
                                        "norm_forward",
                                        "matmul",
                                        "swiglu_forward",
                                        "matmul",
                                        "residual_add"}));
    const BlockOp& rotary = block_named(program, "layer_forward").ops[2];
    EXPECT_EQ(std::get<Elementwise>(std::get<ComputeOp>(rotary.op)).columns,
              (model.heads + model.kv_heads) * model.head_size);
}

TEST(BuildStep, weight_gradients_run_beside_the_all_reduce_of_the_input_gradient) {
    const Layout layout{.tp = 2};
    const StepProgram program = build_step(small_gpt(1), layout, setup_of(layout, 1), WorldRank{0});
    const Block& block = block_named(program, "layer_backward");
    const std::vector<std::string> names = names_of(block);
    for (std::uint32_t i = 0; i < names.size(); ++i) {
        if (names[i] == "all_reduce") {
            EXPECT_EQ(block.ops[i].after, std::vector<std::uint32_t>{i - 1});
            EXPECT_EQ(names[i + 1], "matmul");
            EXPECT_TRUE(block.ops[i + 1].after.empty());
            EXPECT_EQ(names[i + 3], "norm_backward");
            EXPECT_EQ(block.ops[i + 3].after, std::vector<std::uint32_t>{i});
        }
    }
}

TEST(BuildStep, parameters_are_the_models_plus_the_padding_of_its_tables) {
    for (const Model& model : {small_gpt(4), small_llama(4)}) {
        const Layout layout{};
        const StepProgram program = build_step(model, layout, setup_of(layout, 1), WorldRank{0});
        const std::int64_t padding = padded_vocab(model, layout) - model.vocab;
        const std::int64_t tables = model.tied_embeddings ? 1 : 2;
        EXPECT_EQ(program.extents.parameter, parameters(model) + tables * padding * model.hidden);
    }
}

TEST(BuildStep, saved_memory_holds_the_micro_batches_in_flight) {
    const Layout layout{.pp = 4};
    const std::int64_t m = 6;
    const Model model = small_gpt(8);
    TrainingSetup setup = setup_of(layout, m);
    setup.recompute = Recompute::full;
    setup.overlap_p2p = Overlap::off;
    const std::int64_t activation = model.seq * model.hidden;
    for (const Schedule schedule : {Schedule::gpipe, Schedule::one_f_one_b}) {
        setup.schedule = schedule;
        for (std::int64_t stage = 0; stage < layout.pp; ++stage) {
            const std::int64_t slots = schedule == Schedule::gpipe ? m : layout.pp - stage;
            const std::int64_t head_input = stage == layout.pp - 1 ? 1 : 0;
            EXPECT_EQ(build_step(model, layout, setup, WorldRank{stage}).extents.saved,
                      slots * (2 + head_input) * activation);
        }
    }
}

TEST(BuildStep, receives_ahead_cost_one_more_input_only) {
    const Layout layout{.pp = 4};
    const Model model = small_gpt(8);
    const std::int64_t activation = model.seq * model.hidden;
    TrainingSetup setup = setup_of(layout, 8);
    const auto kept = [&](Overlap overlap, std::int64_t stage) {
        setup.overlap_p2p = overlap;
        return build_step(model, layout, setup, WorldRank{stage}).extents;
    };
    for (std::int64_t stage = 1; stage < layout.pp; ++stage) {
        const Extents with = kept(Overlap::on, stage);
        const Extents without = kept(Overlap::off, stage);
        const std::int64_t slots = layout.pp - stage;
        // Inputs move from the slots to the ring, which has one more; boundaries have two buffers.
        EXPECT_EQ(with.saved, without.saved - slots * activation);
        const std::int64_t boundaries = stage == layout.pp - 1 ? 1 : 3;
        EXPECT_EQ(with.workspace, without.workspace + (slots + 1 + boundaries) * activation);
    }
}

TEST(BuildStep, selective_recomputation_drops_context_and_statistics) {
    const Layout layout{.tp = 2};
    const Model model = small_gpt(3);
    TrainingSetup setup = setup_of(layout, 1, 4);
    const auto saved = [&](Recompute recompute) {
        setup.recompute = recompute;
        return build_step(model, layout, setup, WorldRank{1}).extents.saved;
    };
    const std::int64_t tokens = 4 * model.seq;
    const std::int64_t context = tokens * model.attention_width() / layout.tp;
    const std::int64_t statistics = tokens * model.heads / layout.tp;
    EXPECT_EQ(saved(Recompute::none) - saved(Recompute::selective),
              model.layers * (context + statistics));
    // norm1, residual and norm2 are whole; qkv, up and activated are cut by tp.
    const std::int64_t kept = tokens * (3 * model.hidden + (3 * model.hidden + 2 * model.ffn) / 2);
    EXPECT_EQ(saved(Recompute::selective) - saved(Recompute::full), model.layers * kept);
}

TEST(BuildStep, statistics_of_attention_have_the_bytes_of_fp32_in_every_precision) {
    TrainingSetup setup = setup_of(Layout{}, 1);
    for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::fp16}) {
        setup.precision = precision;
        const Model model = small_gpt(1);
        const StepProgram program = build_step(model, Layout{}, setup, WorldRank{0});
        const std::vector<std::string> names = names_of(block_named(program, "layer_forward"));
        const auto index = static_cast<std::size_t>(
            std::find(names.begin(), names.end(), "attention_forward") - names.begin());
        const Slice statistics =
            std::get<AttentionForward>(
                std::get<ComputeOp>(block_named(program, "layer_forward").ops.at(index).op))
                .statistics;
        EXPECT_EQ(size_of(statistics.elements, storage_type(precision)),
                  size_of(setup.micro_batch * model.seq * model.heads, DType::fp32));
    }
}

TEST(BuildStep, micro_batches_share_blocks) {
    const Layout layout{.tp = 2, .dp = 2, .pp = 2};
    const auto blocks = [&](std::int64_t m) {
        return build_step(small_gpt(8), layout, setup_of(layout, m), WorldRank{0}).blocks.size();
    };
    EXPECT_EQ(blocks(8), blocks(64));
}

TEST(BuildStep, gpt3_175b_has_few_blocks_for_many_tasks) {
    Model model = small_gpt(96);
    model.hidden = 12288;
    model.heads = model.kv_heads = 96;
    model.head_size = 128;
    model.ffn = 4 * model.hidden;
    model.seq = 2048;
    model.vocab = 50257;
    const Layout layout{.tp = 8, .dp = 8, .pp = 8};
    const StepProgram program =
        build_step(model, layout, setup_of(layout, 192), rank_at(layout, {.pp = 3}));
    EXPECT_EQ(tasks_of(program, "layer_forward"), 192 * 12);
    EXPECT_EQ(tasks_of(program, "layer_backward"), 192 * 12);
    EXPECT_LT(program.blocks.size(), 64U);
}

TEST(BuildStep, buckets_cover_the_gradients_once_in_backward_order) {
    const Layout layout{.dp = 2};
    TrainingSetup setup = setup_of(layout, 2);
    setup.bucket = Bytes{40'000};
    for (const Overlap overlap : {Overlap::on, Overlap::off}) {
        setup.overlap_gradients = overlap;
        const StepProgram program = build_step(small_gpt(3), layout, setup, WorldRank{1});
        std::int64_t covered = 0;
        std::int64_t count = 0;
        for (const Task& task : program.tasks) {
            const Block& block = program.blocks[task.block.index()];
            if (block.name == "reduce_bucket") {
                const auto& op = std::get<Collective>(std::get<CommOp>(block.ops[0].op));
                EXPECT_EQ(task.parameter_base, covered);
                covered += op.output.elements;
                ++count;
            }
        }
        EXPECT_EQ(covered, program.extents.parameter);
        EXPECT_EQ(count, (program.extents.parameter + 9'999) / 10'000);
    }
}

TEST(BuildStep, overlapped_buckets_start_before_the_last_backward) {
    const Layout layout{.dp = 2};
    TrainingSetup setup = setup_of(layout, 2);
    setup.bucket = Bytes{40'000};
    const auto first_bucket = [&](Overlap overlap) {
        setup.overlap_gradients = overlap;
        const StepProgram program = build_step(small_gpt(3), layout, setup, WorldRank{0});
        std::set<std::string> later;
        bool found = false;
        for (const Task& task : program.tasks) {
            const std::string& name = program.blocks[task.block.index()].name;
            found = found || name == "reduce_bucket";
            if (found) {
                later.insert(name);
            }
        }
        return later;
    };
    EXPECT_EQ(first_bucket(Overlap::on),
              (std::set<std::string>{
                  "reduce_bucket", "layer_backward", "embedding_backward", "optimizer"}));
    EXPECT_EQ(first_bucket(Overlap::off), (std::set<std::string>{"reduce_bucket", "optimizer"}));
}

TEST(BuildStep, messages_have_unique_tags) {
    const Layout layout{.pp = 3};
    const auto programs = build_all(small_gpt(3), layout, setup_of(layout, 5));
    std::multiset<std::int64_t> tags;
    for (const StepProgram& program : programs) {
        for (const Task& task : program.tasks) {
            const Op& op = program.blocks[task.block.index()].ops[0].op;
            if (const auto* comm = std::get_if<CommOp>(&op)) {
                if (const auto* send = std::get_if<Send>(comm)) {
                    tags.insert(send->tag + task.tag_base);
                }
            }
        }
    }
    EXPECT_EQ(tags.size(), 2U * 2U * 5U);  // boundaries x directions x micro-batches
    EXPECT_EQ(std::set<std::int64_t>(tags.begin(), tags.end()).size(), tags.size());
}

TEST(BuildStep, throws_everything_that_is_wrong) {
    Layout layout{.tp = 3, .pp = 3};
    TrainingSetup setup{.micro_batch = 2, .global_batch = 3};
    const auto problems = problems_of(small_gpt(4), layout, setup);
    EXPECT_EQ(problems.size(), 4U);  // heads, ffn, layers, global batch
    try {
        const auto program = build_step(small_gpt(4), layout, setup, WorldRank{0});
        FAIL() << program.tasks.size();
    } catch (const ConfigError& error) {
        EXPECT_EQ(error.problems(), problems);
    }
}

}  // namespace traindyno
