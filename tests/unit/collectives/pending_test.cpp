// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <memory>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include "collectives/communicator.hpp"
#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

static_assert(!std::is_copy_constructible_v<Pending> && !std::is_copy_assignable_v<Pending>);
static_assert(std::is_nothrow_move_constructible_v<Pending>);
static_assert(std::is_nothrow_destructible_v<Pending>);

/// Complete after it was asked `looks` times; counts how often it was destroyed.
class Countdown final : public Pending::Operation {
  public:
    Countdown(int looks, int& destroyed) : looks_(looks), destroyed_(&destroyed) {}

    ~Countdown() override { ++*destroyed_; }

    Countdown(const Countdown&) = delete;
    Countdown& operator=(const Countdown&) = delete;
    Countdown(Countdown&&) = delete;
    Countdown& operator=(Countdown&&) = delete;

    [[nodiscard]] bool advance() override { return --looks_ <= 0; }

  private:
    int looks_;
    int* destroyed_;
};

TEST(Pending, is_complete_when_there_is_nothing_to_wait_for) {
    EXPECT_TRUE(Pending{}.done());
}

TEST(Pending, gives_up_its_operation_as_soon_as_it_is_complete) {
    int destroyed = 0;
    Pending pending{std::make_unique<Countdown>(2, destroyed)};
    EXPECT_FALSE(pending.done());
    EXPECT_EQ(destroyed, 0);
    EXPECT_TRUE(pending.done());
    EXPECT_EQ(destroyed, 1);
    EXPECT_TRUE(pending.done());
}

TEST(Pending, moves_its_operation_along) {
    int destroyed = 0;
    Pending first{std::make_unique<Countdown>(2, destroyed)};
    Pending second{std::move(first)};
    // NOLINTNEXTLINE(bugprone-use-after-move): what a moved-from object does is the subject
    EXPECT_TRUE(first.done());
    EXPECT_FALSE(second.done());
    EXPECT_TRUE(second.done());
    EXPECT_EQ(destroyed, 1);
}

TEST(WaitPatiently, looks_until_the_operation_is_complete) {
    int destroyed = 0;
    Pending pending{std::make_unique<Countdown>(5, destroyed)};
    wait_patiently(pending, {.first_pause = std::chrono::nanoseconds{1}});
    EXPECT_EQ(destroyed, 1);
}

TEST(WaitPatiently, pauses_grow_from_the_first_to_the_longest) {
    int destroyed = 0;
    // Pauses of 1, 2, 4, 4, 4, 4 ms before the seventh look.
    Pending pending{std::make_unique<Countdown>(7, destroyed)};
    const auto start = std::chrono::steady_clock::now();
    wait_patiently(pending,
                   {.first_pause = std::chrono::milliseconds{1},
                    .longest_pause = std::chrono::milliseconds{4}});
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds{19});
}

TEST(WaitPatiently, past_its_timeout_is_a_hang) {
    int destroyed = 0;
    Pending pending{std::make_unique<Countdown>(1'000'000'000, destroyed)};
    EXPECT_THROW(wait_patiently(pending, {.timeout = std::chrono::milliseconds{5}}), HangError);
    EXPECT_EQ(destroyed, 0);
}

}  // namespace

}  // namespace traindyno
