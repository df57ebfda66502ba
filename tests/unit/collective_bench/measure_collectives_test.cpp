// SPDX-License-Identifier: Apache-2.0
// In groups of one; tests/cli/collectives_test.cpp has jobs of several ranks.
#include "emulator/collective_bench/measure_collectives.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/collective_bench/corrupting_communicator.hpp"

namespace traindyno {
namespace {

struct Measured {
    std::vector<BenchRow> rows;
    std::vector<std::string> complaints;
    std::vector<std::string> progress;
};

/// Host memory in the part of a device's, which nobody but this may address.
class PretendedStaging final : public HostStaging {
  public:
    [[nodiscard]] std::shared_ptr<std::byte> lend(std::size_t size) override {
        return ordinary_memory().lend(size);
    }

    Pending to_host(std::span<const std::byte> device, std::span<std::byte> host) override {
        std::copy(device.begin(), device.end(), host.begin());
        return {};
    }

    Pending to_device(std::span<const std::byte> host, std::span<std::byte> device) override {
        std::copy(host.begin(), host.end(), device.begin());
        return {};
    }
};

Measured measure(std::vector<Contender> contenders, const BenchPlan& plan) {
    const auto control = Communicator::serial();
    Measured measured;
    measured.complaints = measure_collectives(
        *control,
        contenders,
        plan,
        {.on_progress = [&](const std::string& text) { measured.progress.push_back(text); },
         .on_rows =
             [&](const std::vector<BenchRow>& rows) {
                 measured.rows.insert(measured.rows.end(), rows.begin(), rows.end());
             }});
    return measured;
}

std::vector<Contender> right_and_wrong() {
    std::vector<Contender> contenders;
    contenders.push_back({.name = "right", .communicator = Communicator::serial()});
    contenders.push_back(
        {.name = "wrong",
         .communicator = std::make_unique<test::CorruptingCommunicator>(Communicator::serial())});
    return contenders;
}

BenchPlan plan_of(BenchOp op, DType type) {
    BenchPlan plan{.what = {.op = op, .type = type}, .shapes = {}, .iterations = 7, .warm_up = 1};
    for (const std::int64_t bytes : {8, 4096}) {
        plan.shapes.push_back(shape_of(op, Bytes{bytes}, type, 1));
    }
    return plan;
}

TEST(MeasureCollectives, counts_wrong_values_of_every_operation_and_type) {
    for (std::size_t op = 0; op < enum_count<BenchOp>; ++op) {
        for (std::size_t type = 0; type < enum_count<DType>; ++type) {
            const BenchPlan plan = plan_of(static_cast<BenchOp>(op), static_cast<DType>(type));
            const Measured measured = measure(right_and_wrong(), plan);
            const std::size_t placements = (has(plan.what.op, Placement::apart) ? 1U : 0U) +
                                           (has(plan.what.op, Placement::in_place) ? 1U : 0U);
            ASSERT_EQ(measured.rows.size(), 2 * 2 * placements);
            for (const BenchRow& row : measured.rows) {
                EXPECT_EQ(row.wrong, row.backend == "wrong" ? 1 : 0)
                    << to_string(plan.what.op) << " " << to_string(plan.what.type) << " "
                    << row.bytes().value();
            }
            EXPECT_EQ(measured.complaints.size(), 2 * placements);
        }
    }
}

TEST(MeasureCollectives, complains_with_backend_rank_and_element) {
    const Measured measured = measure(right_and_wrong(), plan_of(BenchOp::all_reduce, DType::fp32));
    ASSERT_EQ(measured.complaints.size(), 4U);
    for (const char* part : {"wrong all_reduce of 4096 bytes (fp32, sum, out of place)",
                             "1 wrong values on rank 0",
                             "first element 1023: ",
                             ", expected "}) {
        EXPECT_NE(measured.complaints[2].find(part), std::string::npos) << measured.complaints[2];
    }
}

TEST(MeasureCollectives, checks_what_lies_where_the_host_cannot_address_it) {
    for (const BenchOp op : {BenchOp::all_reduce, BenchOp::all_gather, BenchOp::broadcast}) {
        BenchPlan plan = plan_of(op, DType::fp32);
        plan.memory.staging = std::make_shared<PretendedStaging>();
        for (const BenchRow& row : measure(right_and_wrong(), plan).rows) {
            EXPECT_EQ(row.wrong, row.backend == "wrong" ? 1 : 0) << to_string(op);
        }
    }
}

TEST(MeasureCollectives, without_memory_fail) {
    BenchPlan plan = plan_of(BenchOp::all_reduce, DType::fp32);
    plan.memory.lend = [](std::size_t /*bytes*/) { return std::shared_ptr<std::byte>(); };
    EXPECT_THROW((void)measure(right_and_wrong(), plan), std::bad_alloc);
}

TEST(MeasureCollectives, checks_as_often_as_it_is_asked) {
    BenchPlan plan = plan_of(BenchOp::all_reduce, DType::fp32);
    plan.checks = 3;
    EXPECT_EQ(measure(right_and_wrong(), plan).rows.back().wrong, 3);
    plan.checks = 0;
    const Measured unchecked = measure(right_and_wrong(), plan);
    EXPECT_EQ(unchecked.rows.back().wrong, std::nullopt);
    EXPECT_TRUE(unchecked.complaints.empty());
}

TEST(MeasureCollectives, gives_the_rows_of_a_size_by_contender_and_placement) {
    BenchPlan plan = plan_of(BenchOp::all_reduce, DType::fp32);
    plan.model = [](std::string_view backend, BenchOp /*op*/, Bytes bytes, std::int64_t ranks) {
        return backend == "right" ? std::optional(static_cast<double>(bytes.value() * ranks))
                                  : std::nullopt;
    };
    const Measured measured = measure(right_and_wrong(), plan);
    EXPECT_EQ(measured.progress.size(), 4U);
    ASSERT_EQ(measured.rows.size(), 8U);
    for (std::size_t i = 0; i < measured.rows.size(); ++i) {
        const BenchRow& row = measured.rows[i];
        EXPECT_EQ(row.bytes(), Bytes{i < 4 ? 8 : 4096});
        EXPECT_EQ(row.backend, i % 4 < 2 ? "right" : "wrong");
        EXPECT_EQ(row.placement, i % 2 == 0 ? Placement::apart : Placement::in_place);
        EXPECT_EQ(row.predicted_s.has_value(), row.backend == "right");
        EXPECT_EQ(row.iterations, 7);
        EXPECT_GT(row.time.min, 0);
        EXPECT_LE(row.time.min, row.time.p50);
        EXPECT_LE(row.time.p50, row.time.p95);
        EXPECT_LE(row.time.p95, row.time.max);
        EXPECT_EQ(row.busbw_gbs(), 0);  // alone
    }
}

TEST(SummarizeIterations, interpolates_between_order_statistics) {
    std::vector<double> seconds;
    for (int i = 100; i >= 0; --i) {
        seconds.push_back(i);
    }
    EXPECT_EQ(summarize_iterations(seconds),
              (BenchTime{.min = 0, .p50 = 50, .p95 = 95, .max = 100}));
    EXPECT_EQ(summarize_iterations({3}), (BenchTime{.min = 3, .p50 = 3, .p95 = 3, .max = 3}));
}

}  // namespace
}  // namespace traindyno
