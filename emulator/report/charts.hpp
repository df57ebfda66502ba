// SPDX-License-Identifier: Apache-2.0
// The report's charts as data and gnuplot scripts; pictures are drawn by a gnuplot process.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "emulator/study/study.hpp"

namespace traindyno {

/// `script` reads <name>.csv and writes <name>.svg in its working folder.
struct Chart {
    std::string name;
    std::string title;
    std::string caption;
    std::string csv;
    std::string script;
};

/// The charts `study` has data for. Completed studies only.
[[nodiscard]] std::vector<Chart> charts_of(const Study& study);

/// The GPUs' clocks at `point`; empty when none was sampled.
[[nodiscard]] std::optional<Chart> clocks_chart(const Point& point);

namespace detail {

/// The first lines of every script. Chart colours that follow the page (text, axes, grid, paper)
/// are the literal ones that inline_svg() replaces.
[[nodiscard]] std::string script_head(const std::string& name, std::size_t height = 340);

}  // namespace detail

struct Drawing {
    std::vector<std::string> names;  ///< charts with a picture
    std::vector<std::string> notes;  ///< why others have none, in sentences for the user
};

/// Writes each chart's CSV and script into `folder` and lets gnuplot (from PATH) draw it.
[[nodiscard]] Drawing draw(const std::vector<Chart>& charts, const std::filesystem::path& folder);

/// An SVG that gnuplot wrote, ready to stand in an HTML page beside others: no prologue, no name
/// spaces, own ids, and text and axes in the page's colours.
[[nodiscard]] std::string inline_svg(const std::string& svg,
                                     const std::string& name,
                                     const std::string& title);

}  // namespace traindyno
