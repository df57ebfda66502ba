// SPDX-License-Identifier: Apache-2.0
#include "emulator/report/report.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "emulator/base/config_files.hpp"
#include "emulator/base/error.hpp"
#include "emulator/report/charts.hpp"
#include "emulator/report/document.hpp"
#include "emulator/report/palette.hpp"
#include "emulator/report/render.hpp"
#include "emulator/report/wording.hpp"
#include "emulator/study/analysis.hpp"
#include "emulator/study/result_files.hpp"
#include "tests/unit/study/sample_study.hpp"

namespace traindyno {
namespace {

namespace fs = std::filesystem;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++found;
    }
    return found;
}

TEST(Summary, columns_are_aligned_and_the_headline_is_first) {
    const Study study = test::weak_study();
    std::istringstream lines(summary_text(study));
    std::string line;
    std::getline(lines, line);
    EXPECT_EQ(line, headline(study));
    while (line.find("ranks  layout") != 0) {
        ASSERT_TRUE(std::getline(lines, line));
    }
    std::string rule;
    std::getline(lines, rule);
    EXPECT_EQ(rule.size(), line.size());
    EXPECT_EQ(rule.find_first_not_of("- "), std::string::npos);
}

TEST(Summary, a_text_table_pads_by_characters_and_not_by_bytes) {
    const Table table{.caption = "",
                      .columns = {{"a", Align::left}, {"b"}},
                      .rows = {{{"±±"}, {"1"}}, {{"x"}, {"22"}}}};
    EXPECT_EQ(to_text(table), "a    b\n--  --\n±±   1\nx   22\n");
}

TEST(Summary, doubts_follow_the_table) {
    const std::string text = summary_text(test::strong_study());
    EXPECT_TRUE(contains(text, "not enough samples: 64 ranks, 48 steps"));
    EXPECT_TRUE(contains(text, "flagged: oversubscribed: 64 ranks on 8 cores"));
    EXPECT_TRUE(contains(summary_text(test::weak_study()), "straggler: rank 5 of 8 on node-b"));
}

std::string page_of(const Study& study) {
    return to_html(compose(study, {}), {});
}

TEST(Html, holds_the_headline_and_every_category_with_its_colour) {
    Study study = test::weak_study();
    for (Point& point : study.points) {
        for (double& seconds : point.budget.seconds) {
            seconds += 0.1;
        }
    }
    const std::string html = page_of(study);
    EXPECT_TRUE(contains(html, "<h1>" + escape_html(headline(study)) + "</h1>"));
    for (const Category category : all_categories()) {
        const CategoryLook look = look_of(category);
        EXPECT_TRUE(contains(html,
                             "<i class=\"chip\" style=\"background:" + std::string(look.colour) +
                                 "\"></i>" + std::string(look.label)))
            << look.label;
    }
}

TEST(Html, loss_columns_end_in_one_minus_efficiency) {
    const Study study = test::weak_study();
    const std::string html = page_of(study);
    const std::size_t row = html.find("Sum = 1 − E");
    ASSERT_NE(row, std::string::npos);
    const std::string cells = html.substr(row, html.find("</tr>", row) - row);
    for (std::size_t i = 1; i < study.points.size(); ++i) {
        EXPECT_TRUE(contains(cells, "<td>" + percent(1 - study.points[i].efficiency, 2) + "</td>"));
    }
}

