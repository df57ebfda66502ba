// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/device_choice.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"

namespace traindyno {
namespace {

using Cores = std::vector<int>;

TEST(DeviceFor, takes_the_only_gpu_or_the_ranks_own) {
    for (std::int64_t rank = 0; rank < 8; ++rank) {
        EXPECT_EQ(device_for(rank, 1), 0);
        EXPECT_EQ(device_for(rank, 8), rank);
        EXPECT_EQ(device_for(rank, 3), rank % 3);
    }
    EXPECT_THROW((void)device_for(0, 0), ContractError);
    EXPECT_THROW((void)device_for(-1, 4), ContractError);
}

/// What every rank gets.
std::vector<Cores> shares(const std::vector<Cores>& near, const Cores& allowed) {
    std::vector<Cores> all;
    for (std::size_t rank = 0; rank < near.size(); ++rank) {
        all.push_back(near_share(near, allowed, static_cast<std::int64_t>(rank)));
    }
    return all;
}

const Cores first_package{0, 1, 2, 3};
const Cores second_package{4, 5, 6, 7};
const Cores host{0, 1, 2, 3, 4, 5, 6, 7};

TEST(NearShare, divides_the_cores_next_to_the_gpus_among_their_ranks) {
    EXPECT_EQ(shares({first_package, second_package, first_package, second_package}, host),
              (std::vector<Cores>{{0, 1}, {4, 5}, {2, 3}, {6, 7}}));
    EXPECT_EQ(shares({second_package, first_package, second_package, second_package}, host),
              (std::vector<Cores>{{4, 5}, {0, 1, 2, 3}, {6}, {7}}));
}

TEST(NearShare, gives_no_core_that_is_not_allowed) {
    EXPECT_EQ(shares({first_package, second_package}, {2, 3, 4}),
              (std::vector<Cores>{{2, 3}, {4}}));
}

TEST(NearShare, divides_all_cores_where_nothing_near_is_known_or_allowed) {
    const std::vector<Cores> even{{0, 1}, {2, 3}};
    EXPECT_EQ(shares({{}, {}}, first_package), even);
    EXPECT_EQ(shares({first_package, second_package}, first_package), even);
    EXPECT_EQ(shares({first_package, {}}, first_package), even);
}

TEST(NearShare, divides_all_cores_where_neighbourhoods_overlap_or_do_not_suffice) {
    const Cores whole_host = host;
    EXPECT_EQ(shares({first_package, whole_host}, host),
              (std::vector<Cores>{{0, 1, 2, 3}, {4, 5, 6, 7}}));
    EXPECT_EQ(shares({{0}, {0}, {4, 5}}, {0, 4, 5}), (std::vector<Cores>{{0}, {4}, {5}}));
}

TEST(NearShare, refuses_ranks_outside_the_host) {
    EXPECT_THROW((void)near_share({first_package}, host, 1), ContractError);
}

}  // namespace
}  // namespace traindyno
