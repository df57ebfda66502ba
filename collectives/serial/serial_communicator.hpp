// SPDX-License-Identifier: Apache-2.0
// The group of one: every operation is a local copy.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string_view>

#include "collectives/communicator.hpp"

namespace traindyno {

/// Ends the job this process belongs to. Does not return.
using AbortJob = void (*)(int exit_code, std::string_view reason) noexcept;

class SerialCommunicator final : public Communicator {
  public:
    explicit SerialCommunicator(AbortJob abort_job) : abort_job_(abort_job) {}

    [[nodiscard]] GroupRank rank() const override { return GroupRank{0}; }

    [[nodiscard]] std::int64_t size() const override { return 1; }

    Pending all_reduce(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       DType type,
                       Reduction reduction,
                       Urgency urgency) override;
    Pending reduce_scatter(std::span<const std::byte> in,
                           std::span<std::byte> out,
                           DType type,
                           Reduction reduction,
                           Urgency urgency) override;
    Pending all_gather(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       Urgency urgency) override;
    Pending all_to_all(std::span<const std::byte> in,
                       std::span<std::byte> out,
                       const Exchange& parts,
                       Urgency urgency) override;
    Pending broadcast(std::span<std::byte> buffer, GroupRank root, Urgency urgency) override;
    Pending send(std::span<const std::byte> buffer, GroupRank peer, std::int32_t tag) override;
    Pending recv(std::span<std::byte> buffer, GroupRank peer, std::int32_t tag) override;
    [[nodiscard]] std::unique_ptr<Communicator> split(std::int32_t color,
                                                      std::int32_t key) override;
    void abort(int exit_code, std::string_view reason) noexcept override;

  private:
    struct Send;
    struct Receive;

    AbortJob abort_job_;
    // Posted and not yet matched, first come first matched. An operation whose Pending is gone is
    // cancelled.
    std::map<std::int32_t, std::deque<std::weak_ptr<Send>>> sends_;
    std::map<std::int32_t, std::deque<std::weak_ptr<Receive>>> receives_;
};

}  // namespace traindyno