TEST(Html, text_from_outside_cannot_become_markup) {
    Study study = test::weak_study();
    study.environment.env["OMPI_X"] = "<script>alert('x')</script>";
    study.environment.hosts[0].name = "a\"><img src=x>";
    study.points.back().ranks_detail[0].host = "<b>host</b>";
    study.flags_raised = {"<i>flag & co</i>"};
    study.model.name = "</title><script>";
    const std::string html = page_of(study);
    EXPECT_FALSE(contains(html, "<script"));
    EXPECT_FALSE(contains(html, "<img"));
    EXPECT_FALSE(contains(html, "<b>"));
    EXPECT_TRUE(contains(html, "&lt;i&gt;flag &amp; co&lt;/i&gt;"));
    EXPECT_TRUE(contains(html, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
}

TEST(Html, flags_are_stamped_on_every_section) {
    const Study study = test::strong_study();
    const Document document = compose(study, {});
    const std::string stamp = "<span class=\"stamp\">" + study.flags_raised[0] + "</span>";
    EXPECT_EQ(count(to_html(document, {}), stamp), document.sections.size() + 1);
    EXPECT_EQ(count(page_of(test::weak_study()), "class=\"stamp\""), 0U);
}

TEST(Html, reads_on_phones_in_print_and_in_the_dark) {
    const std::string html = page_of(test::weak_study());
    EXPECT_TRUE(contains(html, "name=\"viewport\""));
    EXPECT_TRUE(contains(html, "@media print"));
    EXPECT_TRUE(contains(html, "prefers-color-scheme: dark"));
    EXPECT_EQ(count(html, "<table"), count(html, "<div class=\"scroll\""));
}

TEST(Html, studies_of_one_point_no_budget_or_no_points_are_reported_too) {
    Study study = test::weak_study();
    study.points.resize(1);
    complete(study);
    EXPECT_TRUE(contains(page_of(study), "One point has nothing to lose against"));
    study.points[0].budget = Budget{};
    study.points[0].ranks_detail.clear();
    EXPECT_TRUE(contains(page_of(study), "The steps were not traced"));
    EXPECT_TRUE(contains(page_of(Study{}), "No point was completed."));
}

TEST(Html, what_is_needed_to_repeat_is_there) {
    const Study study = test::weak_study();
    const std::string html = page_of(study);
    for (const std::string& part : {study.commands[0],
                                    study.environment.mpi,
                                    study.environment.binding,
                                    study.environment.compute_library,
                                    study.environment.hosts[1].name,
                                    study.environment.hosts[1].kernel,
                                    std::string("OMPI_MCA_btl=tcp,self"),
                                    study.version}) {
        EXPECT_TRUE(contains(html, escape_html(part))) << part;
    }
}

TEST(Html, both_definitions_of_exposed_communication_stand_side_by_side) {
    const Study study = test::weak_study();
    const std::string html = page_of(study);
    EXPECT_TRUE(contains(html, "<td>0.4480</td>"));  // traced: 0.14 x 3.2 s
    EXPECT_TRUE(contains(html, "<td>0.5632</td>"));  // by removal: (0.14 + 0.9 x 0.04) x 3.2 s
}

std::string section_of(const std::string& markdown, const std::string& title) {
    const std::size_t begin = markdown.find("## " + title);
    return begin == std::string::npos
               ? ""
               : markdown.substr(begin, markdown.find("\n## ", begin) - begin);
}

TEST(GpuSection, tells_energy_clocks_and_who_was_throttled) {
    const Study study = test::gpu_study();
    const std::string text =
        section_of(to_markdown(compose(study, {}), {}), "Clocks, power, energy");
    // 500 W and 8 ranks over the rate of all of them.
    EXPECT_TRUE(
        contains(text, fmt::format("{:.4g}", 500 * 8 / study.points.back().tokens_per_second)))
        << text;
    EXPECT_TRUE(contains(text, percent(1755.0 / 1980, 1))) << text;
    EXPECT_TRUE(contains(text,
                         "Throttled: rank 3 on node-a (thermal slowdown by the hardware 90 %, "
                         "power cap 25 %)."))
        << text;
    EXPECT_TRUE(contains(text, percent(1400.0 / 1980, 1))) << text;
    EXPECT_FALSE(contains(text, "unknown"));
    EXPECT_FALSE(contains(text, "uncertain"));
    EXPECT_TRUE(contains(page_of(study), "Clocks, power, energy"));
}

TEST(GpuSection, is_absent_without_gpus) {
    EXPECT_FALSE(contains(page_of(test::weak_study()), "Clocks, power, energy"));
}

TEST(GpuSection, says_unknown_and_uncertain_where_it_is) {
    Study study = test::gpu_study();
    study.points.back().energy_joules.reset();
    study.points.back().joules_per_token.reset();
    for (RankDetail& rank : study.points.back().ranks_detail) {
        rank.gpu = TelemetrySummary{.uuid = "GPU-0", .seconds = 2};
    }
    const std::string text =
        section_of(to_markdown(compose(study, {}), {}), "Clocks, power, energy");
    EXPECT_TRUE(contains(text, "unknown"));
    EXPECT_TRUE(contains(text, "No GPU was throttled."));
    EXPECT_TRUE(contains(text, "less than 10 s"));
}

TEST(GpuSection, devices_and_libraries_are_among_what_is_needed_to_repeat) {
    const std::string html = page_of(test::gpu_study());
    for (const std::string part : {"NVIDIA H200", "GPU-7", "sm_90", "2.28.9", "mlx5_0:1/IB"}) {
        EXPECT_TRUE(contains(html, part)) << part;
    }
}

TEST(Markdown, tables_have_as_many_cells_as_titles_and_text_is_escaped) {
    Study study = test::weak_study();
    study.points.back().ranks_detail[0].host = "pipe|star*<b>";
    const std::string text = to_markdown(compose(study, {}), {});
    EXPECT_TRUE(contains(text, "# " + headline(study)));
    EXPECT_TRUE(contains(text, "pipe\\|star\\*&lt;b>"));
    EXPECT_TRUE(contains(text, "**Sum = 1 − E**"));
    std::istringstream lines(text);
    std::size_t cells = 0;
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line[0] != '|') {
            cells = 0;
            continue;
        }
        const std::size_t bars = count(line, "|") - count(line, "\\|");
        EXPECT_TRUE(cells == 0 || bars == cells) << line;
        cells = bars;
    }
}

