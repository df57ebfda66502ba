// SPDX-License-Identifier: Apache-2.0
// The devices that need no GPU, under contract, and what each promises beyond it.
#include "tests/contract/device_contract.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/device/cpu/cpu_device.hpp"
#include "emulator/device/timed/timed_device.hpp"

namespace traindyno::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::vector<DeviceCase> backends() {
    return {
        {"cpu",
         [](Bytes limit) {
             const std::vector<int> cores = allowed_cores();
             return make_cpu_device(
                 {.cores = cores,
                  .threads = static_cast<int>(std::min<std::size_t>(cores.size(), 2)),
                  .seed = 1,
                  .memory_limit = limit});
         }},
        {"timed", [](Bytes limit) {
             return make_timed_device({.duration = [](const ComputeOp&) { return milliseconds{1}; },
                                       .name = "stand-in",
                                       .memory_limit = limit});
         }}};
}

INSTANTIATE_TEST_SUITE_P(All, DeviceContract, testing::ValuesIn(backends()), [](const auto& param) {
    return param.param.name;
});

TEST(TimedDevice, queued_operations_take_exactly_their_durations) {
    const StepProgram program = products(4);
    std::vector<SimTime> durations{SimTime{1'000'003}, SimTime{7}, milliseconds{2}, SimTime{999}};
    std::size_t next = 0;
    const auto device = make_timed_device(
        {.duration = [&](const ComputeOp&) { return durations.at(next++); }, .name = "exact"});
    device->prepare(program);
    // The first two may end before the third is submitted; behind 2 ms the queue is never empty.
    submit_all(*device, program);
    wait_for(*device, 4);
    for (Ticket ticket = 0; ticket < 4; ++ticket) {
        const Interval ran = device->interval(ticket);
        EXPECT_EQ(ran.end - ran.begin, durations.at(static_cast<std::size_t>(ticket)));
    }
    EXPECT_EQ(device->interval(3).begin, device->interval(2).end);
}

TEST(TimedDevice, a_queue_of_operations_ends_after_the_sum_of_their_durations) {
    const StepProgram program = products(1000);
    const auto device = make_timed_device(
        {.duration = [](const ComputeOp&) { return milliseconds{1}; }, .name = "exact"});
    device->prepare(program);
    submit_all(*device, program);  // takes less than 1 ms per operation
    EXPECT_EQ(device->submit(op_at(program, 0), task_of(program)), 1000);
    wait_for(*device, 100);
    SimTime sum{0};
    for (Ticket ticket = 0; ticket < 100; ++ticket) {
        sum += device->interval(ticket).end - device->interval(ticket).begin;
    }
    EXPECT_EQ(device->interval(99).end - device->interval(0).begin, sum);
}

TEST(TimedDevice, memory_takes_pages_only_where_written) {
    StepProgram program = products(1);
    program.extents.parameter = std::int64_t{1} << 36;  // 256 GiB of weights, as much of gradients
    const auto device = make_timed_device(
        {.duration = [](const ComputeOp&) { return milliseconds{1}; }, .name = "huge"});
    rusage before{};
    getrusage(RUSAGE_SELF, &before);
    device->prepare(program);
    const Slice last{
        .space = Space::parameter, .offset = (std::int64_t{1} << 36) - 8, .elements = 8};
    const auto bytes = device->memory(last, task_of(program));
    std::fill(bytes.begin(), bytes.end(), std::byte{1});
    rusage after{};
    getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 * 1024);  // KiB
}

TEST(CpuDevice, computes_while_the_submitting_thread_does_not) {
    const StepProgram program = products(200);
    const auto device =
        make_cpu_device({.cores = {allowed_cores().front()}, .threads = 1, .seed = 1});
    device->prepare(program);
    rusage before{};
    getrusage(RUSAGE_THREAD, &before);
    submit_all(*device, program);
    wait_for(*device, 200);
    rusage after{};
    getrusage(RUSAGE_THREAD, &after);
    const SimTime mine =
        seconds{after.ru_utime.tv_sec - before.ru_utime.tv_sec} +
        std::chrono::microseconds{after.ru_utime.tv_usec - before.ru_utime.tv_usec};
    EXPECT_LT(mine * 4, device->interval(199).end - device->interval(0).begin);
}

}  // namespace
}  // namespace traindyno::test
