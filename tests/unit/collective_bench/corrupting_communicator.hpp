// SPDX-License-Identifier: Apache-2.0
// A communicator whose results are wrong in their last element.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "collectives/communicator.hpp"

namespace traindyno::test {

class CorruptingCommunicator final : public Communicator {
  public:
    explicit CorruptingCommunicator(std::unique_ptr<Communicator> inner)
        : inner_(std::move(inner)) {}

    [[nodiscard]] GroupRank rank() const override { return inner_->rank(); }

    [[nodiscard]] std::int64_t size() const override { return inner_->size(); }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override {
        return corrupted(inner_->all_reduce(in, out, type, reduction, urgency), out);
    }

    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override {
        return corrupted(inner_->reduce_scatter(in, out, type, reduction, urgency), out);
    }

    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override {
        return corrupted(inner_->all_gather(in, out, urgency), out);
    }

    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency urgency) override {
        return corrupted(inner_->all_to_all(in, out, parts, urgency), out);
    }

    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) override {
        return corrupted(inner_->broadcast(buffer, root, urgency), buffer);
    }

    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        Pending sent = inner_->send(buffer, peer, tag);
        return corrupted(std::move(sent), received_);
    }

    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override {
        received_ = buffer;
        return inner_->recv(buffer, peer, tag);
    }

    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override {
        return inner_->split(color, key);
    }

    void abort(int exit_code, std::string_view reason) noexcept override {
        inner_->abort(exit_code, reason);
    }

  private:
    /// What it wraps is complete at once.
    static Pending corrupted(Pending pending, std::span<std::byte> out) {
        out.back() ^= std::byte{0x40};
        return pending;
    }

    std::unique_ptr<Communicator> inner_;
    std::span<std::byte> received_;
};

}  // namespace traindyno::test
