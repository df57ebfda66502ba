// SPDX-License-Identifier: Apache-2.0
// What only the group of one does; the rest is under contract (tests/contract).
#include "collectives/serial/serial_communicator.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <gtest/gtest.h>

#include "collectives/control.hpp"

namespace traindyno {

namespace {

using Word = std::array<std::int64_t, 1>;

std::span<std::byte> bytes(Word& word) {
    return std::as_writable_bytes(std::span{word});
}

TEST(SerialCommunicator, a_message_waits_for_its_receive) {
    const std::unique_ptr<Communicator> self = Communicator::serial();
    Word sent{5};
    Word received{};
    Pending send = self->send(bytes(sent), GroupRank{0}, 1);
    EXPECT_FALSE(send.done());
    Pending other_tag = self->recv(bytes(received), GroupRank{0}, 2);
    EXPECT_FALSE(send.done());
    EXPECT_FALSE(other_tag.done());
    Word wanted{};
    EXPECT_TRUE(self->recv(bytes(wanted), GroupRank{0}, 1).done());
    EXPECT_TRUE(send.done());
    EXPECT_EQ(wanted, sent);
    EXPECT_EQ(received, Word{});
}

TEST(SerialCommunicator, a_dropped_receive_gets_no_message) {
    const std::unique_ptr<Communicator> self = Communicator::serial();
    Word sent{5};
    Word dropped{};
    Word received{};
    { const Pending forgotten = self->recv(bytes(dropped), GroupRank{0}, 1); }
    Pending send = self->send(bytes(sent), GroupRank{0}, 1);
    EXPECT_FALSE(send.done());
    EXPECT_TRUE(self->recv(bytes(received), GroupRank{0}, 1).done());
    EXPECT_TRUE(send.done());
    EXPECT_EQ(received, sent);
    EXPECT_EQ(dropped, Word{});
}

TEST(SerialCommunicator, a_dropped_send_reaches_nobody) {
    const std::unique_ptr<Communicator> self = Communicator::serial();
    Word dropped{1};
    Word sent{2};
    Word received{};
    { const Pending forgotten = self->send(bytes(dropped), GroupRank{0}, 1); }
    Pending send = self->send(bytes(sent), GroupRank{0}, 1);
    EXPECT_TRUE(self->recv(bytes(received), GroupRank{0}, 1).done());
    EXPECT_EQ(received, sent);
}

TEST(SerialCommunicator, splits_and_barriers_need_no_one_else) {
    const std::unique_ptr<Communicator> self = Communicator::serial();
    const std::unique_ptr<Communicator> part = self->split(3, 9);
    EXPECT_EQ(part->size(), 1);
    EXPECT_EQ(part->rank(), GroupRank{0});
    barrier(*part, Urgency::background);
}

TEST(SerialCommunicatorDeathTest, abort_ends_the_process_with_its_code_and_reason) {
    EXPECT_EXIT(Communicator::serial()->abort(5, "gave up"),
                testing::ExitedWithCode(5),
                "traindyno: gave up");
}

}  // namespace

}  // namespace traindyno
