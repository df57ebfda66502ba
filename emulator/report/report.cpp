// SPDX-License-Identifier: Apache-2.0
#include "emulator/report/report.hpp"

#include <utility>

#include <fmt/format.h>

#include "emulator/base/config_files.hpp"
#include "emulator/report/charts.hpp"
#include "emulator/report/document.hpp"
#include "emulator/report/render.hpp"
#include "emulator/report/wording.hpp"
#include "emulator/study/result_files.hpp"

namespace traindyno {

std::vector<std::string> write_report(const Study& study, const std::filesystem::path& out) {
    const std::filesystem::path folder = out / "charts";
    const std::vector<Chart> charts = charts_of(study);
    Drawing drawing = draw(charts, folder);
    Pictures pictures;
    for (const Chart& chart : charts) {
        for (const std::string& drawn : drawing.names) {
            if (drawn == chart.name) {
                const std::string svg = read_text_file(folder / (chart.name + ".svg"));
                pictures[chart.name] = {.title = chart.title,
                                        .caption = chart.caption,
                                        .svg = inline_svg(svg, chart.name, chart.title)};
            }
        }
    }
    const Document document = compose(study, drawing.notes);
    write_file(out / "report.html", to_html(document, pictures));
    write_file(out / "report.md", to_markdown(document, pictures));
    return std::move(drawing.notes);
}

std::vector<std::string> write_reports(const std::vector<Study>& curves,
                                       const std::filesystem::path& out) {
    if (curves.size() == 1) {
        return write_report(curves.front(), out);
    }
    std::vector<std::string> notes;
    Document index{.headline = fmt::format("{} scaling curves", curves.size()),
                   .subtitle = "They measured different things: each has a report of its own.",
                   .stamps = {},
                   .key_figures = {},
                   .sections = {}};
    for (std::size_t i = 0; i < curves.size(); ++i) {
        const std::string name = fmt::format("curve-{}", i + 1);
        notes = write_report(curves[i], out / name);
        const std::string report = name + "/report";
        index.sections.push_back({.id = name,
                                  .title = curves[i].model.name + ", " + kind_of_result(curves[i]),
                                  .contents = {Paragraph{headline(curves[i])},
                                               points_overview(curves[i]),
                                               Link{report + ".html", "The whole report"}}});
    }
    write_file(out / "report.html", to_html(index, {}));
    write_file(out / "report.md", to_markdown(index, {}));
    return notes;
}

}  // namespace traindyno
