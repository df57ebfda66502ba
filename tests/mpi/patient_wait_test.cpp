// SPDX-License-Identifier: Apache-2.0
// What parked ranks cost, and how long a wait lasts.
#include "collectives/patient_wait.hpp"

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/units.hpp"
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

/// Complete once `inner` is; counts how often somebody looked.
class Counted : public Pending::Operation {
  public:
    Counted(Pending inner, std::int64_t& looks) : inner_(std::move(inner)), looks_(looks) {}

    bool advance() override {
        ++looks_;
        return inner_.done();
    }

  private:
    Pending inner_;
    std::int64_t& looks_;
};

TEST(PatientWait, parked_ranks_look_no_oftener_than_their_pauses_allow) {
    const std::unique_ptr<Communicator> world = session().world();
    barrier(*world, Urgency::immediate);
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t cpu_before = cpu_microseconds();
    // Rank 0 stands for those that measure; all others are parked until it says so.
    if (world->rank() == GroupRank{0}) {
        std::this_thread::sleep_for(std::chrono::milliseconds{1500});
    }
    std::array<std::int64_t, 1> word{world->rank() == GroupRank{0} ? 42 : 0};
    std::int64_t looks = 0;
    Pending told(std::make_unique<Counted>(
        world->broadcast(bytes(word), GroupRank{0}, Urgency::background), looks));
    wait_patiently(told);
    const auto wall = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(word.front(), 42);
    // Pauses double up to the longest: after these few there is one look in each of those.
    const Patience patience;
    const std::uint64_t ratio =
        static_cast<std::uint64_t>(patience.longest_pause / patience.first_pause);
    const auto doublings = static_cast<std::int64_t>(std::bit_width(ratio)) + 1;
    EXPECT_LE(looks, doublings + 1 + wall / patience.longest_pause);

    std::array<std::int64_t, 1> cpu{
        world->rank() == GroupRank{0} ? 0 : cpu_microseconds() - cpu_before};
    Pending summed =
        world->all_reduce(bytes(cpu), bytes(cpu), DType::int64, Reduction::sum, Urgency::immediate);
    ASSERT_TRUE(summed.done());
    if (world->rank() == GroupRank{0}) {
        std::cout << "parked ranks in total: "
                  << 100.0 * static_cast<double>(cpu.front()) / (1e6 * to_seconds(wall))
                  << " % of a core\n";
    }
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
