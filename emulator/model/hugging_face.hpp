// SPDX-License-Identifier: Apache-2.0
// Reads the config.json that Hugging Face models come with.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "emulator/model/model.hpp"

namespace traindyno {

struct ImportedModel {
    Model model;
    /// "key: what the shape lacks", for everything of the file that changes the work but has no
    /// place in Model.
    std::vector<std::string> left_out;
};

/// The shape of a GPT-2, GPT-NeoX, Llama, Mistral, Qwen2, Qwen3, Mixtral, Qwen-MoE or DeepSeek
/// model; `model_type` tells which. seq is the longest the model takes. ConfigError names file and
/// key.
[[nodiscard]] ImportedModel load_hugging_face_model(const std::filesystem::path& path);

}  // namespace traindyno
