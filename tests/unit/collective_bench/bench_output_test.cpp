// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "emulator/collective_bench/bench_files.hpp"
#include "emulator/collective_bench/bench_text.hpp"

namespace traindyno {
namespace {

/// 1 MB in 1 ms is 1 GB/s.
BenchRow row(Placement placement) {
    return {.backend = "ring",
            .what = {.op = BenchOp::all_reduce, .type = DType::fp32},
            .placement = placement,
            .ranks = 4,
            .shape = {.count = 250'000, .in = 250'000, .out = 250'000},
            .iterations = 20,
            .time = {.min = 5e-4, .p50 = 1e-3, .p95 = 2e-3, .max = 4e-3},
            .wrong = placement == Placement::in_place ? 3 : 0,
            .predicted_s = 8e-4};
}

std::vector<std::string> words(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> found;
    for (std::string word; stream >> word;) {
        found.push_back(word);
    }
    return found;
}

TEST(BenchRow, divides_the_size_by_the_median_time) {
    EXPECT_DOUBLE_EQ(row(Placement::apart).algbw_gbs(), 1);
    EXPECT_DOUBLE_EQ(row(Placement::apart).busbw_gbs(), 1.5);
}

TEST(BenchText, has_the_columns_of_nccl_tests_first) {
    const std::vector<std::string> line =
        words(bench_line({row(Placement::apart), row(Placement::in_place)}, ModelColumn::present));
    EXPECT_EQ(line, (std::vector<std::string>{"1000000", "250000", "fp32",   "sum",    "-1",
                                              "1000.0",  "1.00",   "1.50",   "0",      "1000.0",
                                              "1.00",    "1.50",   "3",      "500.0",  "2000.0",
                                              "4000.0",  "500.0",  "2000.0", "4000.0", "800.0"}));
}

TEST(BenchText, says_which_columns_do_not_apply) {
    BenchRow broadcast = row(Placement::in_place);
    broadcast.what = {.op = BenchOp::broadcast, .root = GroupRank{2}};
    broadcast.wrong.reset();
    const std::vector<std::string> line = words(bench_line({broadcast}, ModelColumn::absent));
    ASSERT_EQ(line.size(), 19U);
    EXPECT_EQ(line[3], "none");
    EXPECT_EQ(line[4], "2");
    EXPECT_EQ(std::vector<std::string>(line.begin() + 5, line.begin() + 9),
              std::vector<std::string>(4, "N/A"));
    EXPECT_EQ(line[12], "N/A");  // not checked
}

TEST(BenchText, headings_stand_over_their_columns) {
    for (const ModelColumn model : {ModelColumn::absent, ModelColumn::present}) {
        std::istringstream heading(bench_heading(model));
        const std::string line =
            bench_line({row(Placement::apart), row(Placement::in_place)}, model);
        for (std::string text; std::getline(heading, text);) {
            EXPECT_EQ(text.front(), '#');
            EXPECT_LE(text.size() + 1, line.size());
            // Every word ends where a value ends.
            for (std::size_t end = 1; end <= text.size(); ++end) {
                const bool word_ends =
                    text[end - 1] != ' ' && (end == text.size() || text[end] == ' ');
                if (word_ends && end > 1) {
                    EXPECT_NE(line[end - 1], ' ') << text << "\n" << line << end;
                }
            }
        }
    }
}

TEST(BenchText, foots_up_wrong_values_and_bandwidth) {
    const std::string right = bench_footing({row(Placement::apart)});
    EXPECT_NE(right.find(": 0 OK"), std::string::npos) << right;
    EXPECT_NE(right.find(": 1.5\n"), std::string::npos) << right;
    const std::string wrong = bench_footing({row(Placement::apart), row(Placement::in_place)});
    EXPECT_NE(wrong.find(": 3 FAILED"), std::string::npos) << wrong;
    BenchRow unchecked = row(Placement::apart);
    unchecked.wrong.reset();
    EXPECT_NE(bench_footing({unchecked}).find("not checked"), std::string::npos);
}

TEST(BenchText, complains_of_wrong_values_with_exit_code_1) {
    EXPECT_EQ(complaint_text({}), "");
    EXPECT_EQ(exit_code_of({}), ExitCode::done);
    const std::vector<std::string> many(1000, "ring all_reduce: wrong");
    EXPECT_EQ(static_cast<int>(exit_code_of(many)), 1);
    const std::string text = complaint_text(many);
    EXPECT_NE(text.find("1000 times"), std::string::npos) << text;
    EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 30);
}

TEST(BenchJson, holds_header_and_rows) {
    HostInfo host;
    host.name = "a";
    host.cores = 8;
    const BenchHeader header{.version = "1",
                             .created = "2026-01-01T00:00:00Z",
                             .command = "traindyno collectives",
                             .mpi = "Open MPI",
                             .buffers = "shared",
                             .hosts = {host},
                             .flags_raised = {"slow"}};
    BenchRow second = row(Placement::in_place);
    second.what = {.op = BenchOp::broadcast, .root = GroupRank{2}};
    second.predicted_s.reset();
    const auto json = nlohmann::json::parse(bench_json(header, {row(Placement::apart), second}));
    EXPECT_EQ(json["schema"], "traindyno.collectives/1");
    EXPECT_EQ(json["buffers"], "shared");
    EXPECT_EQ(json["hosts"][0]["cores"], 8);
    ASSERT_EQ(json["rows"].size(), 2U);
    const auto& first = json["rows"][0];
    EXPECT_EQ(first["backend"], "ring");
    EXPECT_EQ(first["op"], "all_reduce");
    EXPECT_EQ(first["ranks"], 4);
    EXPECT_EQ(first["dtype"], "fp32");
    EXPECT_EQ(first["placement"], "out_of_place");
    EXPECT_EQ(first["bytes"], 1'000'000);
    EXPECT_DOUBLE_EQ(first["time_us"]["p50"], 1000);
    EXPECT_DOUBLE_EQ(first["time_us"]["max"], 4000);
    EXPECT_DOUBLE_EQ(first["busbw_gbs"], 1.5);
    EXPECT_EQ(first["wrong"], 0);
    EXPECT_DOUBLE_EQ(first["predicted_us"], 800);
    EXPECT_TRUE(first["root"].is_null());
    EXPECT_TRUE(json["rows"][1]["reduction"].is_null());
    EXPECT_EQ(json["rows"][1]["root"], 2);
    EXPECT_TRUE(json["rows"][1]["predicted_us"].is_null());
}

TEST(BenchCsv, has_as_many_fields_in_every_line) {
    const std::string text = bench_csv({row(Placement::apart), row(Placement::in_place)});
    std::istringstream lines(text);
    std::set<std::int64_t> commas;
    std::int64_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        commas.insert(std::count(line.begin(), line.end(), ','));
    }
    EXPECT_EQ(count, 3);
    EXPECT_EQ(commas.size(), 1U);
    EXPECT_NE(
        text.find("ring,all_reduce,4,fp32,sum,,in_place,1000000,250000,20,500,1000,2000,4000"),
        std::string::npos)
        << text;
}

}  // namespace
}  // namespace traindyno
