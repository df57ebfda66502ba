// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "emulator/cli/commands.hpp"
#include "emulator/cli/request.hpp"
#include "emulator/cli/show_program.hpp"
#include "emulator/program/print.hpp"

namespace traindyno {

namespace {

OpTime time_on(const std::optional<MachineProfile>& machine, Precision precision) {
    if (!machine) {
        return {};
    }
    return [&machine, precision](const ComputeOp& op) { return op_time(*machine, op, precision); };
}

}  // namespace

ExitCode show_program_command(const Flags& flags, Problems& problems) {
    const ShowArguments arguments = show_arguments(flags, problems);
    const Model& model = arguments.workload.model;
    const TrainingSetup& setup = arguments.workload.setup;
    if (arguments.rank) {
        fmt::print("{}", print(build_step(model, arguments.layout, setup, *arguments.rank)));
        return ExitCode::done;
    }
    const PassTimeline timeline =
        pass_timeline(model, arguments.layout, setup, time_on(arguments.machine, setup.precision));
    const Pipeline& pipeline = timeline.pipeline;
    fmt::print(
        "{}: schedule {}, {} stages{}, {} micro-batches\n"
        "F forward, B backward{}; {}; {}\n\n{}\n{}",
        model.name,
        to_string(pipeline.schedule),
        pipeline.stages,
        pipeline.chunks > 1 ? fmt::format(" of {} chunks", pipeline.chunks) : "",
        pipeline.micro_batches,
        pipeline.schedule == Schedule::zero_bubble
            ? " (gradients of inputs), W gradients of weights"
            : "",
        pipeline.chunks > 1 ? "micro-batch.chunk" : "micro-batch",
        arguments.machine ? fmt::format("compute times of {}", arguments.machine->name)
                          : std::string("unit time: every pass takes 1"),
        grid_text(timeline),
        bubble_text(timeline, arguments.machine ? "s" : ""));
    return ExitCode::done;
}

}  // namespace traindyno
