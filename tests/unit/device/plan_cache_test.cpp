// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/gemm_plans/plan_cache.hpp"

#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulator/base/error.hpp"
#include "emulator/device/gemm_plans/plan_file.hpp"
#include "tests/support/process.hpp"

namespace traindyno {
namespace {

namespace fs = std::filesystem;

const PlanScope h200{.device = "NVIDIA H200",
                     .capability = "9.0",
                     .multiprocessors = 132,
                     .library = "cuBLASLt 130100"};

GemmKey key(std::int64_t m) {
    return {.m = m, .n = 16, .k = 32};
}

TunedPlan plan(int rank) {
    return {.algorithm = {0x0123456789abcdef, 1, 2, 3, 4, 5, 6, ~0ULL},
            .microseconds = 0.1 + rank,
            .rank = rank};
}

std::string read(const fs::path& file) {
    std::ifstream in(file);
    return (std::stringstream() << in.rdbuf()).str();
}

void write(const fs::path& file, const std::string& text) {
    std::ofstream(file) << text;
}

class PlanCacheFile : public testing::Test {
  protected:
    [[nodiscard]] fs::path file() const { return folder_.path() / "plans.json"; }

    void save(const PlanScope& scope, const GemmKey& for_key, const TunedPlan& value) const {
        PlanCache cache(file(), scope);
        cache.add(for_key, value);
        cache.save();
    }

    [[nodiscard]] const fs::path& folder() const { return folder_.path(); }

