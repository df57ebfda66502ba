// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/collectives_request.hpp"

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

CollectivesRequest collectives_request_of(const std::map<std::string, std::string>& values,
                                          std::int64_t ranks = 4,
                                          const GpuInventory& gpus = {}) {
    Flags flags{.command = Command::collectives, .values = {}, .points = {}, .positionals = {}};
    for (const auto& [name, text] : values) {
        flags.values[name] = {.text = text, .origin = "--" + name};
    }
    Problems problems;
    return collectives_request(flags, ranks, gpus, problems);
}

std::vector<std::string> problems_with(const std::map<std::string, std::string>& values) {
    try {
        (void)collectives_request_of(values);
    } catch (const ConfigError& error) {
        return error.problems();
    }
    return {};
}

std::vector<std::int64_t> sizes(const std::map<std::string, std::string>& values) {
    std::vector<std::int64_t> found;
    const CollectivesRequest made = collectives_request_of(values);
    for (const OpShape& shape : made.shapes) {
        found.push_back(size_of(shape, made.what.type).value());
    }
    return found;
}

TEST(ParseSize, reads_what_nccl_tests_read_and_units) {
    EXPECT_EQ(parse_size("8"), Bytes{8});
    EXPECT_EQ(parse_size("4K"), Bytes{4096});
    EXPECT_EQ(parse_size("32m"), Bytes{32 << 20});
    EXPECT_EQ(parse_size("2G"), Bytes{std::int64_t{2} << 30});
    EXPECT_EQ(parse_size("1MiB"), Bytes{1 << 20});
    EXPECT_EQ(parse_size("1MB"), Bytes{1'000'000});
    for (const char* wrong : {"", "K", "-8", "0", "8x", "1.5", "99999999999G", "8 8"}) {
        EXPECT_EQ(parse_size(wrong), std::nullopt) << wrong;
    }
}

TEST(CollectivesRequest, has_defaults_for_everything) {
    const CollectivesRequest made = collectives_request_of({});
    EXPECT_EQ(made.what, BenchCase{});
    EXPECT_EQ(made.carriers, std::vector<std::string>{"mpi"});
    EXPECT_EQ(made.buffers, BufferKind::ordinary);
    EXPECT_EQ(made.shapes.front().count, 2);
    EXPECT_EQ(made.shapes.back().count, 8 << 20);
    EXPECT_EQ(made.shapes.size(), 23U);  // powers of two from 8 to 2^25
}

TEST(CollectivesRequest, sweeps_by_factor_or_by_step) {
    using Sizes = std::vector<std::int64_t>;
    EXPECT_EQ(sizes({{"minbytes", "1K"}, {"maxbytes", "64K"}, {"stepfactor", "8"}}),
              (Sizes{1024, 8192, 65536}));
    EXPECT_EQ(sizes({{"minbytes", "1K"}, {"maxbytes", "3K"}, {"stepbytes", "1K"}}),
              (Sizes{1024, 2048, 3072}));
    EXPECT_EQ(sizes({{"minbytes", "64M"}}), (Sizes{64 << 20}));
    EXPECT_EQ(sizes({{"maxbytes", "4"}}), (Sizes{4}));
}

TEST(CollectivesRequest, takes_the_names_of_nccl_tests_too) {
    EXPECT_EQ(collectives_request_of({{"datatype", "float"}}).what.type, DType::fp32);
    EXPECT_EQ(collectives_request_of({{"datatype", "bfloat16"}}).what.type, DType::bf16);
    EXPECT_EQ(collectives_request_of({{"datatype", "half"}}).what.type, DType::fp16);
    EXPECT_EQ(collectives_request_of({{"datatype", "double"}}).what.type, DType::fp64);
    EXPECT_EQ(collectives_request_of({{"datatype", "int32"}}).what.type, DType::int32);
    EXPECT_EQ(collectives_request_of({{"reduction", "avg"}}).what.reduction, Reduction::average);
    EXPECT_EQ(collectives_request_of({{"reduction", "average"}}).what.reduction,
              Reduction::average);
}

TEST(CollectivesRequest, reports_all_problems_at_once) {
    EXPECT_EQ(problems_with({{"op", "gather"},
                             {"datatype", "fp8"},
                             {"reduction", "prod"},
                             {"root", "4"},
                             {"collectives", "pigeons"},
                             {"iters", "0"},
                             {"warmup_iters", "-1"},
                             {"check", "many"},
                             {"minbytes", "big"},
                             {"json", ""}})
                  .size(),
              10U);
}

TEST(CollectivesRequest, refuses_what_does_not_go_together) {
    const std::vector<std::map<std::string, std::string>> cases{
        {{"minbytes", "2K"}, {"maxbytes", "1K"}},
        {{"stepbytes", "1K"}, {"stepfactor", "2"}},
        {{"maxbytes", "32M"}, {"stepbytes", "8"}},
        {{"op", "broadcast"}, {"reduction", "sum"}},
        {{"op", "all_gather"}, {"root", "1"}},
    };
    for (const auto& values : cases) {
        EXPECT_EQ(problems_with(values).size(), 1U) << values.begin()->first;
    }
    EXPECT_EQ(collectives_request_of({{"op", "broadcast"}, {"root", "3"}}).what.root, GroupRank{3});
}

TEST(CollectivesRequest, on_gpus_is_nccls_unless_told_otherwise) {
    GpuInventory gpus;
    gpus.devices.emplace_back();
    const CollectivesRequest made = collectives_request_of({{"device", "cuda"}}, 4, gpus);
    EXPECT_EQ(made.device, BenchDevice::cuda);
    EXPECT_EQ(made.gpu_sharing, GpuSharing::refused);
    EXPECT_EQ(made.carriers, std::vector<std::string>{"nccl"});
    EXPECT_EQ(collectives_request_of(
                  {{"device", "cuda"}, {"collectives", "nccl,mpi"}, {"share-gpu", ""}}, 4, gpus)
                  .carriers,
              (std::vector<std::string>{"nccl", "mpi"}));
}

TEST(CollectivesRequest, of_another_device_is_refused) {
    EXPECT_EQ(problems_with({{"device", "cuda"}, {"buffers", "shared"}}).size(), 2U);  // and no GPU
    EXPECT_EQ(problems_with({{"device", "cuda"}, {"collectives", "ring"}}).size(), 2U);
    EXPECT_EQ(problems_with({{"collectives", "nccl"}}).size(), 1U);
    EXPECT_EQ(problems_with({{"share-gpu", ""}}).size(), 1U);
}

}  // namespace
}  // namespace traindyno
