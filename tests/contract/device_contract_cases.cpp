// SPDX-License-Identifier: Apache-2.0
// What every Device promises, whatever it computes on.
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sys/resource.h>

#include "emulator/base/error.hpp"
#include "tests/contract/device_contract.hpp"

namespace traindyno::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_P(DeviceContract, has_completed_nothing_after_prepare) {
    const StepProgram program = work(1);
    const auto device = make();
    device->prepare(program);
    EXPECT_EQ(device->completed(), 0);
}

TEST_P(DeviceContract, completes_everything_in_order_without_overlap) {
    const StepProgram program = work(20);
    const auto device = make();
    device->prepare(program);
    const SimTime before = now();
    submit_all(*device, program);
    wait_for(*device, 20);
    const SimTime after = now();
    EXPECT_EQ(device->completed(), 20);
    SimTime previous = before - GetParam().clock_error;
    for (Ticket ticket = 0; ticket < 20; ++ticket) {
        const Interval ran = device->interval(ticket);
        EXPECT_GE(ran.begin, previous) << ticket;
        EXPECT_GT(ran.end, ran.begin) << ticket;
        previous = ran.end;
    }
    EXPECT_LE(previous, after + GetParam().clock_error);
}

TEST_P(DeviceContract, counts_only_complete_operations) {
    const StepProgram program = work(20);
    const auto device = make();
    device->prepare(program);
    submit_all(*device, program);
    Ticket seen = 0;
    while (seen < 20) {
        const Ticket done = device->completed();
        const SimTime time = now();
        ASSERT_GE(done, seen);
        ASSERT_LE(done, 20);
        for (Ticket ticket = seen; ticket < done; ++ticket) {
            EXPECT_LE(device->interval(ticket).end, time + GetParam().clock_error);
        }
        seen = done;
    }
}

TEST_P(DeviceContract, submits_faster_than_it_computes) {
    const StepProgram program = work(200);
    const auto device = make();
    device->prepare(program);
    const SimTime before = now();
    submit_all(*device, program);
    const SimTime submitted = now();
    wait_for(*device, 200);
    EXPECT_LT(submitted - before, device->interval(199).end - submitted);
}

TEST_P(DeviceContract, wait_returns_after_a_completion) {
    const StepProgram program = work(3);
    const auto device = make();
    device->prepare(program);
    submit_all(*device, program);
    for (Ticket seen = 0; seen < 3; ++seen) {
        const SimTime deadline = now() + seconds{60};
        device->wait(seen, deadline);
        EXPECT_LT(now(), deadline);
        EXPECT_GT(device->completed(), seen);
    }
}

TEST_P(DeviceContract, wait_for_the_past_returns_at_once) {
    const StepProgram program = work(3);
    const auto device = make();
    device->prepare(program);
    submit_all(*device, program);
    wait_for(*device, 3);
    const SimTime deadline = now() + seconds{60};
    device->wait(0, deadline);
    EXPECT_LT(now(), deadline);
}

TEST_P(DeviceContract, wait_without_work_returns_at_the_deadline) {
    const auto device = make();
    const StepProgram program = work(1);
    device->prepare(program);
    const SimTime deadline = now() + milliseconds{20};
    device->wait(0, deadline);
    EXPECT_GE(now(), deadline);
    EXPECT_EQ(device->completed(), 0);
}

TEST_P(DeviceContract, wait_burns_no_core) {
    const auto device = make();
    const StepProgram program = work(1);
    device->prepare(program);
    submit_all(*device, program);
    wait_for(*device, 1);
    const auto cpu_time = [] {
        rusage used{};
        getrusage(RUSAGE_SELF, &used);
        return SimTime{seconds{used.ru_utime.tv_sec + used.ru_stime.tv_sec}} +
               std::chrono::microseconds{used.ru_utime.tv_usec + used.ru_stime.tv_usec};
    };
    device->wait(1, now() + milliseconds{100});  // threads that still spin fall asleep
    const SimTime wall_before = now();
    const SimTime cpu_before = cpu_time();
    for (int i = 1; i <= 40; ++i) {
        device->wait(1, wall_before + i * milliseconds{5});
    }
    EXPECT_LT((cpu_time() - cpu_before) * 10, now() - wall_before);
}

