// SPDX-License-Identifier: Apache-2.0
// A document as HTML and as Markdown.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "emulator/report/charts.hpp"
#include "emulator/report/document.hpp"

namespace traindyno {

/// A chart as the renderers need it. Without a picture it is left out.
struct Picture {
    std::string title;
    std::string caption;
    std::string svg;  ///< ready for a page (inline_svg)
};

using Pictures = std::map<std::string, Picture, std::less<>>;  ///< by chart name

[[nodiscard]] std::string escape_html(std::string_view text);

/// A page that needs nothing but itself: no script, no other file.
[[nodiscard]] std::string to_html(const Document& document, const Pictures& pictures);

/// Pictures are referred to as charts/<name>.svg.
[[nodiscard]] std::string to_markdown(const Document& document, const Pictures& pictures);

}  // namespace traindyno