  private:
    test::TemporaryFolder folder_;
};

TEST_F(PlanCacheFile, keeps_plans_between_runs) {
    EXPECT_EQ(PlanCache(file(), h200).find(key(1)), std::nullopt);
    save(h200, key(1), plan(7));
    const PlanCache again(file(), h200);
    EXPECT_EQ(again.find(key(1)), plan(7));
    EXPECT_EQ(again.find(key(2)), std::nullopt);
    EXPECT_TRUE(again.notes().empty());
}

TEST_F(PlanCacheFile, is_made_with_its_folder_and_leaves_no_temporary_file) {
    PlanCache cache(folder() / "a" / "b" / "plans.json", h200);
    cache.add(key(1), plan(1));
    cache.save();
    int entries = 0;
    for (const auto& entry : fs::directory_iterator(folder() / "a" / "b")) {
        EXPECT_TRUE(entry.path().extension() == ".json" || entry.path().extension() == ".lock");
        ++entries;
    }
    EXPECT_EQ(entries, 2);
}

TEST_F(PlanCacheFile, gives_no_plan_of_another_device_or_library_but_keeps_it) {
    save(h200, key(1), plan(1));
    std::vector<PlanScope> others(4, h200);
    others[0].device = "NVIDIA H100";
    others[1].capability = "9.1";
    others[2].multiprocessors = 114;
    others[3].library = "cuBLASLt 120900";
    for (const PlanScope& other : others) {
        EXPECT_EQ(PlanCache(file(), other).find(key(1)), std::nullopt);
        EXPECT_TRUE(PlanCache(file(), other).notes().empty());
        save(other, key(1), plan(2));
    }
    EXPECT_EQ(PlanCache(file(), h200).find(key(1)), plan(1));
    EXPECT_EQ(read_plan_file(file()).plans.size(), 5U);
}

TEST_F(PlanCacheFile, keeps_what_others_wrote_since_it_was_read) {
    PlanCache first(file(), h200);
    save(h200, key(2), plan(2));
    save(h200, key(1), plan(3));
    first.add(key(1), plan(1));
    first.save();
    const PlanCache all(file(), h200);
    EXPECT_EQ(all.find(key(1)), plan(1)) << "the later plan of a key stays";
    EXPECT_EQ(all.find(key(2)), plan(2));
}

TEST_F(PlanCacheFile, is_not_written_without_new_plans) {
    PlanCache cache(file(), h200);
    cache.save();
    EXPECT_FALSE(fs::exists(file()));
    save(h200, key(1), plan(1));
    PlanCache reader(file(), h200);
    write(file(), "untouched");
    reader.save();
    EXPECT_EQ(read(file()), "untouched");
}

TEST(PlanCache, without_a_file_keeps_plans_for_this_run) {
    PlanCache cache("", h200);
    cache.add(key(1), plan(1));
    cache.save();
    EXPECT_EQ(cache.find(key(1)), plan(1));
}

TEST_F(PlanCacheFile, notes_a_damaged_file_and_goes_on) {
    save(h200, key(1), plan(1));
    const std::string whole = read(file());
    for (const std::string& damaged : {std::string{},
                                       whole.substr(0, whole.size() / 2),
                                       std::string("[1, 2]"),
                                       std::string("{}"),
                                       std::string(R"({"format": "other", "plans": []})"),
                                       std::string(R"({"format": 1, "plans": []})"),
                                       std::string(R"({"format": "traindyno gemm plans 1"})")}) {
        write(file(), damaged);
        PlanCache cache(file(), h200);
        ASSERT_EQ(cache.notes().size(), 1U) << damaged;
        EXPECT_NE(cache.notes()[0].find(file().string()), std::string::npos);
        EXPECT_EQ(cache.find(key(1)), std::nullopt);
        cache.add(key(1), plan(4));
        cache.save();
        EXPECT_EQ(PlanCache(file(), h200).find(key(1)), plan(4));
    }
}

TEST_F(PlanCacheFile, leaves_out_a_damaged_plan_alone) {
    const auto replace = [&](const std::string& old, const std::string& by) {
        save(h200, key(1), plan(1));
        save(h200, key(2), plan(2));
        std::string text = read(file());
        const std::size_t found = text.find(old);
        ASSERT_NE(found, std::string::npos) << old;
        write(file(), text.replace(found, old.size(), by));
        const PlanCache cache(file(), h200);
        EXPECT_EQ(cache.notes().size(), 1U) << by;
        EXPECT_EQ(cache.find(key(1)), std::nullopt) << by;
        EXPECT_EQ(cache.find(key(2)), plan(2)) << by;
    };
    replace("0123456789abcdef", "0123456789abcde");
    replace("0123456789abcdef", "0123456789abcdeg");
    replace("\"microseconds\": 1.1", "\"microseconds\": 0.0");
    replace("\"microseconds\": 1.1", "\"microseconds\": \"x\"");
    replace("\"rank\": 1", "\"position\": 1");
    replace("m=1 ", "m=x ");
}

TEST_F(PlanCacheFile, says_where_it_cannot_be_written) {
    write(folder() / "plain", "a file, not a folder");
    PlanCache cache(folder() / "plain" / "plans.json", h200);
    cache.add(key(1), plan(1));
    EXPECT_THROW(cache.save(), ConfigError);
}

constexpr int writers = 4;
constexpr int plans_each = 12;

void write_plans(const fs::path& file, int writer) {
    for (int i = 0; i < plans_each; ++i) {
        PlanCache cache(file, h200);
        cache.add(key(1 + writer * plans_each + i), plan(i));
        cache.save();
    }
}

void expect_all_plans(const fs::path& file) {
    const PlanCache cache(file, h200);
    EXPECT_TRUE(cache.notes().empty());
    for (int i = 0; i < writers * plans_each; ++i) {
        EXPECT_EQ(cache.find(key(1 + i)), plan(i % plans_each)) << i;
    }
}

TEST_F(PlanCacheFile, loses_nothing_when_threads_write_at_once) {
    std::vector<std::thread> threads;
    threads.reserve(writers);
    for (int writer = 0; writer < writers; ++writer) {
        threads.emplace_back(write_plans, file(), writer);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    expect_all_plans(file());
}

TEST_F(PlanCacheFile, loses_nothing_when_processes_write_at_once) {
    std::vector<pid_t> children;
    for (int writer = 0; writer < writers; ++writer) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            write_plans(file(), writer);
            ::_exit(0);
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = -1;
        ::waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }
    expect_all_plans(file());
}

}  // namespace
}  // namespace traindyno
