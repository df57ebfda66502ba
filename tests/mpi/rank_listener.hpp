// SPDX-License-Identifier: Apache-2.0
// Prints a test run of many ranks as one: rank 0 reports, with the failures of every rank.
#pragma once

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "collectives/communicator.hpp"
#include "tests/mpi/watchdog.hpp"

namespace traindyno::test {

/// Takes part in collective operations after each test, so every rank must run the same tests.
class RankListener final : public testing::EmptyTestEventListener {
  public:
    RankListener(std::unique_ptr<Communicator> world, std::chrono::seconds limit);

    void OnTestStart(const testing::TestInfo& test) override;
    void OnTestPartResult(const testing::TestPartResult& result) override;
    void OnTestEnd(const testing::TestInfo& test) override;

    /// Zero when every test passed on every rank and at least one ran. Collective.
    [[nodiscard]] int exit_code(int result);

  private:
    [[nodiscard]] bool prints() const { return world_->rank() == GroupRank{0}; }

    std::unique_ptr<Communicator> world_;
    std::string who_;  ///< "[rank 2/8]"
    std::string failures_;
    int ran_ = 0;
    std::vector<std::string> failed_;
    Watchdog watchdog_;
};

}  // namespace traindyno::test
