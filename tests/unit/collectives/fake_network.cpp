// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/collectives/fake_network.hpp"

#include <algorithm>
#include <utility>

#include "emulator/base/error.hpp"

namespace traindyno::test {

/// One message; whichever end was posted first waits in the channel.
struct FakeNetwork::Transfer {
    std::span<const std::byte> from;
    std::span<std::byte> into;
    bool met = false;
    bool delivered = false;
    std::uint32_t looks = 0;  ///< left until it is delivered

    [[nodiscard]] bool look() {
        if (met && !delivered && looks-- == 0) {
            TD_EXPECT(from.size() == into.size());
            std::copy(from.begin(), from.end(), into.begin());
            delivered = true;
        }
        return delivered;
    }
};

class FakeNetwork::Operation final : public Pending::Operation {
  public:
    explicit Operation(std::shared_ptr<Transfer> transfer) : transfer_(std::move(transfer)) {}

    [[nodiscard]] bool advance() override { return transfer_->look(); }

  private:
    std::shared_ptr<Transfer> transfer_;
};

Pending FakeNetwork::send(const Key& key, std::span<const std::byte> buffer) {
    Channel& channel = channels_[key];
    ++messages_;
    std::shared_ptr<Transfer> transfer;
    if (channel.receives.empty()) {
        transfer = std::make_shared<Transfer>();
        channel.sends.push_back(transfer);
    } else {
        transfer = channel.receives.front();
        channel.receives.pop_front();
        transfer->met = true;
    }
    transfer->from = buffer;
    transfer->looks = static_cast<std::uint32_t>(random_() % 4);
    return Pending{std::make_unique<Operation>(transfer)};
}

Pending FakeNetwork::receive(const Key& key, std::span<std::byte> buffer) {
    Channel& channel = channels_[key];
    std::shared_ptr<Transfer> transfer;
    if (channel.sends.empty()) {
        transfer = std::make_shared<Transfer>();
        channel.receives.push_back(transfer);
    } else {
        transfer = channel.sends.front();
        channel.sends.pop_front();
        transfer->met = true;
    }
    transfer->into = buffer;
    return Pending{std::make_unique<Operation>(transfer)};
}

class FakeCommunicator final : public Communicator {
  public:
    FakeCommunicator(std::shared_ptr<FakeNetwork> network,
                     std::string group,
                     std::int64_t rank,
                     std::int64_t size)
        : network_(std::move(network)), group_(std::move(group)), rank_(rank), size_(size) {}

    [[nodiscard]] GroupRank rank() const override { return GroupRank{rank_}; }

    [[nodiscard]] std::int64_t size() const override { return size_; }

    Pending all_reduce(std::span<const std::byte> /*in*/,
                       std::span<std::byte> /*out*/,
                       DType /*type*/,
                       Reduction /*reduction*/,
                       Urgency /*urgency*/) override {
        return no_collectives();
    }

    Pending reduce_scatter(std::span<const std::byte> /*in*/,
                           std::span<std::byte> /*out*/,
                           DType /*type*/,
                           Reduction /*reduction*/,
                           Urgency /*urgency*/) override {
        return no_collectives();
    }

    Pending all_gather(std::span<const std::byte> /*in*/,
                       std::span<std::byte> /*out*/,
                       Urgency /*urgency*/) override {
        return no_collectives();
    }

    Pending all_to_all(std::span<const std::byte> /*in*/,
                       std::span<std::byte> /*out*/,
                       const Exchange& /*parts*/,
                       Urgency /*urgency*/) override {
        return no_collectives();
    }

    Pending broadcast(std::span<std::byte> /*buffer*/,
                      GroupRank /*root*/,
                      Urgency /*urgency*/) override {
        return no_collectives();
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return network_->send({group_, rank_, peer.value(), tag}, buffer);
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        return network_->receive({group_, peer.value(), rank_, tag}, buffer);
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override {
        TD_EXPECT(color == 0 && key == rank_);
        return std::make_unique<FakeCommunicator>(
            network_, group_ + "." + std::to_string(splits_++), rank_, size_);
    }

    void abort(int /*exit_code*/, std::string_view /*reason*/) noexcept override {}

  private:
    static Pending no_collectives() {
        TD_EXPECT(!"plans are made of messages");
        return {};
    }

    std::shared_ptr<FakeNetwork> network_;
    std::string group_;
    std::int64_t rank_;
    std::int64_t size_;
    int splits_ = 0;
};

std::vector<std::unique_ptr<Communicator>> FakeNetwork::ranks(std::int64_t count) {
    std::vector<std::unique_ptr<Communicator>> all;
    for (std::int64_t rank = 0; rank < count; ++rank) {
        all.push_back(std::make_unique<FakeCommunicator>(shared_from_this(), "world", rank, count));
    }
    return all;
}

}  // namespace traindyno::test
