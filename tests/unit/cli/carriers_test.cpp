// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/carriers.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

std::string refusal(std::string_view list, std::int64_t ranks) {
    Problems problems;
    (void)read_carriers(list, "--collectives", BenchDevice::cpu, ranks, problems);
    try {
        problems.throw_if_any();
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

TEST(Carriers, keep_the_order_of_the_list) {
    Problems problems;
    EXPECT_EQ(read_carriers("serial,mpi", "--collectives", BenchDevice::cpu, 1, problems),
              (std::vector<std::string>{"serial", "mpi"}));
    EXPECT_TRUE(problems.empty());
}

TEST(Carriers, every_name_is_read_and_made) {
    for (const std::string& name : carrier_names(BenchDevice::cpu, 1)) {
        Problems problems;
        EXPECT_EQ(read_carriers(name, "--collectives", BenchDevice::cpu, 1, problems),
                  (std::vector<std::string>{name}));
        EXPECT_EQ(make_carrier(name, Communicator::serial(), {.node = "a", .largest = {}})->size(),
                  1)
            << name;
    }
}

TEST(Carriers, unknown_names_are_refused_with_the_choices) {
    const std::string text = refusal("mpj,,mpi", 2);
    EXPECT_NE(text.find("'mpj' carries no traffic on 2 ranks"), std::string::npos) << text;
    EXPECT_NE(text.find("the choices are mpi, shm, ring"), std::string::npos) << text;
    EXPECT_NE(text.find("did you mean 'mpi'"), std::string::npos) << text;
    EXPECT_NE(text.find("''"), std::string::npos) << text;
}

TEST(Carriers, serial_carries_nothing_between_ranks) {
    EXPECT_EQ(refusal("serial", 1), "");
    EXPECT_NE(refusal("serial", 2).find("'serial'"), std::string::npos);
}

TEST(Carriers, have_their_common_names) {
    Problems problems;
    EXPECT_EQ(read_carriers("rhd,auto", "--collectives", BenchDevice::cpu, 8, problems),
              (std::vector<std::string>{"halving_doubling", "auto"}));
}

TEST(Carriers, of_gpus_are_their_own) {
    Problems problems;
    EXPECT_EQ(read_carriers("mpi,nccl", "--collectives", BenchDevice::cuda, 8, problems),
              (std::vector<std::string>{"mpi", "nccl"}));
    EXPECT_TRUE(problems.empty());
    EXPECT_TRUE(
        read_carriers("ring,rhd,auto", "--collectives", BenchDevice::cuda, 8, problems).empty());
    EXPECT_NE(refusal("nccl", 2).find("'nccl'"), std::string::npos);
}

TEST(Carriers, are_named_once) {
    EXPECT_NE(refusal("rhd,halving_doubling", 2).find("twice"), std::string::npos);
    EXPECT_NE(refusal("mpi,mpi", 2).find("twice"), std::string::npos);
}

}  // namespace
}  // namespace traindyno
