// SPDX-License-Identifier: Apache-2.0
// What `describe` says about the experts of a model.
#pragma once

#include <string>

#include "emulator/model/model.hpp"

namespace traindyno {

/// Lines with their ends; empty for a dense model.
[[nodiscard]] std::string experts_text(const Model& model);

}  // namespace traindyno