/// Each test gets an empty folder, removed afterwards.
class Report : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() /
                  ("traindyno report " + std::to_string(::getpid()) + " " +
                   ::testing::UnitTest::GetInstance()->current_test_info()->name());
        fs::remove_all(folder_);
    }

    void TearDown() override { fs::remove_all(folder_); }

    [[nodiscard]] const fs::path& folder() const { return folder_; }

  private:
    fs::path folder_;
};

TEST_F(Report, holds_every_chart_inline_and_refers_to_nothing_outside) {
    const Study study = test::strong_study();
    EXPECT_EQ(write_report(study, folder()), std::vector<std::string>{});
    const std::string html = read_text_file(folder() / "report.html");
    const std::vector<Chart> charts = charts_of(study);
    EXPECT_EQ(charts.size(), 9U);
    EXPECT_EQ(count(html, "<svg "), charts.size());
    EXPECT_FALSE(contains(html, "http://"));
    EXPECT_FALSE(contains(html, "https://"));
    EXPECT_FALSE(contains(html, "<script"));
    EXPECT_FALSE(contains(html, "<link"));
    EXPECT_FALSE(contains(html, "url("));
    const std::string markdown = read_text_file(folder() / "report.md");
    for (const Chart& chart : charts) {
        for (const std::string ending : {".csv", ".gp", ".svg"}) {
            EXPECT_TRUE(fs::file_size(folder() / "charts" / (chart.name + ending)) > 0);
        }
        EXPECT_TRUE(contains(html, "aria-label=\"" + chart.title + "\""));
        EXPECT_TRUE(contains(markdown, "](charts/" + chart.name + ".svg)"));
    }
    EXPECT_FALSE(fs::exists(folder() / "charts" / "gnuplot.log"));
}

TEST_F(Report, shows_the_schedule_of_studies_with_several_stages) {
    const Study study = test::strong_study();
    EXPECT_EQ(write_report(study, folder()), std::vector<std::string>{});
    const std::string csv = read_text_file(folder() / "charts" / "schedule.csv");
    EXPECT_TRUE(contains(csv, "\n0,0,1,forward,0,0\n")) << csv;
    const std::string html = read_text_file(folder() / "report.html");
    EXPECT_TRUE(contains(html, "In unit time each stage idles"));
    EXPECT_TRUE(contains(html, "the formula (p-1)(F+B) "));
    Study flat = study;
    for (Point& point : flat.points) {
        point.layout.pp = 1;
    }
    EXPECT_FALSE(contains(page_of(flat), "In unit time each stage idles"));
}

TEST_F(Report, clocks_are_drawn_and_written_per_rank) {
    EXPECT_EQ(write_report(test::gpu_study(), folder()), std::vector<std::string>{});
    const std::string csv = read_text_file(folder() / "charts" / "rank_clocks.csv");
    EXPECT_TRUE(contains(csv, "\n3,1400,1620,1980,500,88,")) << csv;
    EXPECT_TRUE(fs::file_size(folder() / "charts" / "rank_clocks.svg") > 0);
    EXPECT_TRUE(contains(read_text_file(folder() / "report.md"), "](charts/rank_clocks.svg)"));
}

