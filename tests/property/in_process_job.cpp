// SPDX-License-Identifier: Apache-2.0
#include "tests/property/in_process_job.hpp"

#include <functional>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "emulator/device/timed/timed_device.hpp"
#include "emulator/engine/engine.hpp"
#include "tests/property/job_network.hpp"
#include "tests/property/turns.hpp"

namespace traindyno::test {

namespace {

class Rank {
  public:
    Rank(const StepProgram& program, JobNetwork& network)
        : order_(program),
          device_(make_timed_device(
              {.duration = [](const ComputeOp&) { return SimTime{0}; }, .name = "test"})) {
        device_->prepare(program);
        for (const Group& group : program.groups) {
            groups_.push_back(network.join(group, program.rank));
        }
        engine_ = std::make_unique<Engine>(order_, *device_, groups_, RunnerOptions{});
    }

    [[nodiscard]] Engine& engine() { return *engine_; }

    void run(std::int64_t steps) {
        for (; steps_ < steps; ++steps_) {
            (void)engine_->run_step(Traffic::real, Tracing::off);
        }
    }

    [[nodiscard]] std::int64_t steps() const { return steps_; }

  private:
    IssueOrder order_;
    std::unique_ptr<Device> device_;
    GroupCommunicators groups_;
    std::unique_ptr<Engine> engine_;
    std::int64_t steps_ = 0;
};

}  // namespace

std::string run_in_process(const std::vector<StepProgram>& programs,
                           std::int64_t steps,
                           std::uint64_t seed) {
    std::vector<std::unique_ptr<Rank>> ranks;
    Turns turns(seed);
    JobNetwork network(seed, [&](std::function<bool()> ready) { turns.yield(std::move(ready)); });
    for (const StepProgram& program : programs) {
        ranks.push_back(std::make_unique<Rank>(program, network));
        turns.add([&rank = *ranks.back(), steps] { rank.run(steps); });
    }
    std::string problem;
    const auto describe_deadlock = [&] {
        problem = "deadlock";
        for (std::size_t i = 0; i < ranks.size(); ++i) {
            if (ranks[i]->steps() < steps) {
                problem += fmt::format("\nrank {}:\n{}", i, ranks[i]->engine().outstanding());
            }
        }
    };
    const bool ended = turns.run(describe_deadlock);
    for (std::size_t i = 0; ended && i < ranks.size(); ++i) {
        const ReductionChecks checks = ranks[i]->engine().checks();
        if (checks.wrong > 0) {
            problem += fmt::format("rank {}: {} of {} values are wrong after communication\n",
                                   i,
                                   checks.wrong,
                                   checks.checked);
        }
    }
    return problem;
}

}  // namespace traindyno::test
