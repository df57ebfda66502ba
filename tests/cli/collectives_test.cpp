// SPDX-License-Identifier: Apache-2.0
// traindyno collectives as a user starts it.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/cli/job.hpp"

namespace traindyno::test {
namespace {

constexpr std::size_t columns = 19;  ///< and one for the model, between several ranks

/// Table rows, split at spaces.
std::vector<std::vector<std::string>> table(const std::string& text) {
    std::vector<std::vector<std::string>> rows;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line.front() == '#') {
            continue;
        }
        std::istringstream words(line);
        rows.emplace_back(std::istream_iterator<std::string>(words),
                          std::istream_iterator<std::string>());
    }
    return rows;
}

void expect_right(const ProcessResult& result,
                  int ranks,
                  std::size_t sizes,
                  const std::string& context = "") {
    EXPECT_EQ(result.exit_code, 0) << context << result.err;
    const auto rows = table(result.out);
    EXPECT_EQ(rows.size(), sizes) << context << result.out;
    for (const auto& row : rows) {
        ASSERT_EQ(row.size(), ranks > 1 ? columns + 1 : columns) << context << result.out;
        EXPECT_TRUE(row[8] == "0" || row[8] == "N/A") << context << result.out;
        EXPECT_TRUE(row[12] == "0" || row[12] == "N/A") << context << result.out;
        EXPECT_FALSE(row[8] == "N/A" && row[12] == "N/A") << context << result.out;
    }
    EXPECT_NE(result.out.find(": 0 OK"), std::string::npos) << context << result.out;
}

TEST(Collectives, of_every_kind_are_right_and_in_nccl_tests_columns) {
    const TemporaryFolder folder;
    for (const char* op : {"all_reduce -d int32 -o avg",
                           "reduce_scatter -d bfloat16 -o max",
                           "all_gather --datatype half",
                           "all_to_all --dtype int64",
                           "broadcast -d double -r 2",
                           "sendrecv"}) {
        expect_right(
            run_job(folder,
                    3,
                    fmt::format("collectives --op {} -b 8 -e 100K -f 100 -n 3 -w 1 -c 2", op)),
            3,
            3,
            op);
    }
}

TEST(Collectives, write_json_and_csv) {
    const TemporaryFolder folder;
    const ProcessResult result =
        run_job(folder, 2, "collectives -b 1K -e 4K -i 1K -n 5 -w 0 --json out/r.json --csv r.csv");
    expect_right(result, 2, 4);
    std::ifstream file(folder.path() / "out" / "r.json");
    const auto json = nlohmann::json::parse(file);
    EXPECT_EQ(json["schema"], "traindyno.collectives/1");
    ASSERT_EQ(json["rows"].size(), 8U);  // two placements
    for (const auto& row : json["rows"]) {
        EXPECT_EQ(row["backend"], "mpi");
        EXPECT_EQ(row["ranks"], 2);
        EXPECT_EQ(row["iterations"], 5);
        EXPECT_EQ(row["wrong"], 0);
        EXPECT_GT(row["time_us"]["min"], 0);
        EXPECT_GT(row["predicted_us"], 0);
        EXPECT_DOUBLE_EQ(row["busbw_gbs"], row["algbw_gbs"]);  // 2 (n-1)/n is 1
        EXPECT_NEAR(row["algbw_gbs"].get<double>() * row["time_us"]["p50"].get<double>() * 1e3,
                    row["bytes"].get<double>(),
                    1e-6 * row["bytes"].get<double>());
    }
    std::ifstream csv(folder.path() / "r.csv");
    std::int64_t lines = 0;
    for (std::string line; std::getline(csv, line);) {
        ++lines;
    }
    EXPECT_EQ(lines, 9);
}

TEST(Collectives, stand_side_by_side_without_a_launcher) {
    const TemporaryFolder folder;
    const ProcessResult result = run_command(
        fmt::format("'{}' collectives --collectives mpi,serial -e 1K -f 8 -n 7 --json r.json",
                    TRAINDYNO_EXECUTABLE),
        folder.path());
    expect_right(result, 1, 6);  // 8, 64 and 512 bytes by each
    std::ifstream file(folder.path() / "r.json");
    const auto json = nlohmann::json::parse(file);
    std::set<std::string> backends;
    for (const auto& row : json["rows"]) {
        backends.insert(row["backend"]);
    }
    EXPECT_EQ(backends, (std::set<std::string>{"mpi", "serial"}));
}

