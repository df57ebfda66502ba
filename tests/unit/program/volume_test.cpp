// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/volume.hpp"

#include <gtest/gtest.h>

#include "tests/unit/program/cases.hpp"

namespace traindyno {

TEST(Volumes, counted_in_programs_equal_the_closed_forms) {
    for (const Case& at : grid(8, {1, 3})) {
        for (std::int64_t rank = 0; rank < at.layout.ranks(); ++rank) {
            const StepProgram program = build_step(at.model, at.layout, at.setup, WorldRank{rank});
            ASSERT_EQ(counted_volumes(program),
                      closed_form_volumes(at.model, at.layout, at.setup, program.stage))
                << at.text() << " rank " << rank;
        }
    }
}

/// By hand: t = 2 * 16 tokens, h = 64, bf16, 3 micro-batches, 2 of 4 layers per stage.
TEST(Volumes, of_a_small_gpt_are_what_a_pencil_says) {
    const Layout layout{.tp = 2, .dp = 4, .pp = 2};
    TrainingSetup setup = setup_of(layout, 3, 2);
    setup.precision = Precision::bf16;
    const Bytes activation{32 * 64 * 2};
    const std::int64_t table = 1024 / 2 * 64;  // 1000 words padded to a multiple of 256
    // Per layer and rank: qkv, projection, up, down; their biases; two norms.
    const std::int64_t layer = 96 * 64 + 64 * 32 + 128 * 64 + 64 * 128 +  //
                               96 + 64 + 128 + 64 + 2 * 2 * 64;
    const std::int64_t gradients = 2 * layer + table + 16 * 64;  // and positions
    const auto volume =
        [](GroupKind kind, const char* op, std::int64_t count, Bytes payload, Bytes wire) {
            return Volume{
                .group = kind, .op = op, .count = count, .payload = payload, .on_the_wire = wire};
        };
    EXPECT_EQ(
        closed_form_volumes(small_gpt(4), layout, setup, Stage{0}),
        (std::vector<Volume>{
            // 4 per layer and micro-batch, 1 for the embedding; n = 2 sends all of the payload
            volume(GroupKind::tp, "all_reduce", 27, 27 * activation, 27 * activation),
            volume(GroupKind::dp, "all_reduce", 1, Bytes{4 * gradients}, Bytes{6 * gradients}),
            volume(GroupKind::pp, "send", 3, 3 * activation, 3 * activation),
            volume(GroupKind::pp, "recv", 3, 3 * activation, Bytes{0}),
            volume(GroupKind::embedding, "all_reduce", 1, Bytes{4 * table}, Bytes{4 * table}),
            volume(GroupKind::model, "all_reduce", 1, Bytes{4}, Bytes{6})}));
}

/// By hand, as above: the last stage of two, whose tensor-parallel ranks share the tokens.
TEST(Volumes, with_sequence_parallelism_are_what_a_pencil_says) {
    const Layout layout{.tp = 2, .pp = 2};
    TrainingSetup setup = setup_of(layout, 3, 2);
    setup.precision = Precision::bf16;
    setup.sequence_parallel = SequenceParallel::on;
    const Bytes activation{32 * 64 * 2};
    const auto half = [&](std::int64_t activations) {
        return Bytes{activations * activation.value() / 2};
    };
    const auto volume = [](const char* op, std::int64_t count, Bytes payload, Bytes wire) {
        return Volume{.group = GroupKind::tp,
                      .op = op,
                      .count = count,
                      .payload = payload,
                      .on_the_wire = wire};
    };
    const auto expect_tp = [&](std::int64_t chunks) {
        // 3 values of 32 tokens; norms and biases of 2 layers, final norm
        const Bytes reduced{3 * 3 * 32 * 4 + (2 * (4 + 2) * 64 + 2 * 64) * 4};
        const std::vector<Volume> found =
            closed_form_volumes(small_gpt(4), layout, setup, Stage{1});
        ASSERT_GE(found.size(), 4U);
        EXPECT_EQ(found[0], volume("all_reduce", 10, reduced, reduced));
        // 4 per layer and 1 of the logits' input; 6 per layer and 2 of the logits' input
        EXPECT_EQ(found[1], volume("reduce_scatter", 27 * chunks, 27 * activation, half(27)));
        EXPECT_EQ(found[2], volume("all_gather", 42 * chunks, 42 * activation, half(42)));
        // each rank sends the tokens it has
        EXPECT_EQ(found[3].payload, half(3));
    };
    expect_tp(1);
    setup.overlap_tp = Overlap::on;
    expect_tp(2);
}

TEST(Volumes, full_recomputation_repeats_the_forward_all_reduces) {
    const Layout layout{.tp = 2};
    TrainingSetup setup = setup_of(layout, 1);
    const auto tp = [&](Recompute recompute) {
        setup.recompute = recompute;
        return closed_form_volumes(small_gpt(5), layout, setup, Stage{0}).front().count;
    };
    EXPECT_EQ(tp(Recompute::full), tp(Recompute::none) + 2 * 5);
    EXPECT_EQ(tp(Recompute::selective), tp(Recompute::none));
}

TEST(Volumes, one_rank_has_none) {
    const Layout layout{};
    EXPECT_TRUE(closed_form_volumes(small_gpt(2), layout, setup_of(layout, 2), Stage{0}).empty());
    EXPECT_TRUE(counted_volumes(build_step(small_gpt(2), layout, setup_of(layout, 2), WorldRank{0}))
                    .empty());
}

}  // namespace traindyno