TEST_P(DeviceContract, memory_of_slices_follows_the_tasks_base) {
    const StepProgram program = work(1);
    const auto device = make();
    device->prepare(program);
    const Task base{};
    Task moved;
    moved.parameter_base = 16;
    moved.saved_base = 32;
    for (const Space space : {Space::parameter, Space::gradient, Space::saved}) {
        const std::int64_t by = space == Space::saved ? 32 : 16;
        const Slice slice{.space = space, .offset = 0, .elements = 8};
        const Slice later{.space = space, .offset = by, .elements = 8};
        EXPECT_EQ(device->memory(slice, moved).data(), device->memory(later, base).data());
        EXPECT_EQ(device->memory(slice, moved).size(), 32U);
    }
    const Slice scratch{.space = Space::workspace, .offset = 8, .elements = 8};
    EXPECT_EQ(device->memory(scratch, moved).data(), device->memory(scratch, base).data());
}

TEST_P(DeviceContract, memory_keeps_what_is_written) {
    const StepProgram program = work(4);
    const auto device = make();
    device->prepare(program);
    const Slice slice{.space = Space::gradient, .offset = 100, .elements = work(0).extents.saved};
    std::vector<float> values(static_cast<std::size_t>(slice.elements), 1.5F);
    const auto bytes = std::as_writable_bytes(std::span(values));
    device->copy(CopyDirection::to_device, slice, task_of(program), 1, bytes);
    submit_all(*device, program);
    wait_for(*device, 4);
    const std::vector<float> written = std::exchange(values, std::vector<float>(values.size()));
    device->copy(CopyDirection::to_host,
                 slice,
                 task_of(program),
                 1,
                 std::as_writable_bytes(std::span(values)));
    EXPECT_EQ(values, written);
}

TEST_P(DeviceContract, copies_every_stride_th_element_and_no_other) {
    const StepProgram program = work(1);
    const auto device = make();
    device->prepare(program);
    constexpr std::int64_t elements = 10;
    const Slice slice{.space = Space::gradient, .offset = 5, .elements = elements};
    std::vector<float> all(elements, 7.0F);
    const auto copy = [&](CopyDirection direction, std::int64_t stride, std::vector<float>& host) {
        device->copy(
            direction, slice, task_of(program), stride, std::as_writable_bytes(std::span(host)));
    };
    copy(CopyDirection::to_device, 1, all);
    std::vector<float> every_fourth{1.0F, 2.0F, 3.0F};  // elements 0, 4 and 8
    copy(CopyDirection::to_device, 4, every_fourth);
    copy(CopyDirection::to_host, 1, all);
    EXPECT_EQ(all, (std::vector<float>{1, 7, 7, 7, 2, 7, 7, 7, 3, 7}));
    std::vector<float> every_third(4);
    copy(CopyDirection::to_host, 3, every_third);
    EXPECT_EQ(every_third, (std::vector<float>{1, 7, 7, 7}));
    EXPECT_THROW(copy(CopyDirection::to_host, 5, every_third), ContractError);
}

TEST_P(DeviceContract, refuses_slices_outside_their_space) {
    const StepProgram program = work(1);
    const auto device = make();
    device->prepare(program);
    const Slice slice{.space = Space::scalar, .offset = 4, .elements = 1};
    EXPECT_THROW((void)device->memory(slice, task_of(program)), ContractError);
}

TEST_P(DeviceContract, refuses_programs_beyond_its_memory_item_by_item) {
    StepProgram program = work(1);
    program.extents.parameter = GetParam().too_many_parameters;
    const auto device = GetParam().make(Bytes{std::int64_t{1} << 20});
    try {
        device->prepare(program);
        FAIL() << "prepare accepted " << program.extents.parameter << " parameters";
    } catch (const ConfigError& error) {
        const std::string text = error.what();
        for (const char* item : {"weights", "gradients", "adam_m", "workspace", "total"}) {
            EXPECT_NE(text.find(item), std::string::npos) << text;
        }
    }
}

