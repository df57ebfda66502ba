// SPDX-License-Identifier: Apache-2.0
// All ranks of a job in one process, one operation at a time, their communication done by hand:
// what programs compute, without in-step verification's marks and in an order that the test
// chooses.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "emulator/device/device.hpp"
#include "emulator/program/issue_order.hpp"

namespace traindyno::test {

/// When communication that could start does. Both are orders that a real job may show.
enum class Timing : std::uint8_t {
    early,  ///< before any more compute
    late,   ///< when no rank can compute any more
};

class LockstepJob {
  public:
    /// `devices[r]` is prepared with the program of world rank r. Tensors are fp32 or bf16.
    LockstepJob(std::vector<StepProgram> programs, std::vector<std::unique_ptr<Device>> devices);

    void run_step(Timing timing);

    [[nodiscard]] const StepProgram& program(std::size_t rank) const { return programs_[rank]; }

    /// All of a space of a rank, as floats; for spaces of fp32.
    [[nodiscard]] std::span<float> floats(std::size_t rank, Space space);

    [[nodiscard]] Device& device(std::size_t rank) { return *devices_[rank]; }

  private:
    struct Rank {
        explicit Rank(const StepProgram& program) : order(program) {}

        IssueOrder order;
        std::vector<std::uint8_t> done;
        std::array<std::size_t, enum_count<Lane>> next{};
        Ticket submitted = 0;
    };

    /// A communication at the head of a lane.
    struct Arrival {
        std::size_t rank = 0;
        OpIndex op = 0;
    };

    [[nodiscard]] bool ready(const Rank& rank, OpIndex op) const;
    bool compute_one(std::size_t rank);
    bool communicate_one();
    void complete(const Arrival& arrival);
    void perform(const std::vector<Arrival>& members);
    void deliver(const Arrival& send, const Arrival& receive);
    [[nodiscard]] const CommOp& op_of(const Arrival& arrival) const;
    [[nodiscard]] std::span<std::byte> memory(const Arrival& arrival, const Slice& slice);

    std::vector<StepProgram> programs_;
    std::vector<std::unique_ptr<Device>> devices_;
    std::vector<Rank> ranks_;
};

}  // namespace traindyno::test
