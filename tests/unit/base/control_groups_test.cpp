// SPDX-License-Identifier: Apache-2.0
#include "emulator/base/control_groups.hpp"

#include <filesystem>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/base/scratch_folder.hpp"

namespace traindyno {

namespace {

/// A host whose files a test writes.
class ControlGroups : public testing::Test {
  protected:
    void write(std::string_view name, std::string_view content) {
        EXPECT_FALSE(host_.write(name, content).empty());
    }

    [[nodiscard]] const std::filesystem::path& root() const { return host_.path(); }

    [[nodiscard]] std::filesystem::path mount() const { return root() / "sys/fs/cgroup"; }

  private:
    ScratchFolder host_;
};

TEST_F(ControlGroups, of_version_2_go_from_the_mount_to_the_process) {
    write("proc/self/cgroup", "0::/user.slice/job\n");
    const std::vector<ControlGroup> expected{
        {.folder = mount(), .version = ControlGroupVersion::v2},
        {.folder = mount() / "user.slice", .version = ControlGroupVersion::v2},
        {.folder = mount() / "user.slice/job", .version = ControlGroupVersion::v2}};
    EXPECT_EQ(control_groups("cpu", root()), expected);
    EXPECT_EQ(control_groups("memory", root()), expected);
}

TEST_F(ControlGroups, of_version_1_are_those_of_the_controller) {
    write("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/c\n3:cpuset:/s\n1:name=systemd:/n\n");
    EXPECT_EQ(control_groups("cpu", root()),
              (std::vector<ControlGroup>{
                  {.folder = mount() / "cpu", .version = ControlGroupVersion::v1},
                  {.folder = mount() / "cpu/c", .version = ControlGroupVersion::v1}}));
    EXPECT_EQ(control_groups("memory", root()),
              (std::vector<ControlGroup>{
                  {.folder = mount() / "memory", .version = ControlGroupVersion::v1},
                  {.folder = mount() / "memory/m", .version = ControlGroupVersion::v1}}));
    EXPECT_TRUE(control_groups("pids", root()).empty());
}

TEST_F(ControlGroups, do_not_exist_without_the_kernels_list) {
    EXPECT_TRUE(control_groups("cpu", root()).empty());
    write("proc/self/cgroup", "nonsense\n");
    EXPECT_TRUE(control_groups("cpu", root()).empty());
}

TEST_F(ControlGroups, give_no_quota_where_none_is_set) {
    EXPECT_EQ(cpu_quota(root()), std::nullopt);
    write("proc/self/cgroup", "0::/job\n2:cpu:/old\n");
    EXPECT_EQ(cpu_quota(root()), std::nullopt);
    write("sys/fs/cgroup/job/cpu.max", "max 100000\n");
    write("sys/fs/cgroup/cpu/old/cpu.cfs_quota_us", "-1\n");
    write("sys/fs/cgroup/cpu/old/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(cpu_quota(root()), std::nullopt);
}

TEST_F(ControlGroups, of_version_2_give_quota_over_period) {
    write("proc/self/cgroup", "0::/job\n");
    write("sys/fs/cgroup/job/cpu.max", "150000 100000\n");
    EXPECT_EQ(cpu_quota(root()), 1.5);
}

TEST_F(ControlGroups, of_version_1_give_quota_over_period) {
    write("proc/self/cgroup", "2:cpu,cpuacct:/job\n");
    write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "200000\n");
    write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "50000\n");
    EXPECT_EQ(cpu_quota(root()), 4.0);
}

TEST_F(ControlGroups, are_as_tight_as_the_tightest_parent) {
    write("proc/self/cgroup", "0::/slice/job\n");
    write("sys/fs/cgroup/cpu.max", "max 100000\n");
    write("sys/fs/cgroup/slice/cpu.max", "300000 100000\n");
    write("sys/fs/cgroup/slice/job/cpu.max", "800000 100000\n");
    EXPECT_EQ(cpu_quota(root()), 3.0);
}

}  // namespace

}  // namespace traindyno
