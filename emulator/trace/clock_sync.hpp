// SPDX-License-Identifier: Apache-2.0
// Puts the monotonic clocks of all hosts on rank 0's, with a bound on the error.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "collectives/communicator.hpp"
#include "emulator/base/enum_names.hpp"
#include "emulator/base/units.hpp"

namespace traindyno {

/// This process's clock, normally `now` of emulator/device.
using ClockSource = std::function<SimTime()>;

/// One round trip from rank 0 to another rank and back.
struct Ping {
    SimTime asked{0};     ///< on the common clock
    SimTime answered{0};  ///< on the other clock
    SimTime heard{0};     ///< on the common clock
};

enum class ClockMethod : std::uint8_t { shared, ping_pong };

template <>
struct EnumNames<ClockMethod> {
    static constexpr auto names = enum_table<ClockMethod>("shared", "ping_pong");
};

/// How far a clock is ahead of the common one (rank 0's) around `at`, good to ± `error`.
struct ClockReading {
    ClockMethod method = ClockMethod::shared;
    SimTime at{0};  ///< on the common clock
    SimTime offset{0};
    SimTime error{0};

    friend bool operator==(const ClockReading&, const ClockReading&) = default;
};

/// From the fastest round trip: the answer was read somewhere between `asked` and `heard`, so the
/// middle is wrong by half of it at most (Cristian, "Probabilistic clock synchronization", 1989).
[[nodiscard]] ClockReading read_clock(std::span<const Ping> pings);

/// Maps a clock to the common one: by its offset at one reading, or by offset and linear drift
/// between the readings before and after a run.
class ClockSync {
  public:
    ClockSync() = default;  ///< the clocks are one
    explicit ClockSync(const ClockReading& reading);
    ClockSync(const ClockReading& before, const ClockReading& after);

    [[nodiscard]] SimTime to_common(SimTime local) const;

    /// Bound at the readings; between them as good as the drift is steady.
    [[nodiscard]] SimTime error() const { return error_; }

    [[nodiscard]] ClockMethod method() const { return method_; }

    /// Seconds this clock gains on the common one per second of its own.
    [[nodiscard]] double drift() const { return drift_; }

  private:
    ClockMethod method_ = ClockMethod::shared;
    SimTime at_{0};  ///< on this clock
    SimTime offset_{0};
    double drift_ = 0;
    SimTime error_{0};
};

/// Names the clock this process reads: equal for all processes of one boot and time namespace,
/// which share CLOCK_MONOTONIC.
[[nodiscard]] std::string clock_name();

/// Reads this rank's clock against rank 0's. Ranks whose clocks have rank 0's name share it; of any
/// other name one rank speaks for all. Collective; call it before and after a run.
[[nodiscard]] ClockReading synchronize(Communicator& world,
                                       const ClockSource& clock,
                                       const std::string& name = clock_name());

}  // namespace traindyno
