// SPDX-License-Identifier: Apache-2.0
// How long one measured operation may take, and whom it misses.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "collectives/communicator.hpp"
#include "emulator/engine/blocking_caller.hpp"

namespace traindyno {

/// Counts calls in and out instead of taking their times, which would cost what short operations
/// do: whoever asks, a Watchdog, takes them.
class OperationWatch : public BlockingCaller {
  public:
    explicit OperationWatch(SimTime timeout) : timeout_(timeout) {}

    /// What is measured next, for reports: "ring all_reduce of 1.0 MiB". Outside of calls.
    void name(std::string operation) { operation_ = std::move(operation); }

    /// `call` begins an operation, and may block until its end.
    template <class Call>
    [[nodiscard]] Pending begin(Call&& call) {
        const Inside inside(calls_);
        return std::forward<Call>(call)();
    }

    /// Looks without pause, for there is no other work, but lets others have the core. Throws
    /// HangError past the timeout, naming the operation and the members that it lacks.
    void finish(Pending pending) const;

    [[nodiscard]] std::string outstanding() const override { return "  " + operation_ + "\n"; }

    [[nodiscard]] SimTime blocked_since() const override;

  private:
    /// Odd while a call is inside.
    class Inside {
      public:
        explicit Inside(std::atomic<std::uint64_t>& calls) : calls_(calls) { ++calls_; }

        Inside(const Inside&) = delete;
        Inside& operator=(const Inside&) = delete;
        Inside(Inside&&) = delete;
        Inside& operator=(Inside&&) = delete;

        ~Inside() { ++calls_; }

      private:
        std::atomic<std::uint64_t>& calls_;
    };

    SimTime timeout_;
    std::string operation_;
    std::atomic<std::uint64_t> calls_{0};
    mutable std::uint64_t seen_ = 0;  ///< of calls_ when it was last asked, and when that was
    mutable SimTime since_{0};
};

}  // namespace traindyno
