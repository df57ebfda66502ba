// SPDX-License-Identifier: Apache-2.0
// Finds and reads models: configs/models/*.toml, TOML paths, Hugging Face config.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/model/model.hpp"

namespace traindyno {

/// `name` in configs/models/, a path to a .toml, or a path to a Hugging Face config.json (GPT-2,
/// GPT-NeoX, Llama, Mistral, Mixtral, Qwen and DeepSeek families). Throws ConfigError naming file,
/// line and key.
[[nodiscard]] Model load_model(std::string_view name_or_path);

/// What the shape that load_model returns lacks of the model in the file: "key: what".
[[nodiscard]] std::vector<std::string> left_out_of_model(std::string_view name_or_path);

/// Names in configs/models/, sorted.
[[nodiscard]] std::vector<std::string> model_names();

/// Command-line changes to a model's shape.
struct ModelOverrides {
    std::int64_t shrink = 1;  ///< divides layers, hidden, heads, widths, seq and vocab; the number
                              ///< of experts stays
    std::optional<std::int64_t> layers = std::nullopt;
    std::optional<std::int64_t> seq = std::nullopt;

    friend bool operator==(const ModelOverrides&, const ModelOverrides&) = default;
};

/// A proportion that shrinking keeps or changes.
struct Proportion {
    std::string name;  ///< "ffn / hidden", "FLOP per gradient byte" ...
    double original = 0;
    double shrunk = 0;
    bool kept = false;  ///< equal within 1 %
};

/// Applies shrink first, then layers and seq. Throws ConfigError when a value does not divide.
[[nodiscard]] Model apply(const Model& model, const ModelOverrides& overrides);

/// What `apply` kept of the original's proportions and what it did not.
[[nodiscard]] std::vector<Proportion> proportions(const Model& original, const Model& shrunk);

}  // namespace traindyno
