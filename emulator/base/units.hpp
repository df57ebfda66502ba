// SPDX-License-Identifier: Apache-2.0
// Physical quantities: one clock for traces and simulation, and counts that cannot be mixed up.
#pragma once

#include <chrono>
#include <cmath>
#include <compare>
#include <cstdint>
#include <ratio>

namespace traindyno {

/// The one clock of traces, devices and simulation: exact picoseconds, range ±106 days.
using SimTime = std::chrono::duration<std::int64_t, std::pico>;

/// A count of something, or a rate. Explicit to build; adds, compares and scales; nothing else.
template <class Tag, class Rep>
class Quantity {
  public:
    constexpr Quantity() = default;

    constexpr explicit Quantity(Rep value) : value_(value) {}

    [[nodiscard]] constexpr Rep value() const { return value_; }

    [[nodiscard]] constexpr double as_double() const { return static_cast<double>(value_); }

    friend constexpr auto operator<=>(Quantity, Quantity) = default;

    friend constexpr Quantity operator+(Quantity a, Quantity b) {
        return Quantity{a.value_ + b.value_};
    }

    friend constexpr Quantity operator-(Quantity a, Quantity b) {
        return Quantity{a.value_ - b.value_};
    }

    friend constexpr Quantity operator*(Quantity a, Rep scale) {
        return Quantity{a.value_ * scale};
    }

    friend constexpr Quantity operator*(Rep scale, Quantity a) { return a * scale; }

    constexpr Quantity& operator+=(Quantity other) {
        value_ += other.value_;
        return *this;
    }

  private:
    Rep value_{};
};

using Bytes = Quantity<struct BytesTag, std::int64_t>;
using Flops = Quantity<struct FlopsTag, double>;          ///< floating-point operations
using Bandwidth = Quantity<struct BandwidthTag, double>;  ///< bytes per second
using FlopRate = Quantity<struct FlopRateTag, double>;    ///< floating-point operations per second

[[nodiscard]] constexpr double to_seconds(SimTime time) {
    return static_cast<double>(time.count()) * 1e-12;
}

[[nodiscard]] inline SimTime from_seconds(double seconds) {
    return SimTime{static_cast<std::int64_t>(std::llround(seconds * 1e12))};
}

[[nodiscard]] inline SimTime operator/(Bytes amount, Bandwidth rate) {
    return from_seconds(amount.as_double() / rate.value());
}

[[nodiscard]] inline SimTime operator/(Flops amount, FlopRate rate) {
    return from_seconds(amount.value() / rate.value());
}

}  // namespace traindyno