TEST(Collectives, by_every_algorithm_stand_side_by_side) {
    const TemporaryFolder folder;
    const ProcessResult result = run_job(
        folder,
        3,
        "collectives --op all_reduce -d bf16 -b 100 -e 10000 -f 100 -n 5 -w 1 --collectives "
        "mpi,shm,ring,recursive_doubling,rhd,double_tree,hierarchical,auto");
    expect_right(result, 3, 16);
}

TEST(Collectives, find_buffers_that_all_ranks_address) {
    const TemporaryFolder folder;
    const ProcessResult result =
        run_job(folder,
                2,
                "collectives --buffers shared -b 100 -e 1M -f 100 -n 3 -w 1 --collectives "
                "mpi,shm,auto --json r.json");
    expect_right(result, 2, 9);
    EXPECT_NE(result.out.find("# buffers: shared\n"), std::string::npos) << result.out;
    std::ifstream file(folder.path() / "r.json");
    EXPECT_EQ(nlohmann::json::parse(file)["buffers"], "shared");
}

TEST(Collectives, of_gpus_are_refused_where_there_is_none) {
    const TemporaryFolder folder;
    const ProcessResult result =
        run_command(fmt::format("CUDA_VISIBLE_DEVICES= '{}' collectives --device cuda -e 1K",
                                TRAINDYNO_EXECUTABLE),
                    folder.path());
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("--device: there is no GPU to use here ("), std::string::npos)
        << result.err;
}

TEST(Collectives, refuse_bad_input_once_with_all_problems) {
    const TemporaryFolder folder;
    const ProcessResult result = run_job(
        folder, 2, "collectives --op gather -b big --collectives mpi,pigeons -n 0 --iter 3");
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    for (const char* part : {"--op: 'gather'",
                             "--minbytes: 'big'",
                             "'pigeons'",
                             "--iters: '0'",
                             "--iter: unknown flag"}) {
        const std::size_t first = result.err.find(part);
        EXPECT_NE(first, std::string::npos) << part << "\n" << result.err;
        EXPECT_EQ(result.err.find(part, first + 1), std::string::npos) << part << result.err;
    }
}

TEST(Collectives, that_do_not_fit_into_memory_are_refused) {
    const TemporaryFolder folder;
    const ProcessResult result = run_job(folder, 2, "collectives -b 1024G -e 1024G");
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err.find("--maxbytes: 2 ranks"), std::string::npos) << result.err;
}

TEST(Collectives, whose_results_cannot_be_written_end_after_the_first_size) {
    const TemporaryFolder folder;
    std::ofstream(folder.path() / "a_file") << "not a folder";
    const ProcessResult result =
        run_job(folder, 2, "collectives -b 8 -e 1M -n 2 --json a_file/r.json");
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err.find("a_file"), std::string::npos) << result.err;
    EXPECT_LE(table(result.out).size(), 1U);
}

TEST(Collectives, have_a_models_time_beside_them) {
    for (const std::string carrier : {"mpi", "shm", "auto", "ring"}) {
        const TemporaryFolder folder;
        const ProcessResult result =
            run_job(folder, 2, "collectives -b 1K -e 1M -f 32 -n 2 --collectives " + carrier);
        const auto rows = table(result.out);
        EXPECT_EQ(rows.size(), 3U) << result.out << result.err;
        for (const auto& row : rows) {
            ASSERT_EQ(row.size(), columns + 1) << result.out;
            EXPECT_GT(std::strtod(row.back().c_str(), nullptr), 0) << result.out;
        }
    }
}

TEST(Collectives, in_which_a_rank_stops_end_within_the_deadline_and_say_which) {
    for (const std::string carrier : {"ring", "shm"}) {
        const TemporaryFolder folder;
        const StoppedJob job = run_job_and_stop_a_rank(
            folder,
            2,
            "collectives -b 1M -e 1M -n 1000000 --timeout 3 --collectives " + carrier + ",mpi");
        EXPECT_EQ(job.process.exit_code, 5) << job.process.err;
        EXPECT_NE(job.process.err.find("did not complete within 3.0 s"), std::string::npos)
            << job.process.err;
        EXPECT_NE(job.process.err.find("rank 1"), std::string::npos) << job.process.err;
        EXPECT_GE(job.survived.count(), 2);
    }
}

}  // namespace
}  // namespace traindyno::test
