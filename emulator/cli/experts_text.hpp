// SPDX-License-Identifier: Apache-2.0
// What `describe` says about the experts of a model, and what it lacks of them and else.
#pragma once

#include <string>
#include <vector>

#include "emulator/model/model.hpp"

namespace traindyno {

/// Lines with their ends; empty for a dense model.
[[nodiscard]] std::string experts_text(const Model& model);

/// Likewise, what of the model's file its shape lacks.
[[nodiscard]] std::string left_out_text(const std::vector<std::string>& features);

}  // namespace traindyno
