// SPDX-License-Identifier: Apache-2.0
// A report as structured text, independent of HTML, Markdown or a terminal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "emulator/study/study.hpp"

namespace traindyno {

enum class Align : std::uint8_t { left, right };

struct Column {
    std::string title;
    Align align = Align::right;
};

struct Cell {
    std::string text;
    std::string colour = {};  ///< of a chip before the text
    double bar = 0;           ///< length of a bar below the text, in [0, 1]
    std::string bar_colour = {};
    bool alarm = false;  ///< something is wrong here
};

enum class LastRow : std::uint8_t { ordinary, sum };

struct Table {
    std::string caption;
    std::vector<Column> columns;
    std::vector<std::vector<Cell>> rows;
    LastRow last_row = LastRow::ordinary;
};

struct Paragraph {
    std::string text;
};

/// Charts side by side, by name.
struct Figures {
    std::vector<std::string> charts;
};

/// Text to copy: commands, variables.
struct Preformatted {
    std::string text;
};

/// A way to another file of the same report.
struct Link {
    std::string path;
    std::string text;
};

using Content = std::variant<Paragraph, Table, Figures, Preformatted, Link>;

struct Section {
    std::string id;
    std::string title;
    std::vector<Content> contents;
};

struct KeyFigure {
    std::string label;
    std::string value;
    std::string note;
};

struct Document {
    std::string headline;
    std::string subtitle;
    std::vector<std::string> stamps;  ///< repeated at the top of every section
    std::vector<KeyFigure> key_figures;
    std::vector<Section> sections;
};

/// Everything the report says about a completed study. `notes` tell what the report lacks.
[[nodiscard]] Document compose(const Study& study, const std::vector<std::string>& notes);

/// Rows of aligned columns, two spaces apart, with a rule below the titles.
[[nodiscard]] std::string to_text(const Table& table);

/// One row per point: the table of the terminal summary.
[[nodiscard]] Table points_overview(const Study& study);

}  // namespace traindyno
