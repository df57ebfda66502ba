// SPDX-License-Identifier: Apache-2.0
// Reads the config.json that Hugging Face models come with.
#pragma once

#include <filesystem>

#include "emulator/model/model.hpp"

namespace traindyno {

/// The shape of a dense GPT-2, GPT-NeoX, Llama, Mistral, Qwen2 or Qwen3 model; `model_type` tells
/// which. seq is the longest the model takes. What has no place in Model is left out: partial
/// rotary dimensions, parallel residuals, sliding windows, and Qwen3's norms of queries and keys
/// (2 * head_size parameters per layer). ConfigError names file and key.
[[nodiscard]] Model load_hugging_face_model(const std::filesystem::path& path);

}  // namespace traindyno
