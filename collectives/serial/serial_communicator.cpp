// SPDX-License-Identifier: Apache-2.0
#include "collectives/serial/serial_communicator.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "collectives/arguments.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

struct SerialCommunicator::Send {
    std::span<const std::byte> buffer;
    bool complete = false;
};

struct SerialCommunicator::Receive {
    std::span<std::byte> buffer;
    bool complete = false;
};

namespace {

/// One side of a message to oneself; complete once the other side was posted too.
template <class Side>
class SideOperation final : public Pending::Operation {
  public:
    explicit SideOperation(std::shared_ptr<const Side> side) : side_(std::move(side)) {}

    [[nodiscard]] bool advance() override { return side_->complete; }

  private:
    std::shared_ptr<const Side> side_;
};

template <class Side>
Pending pending_on(const std::shared_ptr<Side>& side) {
    if (side->complete) {
        return {};
    }
    return Pending{std::make_unique<SideOperation<Side>>(side)};
}

/// Takes the oldest operation that is still wanted, or null.
template <class Side>
std::shared_ptr<Side> take_first(std::deque<std::weak_ptr<Side>>& posted) {
    while (!posted.empty()) {
        std::shared_ptr<Side> first = posted.front().lock();
        posted.pop_front();
        if (first) {
            return first;
        }
    }
    return nullptr;
}

template <class Send, class Receive>
void deliver(Send& send, Receive& receive, Where where = Where::here()) {
    if (send.buffer.size() > receive.buffer.size()) {
        throw LibraryError(
            "serial communicator",
            1,
            fmt::format(
                "a message of {} bytes was cut to {}", send.buffer.size(), receive.buffer.size()),
            "recv",
            where);
    }
    std::copy(send.buffer.begin(), send.buffer.end(), receive.buffer.begin());
    send.complete = true;
    receive.complete = true;
}

Pending copied(std::span<const std::byte> in, std::span<std::byte> out, Placement placement) {
    if (placement == Placement::apart) {
        std::copy(in.begin(), in.end(), out.begin());
    }
    return {};
}

void expect_self(GroupRank peer, const char* call, Where where = Where::here()) {
    TD_EXPECT(peer.value() >= 0);
    if (peer != GroupRank{0}) {
        throw LibraryError("serial communicator",
                           1,
                           fmt::format("there is no rank {} in a group of one", peer.value()),
                           call,
                           where);
    }
}

void end_process(int exit_code, std::string_view reason) noexcept {
    std::fprintf(stderr, "traindyno: %.*s\n", static_cast<int>(reason.size()), reason.data());
    std::_Exit(exit_code);
}

}  // namespace

Pending SerialCommunicator::all_reduce(std::span<const std::byte> in,
                                       std::span<std::byte> out,
                                       DType type,
                                       Reduction /*reduction*/,
                                       Urgency /*urgency*/) {
    return copied(in, out, check_all_reduce(in, out, type));
}

Pending SerialCommunicator::reduce_scatter(std::span<const std::byte> in,
                                           std::span<std::byte> out,
                                           DType type,
                                           Reduction /*reduction*/,
                                           Urgency /*urgency*/) {
    return copied(in, out, check_reduce_scatter(in, out, type, *this));
}

Pending SerialCommunicator::all_gather(std::span<const std::byte> in,
                                       std::span<std::byte> out,
                                       Urgency /*urgency*/) {
    return copied(in, out, check_all_gather(in, out, *this));
}

Pending SerialCommunicator::all_to_all(std::span<const std::byte> in,
                                       std::span<std::byte> out,
                                       const Exchange& parts,
                                       Urgency /*urgency*/) {
    check_all_to_all(in, out, parts, *this);
    TD_EXPECT(in.size() == out.size());
    return copied(in, out, Placement::apart);
}

Pending SerialCommunicator::broadcast(std::span<std::byte> /*buffer*/,
                                      GroupRank root,
                                      Urgency /*urgency*/) {
    expect_self(root, "broadcast");
    return {};
}

Pending SerialCommunicator::send(std::span<const std::byte> buffer,
                                 GroupRank peer,
                                 std::int32_t tag) {
    expect_self(peer, "send");
    const auto send = std::make_shared<Send>(Send{.buffer = buffer});
    if (const std::shared_ptr<Receive> receive = take_first(receives_[tag])) {
        deliver(*send, *receive);
    } else {
        sends_[tag].push_back(send);
    }
    return pending_on(send);
}

Pending SerialCommunicator::recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) {
    expect_self(peer, "recv");
    const auto receive = std::make_shared<Receive>(Receive{.buffer = buffer});
    if (const std::shared_ptr<Send> send = take_first(sends_[tag])) {
        deliver(*send, *receive);
    } else {
        receives_[tag].push_back(receive);
    }
    return pending_on(receive);
}

std::unique_ptr<Communicator> SerialCommunicator::split(std::int32_t color, std::int32_t /*key*/) {
    TD_EXPECT(color >= 0);
    return std::make_unique<SerialCommunicator>(abort_job_);
}

void SerialCommunicator::abort(int exit_code, std::string_view reason) noexcept {
    abort_job_(exit_code, reason);
}

std::unique_ptr<Communicator> Communicator::serial() {
    return std::make_unique<SerialCommunicator>(&end_process);
}

}  // namespace traindyno