TEST_P(DeviceContract, prepares_a_second_program_and_counts_from_zero) {
    const StepProgram first = work(3);
    const StepProgram second = work(2);
    const auto device = make();
    device->prepare(first);
    submit_all(*device, first);
    wait_for(*device, 3);
    device->prepare(second);
    EXPECT_EQ(device->completed(), 0);
    submit_all(*device, second);
    wait_for(*device, 2);
    EXPECT_EQ(device->completed(), 2);
}

TEST_P(DeviceContract, keeps_the_last_65536_intervals) {
    const auto device = make();
    StepProgram program = work(0);
    const Slice one{.space = Space::scalar, .offset = 0, .elements = 1};
    const ComputeOp tiny{Elementwise{
        .kind = ElementwiseKind::zero, .rows = 1, .columns = 1, .reads = {}, .writes = {one}}};
    program.blocks.front().ops.push_back({.op = Op{tiny}, .after = {}});
    const bool timed = device->info().kind == "timed";
    device->prepare(program);
    const Ticket count = timed ? 200 : 100'000;  // the timed operations take 1 ms each
    for (Ticket i = 0; i < count; ++i) {
        (void)device->submit(op_at(program, 0), task_of(program));
        (void)device->completed();  // as the engine asks; how long a queue may get is not at issue
    }
    wait_for(*device, count);
    const Ticket oldest = std::max<Ticket>(0, count - (Ticket{1} << 16));
    EXPECT_LE(device->interval(oldest).end, device->interval(count - 1).begin);
}

/// Tokens to their slots, the slots in another order and back, and home; each with half the weight.
TEST_P(DeviceContract, routes_tokens_to_their_slots_and_back) {
    constexpr std::int64_t tokens = 6;
    constexpr std::int64_t columns = 64;
    StepProgram program = work(0);
    std::int64_t end = 0;
    const auto take = [&end](std::int64_t elements) {
        const Slice slice{.offset = end, .elements = elements};
        end += elements;
        return slice;
    };
    const auto half = [](const Slice& whole, std::int64_t index) {
        const std::int64_t elements = whole.elements / 2;
        return Slice{.offset = whole.offset + index * elements, .elements = elements};
    };
    const Slice x = take(tokens * columns);
    const Slice weights = take(tokens * 2);
    const Slice slots = take(2 * x.elements);
    const Slice turned = take(2 * x.elements);
    const Slice back = take(2 * x.elements);
    const Slice home = take(x.elements);
    const auto add = [&](ElementwiseKind kind, std::vector<Slice> reads, const Slice& write) {
        const Elementwise op{.kind = kind,
                             .rows = kind == ElementwiseKind::concatenate ? 2 * tokens : tokens,
                             .columns = columns,
                             .reads = std::move(reads),
                             .writes = {write}};
        program.blocks.front().ops.push_back({.op = Op{ComputeOp{op}}, .after = {}});
    };
    add(ElementwiseKind::permute_forward, {x}, slots);
    add(ElementwiseKind::concatenate, {half(slots, 1), half(slots, 0)}, turned);
    add(ElementwiseKind::concatenate, {half(turned, 1), half(turned, 0)}, back);
    add(ElementwiseKind::unpermute_forward, {back, weights}, home);
    const auto device = make();
    device->prepare(program);
    std::vector<float> values(static_cast<std::size_t>(x.elements));
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(i);
    }
    const auto copy = [&](CopyDirection way, const Slice& slice, std::vector<float>& host) {
        device->copy(way, slice, task_of(program), 1, std::as_writable_bytes(std::span(host)));
    };
    std::vector<float> halves(static_cast<std::size_t>(weights.elements), 0.5F);
    copy(CopyDirection::to_device, x, values);
    copy(CopyDirection::to_device, weights, halves);
    submit_all(*device, program);
    wait_for(*device, 4);
    if (device->info().kind != "timed") {  // which computes nothing
        std::vector<float> returned(values.size());
        copy(CopyDirection::to_host, home, returned);
        EXPECT_EQ(returned, values);
    }
}

TEST_P(DeviceContract, describes_itself) {
    const DeviceInfo info = make()->info();
    EXPECT_EQ(info.kind, GetParam().name);
    EXPECT_FALSE(info.name.empty());
}

}  // namespace
}  // namespace traindyno::test
