// SPDX-License-Identifier: Apache-2.0
// Puts the monotonic clocks of all hosts on rank 0's, with a bound on the error.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "collectives/communicator.hpp"
#include "emulator/base/units.hpp"

namespace traindyno {

/// This process's clock, normally `now` of emulator/device.
using ClockSource = std::function<SimTime()>;

/// One round trip, seen by the asking side.
struct Ping {
    SimTime asked{0};     ///< on the asking clock
    SimTime answered{0};  ///< on the other clock
    SimTime heard{0};     ///< on the asking clock
};

/// How far the other clock is ahead of the asking one around `at`, good to ± `error`.
struct ClockReading {
    SimTime at{0};  ///< on the asking clock
    SimTime offset{0};
    SimTime error{0};

    friend bool operator==(const ClockReading&, const ClockReading&) = default;
};

/// From the fastest round trip: the answer came between `asked` and `heard`, so its middle is off
/// by at most half of it. (Cristian, "Probabilistic clock synchronization", 1989.)
[[nodiscard]] ClockReading read_clock(std::span<const Ping> pings);

enum class ClockMethod : std::uint8_t { shared, ping_pong };

template <>
struct EnumNames<ClockMethod> {
    static constexpr auto names = enum_table<ClockMethod>("shared", "ping_pong");
};

/// Maps this rank's clock to rank 0's.
class ClockSync {
  public:
    /// The clocks are one.
    ClockSync() = default;
    /// Offset alone, from one reading: rank 0 asked, this rank answered.
    explicit ClockSync(const ClockReading& reading);
    /// Offset and linear drift, from readings before and after the run.
    ClockSync(const ClockReading& before, const ClockReading& after);

    [[nodiscard]] SimTime to_common(SimTime local) const;

    /// Bound at the readings; between them as good as the drift is steady.
    [[nodiscard]] SimTime error() const { return error_; }

    [[nodiscard]] ClockMethod method() const { return method_; }

    /// Seconds the common clock gains per second of this one.
    [[nodiscard]] double drift() const { return drift_; }

  private:
    ClockMethod method_ = ClockMethod::shared;
    SimTime at_{0};  ///< on this rank's clock
    SimTime offset_{0};
    double drift_ = 0;
    SimTime error_{0};
};

/// Names the clock this process reads: equal on all processes of one boot that share CLOCK_MONOTONIC
/// (one time namespace).
[[nodiscard]] std::string clock_name();

/// One reading per rank; all zero where every rank's clock has the same name. Collective.
[[nodiscard]] ClockReading synchronize(Communicator& world,
                                       const ClockSource& clock,
                                       const std::string& name = clock_name());

}  // namespace traindyno
