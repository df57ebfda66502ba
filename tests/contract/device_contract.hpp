// SPDX-License-Identifier: Apache-2.0
// The devices under contract, and a program of matrix products to keep them busy.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "emulator/device/device.hpp"

namespace traindyno::test {

struct DeviceCase {
    std::string name;  ///< DeviceInfo::kind
    /// For fp32 programs; what has no limit of its own ignores it.
    std::function<std::unique_ptr<Device>(Bytes memory_limit)> make;
    std::int64_t size = 256;  ///< of the matrices: large enough that a product outlasts its submit
    std::int64_t too_many_parameters = std::int64_t{1} << 20;  ///< for a limit of 1 MiB
    SimTime clock_error{0};              ///< of interval(), against the host's clock
    std::string (*missing)() = nullptr;  ///< says why the case cannot be made here, or ""
};

/// One block: `count` products of the first two workspace matrices of size x size, each into the
/// third.
[[nodiscard]] inline StepProgram products(std::int64_t count, std::int64_t size = 256) {
    const std::int64_t matrix = size * size;
    StepProgram program;
    program.extents = {
        .parameter = 2 * matrix, .saved = matrix, .workspace = 3 * matrix, .scalar = 4};
    const MatMul product{.m = size,
                         .n = size,
                         .k = size,
                         .a = {.offset = 0, .elements = matrix},
                         .b = {.offset = matrix, .elements = matrix},
                         .c = {.offset = 2 * matrix, .elements = matrix}};
    Block block{.name = "products", .ops = {}};
    for (std::int64_t i = 0; i < count; ++i) {
        block.ops.push_back({.op = Op{ComputeOp{product}}, .after = {}});
    }
    program.blocks.push_back(std::move(block));
    program.tasks.emplace_back();
    return program;
}

[[nodiscard]] inline const ComputeOp& op_at(const StepProgram& program, std::size_t index) {
    return std::get<ComputeOp>(program.blocks.front().ops.at(index).op);
}

[[nodiscard]] inline const Task& task_of(const StepProgram& program) {
    return program.tasks.front();
}

/// Submits every operation of the program's only task.
inline void submit_all(Device& device, const StepProgram& program) {
    for (std::size_t i = 0; i < program.blocks.front().ops.size(); ++i) {
        EXPECT_EQ(device.submit(op_at(program, i), task_of(program)), static_cast<Ticket>(i));
    }
}

inline void wait_for(Device& device, Ticket count) {
    const SimTime give_up = now() + std::chrono::seconds{60};
    while (device.completed() < count) {
        ASSERT_LT(now(), give_up);
        device.wait(device.completed(), give_up);
    }
}

class DeviceContract : public testing::TestWithParam<DeviceCase> {
  protected:
    void SetUp() override {
        const std::string missing = GetParam().missing == nullptr ? "" : GetParam().missing();
        if (!missing.empty()) {
            GTEST_SKIP() << missing;
        }
    }

    [[nodiscard]] static std::unique_ptr<Device> make() { return GetParam().make(Bytes{0}); }

    [[nodiscard]] static StepProgram work(std::int64_t count) {
        return products(count, GetParam().size);
    }
};

}  // namespace traindyno::test
