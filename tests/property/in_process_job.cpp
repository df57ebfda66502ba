// SPDX-License-Identifier: Apache-2.0
#include "tests/property/in_process_job.hpp"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "emulator/device/timed/timed_device.hpp"
#include "emulator/engine/engine.hpp"
#include "tests/property/job_network.hpp"
#include "tests/property/turns.hpp"

namespace traindyno::test {

namespace {

/// Rounds without an event after which none is to come: more than looks at an operation that is
/// over.
constexpr std::int64_t most_quiet_rounds = 8;

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
    JobNetwork network(seed, [&] { turns.yield(); });
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
    std::int64_t seen = -1;
    std::int64_t quiet = 0;
    const bool ended = turns.run([&] {
        quiet = seen == network.events() ? quiet + 1 : 0;
        seen = network.events();
        const bool stuck = quiet > most_quiet_rounds;
        if (stuck) {
            describe_deadlock();
        }
        return stuck;
    });
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
