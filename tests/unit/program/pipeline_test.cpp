// SPDX-License-Identifier: Apache-2.0
// Programs of every pipeline schedule: they fit together, order memory, and cost what formulas say.
#include <array>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "emulator/program/flops.hpp"
#include "emulator/program/verify.hpp"
#include "emulator/program/volume.hpp"
#include "tests/unit/program/hazards.hpp"
#include "tests/unit/program/pipeline_cases.hpp"

namespace traindyno {

namespace {

std::string named(const Case& at) {
    return at.text() + " chunks " + std::to_string(at.setup.virtual_stages);
}

StepProgram program_of(const Case& at, std::int64_t stage) {
    return build_step(at.model, at.layout, at.setup, rank_at(at.layout, {.pp = stage}));
}

std::vector<Case> all_and_uneven(const std::vector<Case>& cases) {
    std::vector<Case> all = cases;
    for (const Case& at : cases) {
        if (at.layout.pp > 1) {
            all.push_back(with_uneven_stages(at));
        }
    }
    return all;
}

template <class Check>
void for_each_program(const std::vector<Case>& cases, const Check& check) {
    for (const Case& at : cases) {
        for (std::int64_t stage = 0; stage < at.layout.pp; ++stage) {
            SCOPED_TRACE(named(at) + " stage " + std::to_string(stage));
            check(at, program_of(at, stage));
            if (testing::Test::HasFailure()) {
                return;
            }
        }
    }
}

}  // namespace

TEST(PipelinePrograms, fit_together_for_every_schedule) {
    std::vector<std::int64_t> counts;
    for (std::int64_t m = 1; m <= 24; ++m) {
        counts.push_back(m);
    }
    for (const Case& at : all_and_uneven(pipeline_cases({1, 2, 3, 4, 5, 6, 7, 8}, counts, 4))) {
        ASSERT_EQ(problems_of(at.model, at.layout, at.setup), none) << named(at);
        ASSERT_EQ(verify(build_all(at.model, at.layout, at.setup)), none) << named(at);
    }
}

TEST(PipelinePrograms, fit_together_in_replicas_of_tensor_parallel_ranks) {
    const auto cases = pipeline_cases({2, 3}, {1, 3, 6}, 3, {.tp = 2, .dp = 2});
    for (const Case& at : all_and_uneven(cases)) {
        ASSERT_EQ(verify(build_all(at.model, at.layout, at.setup)), none) << named(at);
    }
}

TEST(PipelinePrograms, fit_together_in_aliased_memory) {
    for (Case at : all_and_uneven(pipeline_cases({1, 2, 3}, {1, 6}, 3))) {
        at.setup.memory = MemoryMode::aliased;
        ASSERT_EQ(verify(build_all(at.model, at.layout, at.setup)), none) << named(at);
        const StepProgram shared = program_of(at, 0);
        EXPECT_EQ(overlaps_in(shared), none) << named(at);
        at.setup.memory = MemoryMode::faithful;
        EXPECT_EQ(counted_volumes(shared), counted_volumes(program_of(at, 0))) << named(at);
    }
}

TEST(PipelinePrograms, run_every_layer_once_in_each_direction) {
    for_each_program(
        all_and_uneven(pipeline_cases({1, 2, 4}, {4, 7}, 3)),
        [](const Case& at, const StepProgram& program) {
            std::map<std::string, std::map<std::int64_t, std::set<std::int64_t>>> runs;
            std::int64_t tasks = 0;
            for (const Task& task : program.tasks) {
                const std::string& name = program.blocks[task.block.index()].name;
                if (name.starts_with("layer_")) {
                    runs[name][task.layer.value()].insert(task.micro_batch.value());
                    ++tasks;
                }
            }
            const std::int64_t directions = at.setup.schedule == Schedule::zero_bubble ? 3 : 2;
            const auto m = static_cast<std::size_t>(micro_batches(at.layout, at.setup));
            std::set<std::int64_t> layers;
            for (const ModelChunk& chunk :
                 chunks_of(at.model, at.layout, at.setup, program.stage)) {
                for (std::int64_t layer = 0; layer < chunk.layers; ++layer) {
                    layers.insert(chunk.first + layer);
                }
            }
            EXPECT_EQ(runs.size(), static_cast<std::size_t>(directions));
            EXPECT_EQ(tasks, directions * static_cast<std::int64_t>(layers.size() * m));
            for (const auto& [name, of_layer] : runs) {
                EXPECT_EQ(of_layer.size(), layers.size());
                for (const auto& [layer, visits] : of_layer) {
                    EXPECT_TRUE(layers.contains(layer));
                    EXPECT_EQ(visits.size(), m);
                }
            }
        });
}

TEST(PipelinePrograms, no_operation_races_another) {
    for_each_program(
        all_and_uneven(pipeline_cases({1, 2, 3}, {1, 3, 6}, 3)),
        [](const Case&, const StepProgram& program) { EXPECT_EQ(races_in(program), none); });
}

TEST(PipelinePrograms, buckets_are_reduced_when_their_gradients_are_final) {
    for_each_program(
        all_and_uneven(pipeline_cases({1, 2, 3}, {1, 3, 6}, 3, {.dp = 2})),
        [](const Case&, const StepProgram& program) { EXPECT_EQ(races_in(program), none); });
}

TEST(PipelinePrograms, activations_read_were_written_for_the_same_micro_batch) {
    for_each_program(all_and_uneven(pipeline_cases({1, 2, 3, 4}, {1, 4, 12}, 3)),
                     [](const Case&, const StepProgram& program) {
                         EXPECT_EQ(stale_reads_in(program), none);
                         EXPECT_EQ(overlaps_in(program), none);
                     });
}

TEST(PipelinePrograms, volumes_are_the_closed_forms) {
    const auto cases = pipeline_cases({1, 2, 4}, {4, 8, 5}, 4, {.tp = 2, .dp = 2});
    for_each_program(all_and_uneven(cases), [](const Case& at, const StepProgram& program) {
        EXPECT_EQ(counted_volumes(program),
                  closed_form_volumes(at.model, at.layout, at.setup, program.stage));
    });
}

TEST(PipelinePrograms, deferring_weight_gradients_changes_no_work) {
    for (Case at : all_and_uneven(pipeline_cases({1, 3}, {4}, 1))) {
        for (std::int64_t stage = 0; stage < at.layout.pp; ++stage) {
            at.setup.schedule = Schedule::zero_bubble;
            const StepProgram deferred = program_of(at, stage);
            at.setup.schedule = Schedule::one_f_one_b;
            const StepProgram at_once = program_of(at, stage);
            EXPECT_EQ(executed_flops(deferred, Phase::forward),
                      executed_flops(at_once, Phase::forward));
            EXPECT_EQ(executed_flops(deferred, Phase::backward) +
                          executed_flops(deferred, Phase::weights),
                      executed_flops(at_once, Phase::backward));
            // Each linear layer's product for its weights is as large as its forward's.
            const auto t = static_cast<double>(at.setup.micro_batch * at.model.seq);
            const auto h = static_cast<double>(at.model.hidden);
            const auto layers =
                static_cast<double>(layers_of_stage(at.model, at.layout, at.setup, Stage{stage}));
            EXPECT_EQ(executed_flops(deferred, Phase::weights).value(),
                      4 * layers * 2 * t * h * (4 * h + 2 * static_cast<double>(at.model.ffn)));
        }
    }
}

TEST(PipelinePrograms, saved_memory_is_the_slots_in_flight) {
    for_each_program(
        pipeline_cases({1, 2, 4}, {8, 12}, 3), [](const Case& at, const StepProgram& program) {
            const Pipeline pipeline = pipeline_of(at.layout, at.setup);
            const std::int64_t t = at.model.seq;
            const std::int64_t h = at.model.hidden;
            const bool overlap = at.setup.overlap_p2p == Overlap::on;
            const bool zero_bubble = at.setup.schedule == Schedule::zero_bubble;
            // Input, two norms, q, k, v, context, residual, both sides of the MLP's activation
            // function; the log-sum-exp of each head's rows.
            std::int64_t layer = t * (5 * h + 3 * h + 2 * at.model.ffn) + t * at.model.heads;
            layer += zero_bubble ? t * at.model.ffn : 0;  // gradient of the MLP's inner activation
            const ModelChunk chunk =
                chunks_of(at.model, at.layout, at.setup, program.stage).front();
            const std::int64_t waiting = awaiting_backward(pipeline, program.stage);
            const std::int64_t visits = pipeline.micro_batches * pipeline.chunks;
            std::int64_t slots = in_flight(pipeline, program.stage);
            std::int64_t slot = chunk.layers * layer;
            slot += program.stage.value() == pipeline.stages - 1 ? t * h : 0;  // the head's input
            slot += zero_bubble ? t * h : 0;                                   // output's gradient
            if (pipeline.chunks > 1) {
                slots += overlap && slots < visits ? 1 : 0;
            } else if (overlap && program.stage.value() > 0 && visits > waiting) {
                slot -= t * h;  // inputs lie in the ring
            }
            EXPECT_EQ(program.extents.saved, slots * slot);
        });
}

TEST(PipelinePrograms, messages_have_unique_tags) {
    for (const Case& at : pipeline_cases({2, 4}, {8}, 3)) {
        std::set<std::int64_t> tags;
        std::int64_t sends = 0;
        for (const StepProgram& program : build_all(at.model, at.layout, at.setup)) {
            for (const Task& task : program.tasks) {
                const auto* comm =
                    std::get_if<CommOp>(&program.blocks[task.block.index()].ops[0].op);
                const auto* send = comm == nullptr ? nullptr : std::get_if<Send>(comm);
                if (send != nullptr) {
                    tags.insert(send->tag + task.tag_base);
                    ++sends;
                }
            }
        }
        const std::int64_t boundaries = at.layout.pp * at.setup.virtual_stages - 1;
        EXPECT_EQ(sends, 2 * boundaries * 8) << named(at);
        EXPECT_EQ(tags.size(), static_cast<std::size_t>(sends)) << named(at);
    }
}

TEST(PipelinePrograms, weight_gradients_left_out_or_too_early_are_found) {
    Case at{.model = small_gpt(2), .layout = {.pp = 2}, .setup = setup_of({}, 4)};
    at.setup.schedule = Schedule::zero_bubble;
    const std::vector<StepProgram> sound = build_all(at.model, at.layout, at.setup);
    const auto task_of_block = [&](std::vector<StepProgram>& programs, std::string_view name) {
        const auto& blocks = programs[0].blocks;
        const auto found =
            std::find_if(programs[0].tasks.begin(), programs[0].tasks.end(), [&](const Task& task) {
                return blocks[task.block.index()].name == name;
            });
        return found;
    };
    std::vector<StepProgram> left_out = sound;
    task_of_block(left_out, "layer_weights")->micro_batch = MicroBatch{1};
    const std::vector<std::string> findings = verify(left_out);
    ASSERT_GE(findings.size(), 2U);
    EXPECT_EQ(findings[0],
              "rank 0: a micro-batch goes backward through a layer before it went forward, or its "
              "weight gradients come before its backward");
    EXPECT_EQ(findings[1], "rank 0: micro-batch 0 does not go weights through layer 0");
    std::vector<StepProgram> early = sound;
    std::swap(task_of_block(early, "layer_weights")->block,
              task_of_block(early, "layer_backward")->block);
    EXPECT_NE(verify(early), none);
}

TEST(PipelinePrograms, one_rank_per_stage_stands_for_its_replicas) {
    for (const Case& at : pipeline_cases({2, 3}, {6}, 2, {.tp = 2, .dp = 3})) {
        std::vector<StepProgram> stages;
        for (std::int64_t stage = 0; stage < at.layout.pp; ++stage) {
            stages.push_back(program_of(at, stage));
        }
        EXPECT_EQ(verify_stages(stages, at.layout.ranks()), none) << named(at);
        // Without the last receive of stage 1, stage 0 cannot finish.
        std::vector<Task>& tasks = stages[1].tasks;
        for (std::size_t t = tasks.size(); t-- > 0;) {
            if (stages[1].blocks[tasks[t].block.index()].name == "pp_recv_forward") {
                tasks[t].tag_base += 1000;
                break;
            }
        }
        EXPECT_NE(verify_stages(stages, at.layout.ranks()), none) << named(at);
    }
}

TEST(StageLayers, chunks_alternate_between_stages) {
    const Layout layout{.pp = 2};
    TrainingSetup setup = setup_of(layout, 4);
    setup.schedule = Schedule::interleaved;
    setup.virtual_stages = 3;
    EXPECT_EQ(chunks_of(small_gpt(12), layout, setup, Stage{1}),
              (std::vector<ModelChunk>{{.first = 2, .first_of_stage = 0, .layers = 2},
                                       {.first = 6, .first_of_stage = 2, .layers = 2},
                                       {.first = 10, .first_of_stage = 4, .layers = 2}}));
    setup.stage_layers = {1, 2, 3, 1, 2, 3};
    EXPECT_EQ(chunks_of(small_gpt(12), layout, setup, Stage{0}),
              (std::vector<ModelChunk>{{.first = 0, .first_of_stage = 0, .layers = 1},
                                       {.first = 3, .first_of_stage = 1, .layers = 3},
                                       {.first = 7, .first_of_stage = 4, .layers = 2}}));
    EXPECT_EQ(layers_of_stage(small_gpt(12), layout, setup, Stage{1}), 6);
}

TEST(StageLayers, what_the_edges_leave_is_shared_equally) {
    using Split = std::vector<std::int64_t>;
    EXPECT_EQ(split_layers(126, 16, {.first = 7, .last = 7}),
              (Split{7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 7}));
    EXPECT_EQ(split_layers(10, 4, {.first = 1, .last = {}}), (Split{1, 3, 3, 3}));
    EXPECT_EQ(split_layers(10, 4, {.first = {}, .last = 4}), (Split{2, 2, 2, 4}));
    EXPECT_EQ(split_layers(7, 2, {.first = 3, .last = 4}), (Split{3, 4}));
    EXPECT_EQ(split_layers(8, 2, {.first = 3, .last = 4}), std::nullopt);
    EXPECT_EQ(split_layers(10, 4, {.first = 2, .last = {}}), std::nullopt);
}

}  // namespace traindyno
