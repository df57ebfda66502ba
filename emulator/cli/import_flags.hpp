// SPDX-License-Identifier: Apache-2.0
// Turns another trainer's configuration into flags: --megatron-args, --torchtitan, --deepspeed.
#pragma once

#include "emulator/cli/flags.hpp"

namespace traindyno {

/// Reads what the import flags name and adds it to `flags`, where the command line and the study
/// file win. What is wrong goes to `problems`; what is left over to Flags::imports.
void apply_imports(Flags& flags, Problems& problems);

/// What imports named and is not reproduced, or not known: to be stamped on results.
[[nodiscard]] std::vector<std::string> import_gaps(const Flags& flags);

/// What imports named and is no part of a step.
[[nodiscard]] std::vector<std::string> import_notes(const Flags& flags);

}  // namespace traindyno
