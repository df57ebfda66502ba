// SPDX-License-Identifier: Apache-2.0
// The arithmetic of clock synchronisation on made-up clocks; the messages are in tests/mpi.
#include "emulator/trace/clock_sync.hpp"

#include <chrono>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

/// A clock that showed `offset` more than the common one at its zero, and gains `ppm` on it.
struct MadeUpClock {
    SimTime offset{0};
    std::int64_t ppm = 0;

    [[nodiscard]] SimTime at(SimTime common) const {
        return common + offset + common / 1'000'000 * ppm;
    }

    /// A round trip that starts at `asked` and takes `there` and `back`.
    [[nodiscard]] Ping ping(SimTime asked, SimTime there, SimTime back) const {
        return {.asked = asked, .answered = at(asked + there), .heard = asked + there + back};
    }
};

SimTime distance(SimTime a, SimTime b) {
    return std::chrono::abs(a - b);
}

TEST(ReadClock, is_exact_when_both_ways_take_equally_long) {
    const MadeUpClock clock{.offset = seconds{-3600}};
    const std::vector<Ping> pings{clock.ping(seconds{5}, microseconds{10}, microseconds{10})};
    const ClockReading reading = read_clock(pings);
    EXPECT_EQ(reading.method, ClockMethod::ping_pong);
    EXPECT_EQ(reading.offset, SimTime{seconds{-3600}});
    EXPECT_EQ(reading.at, SimTime{seconds{5}} + microseconds{10});
    EXPECT_EQ(reading.error, SimTime{microseconds{10}} + SimTime{1});
}

TEST(ReadClock, trusts_the_fastest_round_trip) {
    const MadeUpClock clock{.offset = hours{24}};
    const std::vector<Ping> pings{
        clock.ping(seconds{1}, microseconds{900}, microseconds{10}),  // the other side woke up
        clock.ping(seconds{2}, microseconds{6}, microseconds{6}),
        clock.ping(seconds{3}, microseconds{5}, microseconds{300}),
    };
    const ClockReading reading = read_clock(pings);
    EXPECT_EQ(reading.offset, SimTime{hours{24}});
    EXPECT_EQ(reading.error, SimTime{microseconds{6}} + SimTime{1});
}

TEST(ReadClock, is_wrong_by_its_error_at_most) {
    const MadeUpClock clock{.offset = seconds{77}};
    for (const SimTime there : {SimTime{0}, SimTime{microseconds{3}}, SimTime{microseconds{19}}}) {
        const std::vector<Ping> pings{
            clock.ping(seconds{1}, there, SimTime{microseconds{20}} - there)};
        const ClockReading reading = read_clock(pings);
        EXPECT_LE(distance(reading.offset, clock.offset), reading.error);
    }
}

TEST(ReadClock, needs_a_ping) {
    EXPECT_THROW((void)read_clock({}), ContractError);
}

TEST(ClockSync, leaves_a_shared_clock_alone) {
    const ClockSync sync;
    EXPECT_EQ(sync.method(), ClockMethod::shared);
    EXPECT_EQ(sync.to_common(seconds{12}), SimTime{seconds{12}});
    EXPECT_EQ(sync.error(), SimTime{0});
    const ClockSync same(ClockReading{}, ClockReading{});
    EXPECT_EQ(same.to_common(seconds{12}), SimTime{seconds{12}});
}

TEST(ClockSync, takes_the_offset_away) {
    const MadeUpClock clock{.offset = seconds{-50}};
    const ClockSync sync{
        read_clock(std::vector{clock.ping(seconds{1}, microseconds{4}, microseconds{4})})};
    EXPECT_EQ(sync.to_common(clock.at(seconds{100})), SimTime{seconds{100}});
    EXPECT_EQ(sync.drift(), 0.0);
}

TEST(ClockSync, follows_a_clock_that_drifts) {
    for (const std::int64_t ppm : {-100, -1, 20, 500}) {
        const MadeUpClock clock{.offset = hours{-700}, .ppm = ppm};
        const auto read_at = [&](SimTime common) {
            return read_clock(std::vector{clock.ping(common, microseconds{8}, microseconds{8})});
        };
        const ClockSync sync{read_at(seconds{10}), read_at(hours{2})};
        // Gained per second of the drifting clock itself, not of the common one.
        const double gain = static_cast<double>(ppm) * 1e-6;
        EXPECT_NEAR(sync.drift(), gain / (1 + gain), 1e-12) << ppm;
        for (const SimTime common : {SimTime{seconds{10}}, SimTime{hours{1}}, SimTime{hours{2}}}) {
            // One ppm of the round trip and the clock's own resolution are all that is left.
            EXPECT_LE(distance(sync.to_common(clock.at(common)), common), SimTime{nanoseconds{10}})
                << ppm;
        }
        EXPECT_LE(sync.error(), SimTime{microseconds{9}});
    }
}

TEST(ClockSync, is_as_good_as_the_worse_of_its_two_readings) {
    const MadeUpClock clock{.offset = seconds{1}};
    const ClockReading good =
        read_clock(std::vector{clock.ping(seconds{1}, microseconds{2}, microseconds{2})});
    const ClockReading bad =
        read_clock(std::vector{clock.ping(seconds{9}, microseconds{30}, microseconds{30})});
    const ClockReading good_again =
        read_clock(std::vector{clock.ping(seconds{20}, microseconds{1}, microseconds{1})});
    EXPECT_EQ((ClockSync{good, bad}.error()), bad.error);
    EXPECT_EQ((ClockSync{bad, good_again}.error()), bad.error);
}

TEST(ClockName, is_the_same_for_every_reader_of_one_clock) {
    EXPECT_EQ(clock_name(), clock_name());
    EXPECT_GT(clock_name().size(), 1U);
}

TEST(Synchronize, needs_no_messages_when_alone) {
    const std::unique_ptr<Communicator> self = Communicator::serial();
    const ClockReading reading = synchronize(*self, [] { return SimTime{seconds{3}}; });
    EXPECT_EQ(reading, ClockReading{});
}

}  // namespace

}  // namespace traindyno
