// SPDX-License-Identifier: Apache-2.0
// The memory that ranks of a host share, and what happens when one of them does not come.
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collectives/control.hpp"
#include "collectives/patient_wait.hpp"
#include "collectives/shm/shm_communicator.hpp"
#include "emulator/base/error.hpp"
#include "tests/contract/communicator_contract.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

TEST(SharedHeap, gets_its_memory_back) {
    const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*session().world());
    // Many more bytes in turn than the segment holds, and always zeros.
    for (int i = 0; i < 200; ++i) {
        constexpr std::size_t bytes = std::size_t{1} << 30;
        const std::shared_ptr<std::byte> block = heap->lend(bytes);
        ASSERT_NE(block, nullptr) << i;
        EXPECT_EQ(block.get()[bytes / 2], std::byte{0});
        block.get()[bytes / 2] = std::byte{1};
    }
}

TEST(SharedHeap, lends_nothing_when_it_is_full) {
    const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*session().world());
    EXPECT_EQ(heap->lend(std::size_t{1} << 50), nullptr);
    EXPECT_NE(heap->lend(1), nullptr);
}

TEST(SharedHeap, finds_its_own_memory_and_no_other) {
    const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*session().world());
    const std::shared_ptr<std::byte> block = heap->lend(100);
    const std::span<std::byte> buffer{block.get(), 100};
    ASSERT_TRUE(heap->find(buffer).has_value());
    EXPECT_EQ(heap->at(heap->self(), *heap->find(buffer.subspan(7))), block.get() + 7);
    std::vector<std::byte> ordinary(100);
    EXPECT_FALSE(heap->find(ordinary).has_value());
}

TEST(SharedHeap, shows_peers_what_is_written) {
    const std::unique_ptr<Communicator> world = session().world();
    const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*world);
    const std::shared_ptr<std::byte> block = heap->lend(1);
    *block = static_cast<std::byte>(world->rank().value() + 1);
    std::vector<std::int64_t> mine{*heap->find({block.get(), 1})};
    std::vector<std::int64_t> all(static_cast<std::size_t>(world->size()));
    finish(world->all_gather(bytes(mine), bytes(all), Urgency::immediate));
    for (std::int64_t peer = 0; peer < world->size(); ++peer) {
        EXPECT_EQ(*heap->at(peer, all[static_cast<std::size_t>(peer)]),
                  static_cast<std::byte>(peer + 1));
    }
    barrier(*world, Urgency::immediate);  // peers read until here
}

TEST(SharedHeap, keeps_what_it_moves_into_huge_pages) {
    const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*session().world());
    constexpr std::size_t bytes = 3 * huge_page_bytes + 100;
    const std::shared_ptr<std::byte> block = heap->lend(bytes);
    const std::span<std::byte> buffer{block.get(), bytes};
    for (std::size_t i = 0; i < bytes; i += 1000) {
        buffer[i] = static_cast<std::byte>(i % 251);
    }
    for (int use = 0; use < 3; ++use) {
        heap->use(*heap->find(buffer), bytes);
        heap->use(*heap->find(buffer) + 1'000'000, 10);  // a part of it, over no page's end
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < bytes; ++i) {
            const auto expected = static_cast<std::byte>(i % 1000 == 0 ? i % 251 : 0);
            wrong += buffer[i] == expected ? 0U : 1U;
        }
        EXPECT_EQ(wrong, 0U) << use;
    }
}

TEST(ShmGroups, may_come_and_go_for_ever) {
    // Each takes more than 1 MiB of the heap: kept for good, they would fill it.
    const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*session().world());
    const std::unique_ptr<Communicator> all = make_shm_communicator(session().world(), heap);
    const std::shared_ptr<std::byte> before = heap->lend(1);
    const std::int64_t first = *heap->find({before.get(), 1});
    for (int i = 0; i < 20; ++i) {
        const std::unique_ptr<Communicator> part = all->split(0, 0);
        barrier(*part, Urgency::immediate);
    }
    barrier(*session().world(), Urgency::immediate);  // all have left the last one
    const std::shared_ptr<std::byte> after = heap->lend(1);
    EXPECT_LT(*heap->find({after.get(), 1}) - first, std::int64_t{20} << 20);
}

/// What `wait` throws while the last rank is missing. That one comes when all have given up.
template <class Wait>
void expect_the_last_rank_named(Communicator& group, Wait&& wait) {
    const std::unique_ptr<Communicator> world = session().world();
    if (group.rank().value() < group.size() - 1) {
        try {
            wait();
            ADD_FAILURE() << "complete without the last rank";
        } catch (const HangError& error) {
            EXPECT_NE(std::string{error.what()}.find(fmt::format("rank {}", group.size() - 1)),
                      std::string::npos)
                << error.what();
        }
    }
    barrier(*world, Urgency::background);
}

TEST(ShmDeadline, names_who_is_missing_in_a_patient_wait) {
    const std::unique_ptr<Communicator> all =
        make_shm_communicator(session().world(), SharedHeap::create(*session().world()));
    if (all->size() == 1) {
        GTEST_SKIP() << "there is nobody to wait for";
    }
    std::vector<float> buffer(10, 1.0F);
    const auto reduce = [&] {
        return all->all_reduce(
            bytes(buffer), bytes(buffer), DType::fp32, Reduction::sum, Urgency::background);
    };
    Pending pending;
    expect_the_last_rank_named(*all, [&] {
        pending = reduce();
        wait_patiently(pending, {.timeout = std::chrono::milliseconds{50}});
    });
    if (all->rank().value() == all->size() - 1) {
        pending = reduce();
    }
    finish(pending);  // nothing is lost by waiting in vain
    EXPECT_EQ(buffer.front(), static_cast<float>(all->size()));
}

TEST(ShmDeadline, names_who_is_missing_in_an_immediate_call) {
    const std::unique_ptr<Communicator> all =
        make_shm_communicator(session().world(),
                              SharedHeap::create(*session().world()),
                              {.timeout = std::chrono::milliseconds{50}});
    if (all->size() == 1) {
        GTEST_SKIP() << "there is nobody to wait for";
    }
    expect_the_last_rank_named(*all, [&] { barrier(*all, Urgency::immediate); });
}

}  // namespace

}  // namespace traindyno::test
