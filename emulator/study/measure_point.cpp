// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/measure_point.hpp"

#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"
#include "emulator/engine/watchdog.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/verify.hpp"
#include "emulator/study/point_sampler.hpp"
#include "emulator/study/point_summary.hpp"

namespace traindyno {

namespace {

/// One communicator per kind of group, split off `ranks` by all of them in the same order.
GroupCommunicators make_groups(const StepProgram& program,
                               const Layout& layout,
                               Communicator& ranks) {
    GroupCommunicators groups(program.groups.size());
    for (std::size_t k = 0; k < enum_count<GroupKind>; ++k) {
        const auto kind = static_cast<GroupKind>(k);
        if (group_of(layout, kind, WorldRank{0}).size() <= 1) {
            continue;  // rank 0 is in a group of every kind that has any
        }
        const Group group = group_of(layout, kind, program.rank);
        // Ranks outside any group of this kind (embedding, middle stages) split off alone.
        const std::int32_t color =
            group.members.empty() ? program.rank.value() : group.members.front().value();
        const std::int32_t key = group.members.empty() ? 0 : group.rank_of(program.rank).value();
        auto communicator = ranks.split(color, key);
        for (std::size_t g = 0; g < groups.size(); ++g) {
            if (program.groups[g].kind == kind) {
                TD_EXPECT(communicator->size() == program.groups[g].size());
                groups[g] = std::move(communicator);
                break;
            }
        }
    }
    return groups;
}

/// Runs `action` on every rank; when any rank's input was refused, all throw that refusal.
template <class Action>
void in_agreement(Communicator& ranks, Action&& action) {
    std::string refusal;
    try {
        action();
    } catch (const ConfigError& error) {
        refusal = error.what();
    }
    for (const std::string& text : all_gather_text(ranks, refusal)) {
        if (!text.empty()) {
            throw ConfigError({text});
        }
    }
}

/// Up to this many ranks all programs are verified before they run; of more, one per stage.
constexpr std::int64_t largest_verified = 64;

void verify_programs(const PointPlan& plan) {
    const bool all = plan.layout.ranks() <= largest_verified;
    std::vector<StepProgram> programs;
    const auto add = [&](WorldRank rank) {
        programs.push_back(build_step(plan.model, plan.layout, plan.setup, rank));
    };
    for (std::int64_t rank = 0; all && rank < plan.layout.ranks(); ++rank) {
        add(WorldRank{rank});
    }
    for (std::int64_t stage = 0; !all && stage < plan.layout.pp; ++stage) {
        add(rank_at(plan.layout, {.pp = stage}));
    }
    const std::vector<std::string> problems =
        all ? verify(programs) : verify_stages(programs, plan.layout.ranks());
    if (!problems.empty()) {
        throw Error(
            ExitCode::internal,
            fmt::format("the step programs do not fit together (a bug) please report this:\n{}",
                        fmt::join(problems, "\n")));
    }
}

std::int64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::int64_t size = 0;
    std::int64_t resident = 0;
    statm >> size >> resident;
    return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

std::optional<Point> measure_point(Communicator& ranks,
                                   Backend& backend,
                                   const PointContext& context) {
    const PointPlan& plan = context.plan;
    const StepProgram program =
        build_step(plan.model, plan.layout, plan.setup, WorldRank{ranks.rank().value()});
    if (program.rank == WorldRank{0}) {
        verify_programs(plan);
    }
    const GroupCommunicators control = make_groups(program, plan.layout, ranks);
    std::unique_ptr<Device> device;
    in_agreement(ranks, [&] {
        device = backend.make_device();
        device->prepare(program);
    });
    const std::unique_ptr<Communicator> carrier = backend.make_traffic(ranks, *device, program);
    const GroupCommunicators carried =
        carrier ? make_groups(program, plan.layout, *carrier) : GroupCommunicators{};
    const GroupCommunicators& traffic = carrier ? carried : control;
    const IssueOrder order(program);
    const SimTime timeout = from_seconds(context.options.timeout_seconds);
    const std::unique_ptr<StepRunner> runner = backend.make_runner(
        order, *device, ranks, traffic, {.timeout = timeout, .waiting = context.waiting});
    const Watchdog watchdog(
        *runner, timeout, fmt::format("rank {}, {}", program.rank.value(), context.place.host));
    const DeviceInfo info = device->info();
    for (const std::string& note : context.note ? info.notes : std::vector<std::string>{}) {
        context.note(note);
    }
    const RankSamples samples = PointSampler(order, *runner, control, ranks, context).run();
    const auto packed = gather_text(ranks,
                                    GroupRank{0},
                                    pack({.host = context.place.host,
                                          .device = info.name,
                                          .peak = info.peak,
                                          .resident_bytes = resident_bytes(),
                                          .checks = runner->checks(),
                                          .samples = samples}));
    if (ranks.rank() != GroupRank{0}) {
        return std::nullopt;
    }
    std::vector<RankRecord> records;
    records.reserve(packed.size());
    for (const std::string& text : packed) {
        records.push_back(unpack(text));
    }
    return summarize_point(plan, context.place.nodes, records);
}

}  // namespace traindyno
