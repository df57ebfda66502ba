// SPDX-License-Identifier: Apache-2.0
// What every communicator must do, whatever carries it.
#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"
#include "tests/contract/communicator_contract.hpp"

namespace traindyno::test {

namespace {

constexpr std::array<std::int64_t, 5> element_counts{0, 1, 17, 4096, 300'001};

template <class T>
struct TypeOf;

template <>
struct TypeOf<float> {
    static constexpr DType type = DType::fp32;
};

template <>
struct TypeOf<double> {
    static constexpr DType type = DType::fp64;
};

template <>
struct TypeOf<Bf16> {
    static constexpr DType type = DType::bf16;
};

template <>
struct TypeOf<Fp16> {
    static constexpr DType type = DType::fp16;
};

template <>
struct TypeOf<std::int64_t> {
    static constexpr DType type = DType::int64;
};

/// Calls `check(T{})` for the C++ type of every element type.
template <class Check>
void for_each_type(Check&& check) {
    check(float{});
    check(double{});
    check(Bf16{});
    check(Fp16{});
    check(std::int64_t{});
}

/// 1 + 2 + ... + n: what a sum of values scaled by rank + 1 comes to.
std::int64_t triangle(std::int64_t n) {
    return n * (n + 1) / 2;
}

TEST_P(CommunicatorContract, all_reduce_sums_in_place) {
    for_each_type([this]<class T>(T) {
        for (const std::int64_t count : element_counts) {
            for (const Urgency urgency : {Urgency::immediate, Urgency::background}) {
                std::vector<T> buffer = values<T>(count, rank() + 1);
                finish(group().all_reduce(bytes(buffer), TypeOf<T>::type, Reduction::sum, urgency));
                EXPECT_EQ(differences(buffer, values<T>(count, triangle(size()))), 0)
                    << to_string(TypeOf<T>::type) << " x " << count;
            }
        }
    });
}

TEST_P(CommunicatorContract, all_reduce_takes_the_maximum_in_place) {
    for_each_type([this]<class T>(T) {
        for (const std::int64_t count : element_counts) {
            for (const Urgency urgency : {Urgency::immediate, Urgency::background}) {
                // Negative, so that a forgotten member or a zero would show.
                std::vector<T> buffer = values<T>(count, -(rank() + 1));
                finish(group().all_reduce(bytes(buffer), TypeOf<T>::type, Reduction::max, urgency));
                EXPECT_EQ(differences(buffer, values<T>(count, -1)), 0)
                    << to_string(TypeOf<T>::type) << " x " << count;
            }
        }
    });
}

TEST_P(CommunicatorContract, bf16_sums_are_rounded_to_nearest_even) {
    // 256 + 3 = 259 lies between 258 and 260: a tie, and 260 has the even mantissa. The other
    // members add nothing, so the order of the sum does not matter.
    const std::int64_t mine = rank() == 0 ? 256 : rank() == 1 ? 3 : 0;
    std::vector<Bf16> buffer{element<Bf16>(mine)};
    finish(group().all_reduce(bytes(buffer), DType::bf16, Reduction::sum, Urgency::immediate));
    EXPECT_EQ(to_float(buffer.front()), size() == 1 ? 256.0F : 260.0F);
}

TEST_P(CommunicatorContract, reduce_scatter_leaves_each_member_its_part) {
    for_each_type([this]<class T>(T) {
        for (const std::int64_t count : element_counts) {
            std::vector<T> in = values<T>(count * size(), rank() + 1);
            std::vector<T> out(static_cast<std::size_t>(count));
            finish(group().reduce_scatter(bytes(in), bytes(out), TypeOf<T>::type, Reduction::sum));
            EXPECT_EQ(differences(out, values<T>(count, triangle(size()), rank() * count)), 0)
                << to_string(TypeOf<T>::type) << " x " << count;
        }
    });
}

TEST_P(CommunicatorContract, all_gather_puts_members_in_rank_order) {
    for (const std::int64_t count : element_counts) {
        std::vector<std::int64_t> in = values<std::int64_t>(count, 100, rank() * count);
        std::vector<std::int64_t> out(static_cast<std::size_t>(count * size()));
        finish(group().all_gather(bytes(in), bytes(out)));
        EXPECT_EQ(differences(out, values<std::int64_t>(count * size(), 100)), 0) << count;
    }
}

TEST_P(CommunicatorContract, all_to_all_transposes_parts) {
    for (const std::int64_t count : element_counts) {
        // Part p of member r holds 1000 r + p, so part r of member p must.
        std::vector<std::int64_t> in;
        std::vector<std::int64_t> expected;
        for (std::int64_t part = 0; part < size(); ++part) {
            in.insert(in.end(), static_cast<std::size_t>(count), 1000 * rank() + part);
            expected.insert(expected.end(), static_cast<std::size_t>(count), 1000 * part + rank());
        }
        std::vector<std::int64_t> out(in.size());
        finish(group().all_to_all(bytes(in), bytes(out)));
        EXPECT_EQ(differences(out, expected), 0) << count;
    }
}

TEST_P(CommunicatorContract, broadcast_works_from_every_root) {
    for (const std::int64_t count : element_counts) {
        for (std::int64_t root = 0; root < size(); ++root) {
            std::vector<std::int64_t> buffer = values<std::int64_t>(count, rank() + 1);
            finish(group().broadcast(bytes(buffer), GroupRank{root}));
            EXPECT_EQ(differences(buffer, values<std::int64_t>(count, root + 1)), 0)
                << count << " from " << root;
        }
    }
}

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
            pending.push_back(each->all_reduce(
                bytes(buffers[buffer++]), DType::fp32, Reduction::sum, Urgency::background));
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
    Pending pending =
        group().all_reduce(bytes(buffer), DType::fp32, Reduction::sum, Urgency::background);
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
    finish(half->all_gather(bytes(in), bytes(out)));
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
        const Pending dropped =
            group().all_reduce(bytes(buffer), DType::fp32, Reduction::sum, Urgency::background);
    }
    EXPECT_EQ(differences(buffer, values<float>(100'000, triangle(size()))), 0);
}

TEST_P(CommunicatorContract, a_peer_outside_the_group_is_an_error_not_the_end) {
    std::vector<std::int64_t> buffer(1);
    EXPECT_THROW(finish(group().send(bytes(buffer), GroupRank{size()}, 0)), LibraryError);
    EXPECT_THROW(finish(group().recv(bytes(buffer), GroupRank{size()}, 0)), LibraryError);
    EXPECT_THROW(finish(group().broadcast(bytes(buffer), GroupRank{size()})), LibraryError);
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
    EXPECT_THROW(finish(group().all_gather(bytes(in), bytes(out))), ContractError);
    EXPECT_THROW(finish(group().all_to_all(bytes(in), bytes(out))), ContractError);
    EXPECT_THROW(finish(group().reduce_scatter(bytes(in), bytes(out), DType::fp32, Reduction::sum)),
                 ContractError);
    EXPECT_THROW(finish(group().all_reduce(
                     bytes(in).first(3), DType::fp32, Reduction::sum, Urgency::immediate)),
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
