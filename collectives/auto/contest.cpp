// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/contest.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "collectives/control.hpp"

namespace traindyno {

namespace {

constexpr double cannot_win = 1.2;  ///< times the best, that it needs at least
constexpr double hopeless = 3;      ///< times the best, that it is expected to take
/// Times the best: who takes part in the rounds after the first. Nearly all have a second chance.
constexpr std::array tolerances{10.0, 3.0, 1.5, 1.3, 1.2, 1.15, 1.15};
/// A trial is long against what ends of calls differ by between members.
constexpr double trial_seconds = 4e-3;
constexpr int most_calls = 20;
constexpr int calls_at_first = 4;  ///< where little is known

int calls_for(double seconds) {
    return seconds > 0 ? std::clamp(static_cast<int>(trial_seconds / seconds), 1, most_calls) : 1;
}

double lower_quarter(std::vector<double> samples) {
    const auto at = samples.begin() + static_cast<std::ptrdiff_t>((samples.size() - 1) / 4);
    std::nth_element(samples.begin(), at, samples.end());
    return *at;
}

class Contest {
  public:
    Contest(AgreedTimer& timer, const Trial& trial, std::span<const Entrant> entrants)
        : timer_(timer), trial_(trial), entrants_(entrants), samples_(entrants.size()) {
        for (std::size_t i = 0; i < entrants.size(); ++i) {
            if (entrants[i].known > 0) {
                samples_[i].push_back(entrants[i].known);
            }
            least_ = least_ == 0 || (entrants[i].least > 0 && entrants[i].least < least_)
                         ? entrants[i].least
                         : least_;
        }
    }

    /// The most promising first: they show who need not be tried.
    void try_each_once(double until) {
        std::vector<std::size_t> order(entrants_.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            return entrants_[a].promise() < entrants_[b].promise();
        });
        for (const std::size_t i : order) {
            const bool in_time = timer_.spent() < until || best() == 0;
            if (samples_[i].empty() && in_time && may_win(entrants_[i])) {
                sample(i, entrants_[i].is_new);
            }
        }
    }

    void repeat(double until) {
        for (const double tolerance : tolerances) {
            const std::vector<std::size_t> near = near_best(tolerance);
            if (near.size() < 2 || timer_.spent() + cost(near) > until) {
                return;
            }
            for (const std::size_t i : near) {
                if (entrants_[i].known == 0) {
                    sample(i, false);
                }
            }
        }
    }

    [[nodiscard]] std::vector<double> seconds() const {
        std::vector<double> result;
        for (const std::vector<double>& own : samples_) {
            result.push_back(own.empty() ? 0 : lower_quarter(own));
        }
        return result;
    }

  private:
    /// Of those tried; 0: none was.
    [[nodiscard]] double best() const {
        double least = 0;
        for (const double each : seconds()) {
            least = each > 0 && (least == 0 || each < least) ? each : least;
        }
        return least;
    }

    [[nodiscard]] bool may_win(const Entrant& entrant) const {
        const double bar = best();
        return bar == 0 ||
               (entrant.least <= cannot_win * bar && entrant.expected <= hopeless * bar);
    }

    void sample(std::size_t i, bool is_first) {
        Trial trial = trial_;
        trial.calls = calls();
        trial.is_first = is_first;
        samples_[i].push_back(timer_.seconds(entrants_[i].carrier, trial));
    }

    /// Several of what may be short, so that one bad start does not make all trials short.
    [[nodiscard]] int calls() const {
        const double bar = best();
        const int fewest = least_ * calls_at_first <= trial_seconds ? calls_at_first : 1;
        return bar > trial_seconds * calls_at_first ? 1 : std::max(fewest, calls_for(bar));
    }

    [[nodiscard]] std::vector<std::size_t> near_best(double tolerance) const {
        const std::vector<double> all = seconds();
        const double bar = tolerance * best();
        std::vector<std::size_t> near;
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (all[i] > 0 && all[i] <= bar) {
                near.push_back(i);
            }
        }
        return near;
    }

    [[nodiscard]] double cost(const std::vector<std::size_t>& which) const {
        const std::vector<double> all = seconds();
        double sum = 0;
        for (const std::size_t i : which) {
            sum += entrants_[i].known > 0 ? 0 : calls() * all[i];
        }
        return sum;
    }

    AgreedTimer& timer_;
    const Trial& trial_;
    std::span<const Entrant> entrants_;
    std::vector<std::vector<double>> samples_;
    double least_ = 0;  ///< of all whose least is known
};

}  // namespace

AgreedTimer::AgreedTimer(Communicator& group, const MeasureTrial& measure)
    : group_(group), measure_(measure), start_(std::chrono::steady_clock::now()) {
    double nothing = 0;
    agree(nothing, spent_);
}

double AgreedTimer::seconds(Carrier carrier, const Trial& trial) {
    double each = measure_(carrier, trial);
    double elapsed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    agree(each, elapsed);
    spent_ = std::max(elapsed, spent_ + each * trial.calls);
    return each;
}

void AgreedTimer::agree(double& seconds, double& elapsed) {
    std::array values{seconds, elapsed};
    take_largest(group_, values);
    seconds = values[0];
    elapsed = values[1];
}

std::vector<double> run_contest(AgreedTimer& timer,
                                const Trial& trial,
                                std::span<const Entrant> entrants,
                                const ContestTime& time) {
    Contest contest(timer, trial, entrants);
    contest.try_each_once(time.first_until);
    contest.repeat(time.repeat_until);
    return contest.seconds();
}

}  // namespace traindyno
