// SPDX-License-Identifier: Apache-2.0
// What parked ranks cost, and how long a wait lasts.
#include "collectives/patient_wait.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

std::int64_t cpu_microseconds() {
    rusage usage{};
    EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    return 1'000'000 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

std::span<std::byte> bytes(std::array<std::int64_t, 1>& value) {
    return std::as_writable_bytes(std::span{value});
}

TEST(PatientWait, parked_ranks_burn_less_than_two_percent_of_a_core_in_total) {
    const std::unique_ptr<Communicator> world = session().world();
    barrier(*world, Urgency::immediate);
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t cpu_before = cpu_microseconds();
    // Rank 0 stands for those that measure; all others are parked until it says so.
    if (world->rank() == GroupRank{0}) {
        std::this_thread::sleep_for(std::chrono::milliseconds{1500});
    }
    std::array<std::int64_t, 1> word{world->rank() == GroupRank{0} ? 42 : 0};
    Pending told = world->broadcast(bytes(word), GroupRank{0}, Urgency::background);
    wait_patiently(told);
    const std::int64_t cpu_here = cpu_microseconds() - cpu_before;
    std::array<std::int64_t, 1> cpu{world->rank() == GroupRank{0} ? 0 : cpu_here};
    const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - start);
    EXPECT_EQ(word.front(), 42);
    Pending summed =
        world->all_reduce(bytes(cpu), bytes(cpu), DType::int64, Reduction::sum, Urgency::immediate);
    EXPECT_TRUE(summed.done());
    EXPECT_LT(static_cast<double>(cpu.front()), 0.02 * static_cast<double>(wall.count()));
}

TEST(PatientWait, a_wait_past_its_timeout_is_a_hang) {
    const std::unique_ptr<Communicator> world = session().world();
    std::array<std::int64_t, 1> word{};
    const auto next = (world->rank().value() + 1) % world->size();
    const auto previous = (world->rank().value() + world->size() - 1) % world->size();
    Pending never_yet = world->recv(bytes(word), GroupRank{previous}, 3);
    EXPECT_THROW(wait_patiently(never_yet, {.timeout = std::chrono::milliseconds{30}}), HangError);
    barrier(*world, Urgency::background);
    std::array<std::int64_t, 1> sent{7};
    Pending sending = world->send(bytes(sent), GroupRank{next}, 3);
    wait_patiently(sending);
    wait_patiently(never_yet);
    EXPECT_EQ(word.front(), 7);
}

}  // namespace

}  // namespace traindyno::test
