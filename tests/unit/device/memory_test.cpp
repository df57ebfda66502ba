// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "emulator/base/error.hpp"
#include "emulator/device/memory_check.hpp"
#include "emulator/device/sleep_until.hpp"
#include "emulator/device/space_memory.hpp"

namespace traindyno {
namespace {

constexpr std::int64_t mib = std::int64_t{1} << 20;

/// A folder that stands in for the root file system of a host.
class FakeHost {
  public:
    FakeHost() {
        std::string name = (std::filesystem::temp_directory_path() / "td_host_XXXXXX").string();
        root_ = mkdtemp(name.data());
    }

    FakeHost(const FakeHost&) = delete;
    FakeHost& operator=(const FakeHost&) = delete;

    ~FakeHost() { std::filesystem::remove_all(root_); }

    void write(const std::string& path, const std::string& text) const {
        std::filesystem::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }

    [[nodiscard]] Bytes available() const { return available_memory(root_); }

  private:
    std::filesystem::path root_;
};

constexpr const char* meminfo = "MemTotal:  8192 kB\nMemFree: 5 kB\nMemAvailable:   4096 kB\n";

TEST(AvailableMemory, is_what_the_host_has_left_outside_control_groups) {
    const FakeHost host;
    host.write("proc/meminfo", meminfo);
    EXPECT_EQ(host.available(), Bytes{4 * mib});
}

TEST(AvailableMemory, is_the_least_room_of_nested_groups_in_version_2) {
    const FakeHost host;
    host.write("proc/meminfo", meminfo);
    host.write("proc/self/cgroup", "0::/job/step\n");
    host.write("sys/fs/cgroup/job/memory.max", "3145728\n");
    host.write("sys/fs/cgroup/job/memory.current", "2097152\n");
    host.write("sys/fs/cgroup/job/memory.stat", "anon 5\ninactive_file 1048576\n");
    host.write("sys/fs/cgroup/job/step/memory.max", "max\n");
    EXPECT_EQ(host.available(), Bytes{2 * mib});  // 3 - (2 used - 1 reclaimable)
}

TEST(AvailableMemory, knows_version_1_and_its_absent_limit) {
    const FakeHost host;
    host.write("proc/meminfo", meminfo);
    host.write("proc/self/cgroup", "4:cpu,memory:/job\n3:pids:/x\n");
    host.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    host.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2097152\n");
    host.write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1048576\n");
    EXPECT_EQ(host.available(), Bytes{mib});
}

TEST(AvailableMemory, of_this_host_is_positive) {
    EXPECT_GT(available_memory(), Bytes{mib});
}

TEST(RequireFit, accepts_exactly_the_limit) {
    EXPECT_NO_THROW(require_fit(
        {{"weights", Bytes{mib}}, {"gradients", Bytes{mib}}}, Bytes{2 * mib}, "the host has left"));
}

TEST(RequireFit, lists_every_item_and_the_total) {
    try {
        require_fit({{"weights", Bytes{mib}}, {"gradients", Bytes{2 * mib}}},
                    Bytes{2 * mib},
                    "the host has left");
        FAIL() << "accepted";
    } catch (const ConfigError& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("weights                    1.0 MiB"), std::string::npos) << text;
        EXPECT_NE(text.find("gradients                  2.0 MiB"), std::string::npos) << text;
        EXPECT_NE(text.find("total                      3.0 MiB"), std::string::npos) << text;
        EXPECT_NE(text.find("the host has left 2.0 MiB"), std::string::npos) << text;
    }
}

TEST(MappedBytes, are_zero_aligned_and_as_long_as_asked) {
    for (const Paging paging : {Paging::huge, Paging::lazy}) {
        const MappedBytes memory(Bytes{3 * mib + 5}, paging);
        ASSERT_EQ(memory.bytes().size(), static_cast<std::size_t>(3 * mib + 5));
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % (2 * mib), 0U);
        EXPECT_EQ(memory.bytes().back(), std::byte{0});
    }
}

TEST(MappedBytes, moved_from_owns_nothing) {
    MappedBytes first(Bytes{100}, Paging::lazy);
    std::byte* data = first.bytes().data();
    MappedBytes second(std::move(first));
    EXPECT_TRUE(first.bytes().empty());  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(second.bytes().data(), data);
    MappedBytes third;
    third = std::move(second);
    EXPECT_EQ(third.bytes().data(), data);
    third.bytes()[99] = std::byte{1};
}

TEST(MappedBytes, of_nothing_are_empty) {
    EXPECT_TRUE(MappedBytes(Bytes{0}, Paging::huge).bytes().empty());
}

TEST(SpaceMemory, sizes_elements_by_precision) {
    StepProgram program;
    program.precision = Precision::bf16;
    program.extents = {.parameter = 10, .saved = 20, .workspace = 30, .scalar = 2};
    const SpaceMemory memory(program, Paging::lazy);
    EXPECT_EQ(memory.all(Space::parameter).size(), 20U);
    EXPECT_EQ(memory.all(Space::gradient).size(), 40U);
    EXPECT_EQ(memory.all(Space::saved).size(), 40U);
    EXPECT_EQ(memory.all(Space::workspace).size(), 60U);
    EXPECT_EQ(memory.all(Space::scalar).size(), 8U);
}

/// Reduces its gradients, and nothing else.
StepProgram communicating_program() {
    StepProgram program;
    program.extents = {.parameter = 10, .saved = 20, .workspace = 30, .scalar = 0};
    const Slice gradients{.space = Space::gradient, .offset = 0, .elements = 10};
    program.blocks.push_back(
        {.name = "reduce",
         .ops = {{.op = CommOp{all_reduce_in_place(GroupId{0}, gradients, DType::fp32)},
                  .after = {}}}});
    return program;
}

TEST(SpaceMemory, takes_what_is_communicated_from_the_memory_lent) {
    const std::shared_ptr<std::vector<std::byte>> block =
        std::make_shared<std::vector<std::byte>>(1000);
    std::vector<std::size_t> asked;
    {
        const SpaceMemory memory(communicating_program(), Paging::lazy, [&](std::size_t bytes) {
            asked.push_back(bytes);
            return std::shared_ptr<std::byte>{block, block->data()};
        });
        EXPECT_EQ(asked, std::vector<std::size_t>{40});
        EXPECT_EQ(memory.all(Space::gradient).data(), block->data());
        EXPECT_EQ(memory.all(Space::gradient).size(), 40U);
        EXPECT_EQ(memory.all(Space::parameter).size(), 40U);
        EXPECT_GT(block.use_count(), 1);
    }
    EXPECT_EQ(block.use_count(), 1);
}

TEST(SpaceMemory, maps_its_own_where_none_is_lent) {
    const SpaceMemory memory(
        communicating_program(), Paging::lazy, [](std::size_t) { return nullptr; });
    EXPECT_EQ(memory.all(Space::gradient).size(), 40U);
    memory.all(Space::gradient)[39] = std::byte{1};
}

TEST(ToTimespec, rounds_up_and_never_goes_below_zero) {
    EXPECT_EQ(to_timespec(SimTime{1}).tv_nsec, 1);
    EXPECT_EQ(to_timespec(SimTime{1000}).tv_nsec, 1);
    EXPECT_EQ(to_timespec(SimTime{1001}).tv_nsec, 2);
    EXPECT_EQ(to_timespec(std::chrono::seconds{3}).tv_sec, 3);
    EXPECT_EQ(to_timespec(SimTime{-5}).tv_sec, 0);
}

}  // namespace
}  // namespace traindyno
