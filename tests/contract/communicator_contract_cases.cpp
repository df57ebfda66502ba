// SPDX-License-Identifier: Apache-2.0
// What every communicator must do, whatever carries it: messages, splits, operations in flight,
// mistakes. Collectives: collective_contract_cases.cpp.
#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"
#include "tests/contract/communicator_contract.hpp"
#include "tests/contract/contract_values.hpp"

namespace traindyno::test {

namespace {

TEST_P(CommunicatorContract, messages_round_a_ring_meet) {
    constexpr std::int32_t messages = 5;
    for (const std::int64_t count : element_counts) {
        std::vector<std::vector<std::int64_t>> sent;
        sent.reserve(messages);
        std::vector<std::vector<std::int64_t>> received(
            messages, std::vector<std::int64_t>(static_cast<std::size_t>(count)));
        std::vector<Pending> pending;
        for (std::int32_t tag = 0; tag < messages; ++tag) {
            sent.push_back(values<std::int64_t>(count, 10 * rank() + tag + 1));
        }
        for (std::int32_t i = 0; i < messages; ++i) {
            const std::int32_t tag = GetParam().matching == Matching::by_tag ? messages - 1 - i : i;
            pending.push_back(
                group().recv(bytes(received[static_cast<std::size_t>(tag)]), previous(), tag));
        }
        for (std::int32_t tag = 0; tag < messages; ++tag) {
            pending.push_back(
                group().send(bytes(sent[static_cast<std::size_t>(tag)]), next(), tag));
        }
        for (Pending& one : pending) {
            finish(one);
        }
        for (std::int32_t tag = 0; tag < messages; ++tag) {
            EXPECT_EQ(differences(received[static_cast<std::size_t>(tag)],
                                  values<std::int64_t>(count, 10 * previous().value() + tag + 1)),
                      0)
                << "tag " << tag << " x " << count;
        }
    }
}

TEST_P(CommunicatorContract, messages_of_one_tag_keep_their_order) {
    std::vector<std::int64_t> sent{1, 2, 3};
    std::vector<std::int64_t> received(3);
    std::vector<Pending> pending;
    for (std::size_t i = 0; i < sent.size(); ++i) {
        pending.push_back(group().send(std::as_bytes(std::span{sent}.subspan(i, 1)), next(), 4));
    }
    for (std::size_t i = 0; i < sent.size(); ++i) {
        pending.push_back(
            group().recv(std::as_writable_bytes(std::span{received}.subspan(i, 1)), previous(), 4));
    }
    for (Pending& one : pending) {
        finish(one);
    }
    EXPECT_EQ(received, sent);
}

TEST_P(CommunicatorContract, many_operations_complete_in_any_order) {
    const std::unique_ptr<Communicator> same = group().split(0, static_cast<std::int32_t>(rank()));
    const std::unique_ptr<Communicator> reversed =
        group().split(0, static_cast<std::int32_t>(size() - rank()));
    constexpr std::int64_t rounds = 4;
    constexpr std::int64_t count = 20'000;
    std::vector<std::vector<float>> buffers;
    for (std::int64_t i = 0; i < 3 * rounds; ++i) {
        buffers.push_back(values<float>(count, (rank() + 1) * (i + 1)));
    }
    std::vector<Pending> pending;
    for (std::size_t round = 0; round < rounds; ++round) {
        std::size_t buffer = 3 * round;
        for (Communicator* const each : {&group(), same.get(), reversed.get()}) {
            pending.push_back(each->all_reduce(bytes(buffers[buffer]),
                                               bytes(buffers[buffer]),
                                               DType::fp32,
                                               Reduction::sum,
                                               Urgency::background));
            ++buffer;
        }
    }
    // Ranks wait in opposite orders; no wait may need another to be waited for first.
    if (rank() % 2 == 0) {
        std::reverse(pending.begin(), pending.end());
    }
    for (Pending& one : pending) {
        finish(one);
    }
    for (std::size_t i = 0; i < buffers.size(); ++i) {
        const std::int64_t scale = triangle(size()) * (static_cast<std::int64_t>(i) + 1);
        EXPECT_EQ(differences(buffers[i], values<float>(count, scale)), 0) << i;
    }
}

TEST_P(CommunicatorContract, background_work_completes_by_asking_now_and_then) {
    std::vector<float> buffer = values<float>(1 << 20, rank() + 1);
    Pending pending = group().all_reduce(
        bytes(buffer), bytes(buffer), DType::fp32, Reduction::sum, Urgency::background);
    while (!pending.done()) {
        std::this_thread::sleep_for(std::chrono::microseconds{200});
    }
    EXPECT_EQ(differences(buffer, values<float>(1 << 20, triangle(size()))), 0);
}

TEST_P(CommunicatorContract, split_groups_by_color_and_orders_by_key) {
    const auto color = static_cast<std::int32_t>(rank() % 2);
    const std::unique_ptr<Communicator> half =
        group().split(color, static_cast<std::int32_t>(-rank()));
    const std::int64_t members = color == 0 ? (size() + 1) / 2 : size() / 2;
    EXPECT_EQ(half->size(), members);
    EXPECT_EQ(half->rank().value(), members - 1 - rank() / 2);
    std::vector<std::int64_t> in{rank()};
    std::vector<std::int64_t> out(static_cast<std::size_t>(half->size()));
    finish(half->all_gather(bytes(in), bytes(out), Urgency::immediate));
    for (std::int64_t i = 0; i < half->size(); ++i) {
        EXPECT_EQ(out[static_cast<std::size_t>(i)], 2 * (members - 1 - i) + color);
    }
}

TEST_P(CommunicatorContract, a_moved_from_pending_is_complete) {
    std::vector<std::int64_t> received(1);
    std::vector<std::int64_t> sent{rank()};
    Pending first = group().recv(bytes(received), previous(), 1);
    Pending second = std::move(first);
    // NOLINTNEXTLINE(bugprone-use-after-move): what a moved-from object does is the subject
    EXPECT_TRUE(first.done());
    EXPECT_FALSE(second.done());  // nobody has sent yet: the neighbour is behind the barrier
    barrier(group(), Urgency::immediate);
    finish(group().send(bytes(sent), next(), 1));
    finish(second);
    EXPECT_TRUE(second.done());
    EXPECT_EQ(received.front(), previous().value());
}

TEST_P(CommunicatorContract, a_destroyed_pending_has_finished_with_its_buffer) {
    std::vector<float> buffer = values<float>(100'000, rank() + 1);
    {
        const Pending dropped = group().all_reduce(
            bytes(buffer), bytes(buffer), DType::fp32, Reduction::sum, Urgency::background);
    }
    EXPECT_EQ(differences(buffer, values<float>(100'000, triangle(size()))), 0);
}

TEST_P(CommunicatorContract, a_peer_outside_the_group_is_an_error_not_the_end) {
    std::vector<std::int64_t> buffer(1);
    EXPECT_THROW(finish(group().send(bytes(buffer), GroupRank{size()}, 0)), LibraryError);
    EXPECT_THROW(finish(group().recv(bytes(buffer), GroupRank{size()}, 0)), LibraryError);
    EXPECT_THROW(finish(group().broadcast(bytes(buffer), GroupRank{size()}, Urgency::immediate)),
                 LibraryError);
    barrier(group(), Urgency::immediate);
}

TEST_P(CommunicatorContract, a_message_too_long_for_its_buffer_is_an_error_not_the_end) {
    if (GetParam().matching == Matching::in_order) {
        GTEST_SKIP() << "a library without tags does not compare lengths either";
    }
    std::vector<std::int64_t> sent{1, 2};
    std::vector<std::int64_t> received(1);
    const auto exchange = [&] {
        Pending receive = group().recv(bytes(received), previous(), 2);
        finish(group().send(bytes(sent), next(), 2));
        finish(receive);
    };
    EXPECT_THROW(exchange(), LibraryError);
    barrier(group(), Urgency::immediate);
}

TEST_P(CommunicatorContract, sizes_that_do_not_fit_together_are_our_bug) {
    std::vector<float> in(3);
    std::vector<float> out(4 * static_cast<std::size_t>(size()));
    constexpr Urgency urgency = Urgency::immediate;
    EXPECT_THROW(finish(group().all_gather(bytes(in), bytes(out), urgency)), ContractError);
    EXPECT_THROW(finish(group().all_to_all(bytes(in), bytes(out), {}, urgency)), ContractError);
    EXPECT_THROW(
        finish(group().reduce_scatter(bytes(in), bytes(out), DType::fp32, Reduction::sum, urgency)),
        ContractError);
    EXPECT_THROW(
        finish(group().all_reduce(bytes(in), bytes(out), DType::fp32, Reduction::sum, urgency)),
        ContractError);
    const std::span<std::byte> uneven = bytes(in).first(3);
    EXPECT_THROW(finish(group().all_reduce(uneven, uneven, DType::fp32, Reduction::sum, urgency)),
                 ContractError);
    const std::vector<std::int64_t> sizes(static_cast<std::size_t>(size() - 1), 4);
    EXPECT_THROW(finish(group().all_to_all(
                     bytes(in), bytes(out), {.sent = sizes, .received = sizes}, urgency)),
                 ContractError);
}

TEST_P(CommunicatorContract, buffers_that_overlap_otherwise_are_our_bug) {
    std::vector<float> buffer(2 * static_cast<std::size_t>(size()) + 1);
    const std::size_t length = bytes(buffer).size() - sizeof(float);
    EXPECT_THROW(finish(group().all_reduce(bytes(buffer).first(length),
                                           bytes(buffer).last(length),
                                           DType::fp32,
                                           Reduction::sum,
                                           Urgency::immediate)),
                 ContractError);
    EXPECT_THROW(
        finish(group().all_to_all(
            bytes(buffer).first(length), bytes(buffer).first(length), {}, Urgency::immediate)),
        ContractError);
}

TEST_P(CommunicatorContract, texts_of_any_length_are_gathered_and_broadcast) {
    const auto text_of = [](std::int64_t member) {
        return std::string(static_cast<std::size_t>(1000 * member), 'a') + std::to_string(member);
    };
    std::vector<std::string> expected;
    for (std::int64_t member = 0; member < size(); ++member) {
        expected.push_back(text_of(member));
    }
    const GroupRank last{size() - 1};
    EXPECT_EQ(gather_text(group(), last, text_of(rank())),
              group().rank() == last ? expected : std::vector<std::string>{});
    EXPECT_EQ(all_gather_text(group(), text_of(rank())), expected);
    EXPECT_EQ(broadcast_text(group(), last, text_of(rank())), expected.back());
    EXPECT_EQ(all_gather_text(group(), ""), std::vector<std::string>(expected.size()));
}

}  // namespace

}  // namespace traindyno::test
