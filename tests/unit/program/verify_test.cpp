// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/verify.hpp"

#include <algorithm>
#include <functional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/unit/program/cases.hpp"

namespace traindyno {

namespace {

using Programs = std::vector<StepProgram>;

Programs four_ranks() {
    const Layout layout{.tp = 2, .pp = 2};
    return build_all(small_gpt(4), layout, setup_of(layout, 3));
}

bool runs(const StepProgram& program, const Task& task, std::string_view name) {
    return program.blocks[task.block.index()].name == name;
}

/// Index of the n-th task that runs a block of that name.
std::size_t nth_task(const StepProgram& program, std::string_view name, std::size_t n) {
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        if (runs(program, program.tasks[i], name) && n-- == 0) {
            return i;
        }
    }
    return program.tasks.size();
}

/// Removes a task; waits for it are dropped, later tasks move up.
void remove_task(StepProgram& program, std::size_t index) {
    program.tasks.erase(program.tasks.begin() + static_cast<std::ptrdiff_t>(index));
    for (Task& task : program.tasks) {
        std::vector<TaskId> after;
        for (const TaskId earlier : task.after) {
            if (earlier.index() != index) {
                after.emplace_back(earlier.value() - (earlier.index() > index ? 1 : 0));
            }
        }
        task.after = after;
    }
}

Block& block_named(StepProgram& program, std::string_view name) {
    return *std::find_if(program.blocks.begin(), program.blocks.end(), [&](const Block& block) {
        return block.name == name;
    });
}

CommOp& communication(StepProgram& program, std::string_view block) {
    for (BlockOp& op : block_named(program, block).ops) {
        if (auto* found = std::get_if<CommOp>(&op.op)) {
            return *found;
        }
    }
    throw std::out_of_range(std::string(block));
}

void expect_finding(const Programs& programs, std::string_view text) {
    const auto findings = verify(programs);
    const bool found =
        std::any_of(findings.begin(), findings.end(), [&](const std::string& finding) {
            return finding.find(text) != std::string::npos;
        });
    EXPECT_TRUE(found) << "no '" << text << "' in:\n"
                       << fmt::format("{}", fmt::join(findings, "\n"));
}

}  // namespace

TEST(Verify, built_programs_are_right) {
    EXPECT_EQ(verify(four_ranks()), std::vector<std::string>{});
    EXPECT_EQ(verify({}), std::vector<std::string>{});
}

TEST(Verify, finds_a_missing_receive) {
    Programs programs = four_ranks();
    remove_task(programs[2], nth_task(programs[2], "pp_recv_forward", 1));
    expect_finding(programs, "tag 2 has no receive on rank 2");
}

TEST(Verify, finds_a_missing_send) {
    Programs programs = four_ranks();
    remove_task(programs[3], nth_task(programs[3], "pp_send_backward", 0));
    expect_finding(programs, "tag 1 has no send on rank 3");
}

TEST(Verify, finds_a_wrong_group_size) {
    Programs programs = four_ranks();
    for (Group& group : programs[1].groups) {
        if (group.kind == GroupKind::model) {
            group.members.pop_back();
        }
    }
    expect_finding(programs, "does not know the model group {0, 1, 2}");
    expect_finding(programs, "rank 1 does not know the model group {0, 1, 2, 3}");
}

TEST(Verify, finds_members_outside_the_job) {
    Programs programs = four_ranks();
    programs[1].groups[0].members.back() = WorldRank{4};
    expect_finding(programs, "names ranks outside 0 to 3");
}

TEST(Verify, finds_messages_of_different_sizes) {
    Programs programs = four_ranks();
    for (Block& block : programs[0].blocks) {
        if (block.name == "pp_send_forward") {
            std::get<Send>(std::get<CommOp>(block.ops[0].op)).buffer.elements -= 1;
        }
    }
    expect_finding(programs, "send of 4092 bytes fp32");
    expect_finding(programs, "meets recv of 4096 bytes fp32");
}

TEST(Verify, finds_collectives_of_different_sizes) {
    Programs programs = four_ranks();
    auto& op = std::get<Collective>(communication(programs[1], "layer_forward"));
    op.input.elements -= 1;
    op.output.elements -= 1;
    expect_finding(programs, "all_reduce of 4096 bytes fp32 sum in tp group {0, 1}");
    expect_finding(programs, "meets all_reduce of 4092 bytes fp32 sum in tp group {0, 1}");
}

