// SPDX-License-Identifier: Apache-2.0
// Where the shipped configuration files are, and what is in them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace traindyno {

/// The configs/ folder: $TRAINDYNO_CONFIGS when set, else beside an installed executable
/// (../share/traindyno/configs), else the source tree this binary was built from.
[[nodiscard]] std::filesystem::path config_root();

/// Stems of the .toml files in config_root()/folder, sorted.
[[nodiscard]] std::vector<std::string> config_names(std::string_view folder);

/// The file that `name_or_path` means: a path ending in .toml as it is, else a name in
/// config_root()/folder. ConfigError lists the names when there is none such.
[[nodiscard]] std::filesystem::path config_path(std::string_view folder,
                                                std::string_view name_or_path);

/// The whole file. ConfigError when it cannot be read or is not UTF-8.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path);

/// "; did you mean 'gpt3-125m'?" when one of `known` is close to `word`, else "".
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       const std::vector<std::string>& known);

}  // namespace traindyno
