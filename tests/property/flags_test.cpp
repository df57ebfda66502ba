// SPDX-License-Identifier: Apache-2.0
// The flags that a failure prints mean the case that failed: settings survive the command line.
#include <gtest/gtest.h>

#include "emulator/cli/request.hpp"
#include "tests/property/random_cases.hpp"
#include "tests/unit/base/scratch_folder.hpp"

namespace traindyno::test {
namespace {

Flags parsed(const Case& at, const std::string& model) {
    Flags flags{.command = Command::show_program, .values = {}, .points = {}, .positionals = {}};
    flags.values["model"] = {.text = model, .origin = "--model"};
    for (const auto& [name, text] : flags_of(at)) {
        flags.values[name] = {.text = text, .origin = "--" + name};
    }
    return flags;
}

TEST(RandomFlags, mean_the_case_that_they_were_made_of) {
    const ScratchFolder folder;
    check_cases(500, [&](const Case& at) -> std::string {
        const std::string model = folder.write("random.toml", model_file(at.model));
        Problems problems;
        const ShowArguments read = show_arguments(parsed(at, model), problems);
        if (read.workload.model != at.model) {
            return "another model";
        }
        Layout layout = at.layout;
        if (layout.shard == layout.dp * layout.cp) {
            layout.shard = 0;  // all replicas, as flags say it
        }
        if (read.layout != layout) {
            return "another layout: " + to_string(read.layout);
        }
        return read.workload.setup == at.setup ? "" : "another setup";
    });
}

}  // namespace
}  // namespace traindyno::test