TEST(Verify, finds_collectives_that_reduce_differently) {
    Programs programs = four_ranks();
    std::get<Collective>(communication(programs[1], "optimizer")).reduction = Reduction::max;
    expect_finding(programs, "all_reduce of 4 bytes fp32 max in model group {0, 1, 2, 3}");
}

TEST(Verify, finds_a_collective_that_one_rank_leaves_out) {
    Programs programs = four_ranks();
    Block& block = block_named(programs[3], "optimizer");
    std::erase_if(block.ops,
                  [](const BlockOp& op) { return std::holds_alternative<CommOp>(op.op); });
    for (BlockOp& op : block.ops) {
        op.after.clear();
    }
    expect_finding(programs, "has no counterpart on rank 3");
}

TEST(Verify, finds_a_group_on_two_lanes) {
    Programs programs = four_ranks();
    for (BlockOp& op : block_named(programs[0], "layer_backward").ops) {
        if (op.lane == Lane::tp) {
            op.lane = Lane::embedding;
        }
    }
    expect_finding(programs, "their order is not fixed");
}

TEST(Verify, finds_a_slice_out_of_range) {
    Programs programs = four_ranks();
    programs[2].extents.saved -= 1;
    expect_finding(programs, "of saved space, which has");
}

TEST(Verify, finds_a_slice_before_its_space) {
    Programs programs = four_ranks();
    programs[2].tasks[nth_task(programs[2], "layer_forward", 0)].parameter_base = -1;
    expect_finding(programs, "of parameter space, which has");
}

TEST(Verify, finds_operands_that_do_not_fit_the_product) {
    Programs programs = four_ranks();
    auto& op = block_named(programs[0], "layer_forward").ops[1].op;
    std::get<MatMul>(std::get<ComputeOp>(op)).n += 1;
    expect_finding(programs, "with operands of other sizes");
}

TEST(Verify, finds_a_wait_for_a_later_task) {
    Programs programs = four_ranks();
    programs[0].tasks[2].after.emplace_back(2);
    expect_finding(programs, "task 2 waits for task 2, which does not come before it");
}

TEST(Verify, finds_a_wait_for_a_later_operation) {
    Programs programs = four_ranks();
    block_named(programs[0], "layer_forward").ops[3].after = {4};
    expect_finding(programs, "op 3 waits for op 4, which does not come before it");
}

TEST(Verify, finds_a_micro_batch_without_backward) {
    Programs programs = four_ranks();
    remove_task(programs[3], nth_task(programs[3], "layer_backward", 3));
    expect_finding(programs, "rank 3: micro-batch 1 does not go backward through layer 2");
}

TEST(Verify, finds_a_micro_batch_without_forward) {
    Programs programs = four_ranks();
    remove_task(programs[0], nth_task(programs[0], "layer_forward", 0));
    expect_finding(programs, "rank 0: micro-batch 0 does not go forward through layer 0");
}

TEST(Verify, finds_a_micro_batch_that_one_rank_leaves_out) {
    const Layout layout{.dp = 2};
    Programs programs = build_all(small_gpt(1), layout, setup_of(layout, 2));
    programs[1] = build_step(small_gpt(1), layout, setup_of(layout, 1), WorldRank{1});
    expect_finding(programs, "rank 1: micro-batch 1 does not go forward through layer 0");
}

TEST(Verify, finds_a_layer_run_twice) {
    Programs programs = four_ranks();
    const std::size_t index = nth_task(programs[0], "layer_forward", 1);
    programs[0].tasks.push_back(programs[0].tasks[index]);
    programs[0].tasks.back().after.clear();
    expect_finding(programs, "rank 0: micro-batch 0 runs layer_forward of layer 1 twice");
}

TEST(Verify, finds_blocks_and_groups_that_do_not_exist) {
    Programs programs = four_ranks();
    programs[0].tasks[0].block = BlockId{1000};
    std::get<Collective>(communication(programs[1], "optimizer")).group = GroupId{7};
    expect_finding(programs, "task 0 runs block 1000, which does not exist");
    expect_finding(programs, "uses group 7, which does not exist");
}

TEST(Verify, finds_programs_in_the_wrong_order) {
    Programs programs = four_ranks();
    std::swap(programs[0], programs[1]);
    expect_finding(programs, "rank 0: its program is rank 1's");
}

