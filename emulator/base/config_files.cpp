// SPDX-License-Identifier: Apache-2.0
#include "emulator/base/config_files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

namespace fs = std::filesystem;

/// Well-formed UTF-8 sequences by lead byte (Unicode 15, table 3-7). Bytes after the second are
/// always 80..BF.
struct Utf8Row {
    int first_lead;
    int last_lead;
    int second_low;
    int second_high;
    std::size_t length;
};

constexpr std::array utf8_rows{Utf8Row{0x00, 0x7F, 0x00, 0x00, 1},
                               Utf8Row{0xC2, 0xDF, 0x80, 0xBF, 2},
                               Utf8Row{0xE0, 0xE0, 0xA0, 0xBF, 3},
                               Utf8Row{0xE1, 0xEC, 0x80, 0xBF, 3},
                               Utf8Row{0xED, 0xED, 0x80, 0x9F, 3},
                               Utf8Row{0xEE, 0xEF, 0x80, 0xBF, 3},
                               Utf8Row{0xF0, 0xF0, 0x90, 0xBF, 4},
                               Utf8Row{0xF1, 0xF3, 0x80, 0xBF, 4},
                               Utf8Row{0xF4, 0xF4, 0x80, 0x8F, 4}};

/// Length of the UTF-8 sequence at the front of `text`; 0 when it is not one.
std::size_t utf8_length(std::string_view text) {
    const auto in = [&](std::size_t i, int low, int high) {
        const int byte = static_cast<std::uint8_t>(text[i]);
        return low <= byte && byte <= high;
    };
    for (const Utf8Row& row : utf8_rows) {
        if (!in(0, row.first_lead, row.last_lead)) {
            continue;
        }
        if (text.size() < row.length ||
            (row.length > 1 && !in(1, row.second_low, row.second_high))) {
            return 0;
        }
        for (std::size_t i = 2; i < row.length; ++i) {
            if (!in(i, 0x80, 0xBF)) {
                return 0;
            }
        }
        return row.length;
    }
    return 0;
}

/// Line of the first byte that is not UTF-8; nothing when the whole text is.
std::optional<std::int64_t> line_that_is_not_utf8(std::string_view text) {
    std::int64_t line = 1;
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            return line;
        }
        line += text.front() == '\n' ? 1 : 0;
        text.remove_prefix(length);
    }
    return std::nullopt;
}

std::string reason(int error) {
    return std::generic_category().message(error);
}

/// Edit distance: letters replaced, added, left out or swapped with their neighbour (optimal string
/// alignment), compared without case.
std::size_t distance(std::string_view a, std::string_view b) {
    const auto same = [](char x, char y) {
        const auto lower = [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        };
        return lower(x) == lower(y);
    };
    // edits[i][j]: from the first i letters of a to the first j of b.
    std::vector<std::vector<std::size_t>> edits(a.size() + 1,
                                                std::vector<std::size_t>(b.size() + 1));
    std::iota(edits[0].begin(), edits[0].end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        edits[i][0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = edits[i - 1][j - 1] + (same(a[i - 1], b[j - 1]) ? 0U : 1U);
            edits[i][j] = std::min({replace, edits[i - 1][j] + 1, edits[i][j - 1] + 1});
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
                edits[i][j] = std::min(edits[i][j], edits[i - 2][j - 2] + 1);
            }
        }
    }
    return edits.back().back();
}

}  // namespace

fs::path config_root() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in this program changes the environment
    if (const char* chosen = std::getenv("TRAINDYNO_CONFIGS");
        chosen != nullptr && *chosen != '\0') {
        if (!fs::is_directory(chosen)) {
            throw ConfigError({fmt::format(
                "TRAINDYNO_CONFIGS is '{}' (not a folder) set it to a folder with models/ and "
                "machines/, or unset it",
                chosen)});
        }
        return chosen;
    }
    std::error_code ignored;
    const fs::path executable = fs::read_symlink("/proc/self/exe", ignored);
    fs::path installed = executable.parent_path().parent_path() / "share" / "traindyno" / "configs";
    if (!executable.empty() && fs::is_directory(installed, ignored)) {
        return installed;
    }
    fs::path source = TD_SOURCE_CONFIGS;
    if (fs::is_directory(source, ignored)) {
        return source;
    }
    throw ConfigError({fmt::format(
        "no configuration folder (neither {} nor {} exists) set TRAINDYNO_CONFIGS to configs/",
        installed.string(),
        source.string())});
}

std::vector<std::string> config_names(std::string_view folder) {
    const fs::path path = config_root() / folder;
    std::error_code error;
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
        if (entry.path().extension() == ".toml") {
            names.push_back(entry.path().stem().string());
        }
    }
    if (error) {
        throw ConfigError({fmt::format(
            "cannot list {} ({}) check TRAINDYNO_CONFIGS", path.string(), error.message())});
    }
    std::sort(names.begin(), names.end());
    return names;
}

fs::path config_path(std::string_view folder, std::string_view name_or_path) {
    if (name_or_path.ends_with(".toml")) {
        return name_or_path;
    }
    const std::vector<std::string> names = config_names(folder);
    if (std::find(names.begin(), names.end(), name_or_path) == names.end()) {
        throw ConfigError({fmt::format("'{}' is not in configs/{} (there are {}){}",
                                       name_or_path,
                                       folder,
                                       fmt::join(names, ", "),
                                       did_you_mean(name_or_path, names))});
    }
    return config_root() / folder / fmt::format("{}.toml", name_or_path);
}

std::string read_text_file(const fs::path& path) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) {
        throw ConfigError({fmt::format("cannot read {} ({}) check the path",
                                       path.string(),
                                       reason(error ? error.value() : ENOENT))});
    }
    if (!fs::is_regular_file(status)) {
        throw ConfigError(
            {fmt::format("cannot read {} (not a regular file) name a file", path.string())});
    }
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw ConfigError({fmt::format(
            "cannot read {} ({}) check its permissions", path.string(), reason(errno))});
    }
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (file.bad()) {
        throw ConfigError({fmt::format("cannot read {} (read error) copy it anew", path.string())});
    }
    if (const std::optional<std::int64_t> line = line_that_is_not_utf8(text)) {
        throw ConfigError({fmt::format(
            "{}:{}: not UTF-8 text (binary or another encoding) convert the file to UTF-8",
            path.string(),
            *line)});
    }
    return text;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
    const auto nearest = std::min_element(
        known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
            return distance(word, a) < distance(word, b);
        });
    // A third of the letters wrong is still a slip; more is another word.
    const std::size_t tolerated = std::max<std::size_t>(1, word.size() / 3);
    if (nearest == known.end() || distance(word, *nearest) > tolerated) {
        return "";
    }
    return fmt::format("; did you mean '{}'?", *nearest);
}

}  // namespace traindyno
