// SPDX-License-Identifier: Apache-2.0
// Clock synchronisation over real messages. All ranks here share one clock, so the truth is known.
#include "emulator/trace/clock_sync.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

SimTime steady() {
    return std::chrono::duration_cast<SimTime>(std::chrono::steady_clock::now().time_since_epoch());
}

SimTime distance(SimTime a, SimTime b) {
    return std::chrono::abs(a - b);
}

TEST(Synchronize, ranks_of_one_boot_share_their_clock) {
    const std::unique_ptr<Communicator> world = session().world();
    EXPECT_EQ(synchronize(*world, &steady), ClockReading{});
}

TEST(Synchronize, ping_pong_finds_no_offset_between_equal_clocks) {
    const std::unique_ptr<Communicator> world = session().world();
    const std::int64_t rank = world->rank().value();
    const ClockReading reading = synchronize(*world, &steady, std::to_string(rank));
    EXPECT_EQ(reading.method, rank == 0 ? ClockMethod::shared : ClockMethod::ping_pong);
    EXPECT_LE(distance(reading.offset, SimTime{0}), reading.error);
    EXPECT_EQ(reading.error == SimTime{0}, rank == 0);
}

TEST(Synchronize, ping_pong_finds_offset_and_drift_of_a_skewed_clock) {
    const std::unique_ptr<Communicator> world = session().world();
    const std::int64_t rank = world->rank().value();
    // Two "hosts": even ranks with rank 0's clock, odd ones a day ahead and 1 % fast.
    const SimTime origin = steady();
    const auto skewed = [origin, odd = rank % 2](SimTime time) {
        return odd == 0 ? time : time + std::chrono::hours{24} + (time - origin) / 100;
    };
    const ClockSource clock = [&] { return skewed(steady()); };
    const std::string name = rank % 2 == 0 ? "even" : "odd" + std::to_string(rank);
    const ClockReading before = synchronize(*world, clock, name);
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    const ClockReading after = synchronize(*world, clock, name);
    const ClockSync sync(before, after);
    const SimTime middle = (before.at + after.at) / 2;
    // The clock gains 1 % of the round trip while it is being read.
    EXPECT_LE(distance(sync.to_common(skewed(middle)), middle),
              sync.error() + sync.error() / 50 + SimTime{std::chrono::nanoseconds{1}});
    EXPECT_EQ(sync.error() == SimTime{0}, rank % 2 == 0);
}

TEST(Synchronize, one_rank_speaks_for_its_host) {
    const std::unique_ptr<Communicator> world = session().world();
    const bool first_host = world->rank() == GroupRank{0};
    const ClockReading reading = synchronize(*world, &steady, first_host ? "a" : "b");
    const std::unique_ptr<Communicator> host = world->split(first_host ? 0 : 1, 0);
    std::array<std::int64_t, 3> mine{
        reading.at.count(), reading.offset.count(), reading.error.count()};
    std::array<std::int64_t, 3> leaders = mine;
    Pending told = host->broadcast(
        std::as_writable_bytes(std::span{leaders}), GroupRank{0}, Urgency::background);
    while (!told.done()) {
    }
    EXPECT_EQ(mine, leaders);
}

}  // namespace

}  // namespace traindyno::test
