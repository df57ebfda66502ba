// SPDX-License-Identifier: Apache-2.0
// The model that Megatron-LM's arguments describe.
#pragma once

#include "emulator/importer/argument_reader.hpp"
#include "emulator/importer/imported.hpp"

namespace traindyno {

/// Adds the model, and what of it is not emulated, to `imported`.
void read_megatron_model(ArgumentReader& read, Problems& problems, Imported& imported);

}  // namespace traindyno
