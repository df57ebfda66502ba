// SPDX-License-Identifier: Apache-2.0
// Messages between pretended ranks of one process, late and out of order but always the same way.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "collectives/communicator.hpp"

namespace traindyno::test {

/// A message is delivered a few looks after both of its ends were posted.
class FakeNetwork : public std::enable_shared_from_this<FakeNetwork> {
  public:
    [[nodiscard]] static std::shared_ptr<FakeNetwork> create() {
        return std::shared_ptr<FakeNetwork>(new FakeNetwork);
    }

    /// The communicator of every rank. They have messages and split only, for all members at once.
    [[nodiscard]] std::vector<std::unique_ptr<Communicator>> ranks(std::int64_t count);

    /// Messages that were sent.
    [[nodiscard]] std::int64_t messages() const { return messages_; }

  private:
    friend class FakeCommunicator;
    struct Transfer;
    class Operation;

    struct Channel {
        std::deque<std::shared_ptr<Transfer>> sends;
        std::deque<std::shared_ptr<Transfer>> receives;
    };

    using Key = std::tuple<std::string, std::int64_t, std::int64_t, std::int32_t>;

    FakeNetwork() = default;

    Pending send(const Key& key, std::span<const std::byte> buffer);
    Pending receive(const Key& key, std::span<std::byte> buffer);

    std::map<Key, Channel> channels_;  ///< by group, sender, receiver and tag
    std::mt19937 random_{7};
    std::int64_t messages_ = 0;
};

}  // namespace traindyno::test
