// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/tune.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Bytes. Choices lie between neighbours, so the steps are small where algorithms change places.
constexpr std::array<std::int64_t, 6> sizes{
    4 << 10, 32 << 10, 256 << 10, 1 << 20, 4 << 20, largest_trial};

/// From here on time grows in proportion to the size, so that what is slow stays slow.
constexpr std::int64_t proportional = 1 << 20;
constexpr double hopeless = 3;   ///< times the fastest: not tried at larger sizes
constexpr double close = 1.5;    ///< times the fastest: tried again
constexpr double better = 0.95;  ///< times the first carrier: what makes one change
constexpr double repeat_seconds = 0.02;
constexpr int most_repeats = 5;

/// All-reduces are most of what trainers wait for.
constexpr double weight_of(CollectiveOp op) {
    return op == CollectiveOp::all_reduce ? 4 : 1;
}

/// Element by element the slowest member's, the same on all.
std::vector<double> agreed(Communicator& group, std::vector<double> seconds) {
    const auto bytes = std::as_writable_bytes(std::span{seconds});
    Pending pending =
        group.all_reduce(bytes, bytes, DType::fp64, Reduction::max, Urgency::immediate);
    while (!pending.done()) {
    }
    return seconds;
}

/// One operation in one urgency, from small messages to large ones. Everything it decides by is
/// agreed.
class OperationTuner {
  public:
    OperationTuner(Communicator& group,
                   const GroupShape& shape,
                   std::span<const Carrier> carriers,
                   const MeasureTrial& measure)
        : group_(group),
          shape_(shape),
          carriers_(carriers),
          measure_(measure),
          live_(carriers.size(), true) {}

    [[nodiscard]] std::vector<TuningRow> run(CollectiveOp op,
                                             Urgency urgency,
                                             double allowed,
                                             std::int64_t largest) {
        std::vector<TuningRow> rows;
        for (const std::int64_t bytes : sizes) {
            if (!rows.empty() && rows.back().bytes >= largest) {
                break;
            }
            const bool affordable =
                rows.size() < 2 || spent_ + cost(predict(rows, bytes)) <= allowed;
            TuningRow row{.op = op,
                          .urgency = urgency,
                          .shape = shape_,
                          .bytes = bytes,
                          .seconds = affordable
                                         ? measured({.op = op, .urgency = urgency, .bytes = bytes})
                                         : predict(rows, bytes),
                          .estimated = !affordable};
            row.carrier = fastest(row.seconds);
            rows.push_back(row);
            if (bytes >= proportional) {
                drop_hopeless(row);
            }
        }
        return rows;
    }

  private:
    [[nodiscard]] double& of(CarrierSeconds& seconds, std::size_t i) const {
        return seconds[static_cast<std::size_t>(carriers_[i])];
    }

    [[nodiscard]] double of(const CarrierSeconds& seconds, std::size_t i) const {
        return seconds[static_cast<std::size_t>(carriers_[i])];
    }

    /// Runs those of `which` once each.
    [[nodiscard]] std::vector<double> once(const std::vector<bool>& which, const Trial& trial) {
        std::vector<double> seconds(carriers_.size());
        for (std::size_t i = 0; i < carriers_.size(); ++i) {
            if (which[i]) {
                seconds[i] = measure_(carriers_[i], trial);
            }
        }
        seconds = agreed(group_, std::move(seconds));
        spent_ += std::accumulate(seconds.begin(), seconds.end(), 0.0);
        return seconds;
    }

    /// The shortest of several runs: what else the machine does only makes them longer.
    [[nodiscard]] CarrierSeconds measured(const Trial& trial) {
        if (trial.bytes == sizes.front()) {
            static_cast<void>(once(live_, trial));  // connections and buffers are made
        }
        std::vector<double> shortest = once(live_, trial);
        keep_shorter(shortest, once(live_, trial));
        const double best = least(shortest);
        std::vector<bool> again(shortest.size());
        for (std::size_t i = 0; i < again.size(); ++i) {
            again[i] = live_[i] && shortest[i] <= close * best;
        }
        double repeated = 0;
        for (int repeat = 0; repeat < most_repeats && repeated < repeat_seconds; ++repeat) {
            keep_shorter(shortest, once(again, trial));
            repeated += best;
        }
        CarrierSeconds result{};
        for (std::size_t i = 0; i < shortest.size(); ++i) {
            of(result, i) = shortest[i];
        }
        return result;
    }

