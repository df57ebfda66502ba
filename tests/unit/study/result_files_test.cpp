// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/result_files.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "emulator/base/config_files.hpp"
#include "emulator/base/error.hpp"
#include "emulator/study/study_json.hpp"
#include "tests/unit/study/sample_study.hpp"

namespace traindyno {
namespace {

namespace fs = std::filesystem;

/// Each test gets an empty folder, removed afterwards.
class ResultFiles : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() /
                  ("traindyno-results-" + std::to_string(::getpid()) + "-" +
                   ::testing::UnitTest::GetInstance()->current_test_info()->name());
        fs::remove_all(folder_);
    }

    void TearDown() override { fs::remove_all(folder_); }

    [[nodiscard]] const fs::path& folder() const { return folder_; }

    [[nodiscard]] std::size_t files() const {
        const fs::recursive_directory_iterator all(folder_);
        return static_cast<std::size_t>(
            std::count_if(begin(all), end(all), [](const auto& e) { return e.is_regular_file(); }));
    }

  private:
    fs::path folder_;
};

/// No file may grow beyond `bytes` while this lives: writing fails as it does on a full disk, for
/// every user and without a file system of its own.
class FileSizeLimit {
  public:
    explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        rlimit limited = before_;
        limited.rlim_cur = bytes;
        ::setrlimit(RLIMIT_FSIZE, &limited);
    }

    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;

    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }

  private:
    rlimit before_{};
    void (*handler_)(int);
};

TEST_F(ResultFiles, study_comes_back_from_its_folder_and_its_file) {
    const Study study = test::weak_study();
    write_study(folder(), study);
    EXPECT_EQ(read_results(folder()), study);
    EXPECT_EQ(read_results(folder() / "study.json"), study);
}

TEST_F(ResultFiles, a_killed_job_leaves_the_points_it_completed) {
    const Study whole = test::weak_study();
    write_header(folder(), whole);
    for (std::size_t i = 0; i < 3; ++i) {
        write_point(folder(), whole.points[i]);
    }
    const Study read = read_results(folder());
    ASSERT_EQ(read.points.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(read.points[i], whole.points[i]);
    }
    EXPECT_EQ(read.flags_raised,
              std::vector<std::string>{"the job did not finish: points may be missing"});
}

TEST_F(ResultFiles, a_finished_study_is_preferred_to_its_points) {
    const Study study = test::weak_study();
    write_header(folder(), study);
    write_point(folder(), study.points[0]);
    write_study(folder(), study);
    EXPECT_EQ(read_results(folder()), study);
}

TEST_F(ResultFiles, a_newer_job_that_was_killed_supersedes_the_finished_one) {
    Study study = test::weak_study();
    write_study(folder(), study);
    study.created = "2026-01-01T00:00:00Z";
    write_header(folder(), study);
    write_point(folder(), study.points[0]);
    EXPECT_EQ(read_results(folder()).points.size(), 1U);
}

TEST_F(ResultFiles, points_are_named_by_their_ranks_and_nothing_else_is_left) {
    write_point(folder(), test::weak_study().points[2]);
    EXPECT_TRUE(fs::exists(folder() / "points" / "point-4.json"));
    EXPECT_EQ(files(), 1U);
}

TEST_F(ResultFiles, a_full_disk_is_reported_and_damages_nothing) {
    const Study study = test::weak_study();
    write_header(folder(), study);
    write_point(folder(), study.points[0]);
    {
        const FileSizeLimit limit(2048);
        EXPECT_THROW(write_point(folder(), study.points[0]), ConfigError);
        EXPECT_THROW(write_point(folder(), study.points[1]), ConfigError);
        EXPECT_THROW(write_study(folder(), study), ConfigError);
    }
    EXPECT_EQ(files(), 2U);  // no half file, no temporary
    EXPECT_EQ(read_results(folder()).points.at(0), study.points[0]);
}

TEST_F(ResultFiles, a_folder_that_cannot_be_made_is_named) {
    write_file(folder() / "taken", "a file, not a folder");
    try {
        write_study(folder() / "taken" / "results", test::weak_study());
        FAIL() << "written";
    } catch (const ConfigError& error) {
        EXPECT_NE(std::string(error.what()).find("taken"), std::string::npos);
        EXPECT_NE(std::string(error.what()).find("cannot be written"), std::string::npos);
    }
}

TEST_F(ResultFiles, a_folder_without_results_is_refused) {
    fs::create_directories(folder());
    EXPECT_THROW((void)read_results(folder()), ConfigError);
    EXPECT_THROW((void)read_results(folder() / "nowhere"), ConfigError);
}

TEST_F(ResultFiles, all_damaged_points_are_named) {
    const Study study = test::weak_study();
    write_header(folder(), study);
    write_point(folder(), study.points[0]);
    write_file(folder() / "points" / "point-2.json", "{");
    write_file(folder() / "points" / "point-4.json", "[]");
    try {
        (void)read_results(folder());
        FAIL() << "read";
    } catch (const ConfigError& error) {
        ASSERT_EQ(error.problems().size(), 2U);
        EXPECT_NE(error.problems()[0].find("point-2.json"), std::string::npos);
        EXPECT_NE(error.problems()[1].find("point-4.json"), std::string::npos);
    }
}

TEST_F(ResultFiles, writing_replaces_the_whole_file) {
    write_file(folder() / "text", "a long first version");
    write_file(folder() / "text", "short");
    EXPECT_EQ(read_text_file(folder() / "text"), "short");
}

}  // namespace
}  // namespace traindyno
