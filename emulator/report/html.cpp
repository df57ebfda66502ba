// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emulator/base/overloaded.hpp"
#include "emulator/report/html_style.hpp"
#include "emulator/report/render.hpp"

namespace traindyno {

namespace {

std::string stamps_html(const std::vector<std::string>& stamps) {
    std::string html;
    for (const std::string& stamp : stamps) {
        html += fmt::format(R"(<span class="stamp">{}</span> )", escape_html(stamp));
    }
    return html.empty() ? "" : fmt::format("<p class=\"stamps\">{}</p>\n", html);
}

std::string_view css_class(const Column& column) {
    return column.align == Align::left ? R"( class="l")" : "";
}

std::string cell_html(const Cell& cell, const Column& column, std::string_view tag) {
    std::string content = escape_html(cell.text);
    if (!cell.colour.empty()) {
        content =
            fmt::format(R"(<i class="chip" style="background:{}"></i>{})", cell.colour, content);
    }
    if (cell.alarm) {
        content = fmt::format(R"(<strong class="alarm">{}</strong>)", content);
    }
    if (cell.bar >= 0.005) {
        content += fmt::format(R"(<i class="bar" style="width:{:.1f}%;background:{}"></i>)",
                               100 * cell.bar,
                               cell.bar_colour);
    }
    return fmt::format("<{0}{1}>{2}</{0}>", tag, css_class(column), content);
}

std::string table_html(const Table& table) {
    std::string html = fmt::format(
        "<div class=\"scroll\" tabindex=\"0\"><table{}>\n<caption>{}</caption>\n<thead><tr>",
        table.last_row == LastRow::sum ? R"( class="sum")" : "",
        escape_html(table.caption));
    for (const Column& column : table.columns) {
        html += fmt::format(
            R"(<th scope="col"{}>{}</th>)", css_class(column), escape_html(column.title));
    }
    html += "</tr></thead>\n<tbody>\n";
    for (const auto& row : table.rows) {
        html += "<tr>";
        for (std::size_t c = 0; c < row.size(); ++c) {
            html += cell_html(row[c], table.columns[c], "td");
        }
        html += "</tr>\n";
    }
    return html + "</tbody></table></div>\n";
}

std::string figures_html(const Figures& figures, const Pictures& pictures) {
    std::string html;
    for (const std::string& name : figures.charts) {
        if (const auto found = pictures.find(name); found != pictures.end()) {
            const Picture& picture = found->second;
            html += fmt::format("<figure><h3>{}</h3>\n{}\n<figcaption>{}</figcaption></figure>\n",
                                escape_html(picture.title),
                                picture.svg,
                                escape_html(picture.caption));
        }
    }
    return html.empty() ? "" : fmt::format("<div class=\"figures\">\n{}</div>\n", html);
}

std::string content_html(const Content& content, const Pictures& pictures) {
    return std::visit(
        Overloaded{[](const Paragraph& paragraph) {
                       return fmt::format("<p class=\"text\">{}</p>\n",
                                          escape_html(paragraph.text));
                   },
                   [](const Table& table) { return table_html(table); },
                   [&](const Figures& figures) { return figures_html(figures, pictures); },
                   [](const Preformatted& text) {
                       return fmt::format("<pre tabindex=\"0\">{}</pre>\n", escape_html(text.text));
                   },
                   [](const Link& link) {
                       return fmt::format("<p class=\"text\"><a href=\"{}\">{}</a></p>\n",
                                          escape_html(link.path),
                                          escape_html(link.text));
                   }},
        content);
}

std::string section_html(const Section& section,
                         const std::vector<std::string>& stamps,
                         const Pictures& pictures) {
    std::string html = fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n{}",
                                   section.id,
                                   escape_html(section.title),
                                   stamps_html(stamps));
    for (const Content& content : section.contents) {
        html += content_html(content, pictures);
    }
    return html + "</section>\n";
}

std::string header_html(const Document& document) {
    std::string html = fmt::format(
        "<header>\n<p class=\"brand\">traindyno · scaling report</p>\n<h1>{}</h1>\n"
        "<p class=\"subtitle\">{}</p>\n{}",
        escape_html(document.headline),
        escape_html(document.subtitle),
        stamps_html(document.stamps));
    if (!document.key_figures.empty()) {
        html += "<dl class=\"figures-row\">\n";
        for (const KeyFigure& figure : document.key_figures) {
            html += fmt::format("<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n",
                                escape_html(figure.label),
                                escape_html(figure.value),
                                escape_html(figure.note));
        }
        html += "</dl>\n";
    }
    html += "<nav>";
    for (const Section& section : document.sections) {
        html += fmt::format(R"(<a href="#{}">{}</a> )", section.id, escape_html(section.title));
    }
    return html + "</nav>\n</header>\n";
}

}  // namespace

std::string escape_html(std::string_view text) {
    std::string escaped;
    escaped.reserve(text.size());
    for (const char c : text) {
        switch (c) {
            case '&':
                escaped += "&amp;";
                break;
            case '<':
                escaped += "&lt;";
                break;
            case '>':
                escaped += "&gt;";
                break;
            case '"':
                escaped += "&quot;";
                break;
            case '\'':
                escaped += "&#39;";
                break;
            default:
                escaped += c;
        }
    }
    return escaped;
}

std::string to_html(const Document& document, const Pictures& pictures) {
    std::string html = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{}",
        escape_html(document.headline),
        report_style,
        header_html(document));
    for (const Section& section : document.sections) {
        html += section_html(section, document.stamps, pictures);
    }
    return html + "</main>\n</body>\n</html>\n";
}

}  // namespace traindyno
