// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/tune.hpp"

#include <algorithm>
#include <array>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Bytes. Choices lie between neighbours, so the steps are small where algorithms change places.
constexpr std::array<std::int64_t, 6> sizes{
    4 << 10, 32 << 10, 256 << 10, 1 << 20, 4 << 20, largest_trial};

constexpr double better = 0.95;     ///< times the first carrier: what makes one change
constexpr double near = 1.5;        ///< times the best expected: worth a trial where time is short
constexpr double long_call = 2e-3;  ///< seconds; see tune()
/// Of the time, spent on the first size: the second one is left out.
constexpr double skipping = 0.3;
/// Of the time that is left, for first tries at one size.
constexpr double first_try_share = 0.5;
/// For the first size, even if those before left nothing.
constexpr double least_seconds = 0.1;
/// Of an operation's time for its first urgency, which measures for both.
constexpr double first_share = 0.6;

/// All-reduces are most of what trainers wait for.
constexpr double weight_of(CollectiveOp op) {
    return op == CollectiveOp::all_reduce ? 4 : 1;
}

double& of(CarrierSeconds& seconds, Carrier carrier) {
    return seconds[static_cast<std::size_t>(carrier)];
}

double of(const CarrierSeconds& seconds, Carrier carrier) {
    return seconds[static_cast<std::size_t>(carrier)];
}

using Rows = std::vector<TuningRow>;

/// One operation in one urgency, from small messages to large ones. Everything it decides by is
/// agreed.
class OperationTuner {
  public:
    /// `other`: rows of the other urgency, if it came before.
    OperationTuner(AgreedTimer& timer,
                   std::span<const Carrier> carriers,
                   const KnownCosts& costs,
                   const Rows& other)
        : timer_(timer), carriers_(carriers), costs_(costs), other_(other) {}