    /// Zeros in `other` were not measured.
    static void keep_shorter(std::vector<double>& seconds, const std::vector<double>& other) {
        for (std::size_t i = 0; i < seconds.size(); ++i) {
            seconds[i] = other[i] > 0 ? std::min(seconds[i], other[i]) : seconds[i];
        }
    }

    [[nodiscard]] double least(const std::vector<double>& seconds) const {
        double best = 0;
        for (std::size_t i = 0; i < seconds.size(); ++i) {
            if (live_[i] && (best == 0 || seconds[i] < best)) {
                best = seconds[i];
            }
        }
        return best;
    }

    /// The straight line through the last two rows.
    [[nodiscard]] CarrierSeconds predict(const std::vector<TuningRow>& rows,
                                         std::int64_t bytes) const {
        const TuningRow& last = rows.back();
        const TuningRow& before = rows[rows.size() - 2];
        const double steps = static_cast<double>(bytes - last.bytes) /
                             static_cast<double>(last.bytes - before.bytes);
        CarrierSeconds seconds{};
        for (std::size_t i = 0; i < carriers_.size(); ++i) {
            if (live_[i]) {
                const double now = of(last.seconds, i);
                of(seconds, i) = now + steps * std::max(now - of(before.seconds, i), 0.0);
            }
        }
        return seconds;
    }

    /// Of trying all twice and the fastest again.
    [[nodiscard]] static double cost(const CarrierSeconds& seconds) {
        return 2.5 * std::accumulate(seconds.begin(), seconds.end(), 0.0);
    }

    [[nodiscard]] Carrier fastest(const CarrierSeconds& seconds) const {
        std::size_t best = 0;
        double bar = better * of(seconds, 0);
        for (std::size_t i = 1; i < carriers_.size(); ++i) {
            const bool tried = live_[i];
            if (tried && (of(seconds, i) < bar || !live_[best])) {
                best = i;
                bar = of(seconds, i);
            }
        }
        return carriers_[best];
    }

    void drop_hopeless(const TuningRow& row) {
        const double best = of(row.seconds, index_of(row.carrier));
        for (std::size_t i = 0; i < carriers_.size(); ++i) {
            live_[i] = live_[i] && of(row.seconds, i) <= hopeless * best;
        }
    }

    [[nodiscard]] std::size_t index_of(Carrier carrier) const {
        return static_cast<std::size_t>(std::find(carriers_.begin(), carriers_.end(), carrier) -
                                        carriers_.begin());
    }

    Communicator& group_;
    GroupShape shape_;
    std::span<const Carrier> carriers_;
    const MeasureTrial& measure_;
    std::vector<bool> live_;
    double spent_ = 0;
};

}  // namespace

std::vector<TuningRow> tune(Communicator& group,
                            const GroupShape& shape,
                            std::span<const Carrier> carriers,
                            const MeasureTrial& measure,
                            const TuningLimits& limits) {
    TD_EXPECT(!carriers.empty());
    double weights = 0;
    for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
        weights += limits.largest[op] > 0 ? weight_of(static_cast<CollectiveOp>(op)) : 0;
    }
    std::vector<TuningRow> rows;
    for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
        if (limits.largest[op] == 0) {
            continue;
        }
        const auto which = static_cast<CollectiveOp>(op);
        const double allowed = limits.seconds * weight_of(which) / (weights * enum_count<Urgency>);
        for (const Urgency urgency : {Urgency::background, Urgency::immediate}) {
            OperationTuner tuner(group, shape, carriers, measure);
            const auto found = tuner.run(which, urgency, allowed, limits.largest[op]);
            rows.insert(rows.end(), found.begin(), found.end());
        }
    }
    return rows;
}

}  // namespace traindyno