TEST_F(Report, ids_of_inline_pictures_are_unique) {
    write_report(test::weak_study(), folder());
    const std::string html = read_text_file(folder() / "report.html");
    std::vector<std::string> ids;
    for (const std::string quote : {"\"", "'"}) {
        const std::string key = " id=" + quote;
        for (std::size_t at = html.find(key); at != std::string::npos;
             at = html.find(key, at + 1)) {
            const std::size_t start = at + key.size();
            ids.push_back(html.substr(start, html.find(quote, start) - start));
        }
    }
    EXPECT_GT(ids.size(), 20U);
    std::sort(ids.begin(), ids.end());
    const auto twice = std::adjacent_find(ids.begin(), ids.end());
    EXPECT_EQ(twice, ids.end()) << *twice;
}

TEST_F(Report, a_legend_of_all_categories_leaves_room_for_the_bars) {
    Study study = test::weak_study();
    for (const Category category : all_categories()) {
        study.points.back().budget[category] = 1;
    }
    write_report(study, folder());
    const std::string svg = read_text_file(folder() / "charts" / "budget.svg");
    // The title of the x axis stands right below the bars, which begin at the top.
    const std::size_t place = svg.rfind("translate(", svg.find(">ranks<"));
    ASSERT_NE(place, std::string::npos);
    EXPECT_GT(std::stod(svg.substr(svg.find(',', place) + 1)), 250);
}

TEST_F(Report, without_gnuplot_there_is_a_report_that_says_so) {
    const char* const path_before = std::getenv("PATH");
    const std::string path = path_before == nullptr ? "" : path_before;
    ::setenv("PATH", "/nonexistent", 1);
    const std::vector<std::string> notes = write_report(test::weak_study(), folder());
    ::setenv("PATH", path.c_str(), 1);
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_TRUE(contains(notes[0], "gnuplot cannot be started"));
    const std::string html = read_text_file(folder() / "report.html");
    EXPECT_TRUE(contains(html, "gnuplot cannot be started"));
    EXPECT_FALSE(contains(html, "<svg"));
    EXPECT_TRUE(fs::exists(folder() / "charts" / "efficiency.gp"));
}

TEST_F(Report, a_chart_that_gnuplot_refuses_is_named_and_the_others_are_drawn) {
    std::vector<Chart> charts = charts_of(test::weak_study());
    charts[1].script += "plot nonsense(\n";
    const Drawing drawing = draw(charts, folder());
    EXPECT_EQ(drawing.names.size(), charts.size() - 1);
    ASSERT_EQ(drawing.notes.size(), 1U);
    EXPECT_TRUE(contains(drawing.notes[0], "Chart " + charts[1].name + " was not drawn"));
}

TEST_F(Report, a_folder_that_cannot_be_written_is_an_error) {
    write_file(folder() / "taken", "a file");
    EXPECT_THROW(write_report(test::weak_study(), folder() / "taken"), ConfigError);
}

TEST_F(Report, every_shape_of_study_is_drawn_without_complaint) {
    Study single = test::weak_study();
    single.points.resize(1);
    complete(single);
    Study predicted = test::strong_study();
    predicted.provenance = Provenance::predicted;
    for (Point& point : predicted.points) {
        const double mean_step = point.step_seconds.mean;
        point.step_seconds = StepSeconds{};
        point.step_seconds.mean = mean_step;
        point.ranks_detail.clear();
    }
    complete(predicted);
    Study untraced = test::weak_study();
    for (Point& point : untraced.points) {
        point.budget = Budget{};
    }
    complete(untraced);
    Study lossless = test::weak_study();
    lossless.points[1] = lossless.points[0];
    lossless.points[1].ranks = 2;
    lossless.points[1].layout.dp = 2;
    lossless.points[1].global_batch *= 2;
    lossless.points.resize(2);
    complete(lossless);
    EXPECT_EQ(lossless.points[1].efficiency, 1);
    for (const Study& study : {single, predicted, untraced, lossless, Study{}}) {
        EXPECT_EQ(write_report(study, folder()), std::vector<std::string>{});
    }
}

}  // namespace
}  // namespace traindyno