TEST(Verify, finds_compute_and_communication_on_each_others_lanes) {
    Programs programs = four_ranks();
    block_named(programs[0], "layer_forward").ops[0].lane = Lane::tp;
    block_named(programs[1], "pp_send_forward").ops[0].lane = Lane::compute;
    expect_finding(programs, "computes on the tp lane");
    expect_finding(programs, "communicates on the compute lane");
}

TEST(Verify, finds_a_type_that_the_space_does_not_hold) {
    Programs programs = four_ranks();
    std::get<Send>(communication(programs[0], "pp_send_forward")).dtype = DType::bf16;
    expect_finding(programs, "moves bf16 of workspace space, which holds another type");
}

/// Both stages insist on sending before they receive: each waits for the other's receive.
TEST(Verify, finds_a_planted_deadlock_and_names_the_operations) {
    Programs programs = four_ranks();
    for (const std::size_t rank : {std::size_t{0}, std::size_t{1}}) {
        StepProgram& program = programs[rank];
        // The gradient of micro-batch 0 is awaited only once the last activation has been sent,
        // which stage 1 receives only after it has sent that gradient.
        const std::size_t late = nth_task(program, "pp_send_forward", 2);
        const std::size_t early = nth_task(program, "pp_recv_backward", 0);
        Task wait = program.tasks[early];
        wait.after.push_back(TaskId{static_cast<std::int64_t>(late)});
        remove_task(program, early);
        wait.after.back() = TaskId{static_cast<std::int64_t>(late) - 1};
        program.tasks.insert(program.tasks.begin() + static_cast<std::ptrdiff_t>(late), wait);
        for (Task& task : program.tasks) {
            if (runs(program, task, "layer_forward") && task.micro_batch == MicroBatch{0} &&
                task.layer == LayerIndex{0}) {
                task.after.clear();
            }
        }
    }
    // Stage 1 must not take an activation before it has sent the gradient before it.
    for (const std::size_t rank : {std::size_t{2}, std::size_t{3}}) {
        StepProgram& program = programs[rank];
        const auto send = static_cast<std::int64_t>(nth_task(program, "pp_send_backward", 0));
        for (Task& task : program.tasks) {
            if (runs(program, task, "pp_recv_forward") && task.micro_batch == MicroBatch{2}) {
                task.after.assign(1, TaskId{send});
            }
        }
    }
    expect_finding(programs, "deadlock: 4 of 4 ranks cannot finish");
    expect_finding(programs, "pp_send_forward, micro-batch 2");
    expect_finding(programs, "pp_send_backward, micro-batch 0");
    expect_finding(programs, "waits for its peers");
}

/// Two collectives of two groups in opposite order on the lanes of two ranks.
TEST(Verify, finds_a_cycle_through_two_groups) {
    Programs programs(2);
    for (std::size_t rank = 0; rank < programs.size(); ++rank) {
        StepProgram& program = programs[rank];
        program.rank = WorldRank{static_cast<std::int64_t>(rank)};
        program.extents.scalar = 2;
        for (const GroupKind kind : {GroupKind::tp, GroupKind::dp}) {
            program.groups.push_back({.kind = kind, .members = {WorldRank{0}, WorldRank{1}}});
            const auto group = static_cast<std::int64_t>(program.groups.size()) - 1;
            BlockOp block_op;
            block_op.op =
                CommOp{all_reduce_in_place(GroupId{group},
                                           {.space = Space::scalar, .offset = group, .elements = 1},
                                           DType::fp32)};
            block_op.lane = kind == GroupKind::tp ? Lane::tp : Lane::dp;
            program.blocks.push_back({.name = std::string(to_string(kind)), .ops = {block_op}});
        }
        for (std::size_t i = 0; i < 2; ++i) {
            Task task;
            task.block = BlockId{static_cast<std::int64_t>((rank + i) % 2)};
            if (i == 1) {
                task.after.emplace_back(0);
            }
            program.tasks.push_back(task);
        }
    }
    expect_finding(programs, "deadlock: 2 of 2 ranks cannot finish");
    programs[0].tasks[1].after.clear();
    EXPECT_EQ(verify(programs), std::vector<std::string>{});
}

TEST(Verify, cuts_a_long_list_of_findings) {
    Programs programs = four_ranks();
    for (StepProgram& program : programs) {
        for (Task& task : program.tasks) {
            task.block = BlockId{-1};
        }
    }
    const auto findings = verify(programs);
    EXPECT_EQ(findings.size(), 51U);
    EXPECT_TRUE(findings.back().ends_with(" more"));
}

}  // namespace traindyno
