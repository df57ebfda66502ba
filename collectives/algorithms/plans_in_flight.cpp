// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/plans_in_flight.hpp"

#include <cstdio>
#include <exception>
#include <utility>

namespace traindyno {

namespace {

class PlanOperation final : public Pending::Operation {
  public:
    PlanOperation(std::shared_ptr<PlansInFlight> all, std::shared_ptr<PlanRun> run)
        : all_(std::move(all)), run_(std::move(run)) {}

    ~PlanOperation() override {
        if (std::uncaught_exceptions() > 0) {
            all_->abandon(run_);
            return;
        }
        try {
            while (!advance()) {
            }
        } catch (const std::exception& error) {
            std::fprintf(stderr, "traindyno: %s\n", error.what());
        }
    }

    PlanOperation(const PlanOperation&) = delete;
    PlanOperation& operator=(const PlanOperation&) = delete;
    PlanOperation(PlanOperation&&) = delete;
    PlanOperation& operator=(PlanOperation&&) = delete;

    [[nodiscard]] bool advance() override {
        all_->advance_in_turn(seen_);
        return run_->complete();
    }

    [[nodiscard]] std::vector<GroupRank> waiting_for() const override {
        return run_->waiting_for();
    }

  private:
    std::shared_ptr<PlansInFlight> all_;
    std::shared_ptr<PlanRun> run_;
    std::uint64_t seen_ = 0;  ///< no round yet
};

}  // namespace

Pending PlansInFlight::begin(const std::shared_ptr<PlansInFlight>& all, PlanTask task) {
    const auto run = std::make_shared<PlanRun>(std::move(task), all->pool_);
    all->running_.push_back(run);
    all->advance();
    if (run->over() && run->complete()) {
        return {};
    }
    return Pending{std::make_unique<PlanOperation>(all, run)};
}

void PlansInFlight::advance_in_turn(std::uint64_t& seen) {
    if (seen == rounds_) {
        advance();
    }
    seen = rounds_;
}

void PlansInFlight::advance() {
    ++rounds_;
    for (const std::shared_ptr<PlanRun>& run : running_) {
        run->advance();
        if (run->failed()) {
            abandoned_.push_back(run->take_scratch());
        } else if (run->over()) {
            pool_.give_back(run->take_scratch());
        }
    }
    std::erase_if(running_, [](const auto& run) { return run->over(); });
}

void PlansInFlight::abandon(const std::shared_ptr<PlanRun>& run) {
    abandoned_.push_back(run->take_scratch());
    std::erase(running_, run);
}

}  // namespace traindyno
