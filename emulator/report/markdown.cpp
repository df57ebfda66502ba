// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <fmt/format.h>

#include "emulator/base/overloaded.hpp"
#include "emulator/report/render.hpp"

namespace traindyno {

namespace {

/// Text that means nothing to Markdown.
std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '\\':
            case '|':
            case '*':
            case '_':
            case '`':
            case '[':
            case '#':
                result += '\\';
                result += c;
                break;
            case '<':
                result += "&lt;";
                break;
            case '&':
                result += "&amp;";
                break;
            case '\n':
                result += ' ';
                break;
            default:
                result += c;
        }
    }
    return result;
}

std::string cell_text(const Cell& cell) {
    return cell.alarm ? fmt::format("**{}**", escaped(cell.text)) : escaped(cell.text);
}

std::string table_markdown(const Table& table) {
    std::string titles = "|";
    std::string rule = "|";
    for (const Column& column : table.columns) {
        titles += fmt::format(" {} |", escaped(column.title));
        rule += column.align == Align::left ? " :-- |" : " --: |";
    }
    std::string text = fmt::format("{}:\n\n{}\n{}\n", escaped(table.caption), titles, rule);
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
        const bool is_sum = table.last_row == LastRow::sum && r + 1 == table.rows.size();
        text += "|";
        for (const Cell& cell : table.rows[r]) {
            text += is_sum ? fmt::format(" **{}** |", escaped(cell.text))
                           : fmt::format(" {} |", cell_text(cell));
        }
        text += "\n";
    }
    return text + "\n";
}

std::string figures_markdown(const Figures& figures, const Pictures& pictures) {
    std::string text;
    for (const std::string& name : figures.charts) {
        if (const auto found = pictures.find(name); found != pictures.end()) {
            text += fmt::format("![{}](charts/{}.svg)\n{}\n\n",
                                escaped(found->second.title),
                                name,
                                escaped(found->second.caption));
        }
    }
    return text;
}

std::string indented(std::string_view text) {
    std::string result = "    ";
    for (const char c : text) {
        result += c;
        if (c == '\n') {
            result += "    ";
        }
    }
    return result + "\n\n";
}

std::string content_markdown(const Content& content, const Pictures& pictures) {
    return std::visit(
        Overloaded{
            [](const Paragraph& paragraph) { return escaped(paragraph.text) + "\n\n"; },
            [](const Table& table) { return table_markdown(table); },
            [&](const Figures& figures) { return figures_markdown(figures, pictures); },
            [](const Preformatted& text) { return indented(text.text); },
            [](const Link& link) { return fmt::format("[{}]({})\n", link.text, link.path); }},
        content);
}

std::string stamps_markdown(const std::vector<std::string>& stamps) {
    std::string text;
    for (const std::string& stamp : stamps) {
        text += fmt::format("> **{}**\n>\n", escaped(stamp));
    }
    return text.empty() ? "" : text + "\n";
}

}  // namespace

std::string to_markdown(const Document& document, const Pictures& pictures) {
    std::string text =
        fmt::format("# {}\n\n{}\n\n", escaped(document.headline), escaped(document.subtitle));
    text += stamps_markdown(document.stamps);
    for (const KeyFigure& figure : document.key_figures) {
        text += fmt::format("- {}: **{}** ({})\n",
                            escaped(figure.label),
                            escaped(figure.value),
                            escaped(figure.note));
    }
    for (const Section& section : document.sections) {
        text +=
            fmt::format("\n## {}\n\n{}", escaped(section.title), stamps_markdown(document.stamps));
        for (const Content& content : section.contents) {
            text += content_markdown(content, pictures);
        }
    }
    return text;
}

}  // namespace traindyno