    /// `first` says what all rows have in common; `until` is on the timer's clock.
    [[nodiscard]] Rows run(const TuningRow& first, std::int64_t largest, double until) {
        first_ = first;
        const double begun = timer_.spent();
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            if (!rows_.empty() && rows_.back().bytes >= largest) {
                break;
            }
            const bool is_short = timer_.spent() - begun > skipping * (until - begun);
            if (i == 1 && is_short && largest > sizes[i]) {
                continue;  // larger ones are worth more time
            }
            add_row(sizes[i], until, static_cast<double>(sizes.size() - i));
        }
        return rows_;
    }

  private:
    void add_row(std::int64_t bytes, double until, double sizes_left) {
        TuningRow row = first_;
        row.bytes = bytes;
        const std::vector<Entrant> entrants = affordable(entrants_at(bytes), until);
        row.estimated = entrants.empty();
        if (row.estimated) {
            for (const Carrier carrier : carriers_) {
                of(row.seconds, carrier) = expected(carrier, bytes, Guess::likely);
            }
        } else {
            const double spent = timer_.spent();
            const double left =
                rows_.empty() ? std::max(until - spent, least_seconds) : until - spent;
            const std::vector<double> seconds =
                run_contest(timer_,
                            {.op = row.op, .urgency = row.urgency, .bytes = bytes},
                            entrants,
                            {.first_until = spent + left * first_try_share,
                             .repeat_until = spent + left / sizes_left});
            for (std::size_t i = 0; i < entrants.size(); ++i) {
                of(row.seconds, entrants[i].carrier) = seconds[i];
            }
        }
        row.carrier = fastest(row.seconds);
        rows_.push_back(row);
    }

    [[nodiscard]] std::vector<Entrant> entrants_at(std::int64_t bytes) const {
        std::vector<Entrant> entrants;
        for (const Carrier carrier : carriers_) {
            entrants.push_back({.carrier = carrier,
                                .expected = expected(carrier, bytes, Guess::hopeful),
                                .least = cost(carrier, bytes).least,
                                .known = known(carrier, bytes),
                                .is_new = times_of(carrier).empty()});
        }
        return entrants;
    }

    /// Those that there is time for, the most promising first; none where it does not even suffice
    /// for two that may be the best. Something is measured at the first two sizes.
    [[nodiscard]] std::vector<Entrant> affordable(std::vector<Entrant> entrants,
                                                  double until) const {
        if (rows_.size() < 2) {
            return entrants;
        }
        std::stable_sort(entrants.begin(), entrants.end(), [](const Entrant& a, const Entrant& b) {
            return a.promise() < b.promise();
        });
        double left = until - timer_.spent();
        std::size_t count = 0;
        for (; count < entrants.size(); ++count) {
            const Entrant& each = entrants[count];
            left -= each.known > 0 ? 0 : each.promise() * (each.is_new ? 2 : 1);
            if (left < 0) {
                break;
            }
        }
        const bool one_is_enough =
            entrants.size() == 1 || entrants[1].promise() > near * entrants[0].promise();
        entrants.resize(count >= 2 || one_is_enough ? count : 0);
        return entrants;
    }

    /// From a single time: that it does not grow, so that its carrier is tried again, or that it
    /// grows in proportion.
    enum class Guess : std::uint8_t { hopeful, likely };

    struct Time {
        std::int64_t bytes = 0;
        double seconds = 0;
    };

    [[nodiscard]] std::vector<Time> times_of(Carrier carrier) const {
        std::vector<Time> times;
        for (const TuningRow& row : rows_) {
            if (of(row.seconds, carrier) > 0) {
                times.push_back({.bytes = row.bytes, .seconds = of(row.seconds, carrier)});
            }
        }
        return times;
    }

    [[nodiscard]] KnownCost cost(Carrier carrier, std::int64_t bytes) const {
        return costs_ ? costs_(carrier, first_.op, bytes) : KnownCost{};
    }

    /// The last time and what the formula adds to it, so that what else the machine did then does
    /// not grow with the size; without a formula the straight line through the last two times. 0:
    /// nothing is known.
    [[nodiscard]] double expected(Carrier carrier, std::int64_t bytes, Guess guess) const {
        const std::vector<Time> times = times_of(carrier);
        if (times.empty()) {
            return 0;
        }
        const Time& last = times.back();
        const double typical = cost(carrier, bytes).typical;
        if (typical > 0) {
            return last.seconds + typical - cost(carrier, last.bytes).typical;
        }
        if (times.size() == 1 && guess == Guess::hopeful) {
            return last.seconds;
        }
        const Time before = times.size() > 1 ? times[times.size() - 2] : Time{};
        const double steps = static_cast<double>(bytes - last.bytes) /
                             static_cast<double>(last.bytes - before.bytes);
        return last.seconds + steps * std::max(last.seconds - before.seconds, 0.0);
    }

    /// Seconds measured for the other urgency that serve for this one too.
    [[nodiscard]] double known(Carrier carrier, std::int64_t bytes) const {
        const auto same = std::find_if(other_.begin(), other_.end(), [&](const TuningRow& row) {
            return row.bytes == bytes && !row.estimated;
        });
        if (same == other_.end() || carrier == carriers_.front()) {
            return 0;
        }
        const double seconds = of(same->seconds, carrier);
        return seconds >= long_call ? seconds : 0;
    }

    [[nodiscard]] Carrier fastest(const CarrierSeconds& seconds) const {
        Carrier best = carriers_.front();
        double bar = better * of(seconds, best);
        for (const Carrier carrier : carriers_.subspan(1)) {
            const double own = of(seconds, carrier);
            if (own > 0 && (own < bar || bar == 0)) {
                best = carrier;
                bar = own;
            }
        }
        return best;
    }

    AgreedTimer& timer_;
    std::span<const Carrier> carriers_;
    const KnownCosts& costs_;
    const Rows& other_;
    TuningRow first_;
    Rows rows_;
};

}  // namespace

std::vector<TuningRow> tune(Communicator& group,
                            const GroupShape& shape,
                            std::span<const Carrier> carriers,
                            const MeasureTrial& measure,
                            const TuningLimits& limits,
                            const KnownCosts& costs) {
    TD_EXPECT(!carriers.empty());
    AgreedTimer timer(group, measure);
    double weights = 0;
    for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
        weights += limits.largest[op] > 0 ? weight_of(static_cast<CollectiveOp>(op)) : 0;
    }
    Rows rows;
    for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
        if (limits.largest[op] == 0) {
            continue;
        }
        const auto which = static_cast<CollectiveOp>(op);
        // What an operation leaves is for those after it.
        const double begun = timer.spent();
        const double share = (limits.seconds - begun) * weight_of(which) / weights;
        weights -= weight_of(which);
        TuningRow common{.op = which, .urgency = Urgency::immediate, .shape = shape};
        const Rows immediate = OperationTuner(timer, carriers, costs, {})
                                   .run(common, limits.largest[op], begun + first_share * share);
        common.urgency = Urgency::background;
        const Rows background = OperationTuner(timer, carriers, costs, immediate)
                                    .run(common, limits.largest[op], begun + share);
        rows.insert(rows.end(), immediate.begin(), immediate.end());
        rows.insert(rows.end(), background.begin(), background.end());
    }
    return rows;
}

}  // namespace traindyno
