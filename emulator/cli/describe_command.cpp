// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "emulator/cli/commands.hpp"
#include "emulator/cli/describe.hpp"
#include "emulator/cli/import_flags.hpp"
#include "emulator/cli/request.hpp"
#include "emulator/gpu/module.hpp"
#include "emulator/machine/profile.hpp"
#include "emulator/model/catalog.hpp"

namespace traindyno {

ExitCode describe_command(const Flags& flags, Problems& problems) {
    const DescribeArguments arguments = describe_arguments(flags, problems);
    print_notes(import_gaps(flags));
    print_notes(import_notes(flags));
    const Workload& workload = arguments.workload;
    DescribeRequest request{.model = workload.model,
                            .layout = arguments.layout,
                            .setup = workload.setup,
                            .tokens = arguments.tokens};
    request.gpus = gpu_inventory();
    for (const std::string& name : machine_names()) {
        request.machines.push_back(load_machine(name));
    }
    request.left_out = workload.left_out;
    if (workload.original) {
        request.proportions = proportions(*workload.original, workload.model);
    }
    fmt::print("{}", arguments.json ? describe_json(request) : describe_text(request));
    return ExitCode::done;
}

}  // namespace traindyno
