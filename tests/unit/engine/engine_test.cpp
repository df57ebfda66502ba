// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/engine.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "emulator/device/timed/timed_device.hpp"
#include "emulator/engine/watchdog.hpp"
#include "tests/support/tiny_program.hpp"

namespace traindyno {
namespace {

using test::add_task;
using test::all_reduce;
using test::elementwise;

constexpr SimTime op_length = std::chrono::milliseconds{2};

/// A program on a timed device whose every operation takes op_length, in a group of one.
class EngineTest : public ::testing::Test {
  protected:
    explicit EngineTest(std::int64_t elements = 10'000)
        : program_(test::program_with_group(1, elements)) {}

    [[nodiscard]] StepTrace run(Traffic traffic = Traffic::real, Tracing tracing = Tracing::on) {
        const auto device = make_timed_device(
            {.duration = [](const ComputeOp&) { return op_length; }, .name = "test"});
        device->prepare(program_);
        const IssueOrder order(program_);
        GroupCommunicators groups;
        groups.push_back(Communicator::serial());
        Engine engine(order, *device, groups, options_);
        const StepTrace trace = engine.run_step(traffic, tracing);
        checks_ = engine.checks();
        return trace;
    }

    StepProgram program_;
    RunnerOptions options_{.timeout = std::chrono::milliseconds{200}};
    ReductionChecks checks_;
};

TEST_F(EngineTest, runs_compute_back_to_back_in_issue_order) {
    TaskId last = add_task(
        program_, {{.op = elementwise(), .after = {}}, {.op = elementwise(), .after = {}}});
    last = add_task(program_, {{.op = elementwise(), .after = {}}}, {last});
    const StepTrace trace = run();
    ASSERT_EQ(trace.spans.size(), 3U);
    EXPECT_GE(trace.spans[0].begin, trace.begin);
    EXPECT_EQ(trace.spans[1].begin, trace.spans[0].end);
    EXPECT_EQ(trace.spans[2].begin, trace.spans[1].end);
    EXPECT_EQ(trace.spans[2].length(), op_length);
    EXPECT_GE(trace.end, trace.spans[2].end);
}

TEST_F(EngineTest, starts_communication_only_after_its_task_dependencies) {
    const TaskId compute = add_task(program_, {{.op = elementwise(), .after = {}}});
    const TaskId reduce =
        add_task(program_,
                 {{.op = all_reduce(GroupId{0}, 10'000), .lane = Lane::dp, .after = {}}},
                 {compute});
    add_task(program_, {{.op = elementwise(), .after = {}}}, {reduce});
    const StepTrace trace = run();
    EXPECT_GE(trace.spans[1].begin, trace.spans[0].end);
    EXPECT_GE(trace.spans[2].begin, trace.spans[1].end);
}

TEST_F(EngineTest, lets_compute_continue_beside_independent_communication) {
    const TaskId compute = add_task(program_, {{.op = elementwise(), .after = {}}});
    add_task(program_,
             {{.op = all_reduce(GroupId{0}, 10'000), .lane = Lane::dp, .after = {}}},
             {compute});
    add_task(program_, {{.op = elementwise(), .after = {}}}, {compute});
    const StepTrace trace = run();
    EXPECT_EQ(trace.spans[2].begin, trace.spans[0].end);
}

TEST_F(EngineTest, honours_dependencies_inside_a_block) {
    add_task(program_,
             {{.op = elementwise(), .after = {}},
              {.op = all_reduce(GroupId{0}, 10'000), .lane = Lane::tp, .after = {0}},
              {.op = elementwise(), .after = {1}}});
    const StepTrace trace = run();
    EXPECT_GE(trace.spans[1].begin, trace.spans[0].end);
    EXPECT_GE(trace.spans[2].begin, trace.spans[1].end);
}

TEST_F(EngineTest, checks_every_marked_value_of_reduced_buffers) {
    add_task(program_, {{.op = all_reduce(GroupId{0}, 10'000), .lane = Lane::dp, .after = {}}});
    [[maybe_unused]] const StepTrace trace = run();
    // Elements 0, 4096, 8192 and the last.
    EXPECT_EQ(checks_, (ReductionChecks{.checked = 4, .wrong = 0}));
}

TEST_F(EngineTest, removes_communication_but_keeps_compute) {
    const TaskId reduce =
        add_task(program_, {{.op = all_reduce(GroupId{0}, 10'000), .lane = Lane::dp, .after = {}}});
    add_task(program_, {{.op = elementwise(), .after = {}}}, {reduce});
    const StepTrace trace = run(Traffic::removed);
    EXPECT_EQ(trace.spans[0].length(), SimTime{0});
    EXPECT_EQ(trace.spans[1].length(), op_length);
    EXPECT_EQ(checks_, ReductionChecks{});
}

TEST_F(EngineTest, leaves_no_spans_when_untraced) {
    add_task(program_, {{.op = elementwise(), .after = {}}});
    const StepTrace trace = run(Traffic::real, Tracing::off);
    EXPECT_TRUE(trace.spans.empty());
    EXPECT_GE(trace.length(), op_length);
}

TEST_F(EngineTest, reports_what_a_hang_waits_for) {
    const Slice buffer{.space = Space::gradient, .offset = 0, .elements = 100};
    add_task(
        program_,
        {{.op = CommOp{Recv{.group = GroupId{0}, .peer = GroupRank{0}, .tag = 7, .buffer = buffer}},
          .lane = Lane::pp_recv_forward,
          .after = {}}});
    try {
        [[maybe_unused]] const StepTrace trace = run();
        FAIL() << "a receive without a send came to an end";
    } catch (const HangError& error) {
        EXPECT_EQ(error.exit_code(), ExitCode::hang);
        EXPECT_NE(std::string(error.what()).find("pp_recv_forward"), std::string::npos)
            << error.what();
        EXPECT_NE(std::string(error.what()).find("400 bytes"), std::string::npos) << error.what();
    }
}

TEST_F(EngineTest, sleeps_instead_of_polling_where_cores_are_short) {
    options_.waiting = Waiting::sleep;
    const TaskId compute = add_task(program_, {{.op = elementwise(), .after = {}}});
    add_task(program_,
             {{.op = all_reduce(GroupId{0}, 10'000), .lane = Lane::dp, .after = {}}},
             {compute});
    EXPECT_EQ(run().spans.size(), 2U);
}

/// An all-reduce that never returns, as when a member is gone.
class StuckCommunicator final : public Communicator {
  public:
    [[nodiscard]] GroupRank rank() const override { return GroupRank{0}; }

    [[nodiscard]] std::int64_t size() const override { return 1; }

    Pending all_reduce(std::span<const std::byte> /*in*/,
                       std::span<std::byte> /*out*/,
                       DType /*type*/,
                       Reduction /*reduction*/,
                       Urgency /*urgency*/) override {
        for (;;) {
            std::this_thread::sleep_for(std::chrono::seconds{1});
        }
    }

    Pending reduce_scatter(std::span<const std::byte> /*in*/,
                           std::span<std::byte> /*out*/,
                           DType /*type*/,
                           Reduction /*reduction*/,
                           Urgency /*urgency*/) override {
        return {};
    }

    Pending all_gather(std::span<const std::byte> /*in*/,
                       std::span<std::byte> /*out*/,
                       Urgency /*urgency*/) override {
        return {};
    }

    Pending all_to_all(std::span<const std::byte> /*in*/,
                       std::span<std::byte> /*out*/,
                       const Exchange& /*parts*/,
                       Urgency /*urgency*/) override {
        return {};
    }

    Pending broadcast(std::span<std::byte> /*buffer*/,
                      GroupRank /*root*/,
                      Urgency /*urgency*/) override {
        return {};
    }

    Pending send(std::span<const std::byte> /*buffer*/,
                 GroupRank /*peer*/,
                 std::int32_t /*tag*/) override {
        return {};
    }

    Pending recv(std::span<std::byte> /*buffer*/,
                 GroupRank /*peer*/,
                 std::int32_t /*tag*/) override {
        return {};
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t /*color*/,
                                                      std::int32_t /*key*/) override {
        return nullptr;
    }

    void abort(int /*exit_code*/, std::string_view /*reason*/) noexcept override {}
};

TEST(WatchdogDeathTest, ends_a_process_blocked_in_a_collective_with_the_hang_code) {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    StepProgram program = test::program_with_group(1, 1000);
    add_task(program, {{.op = all_reduce(GroupId{0}, 1000), .lane = Lane::dp, .after = {}}});
    const auto block = [&] {
        const auto device = make_timed_device(
            {.duration = [](const ComputeOp&) { return op_length; }, .name = "test"});
        device->prepare(program);
        const IssueOrder order(program);
        GroupCommunicators groups;
        groups.push_back(std::make_unique<StuckCommunicator>());
        Engine engine(order, *device, groups, {});
        const Watchdog watchdog(engine, std::chrono::milliseconds{100}, "rank 3, node-b");
        [[maybe_unused]] const StepTrace trace = engine.run_step(Traffic::real, Tracing::off);
    };
    EXPECT_EXIT(block(),
                ::testing::ExitedWithCode(5),
                "rank 3, node-b.*blocked.*\n.*4000 bytes in the dp group");
}

}  // namespace
}  // namespace traindyno
