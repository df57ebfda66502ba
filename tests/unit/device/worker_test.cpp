// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/worker.hpp"

#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/device/cpu/doorbell.hpp"

namespace traindyno {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

static_assert(!std::is_copy_constructible_v<Worker>);

TEST(Worker, runs_operations_in_submission_order_on_one_other_thread) {
    std::vector<const ComputeOp*> ran;
    std::thread::id thread;
    Worker worker([&](const ComputeOp& op, const Task&) {
        ran.push_back(&op);
        thread = std::this_thread::get_id();
    });
    const std::vector<ComputeOp> ops(100);
    const Task task;
    for (const ComputeOp& op : ops) {
        (void)worker.submit(op, task);
    }
    worker.wait(99, now() + seconds{60});
    ASSERT_EQ(worker.completed(), 100);
    for (std::size_t i = 0; i < ops.size(); ++i) {
        EXPECT_EQ(ran[i], &ops[i]);
    }
    EXPECT_NE(thread, std::this_thread::get_id());
}

TEST(Worker, takes_more_operations_than_its_queue_holds) {
    std::int64_t count = 0;
    Worker worker([&](const ComputeOp&, const Task&) { ++count; });
    const ComputeOp op;
    const Task task;
    const Ticket total = Worker::capacity * 2 + 5;
    for (Ticket i = 0; i < total; ++i) {
        EXPECT_EQ(worker.submit(op, task), i);
    }
    while (worker.completed() < total) {
        worker.wait(total - 1, now() + seconds{60});
    }
    EXPECT_EQ(count, total);
}

TEST(Worker, hands_failures_to_the_submitter_and_stops) {
    int count = 0;
    Worker worker([&](const ComputeOp&, const Task&) {
        if (++count == 2) {
            throw std::runtime_error("second");
        }
    });
    const ComputeOp op;
    const Task task;
    const auto run_three = [&] {
        for (int i = 0; i < 3; ++i) {
            (void)worker.submit(op, task);
        }
        worker.wait(2, now() + seconds{60});
    };
    EXPECT_THROW(run_three(), std::runtime_error);
    EXPECT_THROW((void)worker.completed(), std::runtime_error);
    EXPECT_EQ(count, 2);
}

TEST(Worker, calls_return_after_the_action_and_pass_on_what_it_throws) {
    Worker worker([](const ComputeOp&, const Task&) {});
    std::thread::id thread;
    worker.call([&] { thread = std::this_thread::get_id(); });
    EXPECT_NE(thread, std::thread::id{});
    EXPECT_NE(thread, std::this_thread::get_id());
    EXPECT_THROW(worker.call([] { throw std::runtime_error("inside"); }), std::runtime_error);
    worker.call([] {});  // and goes on
}

TEST(Worker, ends_with_operations_still_queued) {
    std::atomic<int> count{0};
    const std::vector<ComputeOp> ops(1000);
    const Task task;
    {
        Worker worker([&](const ComputeOp&, const Task&) {
            ++count;
            std::this_thread::yield();
        });
        for (const ComputeOp& op : ops) {
            (void)worker.submit(op, task);
        }
    }
    EXPECT_LE(count, 1000);
}

TEST(Doorbell, sleeping_ends_at_the_deadline) {
    Doorbell bell;
    const SimTime deadline = now() + milliseconds{10};
    while (now() < deadline) {
        bell.sleep(bell.rings(), deadline);
    }
    EXPECT_EQ(bell.rings(), 0U);
}

TEST(Doorbell, no_ring_is_lost_between_looking_and_sleeping) {
    Doorbell bell;
    const std::uint32_t seen = bell.rings();
    bell.ring();
    const SimTime deadline = now() + seconds{60};
    bell.sleep(seen, deadline);
    EXPECT_LT(now(), deadline);
}

TEST(Doorbell, wakes_a_sleeper) {
    Doorbell bell;
    std::thread ringer([&] { bell.ring(); });
    const SimTime deadline = now() + seconds{60};
    while (bell.rings() == 0) {
        bell.sleep(0, deadline);
    }
    EXPECT_LT(now(), deadline);
    ringer.join();
}

}  // namespace
}  // namespace traindyno
