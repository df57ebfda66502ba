// SPDX-License-Identifier: Apache-2.0
#include "emulator/report/report.hpp"

#include <utility>

#include "emulator/base/config_files.hpp"
#include "emulator/report/charts.hpp"
#include "emulator/report/document.hpp"
#include "emulator/report/render.hpp"
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

}  // namespace traindyno
